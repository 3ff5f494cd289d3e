"""Which version of its files a home has, and how an older home gets today's.

`version.json` says it, since the home was made. A home without that file is of before there were
versions, which is version 1 as it is. What cannot be made again (raw bars and their revisions,
returns of trials, recordings of paper sessions) is rewritten by a migration; what can (features,
models, predictions, reports) a migration may remove, or leave: it is made anew where it does not
fit. The ledger's tables have revisions of their own in `schema.py`, for a server may hold them.

A migration names the files that change. They and `version.json` are one commit, so that a kill or
a full disk at any moment leaves a home of the old version, or of the new one.
"""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version as installed
from pathlib import Path

from trading_pipeline.adapters.store.commit import Writer, commit, recover
from trading_pipeline.adapters.store.files import one_writer, replace_file
from trading_pipeline.errors import StoreError

VERSION_FILE = "version.json"  # behind all others in the alphabet, and so the last of a commit
_CONTENT = ("raw", "models", "predictions", "reports", "paper", "trials", "features.duckdb")

# What makes version n + 1 of version n, at place n - 1: from a home's root to the new content of
# files by their names below it, None for one that is to go.
Migration = Callable[[Path], Mapping[str, Writer]]
MIGRATIONS: tuple[Migration, ...] = ()


def newest() -> int:
    """The version that this code reads and writes."""
    return len(MIGRATIONS) + 1


def refuse_other_version(root: Path) -> None:
    """Raise StoreError where a home says that it is not of this code's version: what to do."""
    told = _told(root)
    if told is None or told[0] == newest():
        return
    if told[0] > newest():
        raise StoreError(newer_text(str(root), *told))
    raise StoreError(
        f"{root} is of an older version ({told[0]}, this one works on {newest()}): stop what else "
        "works on it, make a copy, and run `trading-pipeline home`, which migrates it"
    )


def newer_text(where: str, number: int, by: str) -> str:
    """What to do about files of a newer version."""
    return (
        f"{where} was written by trading-pipeline {by} (version {number} of its files, this is "
        f"{installed('trading-pipeline')} and knows {newest()}): install trading-pipeline {by} or "
        "newer, or use another home"
    )


def settle(root: Path, say: Callable[[str], object]) -> None:
    """Make a home one of this code's version: a new one says so, an older one is migrated.

    Of several commands at once, one does it and the others wait. `say` is told of a migration.

    Raises:
        StoreError: it is of a newer version, or cannot be written; then it is as it was.
    """
    if _is_settled(root):
        return
    busy = f"another command works in {root}; it is migrated when that has ended"
    with one_writer(root, lambda: say(busy)):
        recover(root)
        if _is_settled(root):  # no other command was faster
            return
        (number, _) = _told(root) or (1, "")
        say(f"{root} is of version {number}: it is migrated to {newest()}")
        for made, migration in enumerate(MIGRATIONS[number - 1 :], start=number + 1):
            commit(root, {**migration(root), VERSION_FILE: _stamp(made)})


def _is_settled(root: Path) -> bool:
    """Whether there is nothing to migrate; a home that does not say its version says it then."""
    told = _told(root)
    if told is None and (newest() == 1 or _is_new(root)):
        replace_file(root / VERSION_FILE, _stamp(newest()))
        return True
    if told is not None and told[0] > newest():
        refuse_other_version(root)
    return told is not None and told[0] == newest()


def stamp_text(number: int) -> str:
    """What says that files are of a version, and whose code wrote them."""
    return json.dumps({"version": number, "written_by": installed("trading-pipeline")}) + "\n"


def read_stamp(text: str | bytes) -> tuple[int, str]:
    """Version and code of what `stamp_text` wrote, or of what a later one adds to that.

    Raises:
        ValueError: it says none.
    """
    told = json.loads(text)
    try:
        return int(told["version"]), str(told["written_by"])
    except (LookupError, TypeError) as error:
        raise ValueError(f"it has no {error}") from error


def _stamp(number: int) -> Callable[[Path], object]:
    return lambda draft: draft.write_text(stamp_text(number), encoding="utf-8")


def _told(root: Path) -> tuple[int, str] | None:
    path = root / VERSION_FILE
    try:
        return read_stamp(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}); bring it back from a copy of this home, for it says "
            "which code fits the files beside it"
        ) from error


def _is_new(root: Path) -> bool:
    return not any((root / name).exists() for name in _CONTENT)
