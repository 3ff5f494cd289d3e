"""What is held where nothing is predicted: an index that nobody trades within a month."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.benchmark import benchmark_weights
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    panel_of,
    panel_of_opens,
    random_panel,
    simulated,
)
from trading_pipeline_tests.core.trading.one_close import OPEN

N = 5


def market_of(panel, **changes):
    start = date(2024, 1, 1)
    return replace(Market(name="m", source="s", symbols=panel.symbols, start=start), **changes)


def drifting(T=100, seed=0):
    """From 2024-01-01 on, a bar a day: months begin at rows 0, 31, 60 and 91."""
    steps = np.random.default_rng(seed).normal(0, 0.03, (T, N))
    return panel_of_opens(100 * np.exp(np.cumsum(steps, axis=0)))


def test_weights_are_equal_at_the_start_of_a_month_and_drift_with_prices():
    panel = drifting()
    able = np.ones(panel.close.shape, bool)
    got = benchmark_weights(panel, able, market_of(panel))
    np.testing.assert_allclose(got.sum(axis=1), 1)
    for row in (0, 31, 60, 91):
        np.testing.assert_allclose(got[row], 1 / N)
    for first, last in ((0, 30), (31, 59)):
        moved = panel.close[last] / panel.close[first]
        np.testing.assert_allclose(got[last], moved / moved.sum(), rtol=1e-12)


def test_configured_weights_are_those_of_the_symbols_that_are_eligible():
    panel = drifting()
    able = np.ones(panel.close.shape, bool)
    able[31, 1] = False  # on the first of February: out for the month
    able[40, 2] = False  # within it: the account sells, and the index waits
    named = {panel.symbols[0]: 0.6, panel.symbols[1]: 0.3, panel.symbols[2]: 0.1}
    got = benchmark_weights(panel, able, market_of(panel, benchmark=named))
    np.testing.assert_allclose(got[0], [0.6, 0.3, 0.1, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(got[31], np.array([0.6, 0, 0.1, 0, 0]) / 0.7, rtol=1e-12)
    assert (got[31:60, 1] == 0).all()
    assert got[40, 2] > 0
    np.testing.assert_allclose(got[60], [0.6, 0.3, 0.1, 0, 0], rtol=1e-12)


def test_a_split_or_a_dividend_moves_no_weight():
    """Adjusted prices: what is paid stays in the index."""
    close = np.full((10, 2), 100.0)
    close[5:, 0] = 50.0
    able = np.ones(close.shape, bool)
    for event in ({"split": {(5, 0): 2.0}}, {"dividend": {(5, 0): 50.0}}):
        panel = panel_of(close, **event)
        np.testing.assert_allclose(benchmark_weights(panel, able, market_of(panel)), 0.5)
    fallen = panel_of(close)
    got = benchmark_weights(fallen, able, market_of(fallen))
    np.testing.assert_allclose(got[6], [1 / 3, 2 / 3])


def test_without_a_member_there_is_no_weight():
    panel = drifting()
    able = np.zeros(panel.close.shape, bool)
    assert not benchmark_weights(panel, able, market_of(panel)).any()


def test_nothing_known_later_changes_a_weight():
    panel = random_panel(3, T=150)
    whole = benchmark_weights(panel, panel.traded, market_of(panel))
    for row in (20, 77, 149):
        part = panel.until(row + 1)
        got = benchmark_weights(part, part.traded, market_of(part))
        assert got.tobytes() == whole[: row + 1].tobytes()


@pytest.mark.parametrize("score", [0.0, 0.4, np.nan], ids=["zero", "equal", "unknown"])
@pytest.mark.parametrize("named", [{}, {"S00": 0.5, "S03": 0.5}], ids=["equal weight", "named"])
def test_an_account_without_a_prediction_is_its_benchmark_to_the_bar(score, named):
    """Free of cost it earns what the index earns, and trades on the first days of months only."""
    panel = drifting(T=160)
    able = np.ones(panel.close.shape, bool)
    weights = benchmark_weights(panel, able, market_of(panel, benchmark=named))
    book = simulated(
        panel, start=70, stop=160, score=np.full(panel.close.shape, score), weights=weights,
        profile=OPEN, capital=1e5, costs=FREE, bars_per_year=365, horizon=10,
    )  # fmt: skip
    returns = panel.close[1:] / panel.close[:-1] - 1
    earned = (weights[:-1] * returns).sum(axis=1)[71:159]
    quiet = np.flatnonzero(book.timestamps[2:].day > 6)
    made = book.equity[2:] / book.equity[1:-1] - 1
    np.testing.assert_allclose(made[quiet], earned[quiet], atol=1e-9)
    traded = book.turnover[1:]
    day = book.timestamps[1:].day
    assert traded[0] == pytest.approx(1.0), "bought on the day after the first decision"
    assert (traded[(day > 6) & (np.arange(len(day)) > 5)] < 1e-9).all()
    assert (traded[day == 2] > 0.01).all()


def test_no_benchmark_names_a_stranger_or_nothing():
    panel = drifting(T=2)
    for benchmark, complaint in (
        ({"ZZZ": 1.0}, "benchmark names ZZZ, not in symbols"),
        ({"S00": -1.0}, "benchmark weights must be finite and >= 0, was S00"),
        ({"S00": float("inf")}, "finite and >= 0"),
        ({"S00": 0.0}, "benchmark weights are all 0"),
    ):
        with pytest.raises(ValueError, match=complaint):
            market_of(panel, benchmark=benchmark)
