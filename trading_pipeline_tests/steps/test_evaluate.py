"""A small report of real trades, written as the asset writes it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from trading_pipeline.adapters.reports.charts.series import accounts
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.run import book_settings
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.evaluation.backtest import holdings_of
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.errors import EvaluationError
from trading_pipeline.steps.evaluate import report_series
from trading_pipeline.steps.freshness import refuse_nothing_eligible
from trading_pipeline_tests.core.learning.sample_market import MARKET, dataset, panel


def small_book() -> BacktestResult:
    """Half in AAPL and MSFT through their splits and dividends."""
    import numpy as np

    weights = np.full(panel().close.shape, np.nan)
    weights[::21] = [0.25, 0.25, 0.25, 0.0]
    return simulate(
        panel(), start=600, stop=1400, weights=weights, **book_settings(MARKET, 100_000.0)
    )


def write_small_report(folder: Path) -> None:
    """The files that an audit reads."""
    import numpy as np

    book = small_book()
    backtest = SimpleNamespace(
        strategy=book, baselines={}, random_equity=np.zeros((0, len(book.equity)))
    )
    series = report_series(backtest, book.orders("backtest"), holdings_of(book), MARKET)
    folder.mkdir(parents=True)
    accounts(series).to_csv(folder / "equity.csv", index=False)
    series.fills.to_csv(folder / "fills.csv", index=False)
    series.cash_flows.to_csv(folder / "cash_flows.csv", index=False)
    period = {"end": book.timestamps[-1].isoformat()}
    (folder / "report.json").write_text(json.dumps({"period": period}))


def test_the_small_report_trades_and_earns_dividends():
    book = small_book()
    assert len(book.fills("x")) > 50
    assert set(book.cash_flows()["kind"]) >= {"dividend"}


def test_a_report_of_which_no_bar_is_eligible_names_the_rule():
    """'Predict its folds first' helps nobody who has predicted them, and whose volume is zero."""
    quiet = Dataset.of(replace(panel(), volume=0 * panel().volume), dataset().grid, 60)
    rows = slice(1500, 1520)
    refuse_nothing_eligible(dataset(), rows, "sample", 60)
    with pytest.raises(EvaluationError) as refused:
        refuse_nothing_eligible(quiet, rows, "sample", 60)
    assert str(refused.value).endswith(
        "4 of 4 symbols (80 of 80 bars): no volume in the last 5 bars (correct the column volume)"
    )
