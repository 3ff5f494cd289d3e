"""The ledger's one table in SQL: SQLite in a file here, PostgreSQL in compose.

Imported by `ledger` when a ledger is opened, so that loading the code location does not pay for
SQLAlchemy. It stores text and counts rows; what the rows mean is the ledger's business.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from trading_pipeline.errors import LedgerError

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

# Writers queue up before they read the head of a stream, so that none builds on an old one. The
# lock goes with its transaction, and readers never wait for it. The number is ours, any would do.
_LOCK = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(20260229)"}
_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg2")
_PATIENCE = 30  # seconds that a writer waits for its turn


class EventTable:
    """Rows of the table `events` in an SQLite file or at a URL; it is made where there is none.

    Raises:
        LedgerError: the database cannot be opened, read or written, or is not one of ours.
    """

    def __init__(self, place: Path | str) -> None:
        self._engine = _engine(place)
        self._where = self._engine.url.set(query={}).render_as_string(hide_password=True)
        with self.writing() as connection:
            connection.execute(CreateTable(EVENTS, if_not_exists=True))

    def close(self) -> None:
        """Give back the connections; the table opens new ones when it is used again."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that no other writer overlaps: all of it is kept, or none."""
        with self._errors_named(), self._engine.begin() as connection:
            connection.exec_driver_sql(_LOCK[self._engine.dialect.name])
            yield connection

    def insert(self, connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows, all columns given."""
        connection.execute(sa.insert(EVENTS), list(rows))

    def newest(
        self, stream: str, kind: str | None = None, connection: sa.Connection | None = None
    ) -> sa.Row[Any] | None:
        """The row of the highest `seq` of a stream (and kind), or None."""
        query = sa.select(EVENTS).where(*_chosen(stream, kind=kind))
        rows = self._read(query.order_by(EVENTS.c.seq.desc()).limit(1), connection)
        return rows[0] if rows else None

    def rows(
        self, stream: str, after: int | None = None, kind: str | None = None
    ) -> Sequence[sa.Row[Any]]:
        """Rows of a stream with `seq` above `after`, oldest first."""
        query = sa.select(EVENTS).where(*_chosen(stream, after, kind))
        return self._read(query.order_by(EVENTS.c.seq))

    def _read(
        self, query: sa.Select[Any], connection: sa.Connection | None = None
    ) -> Sequence[sa.Row[Any]]:
        with self._errors_named():
            if connection is not None:
                return connection.execute(query).all()
            with self._engine.connect() as reading:
                return reading.execute(query).all()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Errors in our words, without their cause: the driver's may quote the address."""
        try:
            yield
        except sa.exc.IntegrityError as error:
            cause = self._without_secrets(str(error.orig))
            raise LedgerError(
                f"{self._where}: another writer was faster, nothing was written ({cause})"
            ) from None
        except sa.exc.SQLAlchemyError as error:
            cause = self._without_secrets(str(getattr(error, "orig", None) or error).strip())
            raise LedgerError(
                f"ledger {self._where} failed: {cause}. Check that the place is "
                "writable and holds a ledger; a damaged file can be moved away, its history with it"
            ) from None

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


def _engine(place: Path | str) -> sa.Engine:
    if isinstance(place, Path):  # as a text it could not hold every character that a path may
        return _sqlite(sa.URL.create("sqlite", database=str(place)))
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
        return _sqlite(parsed)
    # SQLAlchemy 2.1 would want psycopg 3.
    return sa.create_engine(parsed.set(drivername="postgresql+psycopg2"), pool_pre_ping=True)


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise LedgerError("a ledger in memory would be lost; name a file: sqlite:///FILE")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"cannot make {folder} for the ledger: {error.strerror}") from error
    engine = sa.create_engine(url, connect_args={"timeout": _PATIENCE})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin when we say so
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
