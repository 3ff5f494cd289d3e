"""Exchanges: the name of each, the clock on its wall, and how many days its year has.

Any calendar of the package exchange_calendars may be named, such as "XTKS" (Tokyo) or "24/5"
(weekdays in UTC), beside "24/7", which never closes. Names are those of ISO 10383 (MIC). Every
command asks this module, so pandas is loaded only where sessions are looked at: `sessions.py`.
"""

from datetime import time, timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from trading_pipeline.core.market.sessions import Exchange

NEVER_CLOSES, WEEKDAYS = "24/7", "24/5"
_SHIPPED = ("XNYS", NEVER_CLOSES)  # known without loading the package, which takes a while
SATURDAY = 5
LENGTHS = {
    "1d": timedelta(days=1),
    "4h": timedelta(hours=4),
    "1h": timedelta(hours=1),
    "30m": timedelta(minutes=30),
    "15m": timedelta(minutes=15),
    "5m": timedelta(minutes=5),
    "1m": timedelta(minutes=1),
}
# What the field counts on; of other exchanges sessions are counted.
_DAYS_PER_YEAR = {"XNYS": 252, NEVER_CLOSES: 365}
_HOURS = {"XNYS": timedelta(hours=6.5), NEVER_CLOSES: timedelta(hours=24)}


def canonical_calendar(name: str) -> str:
    """The name of a calendar, with other names of the same one (NASDAQ, LSE) resolved.

    Raises:
        ValueError: there is no such calendar.
    """
    if name in _SHIPPED:
        return name
    import exchange_calendars

    if name not in exchange_calendars.get_calendar_names():
        known = exchange_calendars.get_calendar_names(include_aliases=False)
        raise ValueError(f"calendar must be one of {', '.join(known)}, was {name!r}")
    return str(exchange_calendars.resolve_alias(name))


def zone_of(name: str) -> str:
    """The time zone of an exchange, as the IANA database spells it."""
    zones = {"XNYS": "America/New_York", NEVER_CLOSES: "UTC"}
    return zones.get(name) or _exchange(name).zone


def close_of_day(name: str) -> time:
    """When a full session ends, on the exchange's own clock."""
    return time(16) if name == "XNYS" else _exchange(name).close


@cache
def days_per_year(name: str) -> int:
    """Sessions of a year: 252 in New York, 365 where the market never closes, else as counted."""
    if name in _DAYS_PER_YEAR:
        return _DAYS_PER_YEAR[name]
    days = _counted_sessions(name).index
    whole = days[days.year > days[0].year] if days[0].dayofyear > 10 else days
    return round(len(whole) / len(whole.year.unique()))


@cache
def bars_per_day(name: str, timeframe: str) -> int:
    """Bars of a full session, of which the last may be a part of one."""
    if timeframe == "1d":
        return 1
    if name in _HOURS:
        return int(-(-_HOURS[name] // LENGTHS[timeframe]))
    from trading_pipeline.core.market.sessions import STEPS, bar_opens

    sessions = _counted_sessions(name)
    lengths = sessions["close"] - sessions["open"]
    return len(bar_opens(sessions[lengths == lengths.mode().max()].iloc[-1:], STEPS[timeframe]))


@cache
def rests_on_weekends(name: str) -> bool:
    """Whether no regular session is on a Saturday or Sunday (UTC)."""
    if name in _SHIPPED:
        return name != NEVER_CLOSES
    return bool((_exchange(name).sessions.index.dayofweek < SATURDAY).all())


@cache
def crosses_midnight(name: str) -> bool:
    """Whether sessions begin on one UTC date and end on the next one, as Sydney's do in summer."""
    if name in (*_SHIPPED, WEEKDAYS):
        return False
    sessions = _counted_sessions(name)
    ends = sessions["close"] - timedelta(microseconds=1)
    return bool((sessions["open"].dt.normalize() != ends.dt.normalize()).any())


def _exchange(name: str) -> "Exchange":
    from trading_pipeline.core.market.sessions import exchange

    return exchange(name)


def _counted_sessions(name: str) -> "pd.DataFrame":
    """The sessions of the years in which they are counted."""
    from trading_pipeline.core.market.sessions import COUNTED

    return _exchange(name).sessions.loc[COUNTED]
