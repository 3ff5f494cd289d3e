"""The ledger's one table in SQL: SQLite in a file here, PostgreSQL in compose.

Imported by `ledger` when a ledger is opened, so that loading the code location does not pay for
SQLAlchemy. It stores text and counts rows; what the rows mean is the ledger's business.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trading_pipeline.adapters.store.schema import is_current, migrate
from trading_pipeline.errors import LedgerError, Overtaken

EVENTS = sa.Table(
    "events",
    sa.MetaData(),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),  # text: to the microsecond, alike on every database
    sa.Column("recorded_at", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

BEATS = sa.Table(
    "beats",
    EVENTS.metadata,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),  # of the event that is kept alive
    sa.Column("at", sa.Text, nullable=False),
)

# Writers queue up before they read the head of a stream, so that none builds on an old one. The
# lock goes with its transaction, and readers never wait for it. The number is ours, any would do.
_LOCK = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SET LOCAL lock_timeout = '{}s'; SELECT pg_advisory_xact_lock(20260229)",
}
_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg2")
_TURN = 0.02  # seconds between two tries to open a file that another process makes
_LOCKED = ("SQLITE_BUSY", "55P03")  # what the drivers call it: SQLite's names, PostgreSQL's codes
_FULL = ("SQLITE_FULL", "53100")


class EventTable:
    """Rows of the table `events` in an SQLite file or at a URL, made or migrated as need be.

    A writer waits for its turn for `patience`, in whole seconds, and for a server to answer.

    Raises:
        LedgerError: the database cannot be opened, read or written, or is not one of ours.
    """

    def __init__(self, place: Path | str, patience: int) -> None:
        self._engine, self._patience = _engine(place, patience), patience
        self._where = self._engine.url.set(query={}).render_as_string(hide_password=True)
        self._file, self._opened = Path(self._engine.url.database or "").absolute(), None
        with self._connected() as connection:
            self._opened = self._on_disk()
            current = is_current(connection, self._where)
        if not current:
            with self.writing() as connection:
                if not is_current(connection, self._where):  # no other process was faster
                    migrate(connection, self._where)

    def close(self) -> None:
        """Give back the connections; the table opens new ones when it is used again."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that no other writer overlaps: all of it is kept, or none."""
        with self._connected() as connection:
            connection.exec_driver_sql(_LOCK[self._engine.dialect.name].format(self._patience))
            yield connection

    def insert(self, connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows, all columns given."""
        connection.execute(sa.insert(EVENTS), list(rows))

    def beat(self, connection: sa.Connection, stream: str, seq: int, at: str) -> None:
        """Write over the last sign of life of a stream."""
        values = {"seq": seq, "at": at}
        changed = sa.update(BEATS).where(BEATS.c.stream == stream).values(**values)
        if not connection.execute(changed).rowcount:
            connection.execute(sa.insert(BEATS).values(stream=stream, **values))

    def beat_of(self, stream: str, seq: int, connection: sa.Connection | None = None) -> str | None:
        """When that event of a stream was last kept alive."""
        query = sa.select(BEATS.c.at).where(BEATS.c.stream == stream, BEATS.c.seq == seq)
        rows = self._read(query, connection)
        return rows[0].at if rows else None

    def newest(
        self, stream: str, kind: str | None = None, connection: sa.Connection | None = None
    ) -> sa.Row[Any] | None:
        """The row of the highest `seq` of a stream (and kind), or None."""
        query = sa.select(EVENTS).where(*_chosen(stream, kind=kind))
        rows = self._read(query.order_by(EVENTS.c.seq.desc()).limit(1), connection)
        return rows[0] if rows else None

    def oldest(self, stream: str) -> sa.Row[Any] | None:
        """The row of the lowest `seq` of a stream, or None."""
        query = sa.select(EVENTS).where(*_chosen(stream)).order_by(EVENTS.c.seq).limit(1)
        rows = self._read(query)
        return rows[0] if rows else None

    def rows(
        self, stream: str, after: int | None = None, kind: str | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Rows of a stream with `seq` above `after`, oldest first."""
        query = sa.select(EVENTS).where(*_chosen(stream, after, kind))
        return self._read(query.order_by(EVENTS.c.seq))

    def streams(self) -> list[str]:
        """Names of all streams, in order."""
        rows = self._read(sa.select(EVENTS.c.stream).distinct())
        return sorted(row.stream for row in rows)  # here, since databases differ in it

    def _read(
        self, query: sa.Select[Any], connection: sa.Connection | None = None
    ) -> Sequence[sa.Row[Any]]:
        if connection is not None:
            return connection.execute(query).all()
        with self._connected() as reading:
            return reading.execute(query).all()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with self._errors_named(), self._engine.begin() as connection:
            # What is written to a file that has no name any more is lost.
            if self._opened and self._on_disk() != self._opened:
                raise LedgerError(
                    f"ledger {self._where} was moved, replaced or removed while it was open; "
                    "nothing was written. Put it back if that was not meant, and start again"
                )
            yield connection

    def _on_disk(self) -> tuple[int, int] | None:
        """Which file is there now; None if there is none, or the ledger is on a server."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Errors in our words, without their cause: the driver's may quote the address."""
        try:
            yield
        except sa.exc.IntegrityError as error:
            cause = self._without_secrets(str(error.orig))
            raise Overtaken(
                f"{self._where}: another writer was faster, nothing was written ({cause})"
            ) from None
        except sa.exc.SQLAlchemyError as error:
            cause = self._without_secrets(str(getattr(error, "orig", None) or error).strip())
            raise LedgerError(
                f"ledger {self._where} failed: {cause}. {self._advice(error)}"
            ) from None

    def _advice(self, error: sa.exc.SQLAlchemyError) -> str:
        cause = getattr(error, "orig", None)
        code = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "pgcode", None))
        if code.startswith(_LOCKED):
            return (
                f"Another process has been writing to it for {self._patience} s; nothing was "
                "written here. Let it finish or end it (an SQL shell? a backup?), then try again"
            )
        if code.startswith(_FULL):
            return "Nothing was written. Free space on its disk, then try again"
        return (
            "Check that the place is writable, answers and holds a ledger; a damaged file can be "
            "moved away, its history with it"
        )

    def _without_secrets(self, text: str) -> str:
        """A driver's complaint; of what it quotes from the address, only host and name stay."""
        url = self._engine.url
        said = {url.password, *url.query, *(str(value) for value in url.query.values())}
        for secret in sorted((str(each) for each in said if each), key=len, reverse=True):
            if len(secret) > 2 or secret == url.password:  # else a digit of a port would go, too
                text = text.replace(secret, "***")
        return text


