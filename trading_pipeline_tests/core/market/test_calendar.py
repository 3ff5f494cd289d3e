"""Trading calendars: expected bars, when they are known, and what bars say about their own."""

from datetime import date

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import (
    STEPS,
    infer_calendar,
    infer_timeframe,
    stamped_by_session,
    trading_calendar,
)
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import BarsError

ALL = [(name, timeframe) for name in ("XNYS", "24/7") for timeframe in STEPS]
# Long enough for two sessions wherever it starts.
DAYS = {"1d": 8, "4h": 6, "1h": 6, "30m": 6, "15m": 6, "5m": 5, "1m": 5}


def utc(text):
    return pd.Timestamp(text, tz="UTC")


def stamps(calendar, timeframe, start, end):
    return list(trading_calendar(calendar, timeframe).sessions(utc(start), utc(end)))


def bars_at(index, symbol="AAA"):
    table = pd.DataFrame({"timestamp": index, "symbol": symbol})
    return check_bars(table.assign(open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0))


def test_new_york_rests_on_weekends_and_holidays():
    """Christmas 2023 was a Monday."""
    assert stamps("XNYS", "1d", "2023-12-22", "2023-12-28") == [
        utc("2023-12-22"),
        utc("2023-12-26"),
        utc("2023-12-27"),
    ]


def test_the_range_is_half_open():
    assert stamps("XNYS", "1d", "2023-12-26", "2023-12-27") == [utc("2023-12-26")]
    assert stamps("24/7", "1h", "2023-12-26 00:00", "2023-12-26 02:00") == [
        utc("2023-12-26 00:00"),
        utc("2023-12-26 01:00"),
    ]
    assert stamps("24/7", "1h", "2023-12-26 00:30", "2023-12-26 01:00") == []
    assert stamps("XNYS", "1d", "2023-12-27", "2023-12-26") == []


def test_sessions_of_the_sample_span_are_3270():
    assert len(stamps("XNYS", "1d", "2000-03-01", "2013-03-02")) == 3270


def test_hours_count_from_the_bell_in_winter_and_in_summer():
    winter = stamps("XNYS", "1h", "2024-01-10", "2024-01-11")
    summer = stamps("XNYS", "1h", "2024-07-10", "2024-07-11")
    assert (winter[0], winter[-1], len(winter)) == (
        utc("2024-01-10 14:30"),
        utc("2024-01-10 20:30"),
        7,
    )
    assert summer[0] == utc("2024-07-10 13:30")


@pytest.mark.parametrize(("calendar", "timeframe"), ALL)
def test_a_full_day_has_the_bars_that_markets_count_on(calendar, timeframe):
    market = Market(
        name="m",
        source="s",
        symbols=("A",),
        start=date(2024, 1, 1),
        calendar=calendar,
        timeframe=timeframe,
    )
    assert len(stamps(calendar, timeframe, "2024-07-10", "2024-07-11")) == market.bars_per_day


def test_a_bar_is_known_at_its_close_also_on_half_days():
    """2012-11-23, the day after Thanksgiving, ended at 13:00 in New York."""
    daily = trading_calendar("XNYS", "1d")
    assert daily.close_of(utc("2012-11-21")) == utc("2012-11-21 21:00")
    assert daily.close_of(utc("2012-11-23")) == utc("2012-11-23 18:00")
    assert daily.open_of(utc("2012-11-23")) == utc("2012-11-23 14:30")
    assert trading_calendar("24/7", "1d").close_of(utc("2012-11-23")) == utc("2012-11-24")


def test_the_last_hour_of_a_session_ends_with_it():
    hourly = trading_calendar("XNYS", "1h")
    assert hourly.close_of(utc("2024-01-10 14:30")) == utc("2024-01-10 15:30")
    assert hourly.close_of(utc("2024-01-10 20:30")) == utc("2024-01-10 21:00")
    assert hourly.open_of(utc("2024-01-10 20:30")) == utc("2024-01-10 20:30")
    assert trading_calendar("24/7", "1h").close_of(utc("2024-01-10 23:00")) == utc("2024-01-11")


