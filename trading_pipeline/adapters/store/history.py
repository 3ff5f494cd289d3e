"""What is known about stored bars beside their values; files in the folder `history`.

revisions.parquet  versions of bars that were changed or removed; see `core/market/versions.py`
absences.parquet   symbol, timestamp, asked_at: the venue was asked, and has no such bar
asked.parquet      symbol, asked_at: everything that had closed by then was asked for
listed.parquet     symbol, listed, asked_at: the stamp of its first bar, as the venue said then
identity.json      what the bars are of, e.g. source, feed and timeframe, as text
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.store.tables import read_table
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.market.versions import empty_revisions
from trading_pipeline.errors import StoreError

REVISIONS = "history/revisions.parquet"
ABSENCES = "history/absences.parquet"
ASKED = "history/asked.parquet"
LISTED = "history/listed.parquet"
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


def read_asked(folder: Path) -> pd.DataFrame:
    """When each symbol was asked for, by symbol; empty if none was."""
    path = folder / ASKED
    return read_table(path, _ASKED_AGAIN) if path.exists() else empty_asked()


def read_listed(folder: Path) -> pd.DataFrame:
    """The first stamp of each symbol, by symbol; empty if none was asked for."""
    path = folder / LISTED
    return read_table(path, _ASKED_AGAIN) if path.exists() else empty_listed()


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


def empty_listed() -> pd.DataFrame:
    """Nobody's listing is known."""
    stamps = pd.Series([], dtype=_STAMPS)
    return pd.DataFrame(
        {"symbol": pd.Series([], dtype="str"), "listed": stamps, "asked_at": stamps}
    )


def merge_absences(known: pd.DataFrame, found: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Absences with those found now, which win, without bars that are `stored` by now."""
    both = pd.concat([known, found], ignore_index=True).drop_duplicates(KEY, keep="last")
    there = pd.MultiIndex.from_frame(both[KEY]).isin(pd.MultiIndex.from_frame(stored[KEY]))
    return both[~there].sort_values(["symbol", "timestamp"], ignore_index=True)


def merge_asked(known: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """The latest instant for each symbol."""
    both = pd.concat([known, now], ignore_index=True)
    return both.groupby("symbol", sort=True)["asked_at"].max().reset_index()


def merge_listed(known: pd.DataFrame, found: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Listings with those found now, which win."""
    stamps = pd.DatetimeIndex(found["listed"], tz="UTC").as_unit("us")
    told = pd.DataFrame({"symbol": found["symbol"], "listed": stamps, "asked_at": now})
    both = pd.concat([known, told.astype(known.dtypes)], ignore_index=True)
    return both.drop_duplicates("symbol", keep="last").sort_values("symbol", ignore_index=True)
