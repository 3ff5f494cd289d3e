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
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.store.commit import Writer
from trading_pipeline.adapters.store.tables import read_table, table_writer
from trading_pipeline.core.market.bars import KEY, STAMPS, empty_table
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.set_aside import joined, none_aside
from trading_pipeline.core.market.versions import Span, empty_revisions
from trading_pipeline.errors import StoreError

REVISIONS = "history/revisions.parquet"
ABSENCES = "history/absences.parquet"
SET_ASIDE = "history/set_aside.parquet"
ASKED = "history/asked.parquet"
LISTED = "history/listed.parquet"
IDENTITY = "history/identity.json"
STALE_ACTIONS = "history/stale_actions.json"
_LOST = (
    "What it held cannot be fetched again; put it back from a backup, or move it away to go on "
    "without it."
)
_ASKED_AGAIN = "Delete it: the venue is asked again for what it kept from being asked."


def read_revisions(folder: Path) -> pd.DataFrame:
    """All revisions of a store; empty if there are none."""
    return _read(folder / REVISIONS, empty_revisions, _LOST)


def read_absences(folder: Path) -> pd.DataFrame:
    """All absences of a store, by (symbol, timestamp); empty if there are none.

    Those of releases that did not count nights were told once at least.
    """
    known = _read(folder / ABSENCES, empty_absences)
    return known if "nights" in known else known.assign(nights=1)


def read_set_aside(folder: Path) -> pd.DataFrame:
    """All rows of a store that were set aside; none in a store that is older than the file."""
    return _read(folder / SET_ASIDE, none_aside)


def read_asked(folder: Path) -> pd.DataFrame:
    """When each symbol was asked for, by symbol; empty if none was."""
    return _read(folder / ASKED, empty_asked)


def read_listed(folder: Path) -> pd.DataFrame:
    """The first stamp of each symbol, by symbol; empty if none was asked for."""
    return _read(folder / LISTED, empty_listed)


def _read(path: Path, empty: Callable[[], pd.DataFrame], hint: str = _ASKED_AGAIN) -> pd.DataFrame:
    return read_table(path, hint) if path.exists() else empty()


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


def read_stale_actions(folder: Path) -> StaleActions | None:
    """Why the corporate actions are not those of today; None where they are."""
    told = _read_json(folder / STALE_ACTIONS)
    if told is None:
        return None
    since = pd.Timestamp(told["since"]) if told["since"] else None
    return StaleActions(told["why"], since)


def write_stale_actions(path: Path, stale: StaleActions) -> None:
    """Write it into the path."""
    since = stale.since.isoformat() if stale.since is not None else ""
    path.write_text(json.dumps({"since": since, "why": stale.why}, indent=2), encoding="utf-8")


def read_identity(folder: Path) -> dict[str, str] | None:
    """What the bars are of; None where nobody ever said."""
    return _read_json(folder / IDENTITY)


def _read_json(path: Path) -> dict[str, str] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}. Delete it, and run again.") from error
    return told


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
    return empty_table(symbol="str", timestamp=STAMPS, asked_at=STAMPS, nights="int64")


def empty_asked() -> pd.DataFrame:
    """Nobody was asked for."""
    return empty_absences()[["symbol", "asked_at"]]


def empty_listed() -> pd.DataFrame:
    """Nobody's listing is known."""
    return empty_absences().rename(columns={"timestamp": "listed"})


def merge_absences(known: pd.DataFrame, found: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """Absences with those found now, without bars that are `given` now.

    Args:
        found: columns symbol, timestamp, asked_at; an answer of another day is another night.
    """
    found = found.rename(columns={"asked_at": "asked_at_now"})
    both = known.merge(found, on=["symbol", "timestamp"], how="outer")
    before, now = both["asked_at"], both.pop("asked_at_now")
    another = now.notna() & (now.dt.normalize() != before.dt.normalize())
    both["nights"] = (both["nights"].fillna(0) + another).astype("int64")
    both["asked_at"] = now.fillna(before)
    there = _keys(both).isin(_keys(given))
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
