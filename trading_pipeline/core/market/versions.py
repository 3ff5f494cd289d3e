"""Versions of bars: what each bar said, and from when until when it was believed.

A stored bar carries `ingested_at` (datetime64[us, UTC]), the instant at which this version of it
was stored; NaT: so long ago that nobody knows. A version that was changed or removed becomes a
revision, with the columns
    timestamp, symbol             the bar
    open … volume, vwap, trade_count       the old values; NaN for a column that it did not have
    new_open … new_trade_count    the values that replaced them; NaN where the bar was removed
    optional                      str, which of vwap and trade_count it had, with a blank between
    ingested_at, revised_at       it was believed in [ingested_at, revised_at)
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import (
    COLUMNS,
    KEY,
    OPTIONAL,
    PRICES,
    STAMPS,
    empty_bars,
    in_order,
)
from trading_pipeline.core.market.calendar import in_utc

INGESTED, REVISED = "ingested_at", "revised_at"
VALUES = (*PRICES, "volume", *OPTIONAL)
_COUNT = "trade_count"
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Merged:
    """What a merge did, in bars."""

    added: int = 0
    changed: int = 0  # the stored version differed, and is a revision now
    unchanged: int = 0  # given as they were stored
    removed: int = 0  # stored in the span, and not given
    first_changed: pd.Timestamp | None = None  # earliest stamp added, changed or removed


@dataclass(frozen=True, kw_only=True)
class VersionMerge(Merged):
    """What became of stored bars when others were merged into them."""

    bars: pd.DataFrame  # canonical, with `ingested_at`
    revisions: pd.DataFrame  # the versions that were changed or removed; one row for each

    @property
    def is_news(self) -> bool:
        """Whether the bars say something that they did not say before."""
        return self.first_changed is not None


def merge_versions(
    stored: pd.DataFrame, given: pd.DataFrame, span: Span | None, now: datetime
) -> VersionMerge:
    """Canonical bars merged into stored ones, the given row of a key winning.

    With a span [start, end), the bars are all that there are in it: what is stored there and not
    given is removed. The result has the optional columns that all its bars have; stored bars that
    lose or gain one by this are changed.

    Args:
        stored: canonical bars with `ingested_at`; none is lacking it altogether.
        given: canonical bars.
    """
    # No keys of nothing: a first download of ten years would spend most of its time on them.
    place = _keys(stored).get_indexer(_keys(given)) if len(stored) else np.full(len(given), -1)
    known = place >= 0
    given_again = np.zeros(len(stored), dtype=bool)
    given_again[place[known]] = True
    removed = ~given_again & _inside(stored, span)
    kept = stored[~given_again & ~removed]
    columns = common_columns([kept, given])
    reshaped = len(stored) > 0 and columns != common_columns([stored])
    same = known & (not reshaped) & _equal(stored, place, given, columns)
    superseded = removed | reshaped
    superseded[place[known & ~same]] = True

    instant = in_utc(now)
    older = kept.assign(**{INGESTED: instant if reshaped else kept[INGESTED]})
    newer = given.assign(**{INGESTED: _since(stored, place, same, instant)})
    bars = in_order(joined([older, newer], INGESTED))
    stamps = pd.concat([stored["timestamp"][superseded], given["timestamp"][~known]])
    return VersionMerge(
        bars=bars,
        revisions=_revisions(stored[superseded], bars, instant),
        added=int((~known).sum()),
        changed=int((superseded & ~removed).sum()),
        unchanged=int(same.sum()),
        removed=int(removed.sum()),
        first_changed=None if stamps.empty else stamps.min(),
    )


def as_known(bars: list[pd.DataFrame], revisions: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """The canonical bars as they were believed at an instant; empty if there were none.

    Args:
        bars: what is stored now, in parts that may differ in their optional columns; canonical
            each, with `ingested_at`.
        revisions: of these bars.
    """
    instant = in_utc(at)
    parts = [part[~(part[INGESTED] > instant)] for part in bars]
    then = revisions[(revisions[REVISED] > instant) & ~(revisions[INGESTED] > instant)]
    for optional, rows in then.groupby("optional"):
        columns = [*COLUMNS, *str(optional).split()]
        parts.append(rows[columns].astype({name: "int64" for name in columns if name == _COUNT}))
    return in_order(joined(parts))


def joined(parts: list[pd.DataFrame], *more: str) -> pd.DataFrame:
    """Bars in several parts as one table: of the optional columns those that every bar has.

    `more` names columns of instants that all parts have beside those of bars.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        return _no_bars(more).copy()
    columns = [*common_columns(filled), *more]
    return pd.concat([part[columns] for part in filled], ignore_index=True)


