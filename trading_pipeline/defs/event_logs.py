"""Dagster's event logs, but a batch of events is one transaction and not thousands.

A run over 3,400 daily partitions writes two events for each; connections and commits for every one
make that minutes, several times as long as these classes (benchmarks/event_log.py).
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from dagster import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log.event_log import PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy.engine import Connection


class BatchedSqliteEventLog(SqliteEventLogStorage):
    """Of a laptop: a file a run, and an index of all."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._batch = threading.local()  # the connections of the batch that a thread writes
        super().__init__(base_dir, inst_data)
        # The batch holds the lock on both files; its events take it again.
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        opened: dict[str, Connection] = getattr(self._batch, "opened", {})
        if shard in opened:
            yield opened[shard]
        else:
            if not Path(self.path_for_shard(shard)).exists():
                self._initialized_dbs.discard(shard)  # it was pruned, perhaps by another process
            with super()._connect(shard) as connection:
                yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """All events of one run, in one transaction on each of the two files they go to."""
        run_id = events[0].run_id
        with self._connect(run_id) as run, self._connect(INDEX_SHARD_NAME) as index:
            self._batch.opened = {run_id: run, INDEX_SHARD_NAME: index}
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch.opened = {}


class BatchedPostgresEventLog(PostgresEventLogStorage):
    """Of a server."""

    def __init__(self, postgres_url: str, **others: Any) -> None:
        self._batch = threading.local()  # the connection of the batch that a thread writes
        super().__init__(postgres_url, **others)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(pg_url_from_config(config_value), inst_data=inst_data)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        opened: Connection | None = getattr(self._batch, "opened", None)
        if opened is not None:
            yield opened
        else:
            with super()._connect() as connection:
                yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """All events of one run, in one transaction."""
        with self.index_transaction() as connection:
            self._batch.opened = connection
            try:
                super().store_event_batch(events)
            finally:
                self._batch.opened = None
