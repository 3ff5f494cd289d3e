"""Files that are replaced whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

from trading_pipeline.errors import StoreError


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Swap a file in one step, so that a reader or a crash sees the old one or the new one.

    Args:
        path: the file to make or replace; missing folders above it are made.
        write: writes the whole new content to the path it is given, in the same folder and with
            the same suffix. What it raises leaves the old file as it was and is passed on.

    Raises:
        StoreError: the folder or file cannot be written.
    """
    # A leading dot hides the draft from readers that list the folder by pattern.
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(draft)
            _flush(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _flush(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. Make its folder writable, free "
            "some space, or choose another folder with TP_HOME."
        ) from error


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
