"""Dagster's event logs, but a batch of events is one transaction and not thousands.

A run over 3,400 daily partitions writes two events for each; connections, commits and statements
for every one make that minutes, many times as long as these classes (benchmarks/event_log.py).
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from dagster import DagsterEventType, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log.event_log import PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy.engine import Connection

_OF_ASSETS = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
}


def _is_of_asset(event: EventLogEntry) -> bool:
    known = event.dagster_event
    return known is not None and known.event_type in _OF_ASSETS and known.asset_key is not None


class _Batched(SqlEventLogStorage):
    """What both have in common."""

    def _store_in_order(self, events: Sequence[EventLogEntry]) -> None:
        """Events of one run, in the transaction that is open."""
        for of_asset, stretch in groupby(events, _is_of_asset):
            if of_asset:
                self._store_asset_events(list(stretch))
            else:
                for event in stretch:
                    self.store_event(event)

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        """As `store_event` does for each, but the page of an asset is written once, for the last
        event of each kind replaces what those before it wrote."""
        numbers = self._insert(events[0].run_id, [self._event_to_row(event) for event in events])
        last: dict[Any, tuple[EventLogEntry, int]] = {}
        for event, number in zip(events, numbers, strict=True):
            known = event.get_dagster_event()
            last.pop(key := (known.asset_key, known.event_type), None)  # the newest comes last
            last[key] = event, number
        with self.index_transaction() as index:
            self._store_asset_event_tags(index, events, numbers)
            for event, number in last.values():
                self._store_asset_event(index, event, number)

    def _insert(self, run_id: str, rows: list[dict[str, Any]]) -> list[int]:
        """Insert rows of events; their numbers, in the same order."""
        with self.index_transaction() as index:
            number = Events.c.id
            inserted = Events.insert().returning(number, sort_by_parameter_order=True)
            return list(index.scalars(inserted, rows))

    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        """One planned row a check, which its evaluation then replaces, for no check of ours has
        partitions.

        Dagster would plan it for each partition of the run: thousands of rows which nothing ever
        replaces.
        """
        known = event.get_dagster_event()
        planned = known.asset_check_planned_data
        alone = AssetCheckEvaluationPlanned(
            asset_key=planned.asset_key, check_name=planned.check_name
        )
        whole = event._replace(dagster_event=known._replace(event_specific_data=alone))
        super()._store_asset_check_evaluation_planned(whole, event_id)


class BatchedSqliteEventLog(_Batched, SqliteEventLogStorage):
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
                self._store_in_order(events)
            finally:
                self._batch.opened = {}

    def _insert(self, run_id: str, rows: list[dict[str, Any]]) -> list[int]:
        with self.run_connection(run_id) as run:
            run.execute(Events.insert(), rows)
        return super()._insert(run_id, rows)


class BatchedPostgresEventLog(_Batched, PostgresEventLogStorage):
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
                self._store_in_order(events)
            finally:
                self._batch.opened = None
