"""The market block, by hand and against pandas."""

import numpy as np
import pandas as pd

from trading_pipeline.core.features.catalog import compute_features
from trading_pipeline.core.features.families.market import equal_weight_return, past_return
from trading_pipeline_tests.core.features.wild_bars import bars_of, together


def test_the_market_return_worked_by_hand():
    """Dates: A 100; A 110, B 50; A 121, B 40; B 44; A 100, B 44.

    +10 % alone; then +10 % and -20 %; then +10 % of B; then B only, for A missed a date: 0 %.
    """
    close = np.array([100.0, 110.0, 50.0, 121.0, 40.0, 44.0, 100.0, 44.0])
    symbol = np.array([0, 0, 1, 0, 1, 1, 0, 1])
    starts = np.array([0, 1, 3, 5, 6, 8])
    got = equal_weight_return(close, symbol, starts, 2)
    np.testing.assert_allclose(got, np.log([np.nan, 1.1, 0.95, 1.1, 1.0]))


def test_a_date_on_which_nobody_continues_has_no_return():
    got = equal_weight_return(np.array([1.0, 2.0]), np.array([0, 1]), np.array([0, 1, 2]), 2)
    assert np.isnan(got).all()


def panel(symbols=5, size=300):
    return together([bars_of("calm", size, seed, f"S{seed}") for seed in range(symbols)])


def one_per_date(features, name):
    values = features.groupby("timestamp")[name].agg(["min", "max", "count"])
    known = values["count"] > 0
    assert (values["min"] == values["max"])[known].all()
    return values["min"].to_numpy()


def test_the_block_equals_pandas():
    bars = panel()
    features = compute_features(bars)
    wide = bars.pivot(index="timestamp", columns="symbol", values="close")
    returns = np.log1p(wide.pct_change().mean(axis=1))
    sigma = returns.rolling(63).std()
    near = {"rtol": 1e-5, "atol": 1e-6}
    expected = (returns.rolling(21).sum() / sigma / 21**0.5).clip(-5, 5)
    np.testing.assert_allclose(one_per_date(features, "market_ret_21"), expected, **near)
    expected = (returns.rolling(126).sum() / sigma / 126**0.5).clip(-5, 5)
    np.testing.assert_allclose(one_per_date(features, "benchmark_trend_126"), expected, **near)
    expected = np.log(returns.rolling(21).std() / returns.rolling(252).std())
    got = one_per_date(features, "market_volatility_21_252")
    np.testing.assert_allclose(got, expected, **near)
    above = (wide > wide.rolling(50).mean()).mean(axis=1).where(sigma.notna())
    np.testing.assert_allclose(one_per_date(features, "breadth_50"), above, **near)


def test_a_market_that_has_not_moved_reads_zero():
    assert (past_return(np.zeros(100), 21)[62:] == 0).all()


def test_one_symbol_is_its_own_market():
    bars = panel(1)
    features = compute_features(bars)
    pd.testing.assert_series_equal(
        features["market_ret_21"], features["ret_21"], check_names=False, rtol=1e-5
    )
