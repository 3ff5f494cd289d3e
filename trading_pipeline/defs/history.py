"""Dagster's own history: what old runs said is thrown away, what they made stays on record.

Dagster keeps every event of every run for good, about 1 MB a run here. Of runs of long ago only
what they made, what was checked and how they ended is asked for again.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlalchemy_compat import db_select

KEPT = timedelta(days=30)
_ANY_RUN = "-".join("?" * digits for digits in (8, 4, 4, 4, 12))  # its id; Dagster has others there
_STAY = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}


def history(clock: Callable[[], datetime]) -> dg.SensorDefinition:
    """One for all markets; it asks for no run, which would be history itself."""

    @dg.sensor(
        name="history",
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Throws away what runs said more than {KEPT.days} days ago: steps and log "
        "lines. What they made, what was checked and how they ended stays on record.",
    )
    def forget(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(f"runs whose log was thrown away: {prune(context.instance, clock())}")

    return forget


def prune(instance: dg.DagsterInstance, now: datetime, kept: timedelta = KEPT) -> int:
    """Throw away what runs said more than `kept` ago; of how many runs."""
    log = instance.event_log_storage
    if isinstance(log, SqliteEventLogStorage):
        pruned = _forget_files(log, now - kept)
    elif isinstance(log, SqlEventLogStorage):
        pruned = _forget_rows(log, now - kept, instance)
    else:
        return 0
    for run in pruned:
        instance.compute_log_manager.delete_logs(prefix=[run, "compute_logs"])
        with suppress(OSError):  # somebody else keeps something there, or nobody did
            Path(instance.storage_directory(), run).rmdir()
    return len(pruned)


def _forget_files(log: SqliteEventLogStorage, before: datetime) -> list[str]:
    """SQLite has a file for each run, and what stays in an index besides."""
    old = old_logs(Path(log.path_for_shard(_ANY_RUN)).parent, before)
    for path in old:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{end}").unlink(missing_ok=True)
    return [path.stem for path in old]


def old_logs(folder: Path, before: datetime) -> list[Path]:
    """The files of runs in a folder of SQLite that said nothing since."""
    runs = folder.glob(f"{_ANY_RUN}.db")
    return [path for path in runs if path.stat().st_mtime < before.timestamp()]


def _forget_rows(
    log: SqlEventLogStorage, before: datetime, instance: dg.DagsterInstance
) -> list[str]:
    """PostgreSQL has one table of all; a run, such as a session of months, keeps its own until it
    has been over as long."""
    going = dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES))
    lately = dg.RunsFilter(updated_after=before)
    kept = {run for each in (going, lately) for run in instance.get_run_ids(each)}
    kind = Events.c.dagster_event_type
    said = sa.and_(
        Events.c.timestamp < before.replace(tzinfo=None),
        Events.c.run_id.not_in(kept),
        sa.or_(kind.is_(None), kind.not_in([each.value for each in _STAY])),
    )
    with log.index_connection() as connection:
        found = connection.execute(db_select([Events.c.run_id]).where(said).distinct()).fetchall()
        connection.execute(Events.delete().where(said))
    return [run for (run,) in found]
