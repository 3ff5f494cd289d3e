"""Trading calendars: expected bars, when they are known, and what bars say about their own."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import infer_timeframe, trading_calendar
from trading_pipeline.core.market.exchanges import bars_per_day, close_of_day
from trading_pipeline.core.market.sessions import STEPS
from trading_pipeline.core.market.stamps import clock_of
from trading_pipeline.errors import BarsError

OURS = [(name, timeframe) for name in ("XNYS", "24/7") for timeframe in STEPS]
ALL = [*OURS, ("24/5", "1d"), ("24/5", "1h"), ("XTKS", "1d"), ("XTKS", "30m"), ("XETR", "1h")]
SYDNEY = ("XASX", "1d")  # opens on the UTC date before its session's, in summer
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
    bars = len(stamps(calendar, timeframe, "2024-07-10", "2024-07-11"))
    assert bars == bars_per_day(calendar, timeframe)


def test_a_bar_is_known_at_its_close_also_on_half_days():
    """2012-11-23, the day after Thanksgiving, ended at 13:00 in New York."""
    daily = trading_calendar("XNYS", "1d")
    assert daily.close_of(utc("2012-11-21")) == utc("2012-11-21 21:00")
    assert daily.close_of(utc("2012-11-23")) == utc("2012-11-23 18:00")
    assert daily.opens_of(pd.DatetimeIndex([utc("2012-11-23")])) == utc("2012-11-23 14:30")
    assert trading_calendar("24/7", "1d").close_of(utc("2012-11-23")) == utc("2012-11-24")


def test_the_last_hour_of_a_session_ends_with_it():
    hourly = trading_calendar("XNYS", "1h")
    assert hourly.close_of(utc("2024-01-10 14:30")) == utc("2024-01-10 15:30")
    assert hourly.close_of(utc("2024-01-10 20:30")) == utc("2024-01-10 21:00")
    assert hourly.opens_of(pd.DatetimeIndex([utc("2024-01-10 20:30")])) == utc("2024-01-10 20:30")
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
    assert clock.close_of(utc("1970-01-02")) > clock.opens_of(pd.DatetimeIndex([utc("1970-01-02")]))
    assert clock.sessions(utc("2049-12-30"), utc("2049-12-31"))[-1] == utc("2049-12-30")
    with pytest.raises(BarsError, match="knows 1970 to 2049"):
        clock.sessions(utc("1969-12-31"), utc("1970-01-05"))


def test_instants_need_a_time_zone():
    with pytest.raises(ValueError, match="no time zone"):
        trading_calendar("24/7", "1d").sessions(pd.Timestamp("2024-01-01"), utc("2024-01-05"))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"calendar must be one of .*XTKS.*'XLOM'"):
        trading_calendar("XLOM", "1d")
    with pytest.raises(ValueError, match=r"'NASDAQ' is spelled 'XNYS'"):
        trading_calendar("NASDAQ", "1d")
    with pytest.raises(ValueError, match=r"timeframe must be one of .*'2h'"):
        trading_calendar("XNYS", "2h")


@pytest.mark.parametrize(
    ("alias", "name"), [("1Day", "1d"), ("4Hour", "4h"), ("30Min", "30m"), ("5Min", "5m")]
)
def test_names_of_alpaca_are_understood(alias, name):
    assert trading_calendar("XNYS", alias).timeframe == name


@pytest.mark.parametrize(("calendar", "timeframe"), OURS)
def test_bars_tell_their_own_timeframe_and_calendar(calendar, timeframe):
    clock = trading_calendar(calendar, timeframe)
    days = 4 if timeframe == "1m" else 15
    bars = bars_at(clock.sessions(utc("2024-03-04"), utc("2024-03-04") + pd.Timedelta(days=days)))
    told = clock_of(bars, calendar if timeframe == "1m" else None).calendar
    assert (told.name, told.timeframe) == (calendar, infer_timeframe(bars))
    assert told.timeframe == timeframe


def test_a_strange_timeframe_is_named():
    index = pd.date_range("2024-01-01", periods=9, freq="7min", tz="UTC")
    with pytest.raises(BarsError, match=r"p\.parquet: most bars are 0 days 00:07:00 apart"):
        infer_timeframe(bars_at(index), where="p.parquet")


def test_one_bar_has_no_timeframe():
    one = bars_at(pd.DatetimeIndex([utc("2024-01-01")]))
    other = bars_at(pd.DatetimeIndex([utc("2024-01-02")]), symbol="BBB")
    with pytest.raises(BarsError, match="no symbol has two bars"):
        infer_timeframe(pd.concat([one, other], ignore_index=True))


def test_tokyo_rests_at_noon():
    """Its bars of half an hour stop at 11:30 and go on at 12:30, 02:30 and 03:30 in UTC."""
    got = [f"{stamp:%H:%M}" for stamp in stamps("XTKS", "30m", "2023-07-10", "2023-07-11")]
    assert got == [
        *("00:00", "00:30", "01:00", "01:30", "02:00"),
        *("03:30", "04:00", "04:30", "05:00", "05:30"),
    ]


def test_sydney_opens_on_the_day_before_in_utc():
    """Its Monday in January opens on Sunday at 23:00 UTC, and is known on Monday at 05:00."""
    daily = trading_calendar(*SYDNEY)
    monday = utc("2024-01-15")
    assert daily.sessions(monday, utc("2024-01-16")).tolist() == [monday]
    assert daily.opens_of(pd.DatetimeIndex([monday])) == utc("2024-01-14 23:00")
    assert daily.close_of(monday) == utc("2024-01-15 05:00")


def test_bars_of_hours_of_a_session_that_crosses_midnight_are_refused():
    """All that counts by days here counts UTC dates."""
    with pytest.raises(ValueError, match="sessions of XASX cross midnight UTC, so bars of 1h"):
        trading_calendar("XASX", "1h")


def test_years_that_a_calendar_does_not_know_are_named():
    with pytest.raises(BarsError, match="the XTKS calendar knows 1997 to 2049"):
        trading_calendar("XTKS", "1d").sessions(utc("1996-06-03"), utc("1997-06-03"))


def test_a_close_that_has_moved_is_the_one_of_today():
    """Tokyo closes at 15:30 since November 2024; New York is known without any package."""
    assert (str(close_of_day("XTKS")), str(close_of_day("XNYS"))) == ("15:30:00", "16:00:00")


@pytest.mark.parametrize("timeframe", ["1d", "1h", "1m"])
def test_no_sessions_are_in_utc_too(timeframe):
    """A weekend has no bars, and asking for their closes is no mistake."""
    calendar = trading_calendar("XNYS", timeframe)
    saturday = pd.Timestamp("2024-06-08", tz="UTC")
    stamps = calendar.sessions(saturday, saturday + pd.Timedelta(days=2))
    assert str(stamps.dtype) == "datetime64[us, UTC]"
    assert (calendar.closes_of(stamps) <= saturday).tolist() == []
