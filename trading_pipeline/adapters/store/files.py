"""Files that are replaced whole or not at all, and folders that have one writer at a time."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from trading_pipeline.errors import StoreError

_DRAFT = re.compile(r"\.draft-[0-9a-f]{16}-(.+)", re.DOTALL)  # the name of what it becomes


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
    draft = path.with_name(f".draft-{uuid4().hex[:16]}-{path.name}")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path.parent, path.name)
        handle = _begin(draft)
        try:
            write(draft)
            flush(draft)
            draft.replace(path)
        finally:
            os.close(handle)
            draft.unlink(missing_ok=True)
        flush(path.parent)


def clear_drafts(folder: Path) -> list[Path]:
    """Remove the drafts that killed processes left anywhere below a folder; those removed.

    A draft that somebody is writing is locked, and stays.
    """
    return [draft for place, _, _ in os.walk(folder) for draft in _clear(Path(place))]


def _clear(folder: Path, name: str | None = None) -> list[Path]:
    """The same, of the drafts directly in a folder: of the file of that name, or of all."""
    removed = []
    for draft in folder.iterdir():
        found = _DRAFT.fullmatch(draft.name)
        if found is None or name not in (None, found[1]):
            continue
        with suppress(OSError):  # gone meanwhile, or not ours to remove
            handle = os.open(draft, os.O_RDWR)
            try:
                if _lock(handle):
                    draft.unlink()
                    removed.append(draft)
            finally:
                os.close(handle)
    return removed


def _begin(draft: Path) -> int:
    """Make an empty draft and lock it, which says that it is being written; its handle."""
    while True:
        handle = os.open(draft, os.O_RDWR | os.O_CREAT, 0o666)
        _wait_for_lock(handle)
        # Whoever clears drafts away may have come before the lock: then it has no name any more.
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file if there is one.

    Raises:
        StoreError: there is one, and it cannot be removed.
    """
    with naming(path):
        if path.exists():
            path.unlink()
            flush(path.parent)


@contextmanager
def one_writer(folder: Path, waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the folder's write lock, waiting until no other process or thread does.

    `waiting` is called once if there is something to wait for.

    The lock is the operating system's: it goes with the process that held it, however that ends.
    Where there is no `flock` (Windows) nothing is locked.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    path = folder / ".lock"
    with naming(path):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for_lock(handle, waiting)
        yield
    finally:
        os.close(handle)  # which also unlocks


def is_free(folder: Path) -> bool:
    """Whether nobody holds the folder's write lock now; nothing is made."""
    try:
        handle = os.open(folder / ".lock", os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        return _lock(handle)
    finally:
        os.close(handle)


@contextmanager
def readers(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock together with other readers, waiting until no writer does.

    False where nothing is locked because nobody ever wrote there. Nothing is made or written.
    """
    try:
        handle = os.open(folder / ".lock", os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        _wait_for_lock(handle, shared=True)
        yield True
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Take the lock of a file if nobody holds it; False if somebody does, or there are none."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(
    handle: int, waiting: Callable[[], object] | None = None, shared: bool = False
) -> None:
    try:
        import fcntl
    except ImportError:
        return
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
        return
    except BlockingIOError:
        if waiting is not None:
            waiting()
    fcntl.flock(handle, kind)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error that names the file and a way out."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. Make its folder writable, free "
            "some space, or choose another folder with TP_HOME."
        ) from error


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk itself."""
    if path.is_dir() and os.name != "posix":
        return  # other systems cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
