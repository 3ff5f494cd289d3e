"""Which bars to fetch: those that the calendar expects and the store lacks, and the unsettled.

A venue may still correct a bar for a while after its close. A bar is settled when it was asked
for that long after it: from then on what is stored is believed, and what the venue did not have
is not asked for again. Bars before a symbol's listing are not expected.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from trading_pipeline.core.market.calendar import TradingCalendar, in_utc
from trading_pipeline.core.market.exchanges import NEVER_CLOSES

# How long after its close a bar may change: exchanges correct over days, coins trade on.
SETTLE = defaultdict(lambda: pd.Timedelta(days=3), {NEVER_CLOSES: pd.Timedelta(days=1)})
Span = tuple[datetime, datetime]


def requests_for(
    calendar: TradingCalendar,
    span: Span,
    symbols: Sequence[str],
    *,
    stored: pd.DataFrame,
    absent: pd.DataFrame,
    asked: pd.DataFrame,
    now: datetime,
    listed: Mapping[str, datetime] | None = None,
) -> pd.DataFrame:
    """What to fetch so that nothing is missing, and nothing settled is fetched again.

    Args:
        span: [start, end) of the history that is wanted; only bars closed by `now` are.
        symbols: N names, each once.
        stored: columns timestamp, symbol: the bars that there are; other symbols are left out.
        absent: columns symbol, timestamp, asked_at: bars that the venue did not have.
        asked: columns symbol, asked_at: everything closed by then was asked for; see `asked_at`.
        listed: the first stamp of a symbol, where it is known; earlier bars are not expected.

    Returns:
        Columns symbol, start, end (datetime64[us, UTC]), ordered so: half-open ranges that
        contain expected bars in need of fetching, and no others. Empty if there are none.

    Raises:
        ValueError: an instant has no time zone.
        BarsError: the span leaves the years that the calendar knows.
    """
    expected = expected_stamps(calendar, span, now)
    row = pd.Index(symbols)
    # Noted by a clock that was ahead: up to now they say so, of what is to come they know nothing.
    known_until = asked.set_index("symbol")["asked_at"].clip(upper=in_utc(now))
    absent = absent[absent["asked_at"] <= in_utc(now)]
    limits = known_until.reindex(row) - SETTLE[calendar.name]
    settled = _ticks(calendar.closes_of(expected)) <= _ticks(limits)[:, None]
    first = pd.Series(listed or {}, dtype=_STAMPS).reindex(row)

    needed = _ticks(expected) >= _ticks(first)[:, None]
    gone = _places(absent, row, expected)
    needed[gone[:2]] &= ~_is_settled(absent[gone[2]], calendar)
    here = _places(stored, row, expected)[:2]
    needed[here] &= ~settled[here]
    return _ranges(needed, row, expected, calendar.step)


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


def absences_of(
    requests: pd.DataFrame, bars: pd.DataFrame, expected: pd.DatetimeIndex
) -> pd.DataFrame:
    """Bars that were asked for and are not in the answer: columns symbol, timestamp.

    Args:
        requests: columns symbol, start, end, as from `requests_for`; only those answered.
        bars: what was answered to them.
        expected: from `expected_stamps`.
    """
    row = pd.Index(requests["symbol"].unique())
    lacking = np.zeros((len(row), len(expected)), dtype=bool)
    first, last = (expected.searchsorted(requests[name]) for name in ("start", "end"))
    for n, a, b in zip(row.get_indexer(requests["symbol"]), first, last, strict=True):
        lacking[n, a:b] = True
    lacking[_places(bars, row, expected)[:2]] = False
    n, t = np.nonzero(lacking)
    return pd.DataFrame({"symbol": pd.Series(row[n], dtype="str"), "timestamp": expected[t]})


_STAMPS = "datetime64[us, UTC]"


def _ticks(stamps: pd.DatetimeIndex | pd.Series) -> np.ndarray:
    """Instants as int64; NaT is earlier than all of them."""
    ticks: np.ndarray = pd.DatetimeIndex(stamps).as_unit("us").asi8
    return ticks


def _is_settled(absent: pd.DataFrame, calendar: TradingCalendar) -> np.ndarray:
    """Which were still absent when the bar, had there been one, would have been settled."""
    closes = calendar.closes_of(pd.DatetimeIndex(absent["timestamp"]))
    return _ticks(closes + SETTLE[calendar.name]) <= _ticks(absent["asked_at"])


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