@pytest.mark.parametrize(
    ("timeframe", "last", "close"),
    [
        ("4h", "18:30", "21:00"),  # 2.5 of its 4 hours
        ("30m", "20:30", "21:00"),
        ("15m", "20:45", "21:00"),
        ("5m", "20:55", "21:00"),
    ],
)
def test_the_last_bar_of_a_session_ends_with_the_bell(timeframe, last, close):
    clock = trading_calendar("XNYS", timeframe)
    sessions = clock.sessions(utc("2024-01-10"), utc("2024-01-11"))
    assert sessions[0] == utc("2024-01-10 14:30")
    assert sessions[-1] == utc(f"2024-01-10 {last}")
    assert clock.close_of(sessions[-1]) == utc(f"2024-01-10 {close}")


@pytest.mark.parametrize(("timeframe", "bars"), [("4h", 1), ("1h", 4), ("30m", 7), ("5m", 42)])
def test_a_half_day_has_the_bars_of_three_and_a_half_hours(timeframe, bars):
    """2012-11-23 ended at 13:00 in New York, 18:00 UTC."""
    clock = trading_calendar("XNYS", timeframe)
    sessions = clock.sessions(utc("2012-11-23"), utc("2012-11-24"))
    assert len(sessions) == bars
    assert clock.close_of(sessions[-1]) == utc("2012-11-23 18:00")


@pytest.mark.parametrize(("calendar", "timeframe"), ALL)
@settings(max_examples=25)
@given(data=st.data())
def test_bars_follow_one_another_without_overlap(calendar, timeframe, data):
    """Every bar opens, closes, and only then comes the next one."""
    day = utc("2012-11-15") + pd.Timedelta(days=data.draw(st.integers(0, 400)))
    clock = trading_calendar(calendar, timeframe)
    sessions = clock.sessions(day, day + pd.Timedelta(days=DAYS[timeframe]))
    opens, closes = clock.opens_of(sessions), clock.closes_of(sessions)
    assert (opens >= sessions).all()
    assert (closes > opens).all()
    assert (closes - opens <= clock.step).all()
    assert (opens[1:] >= closes[:-1]).all()
    assert sessions.is_monotonic_increasing
    assert str(sessions.dtype) == str(closes.dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize(("calendar", "timeframe"), ALL)
@settings(max_examples=25)
@given(data=st.data())
def test_the_next_bar_is_the_next_session(calendar, timeframe, data):
    day = utc("2012-11-15") + pd.Timedelta(days=data.draw(st.integers(0, 400)))
    clock = trading_calendar(calendar, timeframe)
    sessions = clock.sessions(day, day + pd.Timedelta(days=DAYS[timeframe]))
    place = data.draw(st.integers(0, len(sessions) - 2))
    assert clock.next_open(sessions[place]) == sessions[place + 1]
    assert clock.next_open(sessions[place + 1] - pd.Timedelta(seconds=1)) == sessions[place + 1]


def test_the_next_bar_comes_after_the_longest_closure():
    """New York was closed from the 11th to the 14th of September 2001."""
    assert trading_calendar("XNYS", "1d").next_open(utc("2001-09-10")) == utc("2001-09-17")


@pytest.mark.parametrize(
    ("calendar", "timeframe", "stamp"),
    [
        ("XNYS", "1d", "2024-01-06"),  # a Saturday
        ("XNYS", "1d", "2024-01-01"),  # a holiday
        ("XNYS", "1d", "2024-01-10 14:30"),  # the bell, but not the stamp
        ("XNYS", "1h", "2024-01-10 14:00"),
        ("XNYS", "1h", "2024-01-10 21:30"),
        ("XNYS", "1h", "2024-01-06 14:30"),
        ("24/7", "1h", "2024-01-06 14:30"),
        ("24/7", "1d", "2024-01-06 14:30"),
    ],
)
def test_a_stamp_that_no_bar_has_is_named(calendar, timeframe, stamp):
    clock = trading_calendar(calendar, timeframe)
    with pytest.raises(BarsError, match=f"{utc(stamp):%Y-%m-%d %H:%M} UTC is not the opening"):
        clock.close_of(utc(stamp))
    with pytest.raises(BarsError, match="1 stamps are not"):
        clock.opens_of(pd.DatetimeIndex([utc("2024-01-10 14:30"), utc(stamp)])[1:])


def test_no_stamps_have_no_closes():
    none = pd.DatetimeIndex([], dtype="datetime64[us, UTC]")
    assert trading_calendar("XNYS", "1d").closes_of(none).empty


def test_the_first_and_last_known_years_are_usable():
    clock = trading_calendar("XNYS", "1d")
    assert clock.sessions(utc("1970-01-01"), utc("1970-01-05"))[0] == utc("1970-01-02")
    assert clock.close_of(utc("1970-01-02")) > clock.open_of(utc("1970-01-02"))
    assert clock.sessions(utc("2049-12-30"), utc("2049-12-31"))[-1] == utc("2049-12-30")
    with pytest.raises(BarsError, match="knows 1970 to 2049"):
        clock.sessions(utc("1969-12-31"), utc("1970-01-05"))


def test_instants_need_a_time_zone():
    with pytest.raises(ValueError, match="no time zone"):
        trading_calendar("24/7", "1d").sessions(pd.Timestamp("2024-01-01"), utc("2024-01-05"))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"calendar must be one of .*'XLON'"):
        trading_calendar("XLON", "1d")
    with pytest.raises(ValueError, match=r"timeframe must be one of .*'2h'"):
        trading_calendar("XNYS", "2h")


