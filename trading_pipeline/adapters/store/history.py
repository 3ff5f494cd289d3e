"""What is known about stored bars beside their values; files in the folder `history`.

revisions.parquet  versions of bars that were changed or removed; see `core/market/versions.py`
absences.parquet   symbol, timestamp, asked_at, nights: bars that answers of the venue lacked, the
                   last one at `asked_at`, on so many different days; a stored bar may be among them
set_aside.parquet  rows that came and are no bars; see `core/market/set_aside.py`
asked.parquet      symbol, asked_at: everything that had closed by then was asked for
listed.parquet     symbol, listed, asked_at, nights: the earliest stamp that the venue told as that
                   of its first bar; it told it last at `asked_at`, on so many different days
identity.json      what the bars are of, e.g. source, feed and timeframe, as text
stale_actions.json why the corporate actions are not those of today, and of when they are
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from trading_pipeline.adapters.store.commit import Writer
from trading_pipeline.adapters.store.tables import read_table, table_writer
from trading_pipeline.core.market.bars import KEY, STAMPS, empty_table
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.set_aside import joined, none_aside
from trading_pipeline.core.market.versions import Span, empty_revisions
from trading_pipeline.errors import StoreError

IDENTITY = "history/identity.json"
STALE_ACTIONS = "history/stale_actions.json"


@dataclass(frozen=True)
class HistoryTable:
    """One of these tables: where it lies, and what it is before anything was noted in it."""

    file: str  # below the folder of the store
    empty: Callable[[], pd.DataFrame]
    merge: Callable[..., pd.DataFrame]  # the table with what is noted now
    # What to do with a file that cannot be read.
    remedy: str = "Delete it: the venue is asked again for what it kept from being asked."
    older: Mapping[str, Any] = field(default_factory=dict)  # columns that older releases lack
    leaves: bool = False  # whether the file goes when nothing is left in it

    def read(self, folder: Path) -> pd.DataFrame:
        """The table of a store; empty if it has none.

        Raises:
            StoreError: the file cannot be read, or is damaged.
        """
        path = folder / self.file
        known = read_table(path, self.remedy) if path.exists() else self.empty()
        return known.assign(**{name: self.older[name] for name in {*self.older} - {*known}})

    def noted(self, folder: Path, *now: object) -> dict[str, Writer]:
        """The file to be written, by name, unless what is noted `now` makes no other table."""
        known = self.read(folder)
        after = self.merge(known, *now)
        if after.equals(known):
            return {}
        return {self.file: None if self.leaves and after.empty else table_writer(after)}


@dataclass(frozen=True)
class StaleActions:
    """The source did not tell corporate actions when it was last asked."""

    why: str
    since: pd.Timestamp | None  # those that are stored are of then; None: it never told any

    def __str__(self) -> str:
        if self.since is None:
            return f"were never told ({self.why}); download again"
        return (
            f"could not be had ({self.why}): those of {self.since:%Y-%m-%d %H:%M} UTC stay, and "
            "bars after it are stored, but not used; download again"
        )

    def writer(self) -> Writer:
        """What writes it as JSON."""
        since = self.since.isoformat() if self.since is not None else ""
        return json_writer({"since": since, "why": self.why})


def read_stale_actions(folder: Path) -> StaleActions | None:
    """Why the corporate actions are not those of today; None where they are."""
    told = _read_json(folder / STALE_ACTIONS)
    if told is None:
        return None
    since = pd.Timestamp(told["since"]) if told["since"] else None
    return StaleActions(told["why"], since)


def read_identity(folder: Path) -> dict[str, str] | None:
    """What the bars are of; None where nobody ever said."""
    return _read_json(folder / IDENTITY)


def _read_json(path: Path) -> dict[str, str] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}. Delete it, and run again.") from error
    if told is not None and not isinstance(told, dict):
        raise StoreError(f"cannot read {path}: it names nothing. Delete it, and run again.")
    return told


def json_writer(values: Mapping[str, str]) -> Writer:
    """What writes texts by name into the path it is given."""
    text = json.dumps(dict(sorted(values.items())), indent=2)
    return lambda path: path.write_text(text, encoding="utf-8")


def refuse_other_identity(folder: Path, identity: Mapping[str, str]) -> None:
    """Raise StoreError if the store is of something else."""
    stored = read_identity(folder)
    if stored is None or stored == dict(identity):
        return
    names = sorted(name for name in {*stored, *identity} if stored.get(name) != identity.get(name))
    was = ", ".join(f"{name} {stored.get(name, 'none')}" for name in names)
    now = ", ".join(f"{name} {identity.get(name, 'none')}" for name in names)
    raise StoreError(
        f"{folder} holds bars of {was}, and these are of {now}: they must not be mixed. Set it "
        "back, give the market another name in pipeline.toml, or move the folder away to begin "
        "anew."
    )


def merge_absences(
    known: pd.DataFrame, found: pd.DataFrame | None, now: pd.Timestamp, given: pd.DataFrame
) -> pd.DataFrame:
    """Absences with those found now, without bars that are `given` now.

    Args:
        found: columns symbol, timestamp; an answer of another day is another night. None: none.
    """
    found = known.iloc[:0] if found is None else found
    found = found[["symbol", "timestamp"]].assign(asked_at_now=now)
    both = known.merge(found, on=["symbol", "timestamp"], how="outer")
    before, again = both["asked_at"], both.pop("asked_at_now")
    another = again.notna() & (again.dt.normalize() != before.dt.normalize())
    both["nights"] = (both["nights"].fillna(0) + another).astype("int64")
    both["asked_at"] = again.fillna(before)
    there = _keys(both).isin(_keys(given))
    return both[~there].sort_values(["symbol", "timestamp"], ignore_index=True)


def merge_set_aside(
    known: pd.DataFrame, given: pd.DataFrame, stored: pd.DataFrame, span: Span | None
) -> pd.DataFrame:
    """Rows set aside, with those given now.

    Args:
        stored: keys of bars that are stored by now: a sound bar takes the place of such a row.
        span: the rows given are all that there are in it; None: of a venue, the newest win.
    """
    if span is not None:
        start, end = map(in_utc, span)
        outside = (known["timestamp"] < start) | (known["timestamp"] >= end)
        return joined(known[outside], given)
    again = _keys(known).isin(_keys(given))
    both = joined(known[~again], given)
    return both[~_keys(both).isin(_keys(stored))].reset_index(drop=True)


def _keys(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[KEY])


def merge_watermarks(known: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The latest instant for each symbol."""
    both = pd.concat([known, now], ignore_index=True)
    return both.groupby("symbol", sort=True)["asked_at"].max().reset_index()


