"""The ledger: what happened, in the order it happened, never changed afterwards.

One table `events`; every stream (a trading session, `trials`, `operator/MARKET`) is a chain of its
own. An event carries the hash of the one before it, so that a changed, removed or inserted event
breaks the chain at that place. Cutting off the newest events leaves a shorter chain that is whole:
only a hash noted elsewhere, in a report say, shows that.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_pipeline.errors import BrokenChain, LedgerError, Overtaken

if TYPE_CHECKING:
    from sqlalchemy import Row

GENESIS = "0" * 64  # what the first event of a stream has as the hash before it

_SCALARS = frozenset({float, int, str, bool, type(None)})  # which have no keys

Payload = Mapping[str, Any]  # plain JSON: text keys; text, numbers, true, false, null, lists, maps


class Entry(NamedTuple):
    """An event to be: what happened, and when on the market's clock."""

    kind: str
    at: datetime
    payload: Payload


@dataclass(frozen=True)
class Event:
    """An event as the ledger keeps it. Instants are UTC, to the microsecond."""

    stream: str
    seq: int  # 1, 2, 3 ... within the stream
    kind: str
    at: datetime  # on the market's clock, which is a replayed one in a replay
    recorded_at: datetime  # on the wall's clock
    payload: dict[str, Any]
    prev_hash: str  # SHA-256, hexadecimal
    hash: str