def _chosen(
    stream: str, after: int | None = None, kind: str | None = None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [EVENTS.c.stream == stream]
    if after is not None:
        conditions.append(EVENTS.c.seq > after)
    if kind is not None:
        conditions.append(EVENTS.c.kind == kind)
    return conditions


def _engine(place: Path | str, patience: int) -> sa.Engine:
    if isinstance(place, Path):  # as a text it could not hold every character that a path may
        return _sqlite(sa.URL.create("sqlite", database=str(place)), patience)
    parsed: sa.URL | None
    try:
        parsed = sa.make_url(place)
    except (sa.exc.ArgumentError, ValueError):  # which may quote it, password and all
        parsed = None
    # Whatever follows the first @ is taken for the host, and would be shown as it.
    if parsed is None or "@" in (parsed.host or ""):
        raise LedgerError(
            "the ledger's URL (TP_LEDGER_URL) must read sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST:PORT/NAME; signs such as @ : / in a password are "
            "written %40 %3A %2F"
        )
    if parsed.drivername not in _DRIVERS:
        raise LedgerError("a ledger lives in SQLite (sqlite:///FILE) or PostgreSQL (postgresql://)")
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, patience)
    # A server whose machine is gone says nothing: without these a session would wait for hours.
    waits = {
        "connect_timeout": patience,
        "tcp_user_timeout": 1000 * patience,
        "keepalives_idle": patience,
        "keepalives_interval": patience,
    }
    waits = {name: seconds for name, seconds in waits.items() if name not in parsed.query}
    # SQLAlchemy 2.1 would want psycopg 3.
    parsed = parsed.set(drivername="postgresql+psycopg2")
    return sa.create_engine(parsed, pool_pre_ping=True, connect_args=waits)


def _sqlite(url: sa.URL, patience: int) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise LedgerError("a ledger in memory would be lost; name a file: sqlite:///FILE")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"cannot make {folder} for the ledger: {error.strerror}") from error
    engine = sa.create_engine(url, connect_args={"timeout": patience})
    sa.event.listen(engine, "connect", partial(_prepare_sqlite, patience))
    return engine


def _prepare_sqlite(patience: int, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin when we say so
    until = time.monotonic() + patience
    while True:  # to change the mode of a file that another process makes does not wait for it
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith(_LOCKED) or time.monotonic() > until:
                raise
            time.sleep(_TURN)
    connection.execute("PRAGMA synchronous=FULL")
