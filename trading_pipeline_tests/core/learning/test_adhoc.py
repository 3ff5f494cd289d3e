"""Markets made from panels that no setting describes."""

import re
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.learning.adhoc import COSTS, market_name, market_of_panel
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.walkforward import folds
from trading_pipeline.core.market.bars import in_order
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.inputs import Inputs
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import BarsError, HistoryTooShort
from trading_pipeline_tests.synthetic import panel

STEPS = 60
# Limits that would end the experiment.
OFF = dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat"), 0.99)
OFF |= dict.fromkeys(("stop_loss", "take_profit", "breaker", "drawdown_limit"), np.inf) | {
    "symbol_cap": 1.0
}
TEMPLATE = Market(
    name="template",
    source="sample",
    symbols=("X",),
    start=date(1999, 1, 1),
    horizon=5,
    costs=Costs(fee=0.0001),
)


def sessions(calendar: str, start: str = "2020-01-01", end: str = "2026-07-01"):
    """Bars on the days of an exchange."""
    days = trading_calendar(calendar, "1d").sessions(
        pd.Timestamp(start, tz="UTC"), pd.Timestamp(end, tz="UTC")
    )
    bars = panel(len(days))
    return bars.assign(timestamp=days.repeat(2))


def test_a_long_daily_panel_of_new_york_is_a_stock_market():
    market, notes = market_of_panel(sessions("XNYS"), "mine", STEPS)
    assert (market.timeframe, market.calendar, market.horizon) == ("1d", "XNYS", 21)
    assert (market.walk_forward.first_train, market.walk_forward.test) == (60, 12)
    assert market.symbols == ("AAA", "BBB")
    assert market.costs == COSTS
    assert market.start == date(2020, 1, 2)
    assert market.end == date(2026, 7, 1)
    assert len(notes) == 1
    assert "2 symbols, 1,631 bars of 1d, calendar XNYS: 0.0% of the bars" in notes[0]
    assert (market.measured_bars_per_year, market.bars_per_year) == (None, 252)


def test_weekdays_without_holidays_are_the_calendar_of_weekdays():
    market, _ = market_of_panel(panel(1800), "mine", STEPS)
    assert (market.calendar, market.bars_per_year, market.horizon) == ("24/5", 261, 21)


def test_a_calendar_may_be_named():
    """Weekday bars held to Tokyo's holidays: those of closed days are left out, and said."""
    market, notes = market_of_panel(panel(1800), "mine", STEPS, calendar="XTKS")
    assert (market.calendar, market.bars_per_year, market.days_per_year) == ("XTKS", 245, 245)
    assert "on a holiday" in notes[1]
    with pytest.raises(BarsError, match=r"some\.parquet: the calendar 24/7 does not fit: .* 28"):
        market_of_panel(panel(1800), "mine", STEPS, calendar="24/7", where="some.parquet")


def test_bars_on_holidays_are_left_out_and_said():
    """Whoever starts a walk-forward on such a panel learns whose bars do not count, and why."""
    whole = sessions("XNYS")
    holidays = pd.to_datetime(["2020-01-20", "2020-02-17"], utc=True).as_unit("us")
    stray = panel(2, ("AAA",)).assign(timestamp=holidays)
    market, notes = market_of_panel(in_order(pd.concat([whole, stray])), "mine", STEPS)
    assert (market.calendar, market.bars_per_year) == ("XNYS", 252)
    assert "2 symbols, 1,631 bars of 1d" in notes[0]
    assert "2 bars on a holiday: 2020-01-20, 2020-02-17" in notes[1]
    assert "Left out of features" in notes[1]


def test_weekend_bars_make_it_a_market_that_never_closes():
    market, _ = market_of_panel(panel(1200, days="D"), "mine", STEPS)
    assert (market.calendar, market.horizon) == ("24/7", 10)


def test_a_stray_saturday_is_an_error_of_a_stock_panel():
    bars = panel(1800)
    bars.loc[3, "timestamp"] = pd.Timestamp("2020-01-04", tz="UTC")
    with pytest.raises(BarsError, match=r"some\.parquet: row 3, BBB at 2020-01-04 .*weekends"):
        market_of_panel(bars, "mine", STEPS, where="some.parquet")


def test_extended_hours_reach_the_volatility_that_was_asked_for():
    """From 04:00 to 18:00 in New York: with the 1,764 bars of its sessions it was half as high."""
    days = sessions("XNYS", end="2021-07-01")["timestamp"].unique().tz_localize(None)
    hours = pd.timedelta_range("4h", periods=15, freq="h")
    stamps = pd.DatetimeIndex([day + hour for day in days for hour in hours])
    stamps = stamps.tz_localize("America/New_York").tz_convert("UTC").as_unit("us")
    bars = panel(len(stamps)).assign(timestamp=stamps.repeat(2))
    market, notes = market_of_panel(bars, "mine", STEPS)
    assert market.bars_per_year == pytest.approx(15 * 252, rel=0.01)
    assert "as counted in the bars (XNYS has 1,764 and 252)" in notes[0]
    prices = Panel.of(bars, None)
    profile = replace(PROFILES["moderate"], volatility_target=0.12, **OFF)
    terms = replace(Terms.of(market, 1e5), profile=profile)
    inputs = Inputs(weights=np.full(prices.close.shape, 0.5))
    book = simulate(prices, terms, inputs, start=64, stop=len(stamps))
    year = np.diff(np.log(book.equity[64:])).std() * np.sqrt(15 * 252)
    assert year == pytest.approx(0.12, abs=0.01)


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


@pytest.mark.parametrize(
    ("count", "days", "why"),
    [
        (1200, "D", "the calendar XNYS does not fit: 31.1% of the bars"),
        (9000, "h", "bars are of 1h, but market template says 1d on XNYS"),
    ],
)
def test_a_template_of_another_clock_is_refused(count, days, why):
    with pytest.raises(BarsError, match=rf"some\.parquet: {why}"):
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