class Ledger:
    """Append-only streams of events in an SQLite file, or at a URL such as `postgresql://...`.

    Writers take turns, and what `append` returned survives a crash of the machine. A writer that
    has to be alone on a stream, as a trading session has, gives `after`, the `seq` of the last
    event it knows: if anybody else has written since, it is refused.

    Args:
        patience: whole seconds, from 1, that a writer waits for its turn and for a server's answer.

    Raises:
        LedgerError: the database cannot be opened, holds something else, or was migrated by a newer
            version of this package.
    """

    def __init__(self, place: Path | str, patience: int = 30) -> None:
        from trading_pipeline.adapters.store.event_table import EventTable

        self._table = EventTable(place, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the database connections."""
        self._table.close()

    def append(
        self,
        stream: str,
        kind: str,
        at: datetime,
        payload: Payload,
        recorded_at: datetime,
        *,
        after: int | None = None,
        alive: datetime | None = None,
    ) -> Event:
        """Add one event to the end of a stream; see `append_many`."""
        entries = [Entry(kind, at, payload)]
        return self.append_many(stream, entries, recorded_at, after=after, alive=alive)[0]

    def append_many(
        self,
        stream: str,
        entries: Iterable[Entry | tuple[str, datetime, Payload]],
        recorded_at: datetime,
        *,
        after: int | None = None,
        alive: datetime | None = None,
    ) -> list[Event]:
        """Add events to the end of a stream, all of them or none.

        Args:
            stream: name of the stream, made by its first event.
            entries: kind, instant and payload of each; floats come back bit for bit.
            recorded_at: the wall clock's now; aware.
            after: `seq` of the last event the writer knows (0: of an empty stream), if it must be
                the only writer.
            alive: with `after`, that event's last beat that the writer knows, or its own instant.

        Returns:
            The events as `read` gives them.

        Raises:
            Overtaken: another writer was faster.
            LedgerError: a payload is not plain JSON or holds NaN or infinity, an instant has no
                time zone, or the database fails. If it fails in the moment of the commit, all of
                it may be kept nevertheless: read the stream before writing it again.
        """
        texts = [
            (_name(kind), _instant(at), canonical_json(payload)) for kind, at, payload in entries
        ]
        recorded = _instant(recorded_at)
        with self._table.writing() as connection:
            head = self._table.newest(_name(stream), connection=connection)
            seq, prev_hash = (head.seq, head.hash) if head else (0, GENESIS)
            _check_alone(stream, seq, after)
            if alive is not None and head is not None:
                beat = self._table.beat_of(stream, seq, connection) or head.at
                if beat != _instant(alive):
                    raise Overtaken(f"{stream}: whoever wrote event {seq} is alive, at {beat}")
            rows = []
            for kind, at, payload in texts:
                seq += 1
                link = _Link(stream, seq, kind, at, recorded, payload, prev_hash)
                prev_hash = link.hash()
                rows.append({**link._asdict(), "hash": prev_hash})
            if rows:
                self._table.insert(connection, rows)
        return [_event(**row) for row in rows]

    def beat(self, stream: str, at: datetime, *, after: int) -> None:
        """Note that whoever wrote the newest event of a stream is alive, over the note before.

        A sign of life every minute would be half a million events a year, of which only the newest
        is ever asked for; so it is no event, and no hash covers it.

        Args:
            after: `seq` of that event.

        Raises:
            Overtaken: there is a newer event.
            LedgerError: the instant has no time zone, or the database fails.
        """
        text = _instant(at)
        with self._table.writing() as connection:
            head = self._table.newest(_name(stream), connection=connection)
            _check_alone(stream, head.seq if head else 0, after)
            self._table.beat(connection, stream, after, text)

    def beat_of(self, event: Event) -> datetime | None:
        """The last sign of life of whoever wrote an event; None: none since."""
        at = self._table.beat_of(event.stream, event.seq)
        return datetime.fromisoformat(at) if at else None

    def read(self, stream: str, after: int | None = None, kind: str | None = None) -> list[Event]:
        """Events of a stream with `seq` above `after`, of one kind or of all, oldest first."""
        return [_event(**row._mapping) for row in self._table.rows(stream, after, kind)]

    def last(self, stream: str, kind: str | None = None) -> Event | None:
        """The newest event of a stream, of one kind or of all; None if there is none."""
        row = self._table.newest(stream, kind)
        return _event(**row._mapping) if row else None

    def first(self, stream: str) -> Event | None:
        """The oldest event of a stream; None if there is none."""
        row = self._table.oldest(stream)
        return _event(**row._mapping) if row else None

    def streams(self) -> list[str]:
        """Names of all streams, in order."""
        return self._table.streams()

    def verify(self, stream: str) -> int:
        """Walk a stream's whole chain; return how many events it has.

        Raises:
            BrokenChain: names the first event that is missing, was changed or was put in between.
        """
        prev_hash, rows = GENESIS, self._table.rows(stream)
        for seq, row in enumerate(rows, start=1):
            if complaint := _break(row, seq, prev_hash):
                raise BrokenChain(f"{stream}: event {seq} {complaint}; trust nothing from it on")
            prev_hash = row.hash
        return len(rows)


class _Link(NamedTuple):
    """What an event's hash covers, as it is stored."""

    stream: str
    seq: int
    kind: str
    at: str
    recorded_at: str
    payload: str
    prev_hash: str

    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()


def canonical_json(payload: Payload) -> str:
    """One spelling per value: sorted keys, no spaces, ASCII, floats as their shortest repr.

    Raises:
        LedgerError: it holds NaN, infinity, a key that is not text, or what JSON has no word for.
    """
    try:
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LedgerError(f"not to be journalled, {error}: {str(payload)[:200]}") from error
    if not _has_text_keys(payload):  # json would turn 1 and True into text, silently
        raise LedgerError(f"not to be journalled, a key is not text: {str(payload)[:200]}")
    return text


def _has_text_keys(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and _has_text_keys([*value.values()])
    if not isinstance(value, list | tuple):
        return True
    return all(type(each) in _SCALARS or _has_text_keys(each) for each in value)


def _check_alone(stream: str, seq: int, after: int | None) -> None:
    if after is not None and seq != after:
        raise Overtaken(
            f"{stream}: another writer is at event {seq}, this one knows up to {after}; "
            "only one session may trade: stop the other, or start this one again"
        )


def _name(name: str) -> str:
    if not name.isprintable():  # a NUL, half a surrogate pair: what not every database takes
        raise LedgerError(f"{name!r} cannot name a stream or a kind: it has unprintable characters")
    return name


def _instant(at: datetime) -> str:
    if at.tzinfo is None:
        raise LedgerError(f"{at} has no time zone; give instants in UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _event(**row: Any) -> Event:
    try:
        return Event(
            **row
            | {"at": datetime.fromisoformat(row["at"])}
            | {"recorded_at": datetime.fromisoformat(row["recorded_at"])}
            | {"payload": json.loads(row["payload"])}
        )
    except ValueError as error:
        raise LedgerError(f"{row['stream']}: event {row['seq']} is damaged: {error}") from error


def _break(row: "Row[Any]", seq: int, prev_hash: str) -> str | None:
    link = _Link._make(row[:-1])
    if link.seq != seq:
        return f"is missing (a gap: the next one is {link.seq})"
    if link.prev_hash != prev_hash:
        return "does not follow the one before it (another order, or one put in between)"
    return None if link.hash() == row.hash else "was changed (its hash is not that of its content)"
