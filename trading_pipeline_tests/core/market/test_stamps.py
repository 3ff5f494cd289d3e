"""Stamps of exports from everywhere: each bar and action on its session, and its calendar found."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import check_weekdays, trading_calendar
from trading_pipeline.core.market.stamps import (
    actions_by_session,
    clock_of,
    datings,
    stamped_by_session,
)
from trading_pipeline.errors import BarsError

START, END = pd.Timestamp("2021-01-01", tz="UTC"), pd.Timestamp("2023-07-01", tz="UTC")
WEEKDAYS = pd.bdate_range("2021-01-01", "2023-06-30")  # naive dates
MIDNIGHT, BEFORE = pd.Timedelta(0), -pd.Timedelta(hours=7)
HOUR = pd.Timedelta(hours=1)


def bars_at(index, symbols=("AAA", "BBB")):
    rows = [pd.DataFrame({"timestamp": index, "symbol": symbol}) for symbol in symbols]
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return check_bars(pd.concat(rows).assign(**prices))


def days_of(calendar):
    """The sessions of an exchange, as naive dates."""
    return trading_calendar(calendar, "1d").sessions(START, END).tz_localize(None)


def stamped(days, zone, shift=MIDNIGHT):
    """Those dates at an hour of a zone: 17:00 of the day before is a shift of -7 hours."""
    return (days + shift).tz_localize(zone).tz_convert("UTC")


def sessions_of(bars):
    return pd.DatetimeIndex(bars["timestamp"].unique()).tz_localize(None).as_unit("ns").tolist()


HOURS = [
    ("America/New_York", MIDNIGHT),
    ("America/New_York", BEFORE),  # 17:00, when the day of currencies begins
    ("America/New_York", pd.Timedelta(hours=9.5)),
    ("America/New_York", pd.Timedelta(hours=16)),
    ("America/Chicago", BEFORE),
    ("Europe/London", MIDNIGHT),
    ("Europe/Berlin", MIDNIGHT),
    ("Asia/Tokyo", MIDNIGHT),
    ("Asia/Kolkata", MIDNIGHT),
    ("Asia/Hong_Kong", MIDNIGHT),
    ("Australia/Sydney", MIDNIGHT),
    ("Pacific/Auckland", MIDNIGHT),
    ("UTC", MIDNIGHT),
]


@pytest.mark.parametrize(("zone", "shift"), HOURS)
def test_weekday_bars_of_any_zone_are_261_days_a_year(zone, shift):
    """Taken for a market that never closes, they had Sharpe ratios 1.18 times too high."""
    moved = stamped_by_session(bars_at(stamped(WEEKDAYS, zone, shift)))
    assert sessions_of(moved) == WEEKDAYS.tolist()
    pd.testing.assert_frame_equal(check_bars(moved), moved)
    told = clock_of(moved)
    assert (told.calendar.name, told.calendar.timeframe) == ("24/5", "1d")
    assert (told.bars_per_year, told.fit.closed, told.fit.absent) == (None, 0.0, 0.0)


@pytest.mark.parametrize(
    ("calendar", "zone"),
    [
        ("XNYS", "America/New_York"),
        ("XETR", "Europe/Berlin"),
        ("XLON", "Europe/London"),
        ("XTKS", "Asia/Tokyo"),
        ("XBOM", "Asia/Kolkata"),
        ("XASX", "Australia/Sydney"),
        ("XHKG", "Asia/Hong_Kong"),
        ("XSAU", "Asia/Riyadh"),  # open on Sundays, closed on Fridays
    ],
)
def test_the_calendar_of_an_exchange_is_found_by_its_holidays(calendar, zone):
    days = days_of(calendar)
    for place in ("UTC", zone):
        moved = stamped_by_session(bars_at(stamped(days, place)))
        assert sessions_of(moved) == days.as_unit("ns").tolist()
        assert clock_of(moved).calendar.name == calendar


@pytest.mark.long
@settings(max_examples=15)
@given(st.sampled_from(HOURS), st.integers(0, 300), st.integers(40, 200), st.data())
@pytest.mark.slow
def test_sessions_are_found_wherever_a_history_begins_and_with_gaps(hour, first, count, data):
    """A stretch of New York's days with at most 2 % lost, in one season or over several.

    Where more than 2.5 % are lost no calendar is said to fit.
    """
    days = days_of("XNYS")[first : first + count]
    lost = data.draw(st.sets(st.integers(1, count - 2), max_size=min(3, count // 50)))
    days = days.delete(sorted(lost))
    moved = stamped_by_session(bars_at(stamped(days, *hour)))
    assert sessions_of(moved) == days.as_unit("ns").tolist()


def test_a_calendar_that_nobody_tries_is_refused_with_what_was_tried():
    """Bangkok: 6 % fewer days than there are weekdays."""
    bars = stamped_by_session(bars_at(stamped(days_of("XBKK"), "Asia/Bangkok")))
    with pytest.raises(BarsError) as refused:
        clock_of(bars, where="thai.parquet")
    said = str(refused.value)
    assert said.startswith("thai.parquet: no calendar fits the days of the bars. Tried: ")
    assert all(name in said for name in ("XNYS", "24/5", "24/7", "XTKS", "--calendar NAME"))
    named = stamped_by_session(bars, "XBKK")
    assert sessions_of(named) == days_of("XBKK").as_unit("ns").tolist()
    assert clock_of(named, "XBKK").fit.closed == 0.0


def test_a_named_calendar_of_other_days_or_years_is_refused():
    weekdays = bars_at(stamped(WEEKDAYS, "UTC"))
    with pytest.raises(BarsError, match=r"calendar 24/7 does not fit: .* 28\.\d% of its sessions"):
        clock_of(weekdays, "24/7")
    old = bars_at(pd.bdate_range("1991-01-01", "1991-12-31", tz="UTC"))
    with pytest.raises(BarsError, match="XTKS is known for 1997 to 2049 only"):
        clock_of(old, "XTKS")
    with pytest.raises(BarsError, match=r"p\.parquet: sessions of XASX cross midnight UTC"):
        clock_of(bars_at(stamped(WEEKDAYS, "UTC", HOUR).append(stamped(WEEKDAYS, "UTC"))), "XASX",
                 "p.parquet")  # fmt: skip


def test_a_market_that_never_closes_keeps_its_hour():
    coins = bars_at(pd.date_range("2021-01-01 16:00", periods=400, tz="UTC"))
    pd.testing.assert_frame_equal(stamped_by_session(coins), coins)
    assert clock_of(coins).calendar.name == "24/7"


def test_bars_on_holidays_of_half_the_symbols_are_the_symbols_errors():
    """Two of four have them: the calendar stays New York's, and the two are found by it."""
    wrong, right = bars_at(WEEKDAYS.tz_localize("UTC")), bars_at(days_of("XNYS").tz_localize("UTC"))
    other = right.assign(symbol=right["symbol"].map({"AAA": "CCC", "BBB": "DDD"}))
    told = clock_of(check_bars(pd.concat([wrong, other])))
    assert (told.calendar.name, told.fit.absent) == ("XNYS", 0.0)
    assert 0.01 < told.fit.closed < 0.02


