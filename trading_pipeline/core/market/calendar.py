"""Trading calendars: which bars are expected, when each opens, and when it is known.

A bar is named by its stamp, the instant it opens in UTC; a daily bar of equities is stamped
00:00 UTC of its session date. Hours and minutes of an exchange count from its opening bell
(09:30, 10:30, ... in New York), and the last bar of a session ends with it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.bars import describe_row
from trading_pipeline.core.market.market import CALENDARS, TIMEFRAMES
from trading_pipeline.errors import BarsError

if TYPE_CHECKING:  # it takes a while to import
    from exchange_calendars import ExchangeCalendar

SATURDAY = 5

STEPS = {
    "1d": pd.Timedelta(days=1),
    "4h": pd.Timedelta(hours=4),
    "1h": pd.Timedelta(hours=1),
    "30m": pd.Timedelta(minutes=30),
    "15m": pd.Timedelta(minutes=15),
    "5m": pd.Timedelta(minutes=5),
    "1m": pd.Timedelta(minutes=1),
}
_DAY, _NO_TIME = STEPS["1d"], pd.Timedelta(0)
# Fixed bounds keep the clock out: the library's own defaults are relative to today.
_FIRST_DAY, _LAST_DAY = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2049-12-31", tz="UTC")
# New York was closed for a week in 2001 and has not been for longer since 1914.
_LONGEST_CLOSURE = 14 * _DAY


@dataclass(frozen=True)
class TradingCalendar:
    """The clock of one market at one timeframe; made by `trading_calendar`."""

    name: str  # "XNYS" or "24/7"
    timeframe: str  # "1d", "4h", "1h", "30m", "15m", "5m" or "1m"

    @property
    def step(self) -> pd.Timedelta:
        """Length of a full bar."""
        return STEPS[self.timeframe]

    def sessions(self, start: datetime, end: datetime) -> pd.DatetimeIndex:
        """Stamps of the bars expected in [start, end), increasing; UTC, microseconds.

        Raises:
            ValueError: `start` or `end` has no time zone.
            BarsError: the span leaves the years that the calendar knows, 1970-2049.
        """
        first, last = in_utc(start), in_utc(end)
        stamps = self._stamps(self._schedule(first, last))
        return stamps[(stamps >= first) & (stamps < last)]

    def open_of(self, stamp: datetime) -> pd.Timestamp:
        """The instant at which a bar begins to trade: the opening bell for daily equities."""
        return self.opens_of(pd.DatetimeIndex([in_utc(stamp)]))[0]

    def opens_of(self, stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """`open_of` many bars: (K,) → (K,).

        Raises:
            BarsError: a stamp is not that of a bar of this calendar.
        """
        opens, _ = self._sessions_of(stamps)
        return opens if self.timeframe == "1d" else in_microseconds(stamps)

    def close_of(self, stamp: datetime) -> pd.Timestamp:
        """The instant from which a bar is known: its close, early ones included."""
        return self.closes_of(pd.DatetimeIndex([in_utc(stamp)]))[0]

    def closes_of(self, stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """`close_of` many bars: (K,) → (K,).

        Raises:
            BarsError: a stamp is not that of a bar of this calendar.
        """
        _, closes = self._sessions_of(stamps)
        if self.timeframe == "1d":
            return closes
        ends = in_microseconds(stamps) + self.step
        return ends.where(ends < closes, closes)

    def next_open(self, instant: datetime) -> pd.Timestamp:
        """The stamp of the first expected bar whose stamp is later than `instant`."""
        after = in_utc(instant) + pd.Timedelta(microseconds=1)
        # Most often it is near, and two weeks of minutes are many.
        near = self.sessions(after, after + self.step)
        return near[0] if len(near) else self.sessions(after, after + _LONGEST_CLOSURE)[0]

    def closed_on(self, stamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """(K,) bool: stamps on days without a session, by the exchange's own date.

        Daily bars are dated in UTC, as their stamps are. Years that the calendar does not know
        count as open.
        """
        if self.name == "24/7":
            return np.zeros(len(stamps), dtype=bool)
        if self.timeframe != "1d":
            local = stamps.tz_convert(_exchange(self.name).tz)
            stamps = local.tz_localize(None).tz_localize("UTC")
        days = in_microseconds(stamps.normalize())
        known = (days >= _FIRST_DAY) & (days <= _LAST_DAY)
        closed: NDArray[np.bool_] = known & ~days.isin(_exchange_schedule(self.name).index)
        return closed

    def _schedule(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """Opening and close of every session dated from `start` to `end`, by date.

        No session of ours crosses midnight UTC, so its bars are stamped within its date.
        """
        if start < _FIRST_DAY or end > _LAST_DAY:
            raise BarsError(f"the {self.name} calendar knows 1970 to 2049, not {start} to {end}")
        if self.name == "24/7":
            days = pd.date_range(start.floor("D"), end.floor("D"), unit="us")
            return pd.DataFrame({"open": days, "close": days + _DAY}, index=days)
        return _exchange_schedule(self.name).loc[start.floor("D") : end.floor("D")]

    def _stamps(self, schedule: pd.DataFrame) -> pd.DatetimeIndex:
        if self.timeframe == "1d":
            return in_microseconds(schedule.index)
        # The last bar of a session may be a part of one: a session of 6.5 hours has 7 of them.
        bars = -((schedule["open"] - schedule["close"]) // self.step).to_numpy()
        nth = np.arange(bars.sum()) - np.repeat(np.cumsum(bars) - bars, bars)
        opens = pd.DatetimeIndex(schedule["open"]).repeat(bars)
        return in_microseconds(opens + nth * self.step)

    def _sessions_of(self, stamps: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
        """Opening and close of the session that each stamp belongs to."""
        if not len(stamps):
            return stamps, stamps
        # Far enough back that there is a session even if the stamps are all in one closure.
        earliest = max(stamps.min() - _LONGEST_CLOSURE, _FIRST_DAY)
        schedule = self._schedule(min(earliest, stamps.min()), stamps.max())
        begins = schedule.index if self.timeframe == "1d" else pd.DatetimeIndex(schedule["open"])
        place = begins.searchsorted(stamps, side="right") - 1
        opens, closes = (in_microseconds(schedule[name].iloc[place]) for name in ("open", "close"))
        since = stamps - begins[place]
        whole = since == _NO_TIME if self.timeframe == "1d" else since % self.step == _NO_TIME
        if (strange := ~(whole & (place >= 0) & (stamps < closes))).any():
            raise BarsError(
                f"{stamps[strange][0]:%Y-%m-%d %H:%M} UTC is not the opening of a {self.timeframe} "
                f"bar of {self.name} ({strange.sum()} stamps are not)"
            )
        return opens, closes


@cache
def trading_calendar(name: str, timeframe: str) -> TradingCalendar:
    """The calendar of a market; `1Day` and the like are taken as `1d`.

    Raises:
        ValueError: no such calendar or timeframe.
    """
    if name not in CALENDARS:
        raise ValueError(f"calendar must be one of {CALENDARS}, was {name!r}")
    if timeframe not in TIMEFRAMES:
        raise ValueError(f"timeframe must be one of {tuple(TIMEFRAMES)}, was {timeframe!r}")
    return TradingCalendar(name, TIMEFRAMES[timeframe])


@cache
def _exchange(name: str) -> "ExchangeCalendar":
    """Kept because making it takes a quarter of a second, and it is the same for everyone."""
    import exchange_calendars

    first, last = (day.tz_localize(None) for day in (_FIRST_DAY, _LAST_DAY))
    return exchange_calendars.get_calendar(name, start=first, end=last)


@cache
def _exchange_schedule(name: str) -> pd.DataFrame:
    """Opening and close of all sessions, by date at 00:00 UTC; never to be changed."""
    schedule = _exchange(name).schedule
    return pd.DataFrame(
        {side: schedule[side].dt.as_unit("us") for side in ("open", "close")}
    ).set_index(in_microseconds(schedule.index.tz_localize("UTC")))


def on_open_days(
    bars: pd.DataFrame, calendar: TradingCalendar, where: str = "bars"
) -> pd.DataFrame:
    """Canonical bars without those of days on which the market is closed.

    Nothing trades then, so that they are errors of a source, and those of some symbols would make
    dates at which the others have no bar: everything that counts rows would take these for gaps.

    Raises:
        BarsError: no bar is left; the calendar is another market's.
    """
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    closed = stamps[calendar.closed_on(stamps)]
    if not len(closed):
        return bars
    if len(closed) == len(stamps):
        raise BarsError(
            f"{where}: all bars are of days on which {calendar.name} is closed, such as "
            f"{closed[0]:%Y-%m-%d}; name the calendar that they are of"
        )
    return bars[~bars["timestamp"].isin(closed)].reset_index(drop=True)


def in_utc(instant: datetime) -> pd.Timestamp:
    """The instant as a UTC timestamp in microseconds.

    Raises:
        ValueError: it has no time zone, and so is no instant.
    """
    stamp = pd.Timestamp(instant)
    if stamp.tz is None:
        raise ValueError(f"{stamp} has no time zone; give it one, such as UTC")
    return stamp.tz_convert("UTC").as_unit("us")


def in_microseconds(stamps: pd.DatetimeIndex | pd.Series) -> pd.DatetimeIndex:
    """Stamps as an unnamed index in the one resolution that all our tables use."""
    return pd.DatetimeIndex(stamps, name=None, freq=None).as_unit("us")


def infer_timeframe(bars: pd.DataFrame, where: str = "bars") -> str:
    """The timeframe of canonical bars: the most frequent gap between a symbol's bars.

    Raises:
        BarsError: no symbol has two bars, or that gap is not one of `STEPS`.
    """
    gaps = bars.groupby("symbol", sort=False)["timestamp"].diff().dropna()
    if gaps.empty:
        raise BarsError(f"{where}: no symbol has two bars, so their timeframe cannot be told")
    usual = gaps.value_counts().index[0]
    for name, step in STEPS.items():
        if usual == step:
            return name
    raise BarsError(f"{where}: most bars are {usual} apart; timeframes are {', '.join(STEPS)}")


def stamped_by_session(bars: pd.DataFrame) -> pd.DataFrame:
    """Canonical daily bars of US equities stamped 00:00 UTC of their session date.

    Some venues stamp such bars with midnight in New York, 04:00 or 05:00 UTC: those are moved.
    All others (weekend bars, or any bar at another time of day) are returned as they are.
    """
    local = bars["timestamp"].dt.tz_convert("America/New_York")
    if infer_calendar(bars) != "XNYS" or not (local == local.dt.normalize()).all():
        return bars
    return bars.assign(timestamp=local.dt.tz_localize(None).dt.tz_localize("UTC"))


def infer_calendar(bars: pd.DataFrame) -> str:
    """'24/7' if a tenth of the bars open on a Saturday or Sunday (UTC), else 'XNYS'.

    Markets that never close have two sevenths there; a stray one is an error of a stock panel.
    """
    return "24/7" if _on_weekend(bars).mean() >= 0.1 else "XNYS"


def check_weekdays(bars: pd.DataFrame, calendar: str, where: str) -> None:
    """Raise BarsError where a bar opens on a weekend of a market that is closed then."""
    if calendar == "XNYS" and (broken := _on_weekend(bars).to_numpy()).any():
        raise BarsError(f"{where}: {describe_row(bars, broken)} XNYS is closed on weekends")


def _on_weekend(bars: pd.DataFrame) -> pd.Series:
    return bars["timestamp"].dt.dayofweek >= SATURDAY
