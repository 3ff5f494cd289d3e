"""Which bars to fetch: those that the calendar expects and the store lacks, and the unsettled.

A venue may still correct a bar for a while after its close. A bar is settled when it was asked
for that long after it: from then on what is stored is believed. Bars before a symbol's listing are
not expected.

That a venue lacks a bar is never believed for good, since one that is ill may answer with nothing
and call it a success. A bar that an answer lacked is asked for by every download until answers of
`NIGHTS` different days lacked it, and then again after 2, 4, 8, ... days: a halt costs some ten
requests in three years, and a hole that the venue mends is mended here.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import STAMPS
from trading_pipeline.core.market.calendar import TradingCalendar, in_utc
from trading_pipeline.core.market.exchanges import NEVER_CLOSES
from trading_pipeline.core.market.quality.finding import runs_of, when, written

# How long after its close a bar may change: exchanges correct over days, coins trade on.
SETTLE = defaultdict(lambda: pd.Timedelta(days=3), {NEVER_CLOSES: pd.Timedelta(days=1)})
# Answers that lack a bar are believed when they came on so many days: a venue that is ill, or a
# proxy before it, is found out and well again within two.
NIGHTS = 3
# Days without a bar, more than which no halt explains: the SEC may suspend a share for ten
# sessions (Exchange Act, section 12(k)), and venues of coins were never closed for as long.
LONGEST_HALT = 10
NEAR = 1_000  # bars; what is to be asked again and is nearer fits one page of an answer
Span = tuple[datetime, datetime]


def requests_for(
    calendar: TradingCalendar,
    span: Span,
    symbols: Sequence[str],
    *,
    stored: pd.DataFrame,
    absent: pd.DataFrame,
    watermarks: pd.DataFrame,
    now: datetime,
    listed: Mapping[str, datetime] | None = None,
) -> pd.DataFrame:
    """What to fetch so that nothing is missing, and nothing settled is fetched again.

    Args:
        span: [start, end) of the history that is wanted; only bars closed by `now` are.
        symbols: N names, each once.
        stored: columns timestamp, symbol: the bars that there are; other symbols are left out.
        absent: columns symbol, timestamp, asked_at, nights: bars that answers lacked, the last of
            them at `asked_at`, on so many different days; a stored bar may be among them.
        watermarks: columns symbol, asked_at: everything closed by then was asked for; see
            `asked_at`.
        listed: the first stamp of a symbol, where it is known; earlier bars are not expected.

    Returns:
        Columns symbol, start, end (datetime64[us, UTC]), ordered so: half-open ranges of expected
        bars in need of fetching, and of no others but those between two absent ones that are
        `NEAR` each other. Empty if there are none.

    Raises:
        ValueError: an instant has no time zone.
        BarsError: the span leaves the years that the calendar knows.
    """
    expected = expected_stamps(calendar, span, now)
    row = pd.Index(symbols)
    # Noted by a clock that was ahead: up to now they say so, of what is to come they know nothing.
    known_until = watermarks.set_index("symbol")["asked_at"].clip(upper=in_utc(now))
    absent = absent[absent["asked_at"] <= in_utc(now)]
    limits = known_until.reindex(row) - SETTLE[calendar.name]
    settled = _ticks(calendar.closes_of(expected)) <= _ticks(limits)[:, None]
    first = pd.Series(listed or {}, dtype=STAMPS).reindex(row)

    needed = _ticks(expected) >= _ticks(first)[:, None]
    again = np.zeros_like(needed)
    gone = _places(absent, row, expected)
    again[gone[:2]] = needed[gone[:2]] & _is_due(absent[gone[2]], now)
    here = np.zeros_like(needed)
    here[_places(stored, row, expected)[:2]] = True
    needed &= ~(here & settled)
    needed[gone[:2]] &= here[gone[:2]]
    return _ranges(needed | _joined(again), row, expected, calendar.step)


def expected_stamps(calendar: TradingCalendar, span: Span, now: datetime) -> pd.DatetimeIndex:
    """Stamps in [start, end) of the bars that have closed by `now`, increasing.

    Raises:
        ValueError: an instant has no time zone.
        BarsError: the span leaves the years that the calendar knows.
    """
    stamps = calendar.sessions(*span)
    return stamps[calendar.closes_of(stamps) <= in_utc(now)]


def asked_at(calendar: TradingCalendar, end: datetime, now: datetime) -> pd.Timestamp:
    """What to note as `asked_at` of symbols whose requests of a span were all answered at `now`.

    `now`, unless the span ended before: bars after its end were not asked for.
    """
    return min(in_utc(now), in_utc(end) + SETTLE[calendar.name])


class Answers:
    """What was asked of a venue for one span, and what came: (N, T), symbols by expected stamps."""

    def __init__(
        self, symbols: Sequence[str], expected: pd.DatetimeIndex, absent: pd.DataFrame
    ) -> None:
        """Nothing was asked yet.

        Args:
            symbols, absent: as for `requests_for`. expected: from `expected_stamps`.
        """
        self.expected, self._row = expected, pd.Index(symbols)
        self._asked, self._came, self._believed = np.zeros((3, len(symbols), len(expected)), bool)
        self._believed[_places(absent[absent["nights"] >= NIGHTS], self._row, expected)[:2]] = True

    def add(
        self, symbols: Sequence[str], start: datetime, end: datetime, bars: pd.DataFrame
    ) -> None:
        """The answer to a request for bars of the symbols in [start, end)."""
        first, last = self.expected.searchsorted([in_utc(start), in_utc(end)])
        self._asked[self._row.get_indexer(pd.Index(symbols)), first:last] = True
        self._came[_places(bars, self._row, self.expected)[:2]] = True

    def absences(self) -> pd.DataFrame:
        """Bars that were asked for and did not come: columns symbol, timestamp."""
        n, t = np.nonzero(self._asked & ~self._came)
        names = pd.Series(self._row[n], dtype="str")
        return pd.DataFrame({"symbol": names, "timestamp": self.expected[t]})

    def lacks(self, symbol: str, start: datetime, end: datetime) -> bool:
        """Whether a bar in [start, end) was asked for and did not come."""
        first, last = self.expected.searchsorted([in_utc(start), in_utc(end)])
        n = self._row.get_loc(symbol)
        return bool((self._asked & ~self._came)[n, first:last].any())

    def doubts(self, listed: Mapping[str, datetime], ended: Collection[str]) -> dict[str, str]:
        """What symbols lack and no halt explains, in words; only of those that do.

        That is more than `LONGEST_HALT` days without a bar, in a row or more than half of all.

        Args:
            listed: first stamps. ended: symbols that are not traded now, so that nothing is
                expected of them after their last bar.
        """
        doubts = {name: self._doubt(name, listed[name], name in ended) for name in self._row}
        return {name: text for name, text in doubts.items() if text}

    def _doubt(self, symbol: str, listed: datetime, ended: bool) -> str:
        n, since = self._row.get_loc(symbol), in_utc(listed)
        life, believed = np.asarray(self.expected >= since), self._believed[n]
        lacking = self._asked[n] & ~self._came[n] & ~believed
        known = np.flatnonzero(life & ~lacking & ~believed)
        if ended and (len(known) or since < self.expected[0]):
            lacking[known.max(initial=-1) + 1 :] = False
        if lacking.sum() <= LONGEST_HALT:
            return ""
        days = self.expected.normalize()[life]
        empty = pd.Series(lacking[life]).groupby(days).all().to_numpy()
        longest = max((last - first + 1 for first, last in runs_of(empty)), default=0)
        if max(longest, empty.sum() * (2 * empty.sum() > len(empty))) <= LONGEST_HALT:
            return ""
        count, stamps = self._asked[n].sum(), self.expected[lacking]
        return (
            f"{count - len(stamps):,} of {count:,} bars, and not those of {when(stamps)} "
            f"({written(stamps[0])} to {written(stamps[-1])})"
        )


def _ticks(stamps: pd.DatetimeIndex | pd.Series) -> np.ndarray:
    """Instants as int64; NaT is earlier than all of them."""
    ticks: np.ndarray = pd.DatetimeIndex(stamps).as_unit("us").asi8
    return ticks


def _is_due(absent: pd.DataFrame, now: datetime) -> np.ndarray:
    """Which are to be asked for again: always at first, then after 2, 4, 8, ... days."""
    nights = absent["nights"].to_numpy()
    waited = in_utc(now).normalize() - absent["asked_at"].dt.normalize()
    wait = np.where(nights < NIGHTS, 0.0, 2.0 ** (nights - NIGHTS + 1).clip(0, 20))
    due: np.ndarray = (waited / pd.Timedelta(days=1)).to_numpy() >= wait
    return due


def _joined(again: np.ndarray) -> np.ndarray:
    """The same with all between two of one row that are `NEAR` each other: (N, T) bool."""
    n, t = np.nonzero(again)
    near = (np.diff(n) == 0) & (np.diff(t) <= NEAR)
    steps = np.zeros(again.shape, dtype=np.int8)
    steps[n[:-1][near], t[:-1][near]] += 1
    steps[n[1:][near], t[1:][near]] -= 1
    joined: np.ndarray = again | (np.cumsum(steps, axis=1, dtype=np.int8) > 0)
    return joined


def _places(
    table: pd.DataFrame, row: pd.Index, expected: pd.DatetimeIndex
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column in (N, T) of the bars of a table that have one, and which bars these are."""
    # Looking up each distinct symbol once is a hundred times faster than each bar's.
    codes, names = pd.factorize(table["symbol"])
    n = row.get_indexer(pd.Index(names))[codes] if len(codes) else codes
    stamps, grid = _ticks(table["timestamp"]), _ticks(expected)
    t = grid.searchsorted(stamps)
    there = n >= 0
    there[there] = t[there] < len(grid)
    there[there] = grid[t[there]] == stamps[there]
    return n[there], t[there], there


def _ranges(
    needed: np.ndarray, row: pd.Index, expected: pd.DatetimeIndex, step: pd.Timedelta
) -> pd.DataFrame:
    """Runs of needed bars, from the first one's stamp to the end of the last one."""
    edges = np.diff(needed.astype(np.int8), axis=1, prepend=0, append=0)
    n, first = np.nonzero(edges == 1)
    _, after = np.nonzero(edges == -1)
    ranges = pd.DataFrame(
        {
            "symbol": pd.Series(row[n], dtype="str"),
            "start": expected[first],
            "end": expected[after - 1] + step,
        }
    )
    return ranges.sort_values(["symbol", "start"], ignore_index=True)
