"""What encoders and positions add to a score counts as far as validation bears it out."""

import numpy as np
import pytest
import torch

from trading_pipeline.core.learning.calibration import believe, best_blend, heads_on
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.model.config import ModelConfig
from trading_pipeline.core.model.network import TradingNetwork
from trading_pipeline.core.model.terms import Term
from trading_pipeline_tests.core.learning.rivals import planted


def speaking(samples, adds):
    """A network whose terms say a tenth of the first feature, and whose encoders add `adds` of the
    second: it is the trunk, read for nothing else, that is replaced."""
    config = ModelConfig.preset("tiny", n_features=3, n_steps=5)
    network = TradingNetwork(config).eval()
    network.terms.put([Term(0, 0)], torch.tensor([0.1]))
    encode = network.encode

    def encoded(x):
        z = encode(x)
        z[:, :-1] = 0.0
        z[:, 0] = x[:, -1, 1]
        return z

    network.encode = encoded
    with torch.no_grad():
        network.answers.trunk = torch.nn.Identity()
        network.answers.price.weight.zero_()
        network.answers.price.weight[0, 0] = adds
    return network


@pytest.mark.slow
@pytest.mark.parametrize(("told", "least", "most"), [(0.2, 0.5, 1.0), (0.0, 0.0, 0.2)])
def test_encoders_are_believed_as_far_as_validation_bears_them_out(told, least, most):
    """The second feature tells `told`, beyond what the terms say of the first: the price is then
    the terms and so much of what the encoders add, and is what the networks say afterwards."""
    rng = np.random.default_rng(0)
    known = planted.samples(gaps=0.0)
    truth = 0.1 * known.grid[:, :, 0].numpy() + told * known.grid[:, :, 1].numpy()
    known.price[:] = torch.from_numpy(truth + rng.normal(size=truth.shape)).float()
    network, rows = speaking(known, adds=0.4), Rows(100, 330)
    price, *_ = heads_on([network], known, rows)
    believed = believe([network], known, rows, 1, price)
    gain = float(network.answers.gain)
    assert least <= gain <= most
    path = 0.1 * known.grid[rows.first : rows.last + 1, :, 0].numpy()
    np.testing.assert_allclose(believed, path + gain * (price - path), atol=1e-6)
    again, *_ = heads_on([network], known, rows)
    np.testing.assert_allclose(again, believed, atol=1e-6)


@pytest.mark.long
@pytest.mark.slow
def test_positions_join_the_price_where_they_surely_tell_more():
    """Noise seldom does; the truth that the price head lacks does."""
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(40):
        truth = rng.normal(size=(190, 30))
        target = 0.1 * truth + rng.normal(size=truth.shape)
        noise = rng.normal(size=truth.shape)
        taken += best_blend(truth, truth + noise, target, 1)[0] < 1
    assert taken <= 3
    weight, scale = best_blend(noise, 0.2 * truth, target, 1)
    assert weight < 0.5
    assert scale == pytest.approx(5, rel=0.05)
