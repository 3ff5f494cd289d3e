"""Betas: what they recover, what they shrink to, and that they look back alone."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.market.beta import WINDOW, equal_weight_returns, market_beta
from trading_pipeline.core.market.panel import Panel


def panel(true: np.ndarray, count: int = 700, noise: float = 0.0, missing=()) -> Panel:
    """Daily bars of symbols that carry `true` (N,) of a market; `missing` (t, n) have no bar."""
    generator = np.random.default_rng(3)
    common = generator.normal(0, 0.01, (count, 1))
    moves = common * true + noise * generator.normal(0, 0.02, (count, len(true)))
    close = 100 * np.exp(np.cumsum(moves, axis=0))
    stamps = pd.date_range("2015-01-01", periods=count, tz="UTC", unit="us")
    names = [f"S{n}" for n in range(len(true))]
    table = pd.DataFrame(
        {
            "timestamp": np.repeat(stamps, len(true)),
            "symbol": np.tile(names, count),
            **{price: close.ravel() for price in ("open", "high", "low", "close")},
            "volume": 1e6,
        }
    )
    gone = {t * len(true) + n for t, n in missing}
    return Panel.of(table.drop(index=list(gone)), None)


def test_shrinks_half_way_to_one() -> None:
    true = np.array([0.5, 1.0, 1.5])  # their mean is 1, so the equal-weight market is the common
    beta = market_beta(panel(true))
    assert beta[WINDOW:] == pytest.approx(np.tile(1 + (true - 1) / 2, (700 - WINDOW, 1)))
    assert (beta[:WINDOW] == 1).all()


def test_is_the_regression_of_the_last_252_returns() -> None:
    bars = panel(np.array([0.3, 1.0, 1.9, 0.8]), noise=1.0)
    market = equal_weight_returns(bars)
    own = np.diff(np.log(bars.close), axis=0, prepend=np.nan)
    rows = slice(500 - WINDOW + 1, 501)
    slopes = [np.polyfit(market[rows], own[rows, n], 1)[0] for n in range(4)]
    assert market_beta(bars)[500] == pytest.approx(1 + (np.array(slopes) - 1) / 2)


def test_a_missing_bar_joins_two_days_of_the_market() -> None:
    true = np.array([0.5, 1.0, 1.5])
    whole = market_beta(panel(true))
    holed = market_beta(panel(true, missing=[(400, 0), (401, 0)]))
    # The market itself is that of the symbols with a bar, so its slopes move, but only a little.
    assert holed[500] == pytest.approx(whole[500], abs=0.02)
    assert holed[401, 0] == holed[399, 0]


def test_later_bars_change_nothing() -> None:
    bars = panel(np.array([0.3, 1.0, 1.9, 0.8]), noise=1.0)
    assert (market_beta(bars.until(450)) == market_beta(bars)[:450]).all()


def test_a_market_that_does_not_move_says_nothing() -> None:
    assert (market_beta(panel(np.zeros(3))) == 1).all()
