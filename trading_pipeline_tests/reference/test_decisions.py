"""The reference's whole run on markets where the answer is known."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline_tests.core.trading.markets import FREE, panel_of, random_scores, rough_panel
from trading_pipeline_tests.reference.runs import run_signals
from trading_pipeline_tests.strategies import COSTS

LIMITS = (
    *("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat", "breaker", "drawdown_limit"),
    *("stop_loss", "take_profit", "trailing_stop", "volatility_target", "group_cap"),
)
PROFILE = dict.fromkeys(LIMITS, inf) | {
    "long_only": False,
    "tracking_error": 0.04,
    "gross_cap": 1.0,
    "net_cap": 1.0,
    "symbol_cap": 0.5,
    "starting_cap": 0.5,
    "band": 1.0,
    "limit_entry": 0.0,
    "flat_days": 5,
    "half_days": 8,
}


def run(panel, known, mandate="long_only", costs=FREE, horizon=5, **changes):
    terms = {"start": 0, "stop": len(panel.timestamps), "capital": 1e5, "costs": costs}
    terms |= {"bars_per_year": 252, "horizon": horizon, "mandate": mandate, "shortable": True}
    profile = SimpleNamespace(**(PROFILE | changes))
    sigma = np.full(panel.close.shape, 0.02)
    inputs = {"volatility": sigma, "eligible": panel.traded} | known
    return run_signals(panel, known=inputs, profile=profile, **terms)


def rising(T, N=3):
    """Symbols that rise by 0 to 1 % a day, and open where they closed."""
    close = 50 * np.exp(np.arange(T)[:, None] * np.linspace(0.0, 0.01, N))
    return panel_of(close, np.vstack([close[:1], close[:-1]]))


def test_scores_of_nothing_are_the_benchmark():
    """Bought at once, and rebalanced at no cost at every open: the mean of the returns."""
    panel = rising(40)
    book = run(panel, {"score": np.zeros(panel.close.shape)})
    earned = (panel.close[1:] / panel.close[:-1] - 1).mean(axis=1)
    np.testing.assert_allclose(book.equity[1:], 1e5 * np.cumprod(1 + earned))


def test_with_costs_a_benchmark_that_drifts_is_left_alone():
    """But for the first bar's orders there are none until a weight is far from its aim."""
    panel = rising(40)
    costs = replace(FREE, fee=0.002)
    book = run(panel, {"score": np.zeros(panel.close.shape)}, costs=costs)
    rows = [row for row, _ in book.orders]
    assert rows.count(0) == 3
    assert len(rows) < 20  # of 117


def test_a_symbol_that_may_not_be_held_is_closed_and_the_others_pay_for_it():
    panel = rising(10)
    eligible = np.ones(panel.close.shape, dtype=bool)
    eligible[5:, 0] = False
    book = run(panel, {"score": np.zeros(panel.close.shape), "eligible": eligible})
    assert book.orders[5, "AAA"][0] < 0 < book.orders[5, "BBB"][0]
    assert (6, "AAA") not in book.orders
    assert (5, "AAA", "ineligible") in book.vetoes


def test_a_frozen_symbol_is_left_and_leaves_less_for_the_others():
    panel = rising(10)
    for grid in (panel.open, panel.high, panel.low, panel.close):
        grid[5:7, 0] = np.nan
    book = run(panel, {"score": np.zeros(panel.close.shape)})
    assert not [key for key in book.orders if key[0] in (5, 6) and key[1] == "AAA"]
    assert not book.vetoes


def test_a_neutral_account_follows_scores_and_nothing_else():
    panel = rising(20)
    nothing = run(panel, {"score": np.zeros(panel.close.shape)}, mandate="neutral")
    assert not nothing.orders
    scores = np.broadcast_to([0.5, 0.0, -0.5], panel.close.shape)
    book = run(panel, {"score": scores}, mandate="neutral")
    assert book.orders[0, "AAA"][0] > 0 > book.orders[0, "CCC"][0]


def test_weights_are_taken_as_they_come_and_kept():
    panel = rising(6)
    asked = np.full(panel.close.shape, np.nan)
    asked[0] = [0.5, 0.2, 0.0]
    book = run(panel, {"weights": asked}, gross_cap=0.6)
    bought = {symbol: quantity for (_, symbol), (quantity, _, _) in book.orders.items()}
    first = {s: book.orders[0, s][0] * panel.close[0, n] for n, s in enumerate(("AAA", "BBB"))}
    assert first == pytest.approx({"AAA": 6e4 * 5 / 7, "BBB": 6e4 * 2 / 7})
    assert "CCC" not in bought


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.integers(0, 10**6),
    COSTS,
    st.sampled_from(["long_only", "neutral"]),
    st.booleans(),
    st.sampled_from([inf, 0.1, 0.3]),
)
def test_rough_markets_never_break_it(seed, costs, mandate, scored, target):
    """Whatever the market does, a run ends, and a long-only book is never short."""
    panel = rough_panel(seed, 90)
    rng = np.random.default_rng(seed)
    scores = random_scores(seed, panel, missing=0.2)
    known = {
        "volatility": rng.uniform(0.005, 0.05, panel.close.shape),
        "beta": rng.uniform(0.5, 1.5, panel.close.shape),
        "half_life": rng.choice([np.nan, 2.0, 30.0], len(scores)),
        "kelly": rng.choice([np.nan, 0.25, 1.0], len(scores)),
        "groups": rng.integers(-1, 3, panel.close.shape),
        "score" if scored else "weights": scores if scored else scores / 5,
    }
    book = run(
        panel, known, mandate, costs, volatility_target=target, group_cap=0.3, drawdown_limit=0.2
    )
    assert np.isfinite(book.equity).all()
    if mandate == "long_only":
        held = dict.fromkeys(panel.symbols, 0.0)
        for (_, symbol, _), fill in sorted(book.fills.items()):
            held[symbol] += fill["quantity"]
        splits = (panel.conversion != 1).any(axis=0)
        assert all(held[s] > -1e-6 for n, s in enumerate(panel.symbols) if not splits[n])
