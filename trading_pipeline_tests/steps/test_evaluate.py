"""A small report of real trades, written as the asset writes it."""

from dataclasses import replace

import pytest

from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.errors import EvaluationError
from trading_pipeline.steps.freshness import refuse_nothing_eligible
from trading_pipeline_tests.core.learning.sample_market import dataset, panel
from trading_pipeline_tests.steps.small_report import small_book


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
