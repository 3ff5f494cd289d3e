"""Several files of a folder replaced together: all of them or none, whenever a process dies.

A commit writes every new file into the folder `.drafts`, waits until they are on the disk, and
renames that folder to `.commit`: this one rename decides it. Then the files are moved from there
to their places. Whoever comes next, reader or writer, finishes a commit that was decided; a
writer throws away drafts that were not.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from trading_pipeline.adapters.store.files import flush, naming, one_writer, readers

DRAFTS, DECIDED = ".drafts", ".commit"
# Writes the whole content of a file into the path it is given; None: the file is to go.
Writer = Callable[[Path], object] | None
Result = TypeVar("Result")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the folder as its only writer, after repairing what an interrupted one left.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    with one_writer(folder):
        recover(folder)
        yield


def read_whole(folder: Path, read: Callable[[], Result]) -> Result:
    """What `read` gives while no commit is in between: all files as before it, or as after.

    Raises:
        StoreError: an interrupted commit has to be finished first, and the folder is read-only.
    """
    while True:
        with readers(folder) as locked:
            if not (folder / DECIDED).exists():
                result = read()
                # Where there was no lock to hold, the folder's first writer may have come by.
                if locked or not (folder / ".lock").exists():
                    return result
        with writing(folder):
            pass


def commit(folder: Path, files: Mapping[str, Writer]) -> None:
    """Replace, make or remove files, by name relative to the folder; to be called by its writer.

    Raises:
        StoreError: a file cannot be written; all are as they were.
    """
    if not files:
        return
    drafts = folder / DRAFTS
    try:
        with naming(folder):
            drafts.mkdir()
            for name, write in files.items():
                _draft(drafts / name, write)
            _flush_folders(drafts)
            drafts.replace(folder / DECIDED)
            flush(folder)
    except BaseException:
        shutil.rmtree(drafts, ignore_errors=True)
        raise
    recover(folder)


def recover(folder: Path) -> None:
    """Finish a commit that was decided, drop one that was not; to be called by the writer.

    Raises:
        StoreError: the folder cannot be written.
    """
    drafts, decided = folder / DRAFTS, folder / DECIDED
    with naming(folder):
        if drafts.exists():
            shutil.rmtree(drafts)
        if decided.exists():
            for draft in sorted(path for path in decided.rglob("*") if path.is_file()):
                _place(draft, folder / draft.relative_to(decided))
            shutil.rmtree(decided)
            flush(folder)


def _draft(path: Path, write: Writer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if write is None:
        path.touch()  # an empty file is no Parquet file, and so can say 'remove'
    else:
        write(path)
    flush(path)


def _place(draft: Path, path: Path) -> None:
    if draft.stat().st_size == 0:
        path.unlink(missing_ok=True)
        flush(path.parent)
        draft.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.replace(path)
    flush(path.parent)


def _flush_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top):
        flush(Path(folder))
