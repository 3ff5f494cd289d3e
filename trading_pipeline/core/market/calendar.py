"""Trading calendars: which bars are expected, when each opens, and when it is known.

A bar is named by its stamp, the instant it opens in UTC; a daily bar of equities is stamped
00:00 UTC of its session date. Hours and minutes of an exchange count from its opening bell
(09:30, 10:30, ... in New York), and the last bar of a session ends with it.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.bars import describe_row
from trading_pipeline.core.market.exchanges import NEVER_CLOSES, SATURDAY, WEEKDAYS, zone_of
from trading_pipeline.core.market.market import TIMEFRAMES, check_clock
from trading_pipeline.core.market.sessions import STEPS, bar_opens, exchange
from trading_pipeline.errors import BarsError

_DAY, _NO_TIME = STEPS["1d"], pd.Timedelta(0)
# Athens was closed for five weeks in 2015; nobody has been for longer.
_LONGEST_CLOSURE = 40 * _DAY


@dataclass(frozen=True)
class TradingCalendar:
    """The clock of one market at one timeframe; made by `trading_calendar`."""

    name: str  # of `exchanges`: "XNYS", "XTKS", "24/5", "24/7"
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

    def opens_of(self, stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """When bars begin to trade, daily equities at the opening bell: (K,) → (K,).

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

    def closed_on(self, stamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """(K,) bool: stamps on days without a session, by the exchange's own date.

        Daily bars are dated in UTC, as their stamps are. Years that the calendar does not know
        count as open.
        """
        if self.name == NEVER_CLOSES:
            return np.zeros(len(stamps), dtype=bool)
        if self.timeframe != "1d":
            stamps = stamps.tz_convert(zone_of(self.name)).tz_localize(None).tz_localize("UTC")
        days, known = in_microseconds(stamps.normalize()), exchange(self.name).sessions.index
        inside = (days >= known[0]) & (days <= known[-1])
        closed: NDArray[np.bool_] = inside & ~days.isin(known)
        return closed

    def _schedule(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """The sessions dated from `start` to `end`, by date.

        Where bars are shorter than days, no session crosses midnight UTC (`trading_calendar` sees
        to it), so its bars are stamped within its date.
        """
        sessions = exchange(self.name).sessions
        years = sessions.index[0].year, sessions.index[-1].year
        first, last = (pd.Timestamp(f"{year}", tz="UTC") for year in (years[0], years[1] + 1))
        if start < first or end > last - _DAY:
            raise BarsError(
                f"the {self.name} calendar knows {years[0]} to {years[1]}, not {start} to {end}"
            )
        return sessions.loc[start.floor("D") : end.floor("D")]

    def _stamps(self, schedule: pd.DataFrame) -> pd.DatetimeIndex:
        if self.timeframe == "1d":
            return in_microseconds(schedule.index)
        return in_microseconds(bar_opens(schedule, self.step))

    def _sessions_of(self, stamps: pd.DatetimeIndex) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
        """Opening and close of the session that each stamp belongs to."""
        if not len(stamps):
            return stamps, stamps
        # Far enough back that there is a session even if the stamps are all in one closure.
        known = exchange(self.name).sessions.index[0].normalize()
        earliest = max(stamps.min() - _LONGEST_CLOSURE, known)
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
        ValueError: no such calendar or timeframe, or its hours cannot be told from its days.
    """
    check_clock(name, TIMEFRAMES.get(timeframe, timeframe))
    return TradingCalendar(name, TIMEFRAMES[timeframe])


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


def check_weekdays(bars: pd.DataFrame, calendar: str, where: str) -> None:
    """Raise BarsError where a bar opens on a weekend of a market that is closed then."""
    if (broken := on_rest_days(bars, calendar)).any():
        raise BarsError(
            f"{where}: {describe_row(bars, broken)} {calendar} is closed on weekends. Drop such "
            "rows, or name another calendar"
        )


def on_rest_days(bars: pd.DataFrame, calendar: str) -> np.ndarray:
    """(rows,) bool: bars that open on a weekend of a market that is closed then.

    New York and '24/5' have never been open then; other exchanges now and then are, and bars that
    they do not explain are findings.
    """
    if calendar not in ("XNYS", WEEKDAYS):
        return np.zeros(len(bars), dtype=bool)
    stamps = pd.DatetimeIndex(bars["timestamp"])
    local = stamps if is_daily(stamps) else stamps.tz_convert(zone_of(calendar))
    return np.asarray(local.dayofweek >= SATURDAY)


def is_daily(stamps: pd.DatetimeIndex) -> bool:
    """Whether stamps are session dates: all of them midnights in UTC."""
    return bool((stamps == stamps.normalize()).all())
