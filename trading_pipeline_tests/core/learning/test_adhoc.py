"""Markets made from panels that no setting describes."""

import re
from datetime import date

import pandas as pd
import pytest

from trading_pipeline.core.learning.adhoc import COSTS, market_name, market_of_panel
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.walkforward import folds
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.errors import BarsError, HistoryTooShort
from trading_pipeline_tests.synthetic import panel

STEPS = 60
TEMPLATE = Market(
    name="template",
    source="sample",
    symbols=("X",),
    start=date(1999, 1, 1),
    horizon=5,
    costs=Costs(fee=0.0001),
)


def test_a_long_daily_panel_of_weekdays_is_a_stock_market():
    market, notes = market_of_panel(panel(1800, days="XNYS"), "mine", STEPS)
    assert (market.timeframe, market.calendar, market.horizon) == ("1d", "XNYS", 21)
    assert (market.walk_forward.first_train, market.walk_forward.test) == (60, 12)
    assert market.symbols == ("AAA", "BBB")
    assert market.costs == COSTS
    assert market.start == date(2020, 1, 2)
    assert market.end == panel(1800, days="XNYS")["timestamp"].max().date() + pd.Timedelta(days=1)
    assert len(notes) == 1
    assert "2 symbols, 1,800 bars of 1d, calendar XNYS" in notes[0]


def test_bars_on_holidays_are_left_out_and_said():
    """Whoever starts a walk-forward on such a panel learns whose bars do not count, and why."""
    market, notes = market_of_panel(panel(1800), "mine", STEPS)
    assert market.calendar == "XNYS"
    assert "2 symbols, 1,734 bars of 1d" in notes[0]
    assert "132 bars of 2 symbols on a holiday: 2020-01-01, 2020-01-20" in notes[1]
    assert "(AAA, BBB). Left out of features" in notes[1]


def test_weekend_bars_make_it_a_market_that_never_closes():
    market, _ = market_of_panel(panel(1200, days="D"), "mine", STEPS)
    assert (market.calendar, market.horizon) == ("24/7", 10)


def test_a_stray_saturday_is_an_error_of_a_stock_panel():
    bars = panel(1800)
    bars.loc[3, "timestamp"] = pd.Timestamp("2020-01-04", tz="UTC")
    with pytest.raises(BarsError, match=r"some\.parquet: row 3, BBB at 2020-01-04 .*weekends"):
        market_of_panel(bars, "mine", STEPS, where="some.parquet")


def test_hourly_bars_are_seen():
    market, _ = market_of_panel(panel(9000, days="h"), "mine", STEPS)
    assert (market.timeframe, market.calendar, market.horizon) == ("1h", "24/7", 120)


def test_a_short_history_shrinks_the_spans_and_says_so():
    market, notes = market_of_panel(panel(900, ("ONE",), "XNYS"), "mine", STEPS)
    assert market.walk_forward.test < 12
    assert "1 symbol, 900 bars" in notes[0]
    assert "training 60 ->" in notes[1]


def test_too_short_a_history_names_the_file_and_the_bars_needed():
    with pytest.raises(
        HistoryTooShort, match=r"^some\.parquet: 60 bars .*(\d+) are needed"
    ) as refused:
        market_of_panel(panel(60, days="XNYS"), "mine", STEPS, where="some.parquet")
    assert 650 < int(re.search(r"(\d+) are needed", str(refused.value))[1]) < 800


@pytest.mark.parametrize(("days", "count"), [("XNYS", 400), ("D", 300), ("D", 500), ("h", 2000)])
def test_as_many_bars_as_it_says_are_enough(days, count):
    """Whoever brings what was asked for must not be sent away again."""
    with pytest.raises(HistoryTooShort) as refused:
        market_of_panel(panel(count, days=days), "mine", STEPS)
    needed = int(re.search(r"(\d+) are needed", str(refused.value))[1])
    market, _ = market_of_panel(panel(needed, days=days), "mine", STEPS)
    clock = pd.DatetimeIndex(panel(needed, days=days)["timestamp"].unique())
    assert folds(clock, market.walk_forward, market.horizon, burn_in(STEPS))


def test_a_template_gives_its_settings_but_not_its_extent():
    market, _ = market_of_panel(panel(1800), "mine", STEPS, TEMPLATE)
    assert (market.name, market.source, market.horizon) == ("mine", "parquet", 5)
    assert market.costs == TEMPLATE.costs
    assert market.symbols == ("AAA", "BBB")
    assert market.start == date(2020, 1, 1)


@pytest.mark.parametrize(("count", "days"), [(1200, "D"), (9000, "h")])
def test_a_template_of_another_clock_is_refused(count, days):
    with pytest.raises(BarsError, match=r"some\.parquet: .* market template says 1d on XNYS"):
        market_of_panel(panel(count, days=days), "mine", STEPS, TEMPLATE, where="some.parquet")


def test_bars_of_no_timeframe_are_refused():
    with pytest.raises(BarsError, match=r"some\.parquet: .*00:07:00 apart"):
        market_of_panel(panel(900, days="7min"), "mine", STEPS, where="some.parquet")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("us_daily", "us_daily"),
        ("my panel (1)", "my_panel_1"),
        ("überall", "berall"),
        ("2020", "2020"),
        ("—", "panel"),
    ],
)
def test_a_name_that_dagster_and_folders_accept(stem, name):
    assert market_name(stem) == name
