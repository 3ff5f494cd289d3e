"""Terms: a sum over bars and products of bars that can be written down by hand."""

import pytest
import torch

from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.terms import CLIP, Term, Terms

CONFIG = ModelConfig.preset("tiny", n_features=3, n_steps=6, terms=4)


def some_bars(steps=6, batch=2):
    return torch.randn(batch, steps, 3, generator=torch.Generator().manual_seed(0))


def test_without_weights_terms_say_nothing():
    assert torch.equal(Terms(CONFIG)(some_bars()), torch.zeros(2, 1))


def test_terms_are_features_of_bars_and_products_of_two():
    terms, x = Terms(CONFIG), some_bars()
    listed = [Term(0, 1), Term(4, 2), Term(1, 0, 3, 2)]
    terms.put(listed, torch.tensor([0.5, -2.0, 3.0]))
    expected = 0.5 * x[:, -1, 1] - 2 * x[:, -5, 2] + 3 * x[:, -2, 0] * x[:, -4, 2]
    torch.testing.assert_close(terms(x), expected.unsqueeze(1))


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (Term(0, 1), "rsi_14"),
        (Term(1, 0), "return_1, 1 bar ago"),
        (Term(20, 0, 40, 0), "return_1, 20 bars ago × return_1, 40 bars ago"),
        (Term(0, 1, 5, 0), "rsi_14 × return_1, 5 bars ago"),
    ],
)
def test_a_term_has_a_name_that_people_read(term, words):
    assert term.named(["return_1", "rsi_14"]) == words


def test_a_stretch_is_answered_as_each_window_of_it():
    terms, x = Terms(CONFIG), some_bars(steps=9)
    terms.put([Term(5, 0), Term(0, 1, 2, 1)], torch.tensor([1.0, 1.0]))
    each = torch.stack([terms(x[:, end - 6 : end]).squeeze(1) for end in (6, 7, 8, 9)], dim=1)
    assert torch.equal(terms(x, last=4), each)


def test_a_bar_before_the_window_counts_as_nothing():
    terms, x = Terms(CONFIG), some_bars(steps=3)
    terms.put([Term(3, 0), Term(0, 1, 3, 0), Term(2, 2)], torch.ones(3))
    torch.testing.assert_close(terms(x), x[:, 0, 2:])


def test_a_product_of_extremes_is_clipped():
    terms, x = Terms(CONFIG), torch.full((1, 6, 3), 4.0)
    terms.put([Term(0, 0, 1, 1)], torch.ones(1))
    assert terms(x).item() == CLIP


def test_more_terms_than_there_is_room_for_are_refused():
    with pytest.raises(ValueError, match="room for 7 terms, not for 8"):
        Terms(CONFIG).put([Term(0, 0)] * 8, torch.ones(8))


def test_terms_travel_in_the_state():
    terms, other, x = Terms(CONFIG), Terms(CONFIG), some_bars()
    terms.put([Term(2, 1, 4, 0)], torch.ones(1))
    other.load_state_dict(terms.state_dict())
    assert torch.equal(other(x), terms(x))
    torch.testing.assert_close(other(x)[:, 0], x[:, -3, 1] * x[:, -5, 0])
