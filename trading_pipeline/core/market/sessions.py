"""Sessions of an exchange, as exchange_calendars knows them, and the bars in them."""

from datetime import date, time, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.market.exchanges import LENGTHS, NEVER_CLOSES, canonical_calendar
from trading_pipeline.errors import BarsError

STEPS = {name: pd.Timedelta(length) for name, length in LENGTHS.items()}
# Fixed bounds keep the clock out: the package's own defaults are relative to today.
FIRST_DAY, LAST_DAY = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2049-12-31", tz="UTC")
COUNTED = slice(pd.Timestamp("2010-01-01", tz="UTC"), pd.Timestamp("2025-12-31", tz="UTC"))
COLUMNS = ("open", "break_start", "break_end", "close")


class Exchange(NamedTuple):
    """What is fixed about an exchange; made by `exchange`."""

    zone: str  # of the clock on its wall, as the IANA database spells it
    close: time  # usual end of a session on that clock; midnight where it never rests
    sessions: pd.DataFrame  # by date at 00:00 UTC: `COLUMNS`, UTC; the breaks NaT if there are none


@cache
def exchange(name: str) -> Exchange:
    """An exchange by the name of its calendar; never to be changed.

    Kept because making it takes a tenth of a second, and it is the same for everyone.

    Raises:
        ValueError: there is no such calendar.
        BarsError: the installed package cannot compute it.
    """
    if canonical_calendar(name) != name:
        raise ValueError(f"calendar {name!r} is spelled {canonical_calendar(name)!r}")
    if name == NEVER_CLOSES:
        days = pd.date_range(FIRST_DAY, LAST_DAY, unit="us")
        never = pd.DatetimeIndex(np.full(len(days), "NaT", "M8[us]"), tz="UTC")
        times = {"open": days, "break_start": never, "break_end": never}
        times["close"] = days + STEPS["1d"]
        return Exchange("UTC", time(0), pd.DataFrame(times, index=days))
    made = _made(name)
    schedule = made.schedule
    days = pd.DatetimeIndex(schedule.index.tz_localize("UTC"), name=None, freq=None).as_unit("us")
    sessions = pd.DataFrame({each: schedule[each].dt.as_unit("us") for each in COLUMNS})
    return Exchange(str(made.tz), made.close_times[-1][1], sessions.set_index(days))


def bar_opens(sessions: pd.DataFrame, step: pd.Timedelta) -> pd.DatetimeIndex:
    """When the bars of sessions (`COLUMNS`) open: from the bell on, none wholly inside a break."""
    # The last bar of a session may be a part of one: a session of 6.5 hours has 7 of them.
    bars = -((sessions["open"] - sessions["close"]) // step).to_numpy()
    nth = np.arange(bars.sum()) - np.repeat(np.cumsum(bars) - bars, bars)
    opens = pd.DatetimeIndex(sessions["open"]).repeat(bars) + nth * step
    if sessions["break_start"].isna().all():
        return opens
    pause, resume = (pd.DatetimeIndex(sessions[each]) for each in ("break_start", "break_end"))
    inside = (opens >= pause.repeat(bars)) & (opens + step <= resume.repeat(bars))
    return opens[~inside]


class OpenDays(NamedTuple):
    """On which dates a market trades: some days of the week, but for its holidays."""

    weekdays: tuple[int, ...]  # 0 is a Monday
    closed: pd.DatetimeIndex  # dates on those days of the week without a session; at 00:00 UTC


@cache
def open_days(name: str, first: date, end: date | None) -> OpenDays:
    """Those of a calendar from `first` until before `end` (None: as far as it is known)."""
    if name == NEVER_CLOSES:
        return OpenDays(tuple(range(7)), pd.DatetimeIndex([], tz="UTC"))
    start, known = pd.Timestamp(first, tz="UTC"), exchange(name).sessions.index
    last = known[-1] if end is None else min(known[-1], pd.Timestamp(end, tz="UTC") - STEPS["1d"])
    sessions = known[(known.year >= start.year) & (known.year <= last.year)]
    weekdays = sessions.dayofweek.unique()
    dates = pd.date_range(start, last, unit="us")
    closed = dates[dates.dayofweek.isin(weekdays)].difference(known)
    return OpenDays(tuple(sorted(int(day) for day in weekdays)), closed)


@cache
def longest_closure(name: str) -> timedelta:
    """The longest time between two sessions of the years that are counted: a day where the market
    never closes, five in New York (a hurricane)."""
    if name == NEVER_CLOSES:
        return timedelta(days=1)
    return timedelta(
        days=int(exchange(name).sessions.loc[COUNTED].index.to_series().diff().max().days)
    )


def _made(name: str):  # type: ignore[no-untyped-def]
    """The package's calendar over as many of our years as it knows."""
    import exchange_calendars

    first, last = (day.tz_localize(None) for day in (FIRST_DAY, LAST_DAY))
    try:
        try:
            return exchange_calendars.get_calendar(name, start=first, end=last)
        except ValueError:  # it does not know all of them
            usual = exchange_calendars.get_calendar(name)
            first = max(first, usual.bound_min() or first)
            last = min(last, usual.bound_max() or last)
            return exchange_calendars.get_calendar(name, start=first, end=last)
    except (ValueError, NotImplementedError) as error:
        raise BarsError(
            f"exchange_calendars cannot compute the calendar {name} here ({str(error)[:80]}); name "
            "another one that is open on the same days"
        ) from error