@cache
def _no_bars(more: tuple[str, ...]) -> pd.DataFrame:
    return empty_bars().assign(**{name: pd.Series([], dtype=STAMPS) for name in more})


def common_columns(parts: list[pd.DataFrame]) -> list[str]:
    """The columns of bars that all parts have, leaving out of account those without rows."""
    filled = [part for part in parts if len(part)]
    return [*COLUMNS, *(name for name in OPTIONAL if filled and all(name in p for p in filled))]


def empty_revisions() -> pd.DataFrame:
    """No revisions: nothing was ever changed."""
    return _no_revisions().copy()


@cache
def _no_revisions() -> pd.DataFrame:
    stored = joined([], INGESTED)
    return _revisions_of(stored, stored, pd.Timestamp(0, tz="UTC"))


def _keys(bars: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(bars[KEY])


def _inside(bars: pd.DataFrame, span: Span | None) -> np.ndarray:
    if span is None:
        return np.zeros(len(bars), dtype=bool)
    start, end = map(in_utc, span)
    inside: np.ndarray = bars["timestamp"].between(start, end, inclusive="left").to_numpy()
    return inside


def _equal(
    stored: pd.DataFrame, place: np.ndarray, given: pd.DataFrame, columns: list[str]
) -> np.ndarray:
    """Which given rows say the same as the stored ones in their place; missing equals missing."""
    if stored.empty or given.empty:
        return np.zeros(len(given), dtype=bool)
    equal = np.ones(len(given), dtype=bool)
    for name in columns[len(KEY) :]:
        if name in stored:
            old, new = stored[name].to_numpy()[place], given[name].to_numpy()
            equal &= (old == new) | (np.isnan(old) & np.isnan(new))
    return equal


def _since(
    stored: pd.DataFrame, place: np.ndarray, same: np.ndarray, instant: pd.Timestamp
) -> pd.DatetimeIndex:
    """When the version of each given row was stored: as before where it is the same one."""
    since = np.full(len(place), instant.tz_localize(None).to_datetime64())
    since[same] = stored[INGESTED].dt.tz_localize(None).to_numpy()[place[same]]
    return pd.DatetimeIndex(since, tz="UTC").as_unit("us")


def _revisions(old: pd.DataFrame, bars: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    """Superseded versions beside what the bars say now."""
    return _revisions_of(old, bars, instant) if len(old) else empty_revisions()


def _revisions_of(old: pd.DataFrame, new: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    place = _keys(new).get_indexer(_keys(old))
    next_values = _values_of(new).reindex(place).reset_index(drop=True)  # -1, removed, has none
    parts = [old[KEY].reset_index(drop=True), _values_of(old), next_values.add_prefix("new_")]
    table = pd.concat(parts, axis=1)
    optional = " ".join(name for name in OPTIONAL if name in old)
    table["optional"] = pd.Series(optional, index=table.index, dtype="str")
    table[INGESTED] = old[INGESTED].array
    table[REVISED] = pd.Series(instant, index=table.index, dtype=STAMPS)
    return table


def _values_of(bars: pd.DataFrame) -> pd.DataFrame:
    """`VALUES` as float64 with a fresh index, NaN in columns that the bars lack."""
    return bars.reindex(columns=list(VALUES)).astype("float64").reset_index(drop=True)
