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

from trading_pipeline.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Row

GENESIS = "0" * 64  # what the first event of a stream has as the hash before it

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

    Raises:
        LedgerError: the database cannot be opened, or holds something else.
    """

    def __init__(self, place: Path | str) -> None:
        from trading_pipeline.adapters.store.event_table import EventTable

        self._table = EventTable(place)

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
    ) -> Event:
        """Add one event to the end of a stream; see `append_many`."""
        return self.append_many(stream, [Entry(kind, at, payload)], recorded_at, after=after)[0]

    def append_many(
        self,
        stream: str,
        entries: Iterable[Entry | tuple[str, datetime, Payload]],
        recorded_at: datetime,
        *,
        after: int | None = None,
    ) -> list[Event]:
        """Add events to the end of a stream, all of them or none.

        Args:
            stream: name of the stream, made by its first event.
            entries: kind, instant and payload of each; floats come back bit for bit.
            recorded_at: the wall clock's now; aware.
            after: `seq` of the last event the writer knows (0: of an empty stream), if it must be
                the only writer.

        Returns:
            The events as `read` gives them.

        Raises:
            LedgerError: another writer was faster, a payload is not plain JSON or holds NaN or
                infinity, an instant has no time zone, or the database fails.
        """
        texts = [(kind, _instant(at), canonical_json(payload)) for kind, at, payload in entries]
        recorded = _instant(recorded_at)
        with self._table.writing() as connection:
            head = self._table.newest(stream, connection=connection)
            seq, prev_hash = (head.seq, head.hash) if head else (0, GENESIS)
            if after is not None and seq != after:
                raise LedgerError(
                    f"{stream}: another writer is at event {seq}, this one knows up to {after}; "
                    "only one session may trade: stop the other, or start this one again"
                )
            rows = []
            for kind, at, payload in texts:
                seq += 1
                link = _Link(stream, seq, kind, at, recorded, payload, prev_hash)
                prev_hash = link.hash()
                rows.append({**link._asdict(), "hash": prev_hash})
            if rows:
                self._table.insert(connection, rows)
        return [_event(**row) for row in rows]

    def read(self, stream: str, after: int | None = None, kind: str | None = None) -> list[Event]:
        """Events of a stream with `seq` above `after`, of one kind or of all, oldest first."""
        return [_event(**row._mapping) for row in self._table.rows(stream, after, kind)]

    def last(self, stream: str, kind: str | None = None) -> Event | None:
        """The newest event of a stream, of one kind or of all; None if there is none."""
        row = self._table.newest(stream, kind)
        return _event(**row._mapping) if row else None

    def verify(self, stream: str) -> int:
        """Walk a stream's whole chain; return how many events it has.

        Raises:
            LedgerError: names the first event that is missing, was changed or was put in between.
        """
        prev_hash, rows = GENESIS, self._table.rows(stream)
        for seq, row in enumerate(rows, start=1):
            if complaint := _break(row, seq, prev_hash):
                raise LedgerError(f"{stream}: event {seq} {complaint}; trust nothing from it on")
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
        return all(isinstance(key, str) and _has_text_keys(value[key]) for key in value)
    return not isinstance(value, list | tuple) or all(map(_has_text_keys, value))


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
        return "is missing"
    if link.prev_hash != prev_hash:
        return "does not follow the one before it"
    return None if link.hash() == row.hash else "was changed"
