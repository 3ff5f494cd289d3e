"""The report of a hundred symbols over eleven years stays small enough to be sent by mail."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.reports.report_page import page
from trading_pipeline.core.evaluation.backtest import holdings_of, view_of
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.market.actions import empty_actions
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.steps.evaluate import report_series
from trading_pipeline_tests.core.evaluation.books import inputs
from trading_pipeline_tests.core.trading.markets import random_scores, simulated

DAYS, SYMBOLS = 2_769, 100
LIMIT = 2_500_000  # bytes, plotly.js included


def wide_panel():
    """Random walks that share a market, with a range around each close."""
    rng = np.random.default_rng(0)
    steps = 0.012 * rng.normal(size=(DAYS, 1)) + 0.018 * rng.normal(size=(DAYS, SYMBOLS))
    close = 80 * np.exp(np.cumsum(steps, axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(0.004 * rng.normal(size=close.shape))
    stamps = pd.bdate_range("2008-01-02", periods=DAYS, tz="UTC").as_unit("us")
    t, n = (place.ravel() for place in np.indices(close.shape))
    bars = {
        "timestamp": stamps[t],
        "symbol": pd.Series(np.array([f"SYM{k:02}" for k in range(SYMBOLS)])[n], dtype="str"),
        "open": open_.ravel(),
        "high": np.fmax(open_, close).ravel() * 1.01,
        "low": np.fmin(open_, close).ravel() * 0.99,
        "close": close.ravel(),
        "volume": 1e7,
    }
    return Panel.of(pd.DataFrame(bars), empty_actions())


def wide_book():
    """Long and short, with stops: several thousand fills."""
    panel = wide_panel()
    return simulated(
        panel,
        start=0,
        stop=DAYS,
        capital=1e6,
        costs=Costs(fee=0.0005, slippage=0.0005, borrow=0.01, debit=0.06, leverage=2.0),
        bars_per_year=252,
        horizon=21,
        mandate="neutral",
        shortable=True,
        score=random_scores(0, panel),
        profile=PROFILES["aggressive"],
    )


@pytest.mark.slow
@pytest.mark.long
def test_a_hundred_symbols_and_eleven_years_stay_below_two_and_a_half_megabytes():
    book = wide_book()
    assert len(book.fills("s")) > 10_000
    known = inputs(n_bars=DAYS, timestamps=book.timestamps)
    holdings = holdings_of(book)
    given = inputs(
        n_bars=DAYS, timestamps=book.timestamps, strategy=view_of(book), holdings=holdings
    )
    equities = {name: view.equity for name, view in known.baselines.items()}
    backtest = SimpleNamespace(
        strategy=book,
        baselines={name: SimpleNamespace(equity=equity) for name, equity in equities.items()},
        random=SimpleNamespace(equity=known.random_equity),
    )
    drawn = report_series(backtest, pd.DataFrame(), holdings, given.market)
    html = page(evaluate(given), drawn)

    assert html.count('id="chart-price-') == 12
    assert len(html.encode()) < LIMIT
