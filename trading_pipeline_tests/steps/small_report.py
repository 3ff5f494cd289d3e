"""A small report of real trades, written as the asset writes it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from trading_pipeline.adapters.reports.charts.series import accounts
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.evaluation.backtest import holdings_of
from trading_pipeline.core.trading.inputs import Inputs
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.steps.evaluate import report_series
from trading_pipeline_tests.core.learning.sample_market import MARKET, panel


def small_book() -> BacktestResult:
    """Half in AAPL and MSFT through their splits and dividends."""
    weights = np.full(panel().close.shape, np.nan)
    weights[::21] = [0.25, 0.25, 0.25, 0.0]
    terms = replace(Terms.of(MARKET, 100_000.0), profile=None)
    return simulate(panel(), terms, Inputs(weights=weights), start=600, stop=1400)


def write_small_report(folder: Path) -> None:
    """The files that an audit reads."""
    book = small_book()
    backtest = SimpleNamespace(
        strategy=book,
        baselines={},
        random=SimpleNamespace(equity=np.zeros((0, len(book.equity)))),
    )
    series = report_series(backtest, book.orders("backtest"), holdings_of(book), MARKET)
    folder.mkdir(parents=True)
    accounts(series).to_csv(folder / "equity.csv", index=False)
    series.fills.to_csv(folder / "fills.csv", index=False)
    series.cash_flows.to_csv(folder / "cash_flows.csv", index=False)
    period = {"end": book.timestamps[-1].isoformat()}
    (folder / "report.json").write_text(json.dumps({"period": period}))
