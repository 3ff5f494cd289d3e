"""Screening finds what was planted, where it was planted, and nothing in noise."""

from types import SimpleNamespace
from unittest.mock import ANY

import numpy as np
import pytest
import torch

from trading_pipeline.core.learning.screening import Found, _Window, find_terms
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.model.terms import Term

DAYS, SYMBOLS, FEATURES, STEPS = 460, 30, 6, 8
ROWS = Rows(STEPS - 1, 420)


def market(signal=lambda x: 0.0 * x[:, :, 0], seed=0, horizon=1, persistence=0.0):
    """Next-bar returns of `signal` and noise; features are autoregressions."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(DAYS, SYMBOLS, FEATURES))
    for day in range(1, DAYS):
        x[day] = persistence * x[day - 1] + np.sqrt(1 - persistence**2) * x[day]
    returns = signal(x) + rng.normal(size=x.shape[:2])
    ahead = np.concatenate([np.zeros((1, SYMBOLS)), np.cumsum(returns, axis=0)])
    price = np.full_like(returns, np.nan)
    price[: DAYS - horizon + 1] = (ahead[horizon:] - ahead[:-horizon]) / np.sqrt(horizon)

    def tensor(values):
        return torch.from_numpy(values.astype(np.float32))

    return SimpleNamespace(
        grid=tensor(x),
        usable=np.isfinite(price),
        price=tensor(price),
        next_residual=tensor(returns),
    )


def found(samples, horizon=1, room=8) -> Found:
    return find_terms(samples, ROWS, STEPS, horizon, room)


def lagged(values, bars):
    return np.concatenate([np.zeros_like(values[:bars]), values[:-bars]])


def test_a_linear_a_lagged_and_a_product_term_are_found():
    """In the order of their t within each kind, and each with its own coefficient."""
    told = found(
        market(
            lambda x: (
                0.12 * x[:, :, 2]
                - 0.2 * lagged(x[:, :, 4], 5)
                + 0.1 * lagged(x[:, :, 1] * lagged(x[:, :, 3], 4), 2)
            )
        )
    )
    picked = [Term(5, 4), Term(0, 2), Term(2, 1, 6, 3)]
    assert told.terms[:3] == picked
    words = told.in_words([f"f{n}" for n in range(FEATURES)])
    assert [each["term"] for each in words] == [
        "f4, 5 bars ago",
        "f2",
        "f1, 2 bars ago × f3, 6 bars ago",
    ]
    assert [each["t"] for each in words] == told.t
    assert [each["weight"] for each in words] == told.weights[:3].tolist()
    assert len(told.t) == 3
    assert told.weights[:3].tolist() == pytest.approx([-0.2, 0.12, 0.1], abs=0.03)
    assert told.weights[3:].abs().max() < 0.02


def test_weights_of_what_was_picked_alone_are_those_of_least_squares():
    """What is left of the newest bar is shrunk to nearly nothing, and moves them by as little."""
    samples = market(lambda x: 0.3 * x[:, :, 2])
    told = found(samples)
    assert told.weights[1:].abs().max() < 0.01
    window = _Window(samples, ROWS, STEPS, 1)
    x, y = (each.double().flatten() for each in (window.column(Term(0, 2)), window.target))
    assert told.weights[0].item() == pytest.approx(float(x @ y / (x @ x)), rel=1e-3)


@pytest.mark.parametrize(("horizon", "persistence"), [(1, 0.0), (1, 0.9), (5, 0.9)])
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_noise_gives_terms_no_oftener_than_it_may(horizon, persistence):
    """Of twenty markets each kind may be found in one; overlap and persistence change nothing."""
    wrong = sum(
        bool(found(market(seed=seed, horizon=horizon, persistence=persistence), horizon).t)
        for seed in range(20)
    )
    assert wrong <= 5  # binomial of 20 and 0.1: 1 % above


def test_a_pattern_in_targets_that_overlap_is_found():
    told = found(
        market(lambda x: 0.1 * x[:, :, 2] * x[:, :, 5], horizon=5, persistence=0.9), horizon=5
    )
    assert told.terms[0] == Term(0, 2, 0, 5)


def test_the_dense_rest_of_the_newest_bar_is_shrunk_and_kept():
    """Six coefficients, none of which stands out beside so much noise, still tell together."""
    told = found(market(lambda x: x @ np.array([0.015, -0.015] * 3), seed=1))
    assert told.t == []
    signs = torch.tensor([1.0, -1.0] * 3)
    assert ((told.weights * signs) > 0).sum() >= 5


def test_nothing_after_the_rows_is_read():
    samples, told = market(lambda x: 0.2 * x[:, :, 2]), []
    for _ in range(2):
        told.append(found(samples))
        for each in (samples.grid, samples.price, samples.next_residual):
            each[ROWS.last + 1 :] = 7.0
    assert told[0].terms == told[1].terms
    assert torch.equal(told[0].weights, told[1].weights)


def test_a_term_said_twice_is_picked_once():
    samples = market(lambda x: 0.2 * x[:, :, 2])
    samples.grid[:, :, 3] = samples.grid[:, :, 2]
    assert len(found(samples).t) == 1


def test_a_market_without_a_cross_section_starts_at_nothing():
    samples = market(lambda x: 0.5 * x[:, :, 2])
    samples.usable[:, 7:] = False
    told = found(samples)
    assert told.t == []
    assert told.weights.abs().max() == 0


def test_room_bounds_what_is_picked():
    told = found(market(lambda x: 0.2 * (x[:, :, 2] + x[:, :, 4] + lagged(x[:, :, 1], 3))), room=4)
    assert len(told.t) == 2


def test_what_is_the_same_for_all_symbols_tells_nothing():
    """Such as the market's volatility: without its mean only rounding is left of it."""
    samples = market(lambda x: 0.2 * x[:, :, 2])
    samples.grid[:, :, 3] = samples.grid[:, :1, 3] + 1.7
    samples.grid[:, :, 4] = 0.0
    told = found(samples)
    assert told.terms[0] == Term(0, 2)
    assert len(told.t) == 1
    assert {term.feature for term in told.terms} == {0, 1, 2, 5}
    assert told.weights.abs().max() < 0.3


def test_where_nothing_tells_symbols_apart_there_are_no_terms():
    samples = market()
    samples.grid[:] = samples.grid[:, :1, :1]
    assert found(samples) == Found([], ANY, [])
