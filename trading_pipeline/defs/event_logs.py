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
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log.event_log import PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy.engine import Connection


class _ChecksOfNoPartition(SqlEventLogStorage):
    """One planned row a check, which its evaluation then replaces, for no check of ours has
    partitions.

    Dagster would plan it for each partition of the run: thousands of rows which nothing ever
    replaces.
    """

    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        known = event.get_dagster_event()
        planned = known.asset_check_planned_data
        alone = AssetCheckEvaluationPlanned(
            asset_key=planned.asset_key, check_name=planned.check_name
        )
        whole = event._replace(dagster_event=known._replace(event_specific_data=alone))
        super()._store_asset_check_evaluation_planned(whole, event_id)


class BatchedSqliteEventLog(_ChecksOfNoPartition, SqliteEventLogStorage):
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


class BatchedPostgresEventLog(_ChecksOfNoPartition, PostgresEventLogStorage):
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
