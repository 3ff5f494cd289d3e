"""Attention: products and weights are those of the plain formulas, whatever shape is faster."""

import math

import pytest
import torch

from trading_pipeline.core.model.attention import age_bias, attention_weights, matmul


@pytest.mark.parametrize(
    "shapes", [((2, 9, 7), (2, 7, 3)), ((2, 9, 3), (2, 3, 7)), ((1, 5), (5, 4))]
)
def test_a_product_and_its_gradients_are_the_plain_ones(shapes):
    """Narrow on the right, narrow inside, and a single row: each is computed another way."""
    left, right = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    torch.testing.assert_close(matmul(left, right), left @ right)
    assert torch.autograd.gradcheck(matmul, (left, right))


@pytest.mark.parametrize(("steps", "last"), [(7, 3), (4, 4), (2, 1)])
def test_a_bias_belongs_to_the_age_and_nothing_is_seen_outside_the_window(steps, last):
    """A window of four bars, in a stretch that is longer, as long, and shorter."""
    age = torch.tensor([[0.0, 10.0, 20.0, 30.0]])
    bias = age_bias(age, steps, last)[0]
    for row in range(last):
        for bar in range(steps):
            behind = steps - last + row - bar
            assert bias[row, bar] == (10.0 * behind if 0 <= behind < 4 else -math.inf)


def test_weights_are_the_softmax_of_scaled_scores_with_their_bias():
    query, key, age = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 5), torch.randn(3, 6)
    scores = torch.einsum("bnld,bntd->bnlt", query, key) / math.sqrt(5) + age_bias(age, 6, 4)
    torch.testing.assert_close(attention_weights(query, key, age), scores.softmax(dim=3))