@pytest.mark.parametrize(
    ("alias", "name"), [("1Day", "1d"), ("4Hour", "4h"), ("30Min", "30m"), ("5Min", "5m")]
)
def test_names_of_alpaca_are_understood(alias, name):
    assert trading_calendar("XNYS", alias).timeframe == name


@pytest.mark.parametrize(("calendar", "timeframe"), ALL)
def test_bars_tell_their_own_timeframe_and_calendar(calendar, timeframe):
    clock = trading_calendar(calendar, timeframe)
    days = 4 if timeframe == "1m" else 15
    bars = bars_at(clock.sessions(utc("2024-03-04"), utc("2024-03-04") + pd.Timedelta(days=days)))
    if timeframe != "1m":
        assert infer_calendar(bars) == calendar
    assert infer_timeframe(bars) == timeframe


def test_a_strange_timeframe_is_named():
    index = pd.date_range("2024-01-01", periods=9, freq="7min", tz="UTC")
    with pytest.raises(BarsError, match=r"p\.parquet: most bars are 0 days 00:07:00 apart"):
        infer_timeframe(bars_at(index), where="p.parquet")


def test_one_bar_has_no_timeframe():
    one = bars_at(pd.DatetimeIndex([utc("2024-01-01")]))
    other = bars_at(pd.DatetimeIndex([utc("2024-01-02")]), symbol="BBB")
    with pytest.raises(BarsError, match="no symbol has two bars"):
        infer_timeframe(pd.concat([one, other], ignore_index=True))


def test_midnights_of_new_york_become_session_dates():
    """05:00 UTC in winter and 04:00 in summer, as some venues stamp daily bars."""
    local = pd.DatetimeIndex(["2024-03-08", "2024-03-11"]).tz_localize("America/New_York")
    moved = stamped_by_session(bars_at(local))
    assert list(moved["timestamp"]) == [utc("2024-03-08"), utc("2024-03-11")]
    pd.testing.assert_frame_equal(check_bars(moved), moved)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-03-04 05:00", periods=10, tz="UTC"),  # weekends too: not equities
        pd.date_range("2024-03-04", periods=5, tz="UTC"),  # right already
        pd.date_range("2024-03-04 05:00", periods=5, freq="h", tz="UTC"),
    ],
)
def test_other_stamps_stay(index):
    bars = bars_at(index)
    pd.testing.assert_frame_equal(stamped_by_session(bars), bars)


@pytest.mark.parametrize("timeframe", ["1d", "1h", "1m"])
def test_no_sessions_are_in_utc_too(timeframe):
    """A weekend has no bars, and asking for their closes is no mistake."""
    calendar = trading_calendar("XNYS", timeframe)
    saturday = pd.Timestamp("2024-06-08", tz="UTC")
    stamps = calendar.sessions(saturday, saturday + pd.Timedelta(days=2))
    assert str(stamps.dtype) == "datetime64[us, UTC]"
    assert (calendar.closes_of(stamps) <= saturday).tolist() == []
