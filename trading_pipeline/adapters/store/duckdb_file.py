"""The file of DuckDB that holds the features, opened for one call.

DuckDB lets one process write a file, and then no other process even read it. So a connection is
closed before the call returns, reads are read-only, which may overlap, and whoever finds the file
taken waits for a while: a write is over in seconds.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trading_pipeline.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection

PATIENCE = 120.0  # seconds to wait for a file that is taken
_AGAIN = 0.2  # seconds between two looks


@contextmanager
def connected(path: Path, *, read_only: bool, patience: float = PATIENCE) -> Iterator["Connection"]:
    """A connection in UTC; what was not committed is rolled back.

    Raises:
        StoreError: another process has the file, it is damaged, or cannot be used; says what to do.
    """
    import duckdb

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _opened(path, read_only, patience)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()  # rolls back what was not committed
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"{path}: {_next_step(str(error))}") from error


def _opened(path: Path, read_only: bool, patience: float) -> "Connection":
    """The file, as soon as no other process has it."""
    import duckdb

    until = time.monotonic() + patience
    while True:
        try:
            return duckdb.connect(path, read_only=read_only)
        except duckdb.Error as error:
            if not _is_taken(str(error)) or time.monotonic() >= until:
                raise
        time.sleep(_AGAIN)


def _is_taken(complaint: str) -> bool:
    """Whether an open failed for another process or another thread of this one that has the file.

    The latter is DuckDB's 'different configuration': read-only beside a writer.
    """
    first = complaint.partition("\n")[0]
    return "set lock" in first or "different configuration" in first


def _next_step(complaint: str) -> str:
    first = complaint.splitlines()[0] if complaint else "no reason given"
    if _is_taken(complaint):
        return f"another process is using the features; wait for it, or stop it. ({first})"
    if "not a valid DuckDB" in first or "read enough bytes" in first or "orrupt" in first:
        return f"damaged; delete the file and run `trading-pipeline download`. ({first})"
    if "storage version" in first:
        return (
            "written by another version of DuckDB; install that one, or delete the file and run "
            f"`trading-pipeline download`, which makes it anew. ({first})"
        )
    if "No space left" in first:
        return f"the disk is full; make room, and run this again. ({first})"
    return f"cannot be used. Check that its folder exists and is writable. ({first})"
