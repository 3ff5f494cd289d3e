"""A folder of files that belong together, replaced whole or not at all."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trading_pipeline.adapters.store.files import flush, one_writer
from trading_pipeline.errors import StoreError


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a draft beside `folder` and swap the two, so that an interruption keeps the old one.

    Files of others in `folder` are carried over. A process that was killed in the middle of a
    swap leaves the old folder beside it, and the next call puts that back first.

    Args:
        folder: to make or replace; folders above it are made.
        write: fills the empty draft it is given. What it raises leaves `folder` as it was.

    Raises:
        StoreError: the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(
            f"cannot write {folder}: it is a file. Remove it or choose another folder."
        )
    draft, previous = _beside(folder, "draft"), _beside(folder, "previous")
    try:
        with one_writer(folder.parent):
            _recover(folder, draft, previous)
            draft.mkdir()
            try:
                write(draft)
                _flush(draft)
                _swap(folder, draft, previous)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"cannot write {folder}: {error.strerror or error}. Make it writable, free some "
            "space, or choose another folder with TP_HOME."
        ) from error


def write_among_others(
    folder: Path, mark: str, columns: Sequence[str], files: Mapping[str, Callable[[Path], object]]
) -> list[Path]:
    """Write files into a folder that a user named, and over nothing but files of earlier calls.

    Args:
        mark: the one of `files` that tells: a CSV file that begins with `columns` if we wrote it.
        files: by name, what writes each to the path it is given.

    Returns:
        Where they are.

    Raises:
        StoreError: one of them is there, and no earlier call wrote it; or they cannot be written.
    """
    paths = {folder / name: write for name, write in files.items()}
    ours, header = folder / mark, ",".join(columns).encode()
    try:
        is_ours = ours.is_file() and ours.read_bytes().startswith(header)
        if not is_ours and (theirs := [path for path in paths if path.exists()]):
            raise StoreError(
                f"{theirs[0]} is not from this command; choose another folder with --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(paths, key=lambda path: path != ours):  # a call that is cut short owns
            paths[path](path)
    except OSError as error:
        raise StoreError(
            f"cannot write {folder}: {error.strerror or error}; give a writable folder with --out"
        ) from error
    return list(paths)


def _beside(folder: Path, purpose: str) -> Path:
    """A hidden neighbour, on the same disk, so that a rename is enough."""
    return folder.with_name(f".{folder.name}.{purpose}")


def _recover(folder: Path, draft: Path, previous: Path) -> None:
    """Finish or undo what a killed process left; the write lock says that it is gone."""
    if draft.exists():
        shutil.rmtree(draft)
    _settle(folder, previous)


def _swap(folder: Path, draft: Path, previous: Path) -> None:
    if folder.exists():
        folder.rename(previous)
    try:
        draft.rename(folder)
    finally:
        _settle(folder, previous)
    flush(folder.parent)


def _settle(folder: Path, previous: Path) -> None:
    """Put the previous folder back where there is no new one, and else retire it."""
    if previous.exists() and not folder.exists():
        previous.rename(folder)
    elif previous.exists():
        _retire(previous, folder)


def _retire(previous: Path, folder: Path) -> None:
    """Carry over what only the previous folder has, then remove it."""
    for entry in previous.iterdir():
        if not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
    shutil.rmtree(previous)


def _flush(folder: Path) -> None:
    for file in folder.iterdir():
        flush(file)
    flush(folder)
