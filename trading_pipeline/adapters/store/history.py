"""What is known about stored bars beside their values; files in the folder `history`.

revisions.parquet  versions of bars that were changed or removed; see `core/market/versions.py`
absences.parquet   symbol, timestamp, asked_at: the venue was asked, and has no such bar
set_aside.parquet  rows that came and are no bars; see `core/market/set_aside.py`
asked.parquet      symbol, asked_at: everything that had closed by then was asked for
identity.json      what the bars are of, e.g. source, feed and timeframe, as text
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.store.commit import Writer
from trading_pipeline.adapters.store.tables import read_table, table_writer
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.set_aside import joined, none_aside
from trading_pipeline.core.market.versions import Span, empty_revisions
from trading_pipeline.errors import StoreError

REVISIONS = "history/revisions.parquet"
ABSENCES = "history/absences.parquet"
SET_ASIDE = "history/set_aside.parquet"
ASKED = "history/asked.parquet"
IDENTITY = "history/identity.json"
_STAMPS = "datetime64[us, UTC]"
_LOST = (
    "What it held cannot be fetched again; put it back from a backup, or move it away to go on "
    "without it."
)
_ASKED_AGAIN = "Delete it: the venue is asked again for what it kept from being asked."


def read_revisions(folder: Path) -> pd.DataFrame:
    """All revisions of a store; empty if there are none."""
    path = folder / REVISIONS
    return read_table(path, _LOST) if path.exists() else empty_revisions()


def read_absences(folder: Path) -> pd.DataFrame:
    """All absences of a store, by (symbol, timestamp); empty if there are none."""
    path = folder / ABSENCES
    return read_table(path, _ASKED_AGAIN) if path.exists() else empty_absences()


def read_set_aside(folder: Path) -> pd.DataFrame:
    """All rows of a store that were set aside; none in a store that is older than the file."""
    path = folder / SET_ASIDE
    return read_table(path, _ASKED_AGAIN) if path.exists() else none_aside()


def read_asked(folder: Path) -> pd.DataFrame:
    """When each symbol was asked for, by symbol; empty if none was."""
    path = folder / ASKED
    return read_table(path, _ASKED_AGAIN) if path.exists() else empty_asked()


def read_identity(folder: Path) -> dict[str, str] | None:
    """What the bars are of; None where nobody ever said."""
    path = folder / IDENTITY
    try:
        identity = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}. Delete it, and run again.") from error
    return identity


def write_identity(path: Path, identity: Mapping[str, str]) -> None:
    """Write an identity into the path."""
    path.write_text(json.dumps(dict(sorted(identity.items())), indent=2), encoding="utf-8")


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


def empty_absences() -> pd.DataFrame:
    """No absences: nothing that was asked for was lacking."""
    stamps = pd.Series([], dtype=_STAMPS)
    text = pd.Series([], dtype="str")
    return pd.DataFrame({"symbol": text, "timestamp": stamps, "asked_at": stamps})


def empty_asked() -> pd.DataFrame:
    """Nobody was asked for."""
    return empty_absences()[["symbol", "asked_at"]]


def merge_absences(known: pd.DataFrame, found: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Absences with those found now, which win, without bars that are `stored` by now."""
    both = pd.concat([known, found], ignore_index=True).drop_duplicates(KEY, keep="last")
    there = _keys(both).isin(_keys(stored))
    return both[~there].sort_values(["symbol", "timestamp"], ignore_index=True)


def set_aside_files(
    folder: Path, given: pd.DataFrame, stored: pd.DataFrame, span: Span | None
) -> dict[str, Writer]:
    """The file of rows set aside, if it has to be written; arguments as of `merge_set_aside`."""
    known = read_set_aside(folder)
    after = merge_set_aside(known, given, stored, span)
    if after.equals(known):
        return {}
    return {SET_ASIDE: table_writer(after) if len(after) else None}


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


def merge_asked(known: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The latest instant for each symbol."""
    both = pd.concat([known, now], ignore_index=True)
    return both.groupby("symbol", sort=True)["asked_at"].max().reset_index()