def extended(first, last):
    """Hourly bars from one hour of New York to another, on its sessions."""
    days = days_of("XNYS")
    hours = [(days + k * HOUR).tz_localize("America/New_York") for k in range(first, last + 1)]
    return bars_at(pd.DatetimeIndex(np.concatenate([each.asi8 for each in hours]).view("M8[us]"),
                                    tz="UTC").sort_values())  # fmt: skip


def test_bars_of_extended_hours_are_counted():
    """15 an hour of the day and not 7: a volatility target of 12 % came out as 17.9 %."""
    told = clock_of(extended(4, 18))
    assert told.calendar.name == "XNYS"
    assert told.bars_per_year == pytest.approx(15 * 252, rel=0.005)
    assert told.days_per_year == pytest.approx(252, rel=0.005)
    assert "bars and 252 days a year, as counted in the bars (XNYS has 1,764" in told.note


def test_an_evening_that_is_the_next_day_in_utc_is_no_weekend():
    """19:00 in New York is 00:00 UTC in winter, so Friday's last bar is Saturday's there."""
    late = extended(4, 19)
    assert (late["timestamp"].dt.dayofweek == 5).any()
    check_weekdays(late, "XNYS", "late.parquet")
    told = clock_of(late)
    assert told.bars_per_year == pytest.approx(16 * 252, rel=0.005)


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTKS", "XBOM"])
def test_bars_of_hours_tell_their_exchange(calendar):
    hours = trading_calendar(calendar, "1h").sessions(START, END)
    told = clock_of(bars_at(hours))
    assert (told.calendar.name, told.bars_per_year) == (calendar, None)


def utc(text):
    return pd.Timestamp(text).tz_localize("UTC") if len(text) == 10 else pd.Timestamp(text)


def actions_at(*stamps):
    rows = {"symbol": "AAA", "kind": "split", "value": np.arange(2.0, 2.0 + len(stamps))}
    return check_actions(pd.DataFrame({"timestamp": pd.DatetimeIndex(map(utc, stamps))} | rows))


@pytest.mark.parametrize(
    ("stamps", "dates"),
    [
        (["2022-08-29T04:00Z", "2022-12-05T05:00Z"], ["2022-08-29", "2022-12-05"]),
        (["2022-08-29T04:00Z"], ["2022-08-29"]),
        (["2022-12-05T05:00Z"], ["2022-12-05"]),
        (["2022-08-29", "2022-12-05"], ["2022-08-29", "2022-12-05"]),
        (["2022-08-28T15:00Z"], ["2022-08-29"]),  # Tokyo
        (["2022-08-28T22:00Z", "2022-12-04T23:00Z"], ["2022-08-29", "2022-12-05"]),  # Berlin
        (["2022-08-29T13:30Z", "2022-12-05T14:30Z"], ["2022-08-29", "2022-12-05"]),  # the bell
        (["2022-08-29", "2022-12-05T05:00Z"], ["2022-08-29", "2022-12-05"]),  # two exports
    ],
)
def test_actions_are_dated_by_their_own_stamps(stamps, dates):
    moved = actions_by_session(actions_at(*stamps), days_of("XNYS").tz_localize("UTC"))
    assert moved["timestamp"].tolist() == [pd.Timestamp(date, tz="UTC") for date in dates]
    pd.testing.assert_frame_equal(check_actions(moved), moved)


def test_bars_of_hours_have_no_session_dates():
    assert datings(pd.date_range("2024-03-04 05:00", periods=5, freq="h", tz="UTC")) == []
    assert datings(pd.date_range("2024-03-04", periods=5, tz="UTC")) == []