def merge_listed(known: pd.DataFrame, found: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Listings with those found now; the earliest holds, counted by the days that told it."""
    told = found.assign(now=pd.DatetimeIndex(found["listed"], tz="UTC").as_unit("us"))
    both = known.merge(told[["symbol", "now"]], on="symbol", how="outer")
    before, asked, stamp = both["listed"], both["asked_at"], both.pop("now")
    earlier = (stamp < before) | before.isna()
    again = (stamp == before) & (asked.dt.normalize() != now.normalize())
    both["nights"] = both["nights"].fillna(0).add(again).mask(earlier, 1)
    both["listed"] = before.mask(earlier, stamp)
    both["asked_at"] = asked.mask(stamp.notna(), now)
    return both.astype(known.dtypes).sort_values("symbol", ignore_index=True)


REVISIONS = HistoryTable(
    "history/revisions.parquet",
    empty_revisions,
    lambda known, *revised: pd.concat([known, *revised], ignore_index=True),
    "What it held cannot be fetched again; put it back from a backup, or move it away to go on "
    "without it.",
)
# Absences of releases that did not count nights were told once at least.
ABSENCES = HistoryTable(
    "history/absences.parquet",
    partial(empty_table, symbol="str", timestamp=STAMPS, asked_at=STAMPS, nights="int64"),
    merge_absences,
    older={"nights": 1},
)
SET_ASIDE = HistoryTable("history/set_aside.parquet", none_aside, merge_set_aside, leaves=True)
WATERMARKS = HistoryTable(
    "history/asked.parquet", partial(empty_table, symbol="str", asked_at=STAMPS), merge_watermarks
)
LISTED = HistoryTable(
    "history/listed.parquet",
    partial(empty_table, symbol="str", listed=STAMPS, asked_at=STAMPS, nights="int64"),
    merge_listed,
)
