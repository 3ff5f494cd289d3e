"""Predictions of anyone's own: what is read, and what is refused with row and rule."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.basis import half_lives
from trading_pipeline.core.backtest.prediction_table import predictions_from, refuse_another_unit
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.synthetic import panel as bars

PANEL = Panel.of(bars(6, days="XNYS"), None)


def table(**columns) -> pd.DataFrame:
    """A score for both symbols at every bar; columns as they are given."""
    keys = pd.MultiIndex.from_product(
        [PANEL.timestamps, PANEL.symbols], names=["timestamp", "symbol"]
    )
    made = keys.to_frame(index=False).assign(score=np.arange(12) / 100)
    return made.assign(**columns).rename_axis("row")


def test_rows_come_in_order_and_keep_their_further_columns():
    shuffled = table(model="mine").sample(frac=1, random_state=0)
    found = predictions_from(shuffled, PANEL)
    pd.testing.assert_frame_equal(found, table(model="mine").rename_axis(None))


def test_daily_stamps_of_another_hour_are_those_of_their_session():
    """As an export has them at the close in New York: the bars' own stamps are moved alike."""
    closes = PANEL.timestamps.tz_localize(None).tz_localize("America/New_York")
    closes = (closes + pd.Timedelta(hours=16)).tz_convert("UTC").repeat(2)
    pd.testing.assert_frame_equal(
        predictions_from(table(timestamp=closes), PANEL), table().rename_axis(None)
    )


def stamp(text: str) -> pd.Series:
    """The table's stamps, the last of them another one."""
    stamps = table()["timestamp"].copy()
    stamps.iloc[-1] = pd.Timestamp(text, tz="UTC")
    return stamps


def last(name: str, value: object) -> list:
    """A column of the table with another value at its end."""
    column = table().assign(volatility=0.01, half_life=5.0)[name].tolist()
    return [*column[:-1], value]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (
            {"timestamp": stamp("2030-01-02")},
            "row 11: timestamp 2030-01-02 00:00:00+00:00 is after",
        ),
        (
            {"timestamp": stamp("2019-12-31")},
            "is not a bar of the panel, which has 6 from 2020-01-02",
        ),
        ({"timestamp": stamp("2020-01-04")}, "is not a bar of the panel"),  # a Saturday
        (
            {"symbol": last("symbol", "ZZZ")},
            "row 11: symbol 'ZZZ' is not in the panel, which has AAA",
        ),
        ({"symbol": last("symbol", None)}, "is not in the panel"),
        ({"symbol": last("symbol", "AAA")}, "row 11: symbol 'AAA' has a score at that bar already"),
        (
            {"score": last("score", np.nan)},
            "row 11: score nan is not a finite number; leave the row",
        ),
        ({"score": last("score", np.inf)}, "row 11: score inf is not a finite number"),
        ({"score": last("score", "high")}, "row 11: score 'high' is not a number"),
        ({"score": 0.02}, "every score is 0.02, so no symbol or bar is preferred"),
        (
            {"volatility": last("volatility", 0.0)},
            "row 11: volatility 0.0 is not a positive number",
        ),
        ({"volatility": last("volatility", np.inf)}, "row 11: volatility inf is not a positive"),
        ({"half_life": last("half_life", -1.0)}, "row 11: half_life -1.0 is not a positive number"),
        ({"half_life": last("half_life", 7.0)}, "row 11: half_life 7.0 is not that of the symbols"),
    ],
)
def test_a_row_that_cannot_be_a_prediction_is_named_with_its_rule(columns, complaint):
    with pytest.raises(TradingError) as refused:
        predictions_from(table(**columns), PANEL)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("name", ["timestamp", "symbol", "score"])
def test_a_column_that_is_missing_is_named(name):
    with pytest.raises(TradingError, match=f"lack the columns {name}; needed are timestamp, "):
        predictions_from(table().drop(columns=name), PANEL)


def test_empty_cells_of_what_need_not_be_said_stay_empty():
    found = predictions_from(table(volatility=last("volatility", None)), PANEL)
    assert found["volatility"].isna().tolist() == [False] * 11 + [True]


def test_a_half_life_that_some_symbols_of_a_bar_do_not_say_is_the_one_of_the_others():
    found = predictions_from(table(half_life=last("half_life", None)), PANEL)
    np.testing.assert_array_equal(half_lives(PANEL, found), np.full(6, 5.0))


@pytest.mark.parametrize("factor", [np.sqrt(252), np.sqrt(21), 0.01])
def test_volatilities_of_another_span_are_refused(factor):
    """Annual ones would make every position a sixteenth of what it should be, and say nothing."""
    sigma = np.full(12, 0.02)
    refuse_another_unit(table(volatility=0.03), sigma)
    with pytest.raises(TradingError, match="give that of one bar, not of a year"):
        refuse_another_unit(table(volatility=factor * sigma), sigma)


@pytest.mark.parametrize("sigma", [0.02, np.nan])
def test_volatilities_that_are_compared_with_nothing_are_not_refused(sigma):
    """A column of empty cells says that none is known, as no column does."""
    refuse_another_unit(predictions_from(table(volatility=None), PANEL), np.full(12, sigma))
    refuse_another_unit(table(volatility=0.03), np.full(12, np.nan))
