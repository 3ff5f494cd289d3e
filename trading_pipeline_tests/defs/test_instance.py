"""The local instance: its event log, and what killed processes left behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from sqlalchemy import select

from trading_pipeline.defs import instance as module
from trading_pipeline.defs.event_logs import BatchedPostgresEventLog, BatchedSqliteEventLog
from trading_pipeline.defs.instance import (
    BATCH_VARIABLE,
    PROCESS_TAG,
    SESSION_TAG,
    close_abandoned_runs,
    has_records,
    local_instance,
    prepare_home,
    this_process,
)
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.errors import StoreError

DAYS = dg.DailyPartitionsDefinition("2020-01-01", end_date="2020-10-01")
COUNT = 274
_TABLES = (SqlEventLogStorageTable, AssetKeyTable, AssetEventTagsTable, AssetCheckExecutionsTable)
COMPOSE = Path(__file__).parents[2] / "docker"


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def bars() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 7})


@pytest.fixture
def instance(tmp_path, monkeypatch, no_dagster_home):
    """A real one, on SQLite files."""
    monkeypatch.setenv(BATCH_VARIABLE, "100")
    with local_instance(tmp_path) as made:
        yield made


@pytest.fixture
def served(tmp_path, monkeypatch, postgres):
    """One of compose: what `docker/dagster.yaml` says, at a server of this machine."""
    url = postgres.empty_database().replace("postgresql:", "postgresql+psycopg2:")
    monkeypatch.setenv("POSTGRES_URL", url)
    monkeypatch.setenv(BATCH_VARIABLE, "100")
    config = (COMPOSE / "dagster.yaml").read_text().replace("/data/", f"{tmp_path}/")
    (tmp_path / "dagster.yaml").write_text(config)
    with DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def backfill(instance: DagsterInstance, last: str) -> str:
    """The id of one run over all days up to the last."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tags = range_tags("2020-01-01", last)
    return dg.materialize([bars], instance=instance, tags=tags, run_config=quiet).run_id


@pytest.mark.slow
def test_a_backfill_in_one_run_records_every_partition(instance):
    """In the index, which is of all runs, and in the file of the run."""
    assert isinstance(instance.event_log_storage, BatchedSqliteEventLog)
    run_id = backfill(instance, "2020-09-30")
    assert instance.get_materialized_partitions(bars.key) == set(DAYS.get_partition_keys())
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    made = [each.event_log_entry.dagster_event.partition for each in records]
    assert made == DAYS.get_partition_keys()
    assert len(made) == COUNT
    of_asset = instance.fetch_materializations(bars.key, limit=1000).records
    assert len(of_asset) == COUNT
    assert {each.run_id for each in of_asset} == {run_id}


@pytest.mark.slow
def test_the_events_of_a_run_can_be_read(instance):
    run_id = backfill(instance, "2020-01-09")
    newest = instance.get_latest_materialization_event(bars.key).asset_materialization
    assert newest.partition == "2020-01-09"
    assert newest.metadata["rows"].value == 7
    kinds = [each.dagster_event.event_type_value for each in instance.all_logs(run_id)]
    assert kinds[-1] == "PIPELINE_SUCCESS"
    assert kinds.count("PIPELINE_START") == 1
    assert kinds.count("ASSET_MATERIALIZATION") == 9
    instance.wipe_assets([bars.key])
    assert not instance.get_materialized_partitions(bars.key)


@pytest.mark.slow
def test_a_batch_that_fails_leaves_no_half_of_it(instance, monkeypatch):
    run_id = backfill(instance, "2020-01-20")
    log = instance.event_log_storage
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    before = len(instance.all_logs(run_id))
    monkeypatch.setattr(BatchedSqliteEventLog, "_store_asset_event", no_room)
    with pytest.raises(OSError, match="disk full"):
        log.store_event_batch(events)
    assert len(instance.all_logs(run_id)) == before
    monkeypatch.undo()
    log.store_event(events[0])  # the log is usable again, without the batch's connections
    assert len(instance.all_logs(run_id)) == before + 1


@dg.asset(deps=[bars], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def features(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log_event(dg.AssetObservation(context.asset_key, tags={"seen": "once"}))
    return dg.MaterializeResult(tags={"of": "day"})


def rows_of(log: SqliteEventLogStorage, run_id: str) -> dict[str, list[tuple]]:
    """All rows of all tables of both files, but for when they were written."""
    found = {}
    for shard in (run_id, INDEX_SHARD_NAME):
        with log._connect(shard) as connection:
            for table in _TABLES:
                columns = [each for each in table.columns if each.name != "create_timestamp"]
                found[f"{shard[:5]}/{table.name}"] = list(
                    connection.execute(select(*columns).order_by(table.c.id))
                )
    return found


@pytest.mark.slow
def test_a_batch_writes_what_dagster_writes_event_by_event(instance, tmp_path):
    """Planned, materialized and observed partitions of two assets, with tags, among others."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tags = range_tags("2020-01-01", "2020-01-09")
    run_id = dg.materialize([bars, features], instance=instance, tags=tags, run_config=quiet).run_id
    whole = instance.all_logs(run_id)
    planned = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    for name, events in (("planned", planned), ("whole", whole)):
        ours = BatchedSqliteEventLog(str(tmp_path / name))
        ours.store_event_batch(events)
        theirs = SqliteEventLogStorage(str(tmp_path / f"{name}_by_dagster"))
        for event in events:
            theirs.store_event(event)
        written = rows_of(ours, run_id)
        assert written == rows_of(theirs, run_id)
    assert len(written["index/asset_event_tags"]) >= 9
    assert len(written["index/asset_keys"]) == 2


@pytest.mark.slow
def test_compose_records_every_partition_and_no_half_of_a_batch(served, monkeypatch):
    log = served.event_log_storage
    assert isinstance(log, BatchedPostgresEventLog)
    run_id = backfill(served, "2020-09-30")
    assert served.get_materialized_partitions(bars.key) == set(DAYS.get_partition_keys())
    for kind in ("ASSET_MATERIALIZATION", "ASSET_MATERIALIZATION_PLANNED"):
        events = served.all_logs(run_id, of_type=dg.DagsterEventType(kind))
        assert len(events) == COUNT
        with monkeypatch.context() as broken:
            broken.setattr(BatchedPostgresEventLog, "_store_asset_event", no_room)
            with pytest.raises(OSError, match="disk full"):
                log.store_event_batch(events)
        assert len(served.all_logs(run_id, of_type=dg.DagsterEventType(kind))) == COUNT
        log.store_event(events[0])  # the log is usable again, without the batch's connection
        assert len(served.all_logs(run_id, of_type=dg.DagsterEventType(kind))) == COUNT + 1
    newest = served.get_latest_materialization_event(bars.key).asset_materialization
    assert newest.metadata["rows"].value == 7


def no_room(*args):
    raise OSError("disk full")


@dg.asset_check(asset=bars)
def all_of_them() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["instance", pytest.param("served", marks=pytest.mark.slow)])
def test_a_check_of_no_partition_is_planned_once_and_not_for_every_day(kept, request):
    """What is planned for a day would stay planned: the evaluation is of no day."""
    instance = request.getfixturevalue(kept)
    jobs = [dg.define_asset_job("made")]
    location = dg.Definitions([bars], jobs=jobs, asset_checks=[all_of_them])
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    run = location.resolve_job_def("made").execute_in_process(
        instance=instance, tags=range_tags("2020-01-01", "2020-03-01"), run_config=quiet
    )
    key = dg.AssetCheckKey(bars.key, "all_of_them")
    log = instance.event_log_storage
    (done,) = log.get_asset_check_execution_history(key, limit=100)
    assert done.status == AssetCheckExecutionRecordStatus.SUCCEEDED
    assert (done.run_id, done.partition) == (run.run_id, None)


@pytest.mark.slow
def test_a_batch_of_a_run_whose_file_was_pruned_is_stored(instance):
    """Another process prunes it: a session that was paused for months goes on afterwards."""
    run_id = backfill(instance, "2020-01-20")
    log = instance.event_log_storage
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    Path(log.path_for_shard(run_id)).unlink()
    log.store_event_batch(events)
    assert len(instance.all_logs(run_id)) == len(events) == 20


def test_the_home_says_what_it_is_configured_with(tmp_path):
    home = prepare_home(tmp_path)
    config = yaml.safe_load((home / "dagster.yaml").read_text())
    assert config["event_log_storage"]["config"]["base_dir"] == str(home / "history")
    assert config["telemetry"]["enabled"] is False
    (home / "dagster.yaml").write_text("half of")  # as a kill would leave it
    assert yaml.safe_load((prepare_home(tmp_path) / "dagster.yaml").read_text()) == config


def test_a_home_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/home/dagster .*set TP_HOME"):
        prepare_home(tmp_path / "file" / "home")


def started_by(instance: DagsterInstance, process: str) -> dg.DagsterRun:
    """A run that such a process has left in the middle, with the slot it holds."""
    job = dg.define_asset_job("made", [bars]).resolve(
        asset_graph=dg.Definitions([bars]).resolve_asset_graph()
    )
    run = instance.create_run_for_job(
        job, tags={PROCESS_TAG: process}, status=DagsterRunStatus.STARTED
    )
    instance.event_log_storage.initialize_concurrency_limit_to_default("duckdb")
    instance.event_log_storage.claim_concurrency_slot("duckdb", run.run_id, "bars")
    return run


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def holders(instance: DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info("duckdb").active_run_ids


@pytest.mark.parametrize("kind", ["ended", "id given out again"])
@pytest.mark.slow
def test_the_run_of_a_killed_process_is_closed_and_its_slot_freed(instance, kind):
    host, pid, start = this_process().rsplit(" ", 2)
    dead = f"{host} {pid} {int(start) - 1}" if kind != "ended" else f"{host} {ended_process()} 1"
    run = started_by(instance, dead)
    assert holders(instance) == {run.run_id}
    assert close_abandoned_runs(instance) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
    assert not holders(instance)
    assert close_abandoned_runs(instance) == []


@pytest.mark.parametrize("kind", ["alive", "of another host"])
@pytest.mark.slow
def test_the_run_of_a_process_that_may_live_is_left_alone(instance, kind):
    process = this_process() if kind == "alive" else f"not-{socket.gethostname()} 99999999 1"
    run = started_by(instance, process)
    assert close_abandoned_runs(instance) == []
    assert holders(instance) == {run.run_id}
    assert str(os.getpid()) in this_process()


@pytest.mark.parametrize("is_session", [False, True])
@pytest.mark.slow
def test_the_run_of_a_host_that_a_home_was_copied_from_has_ended(instance, is_session):
    """Whoever is alone in a home knows that no other command works there; a session may."""
    run = started_by(instance, f"not-{socket.gethostname()} 99999999 1")
    if is_session:
        instance.add_run_tags(run.run_id, {SESSION_TAG: "sample"})
    closed = close_abandoned_runs(instance, alone=True)
    assert (closed, holders(instance)) == (
        ([], {run.run_id}) if is_session else ([run.run_id], set())
    )


@pytest.mark.slow
def test_a_command_that_is_alone_says_so_of_its_own_records_only(tmp_path, monkeypatch, instance):
    """A deployment's are those of several hosts."""
    told = []
    monkeypatch.setattr(module, "close_abandoned_runs", lambda _, alone: told.append(alone))
    with local_instance(tmp_path / "other", alone=True):
        pass
    home = Path(instance.root_directory).parent
    for alone in (False, True):
        with local_instance(home, alone):
            pass
    assert told == [False, False, True]


def test_one_place_knows_where_a_deployment_names_its_instance():
    """Whoever else read or set the variable would see another instance."""
    package = Path(__file__).parents[2] / "trading_pipeline"
    spelled = [path for path in package.rglob("*.py") if "DAGSTER_HOME" in path.read_text()]
    assert spelled == [package / "defs" / "instance.py"]


def test_records_of_a_home_go_before_those_of_a_deployment(tmp_path, monkeypatch, no_dagster_home):
    assert not has_records(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "of a deployment")
    assert has_records(tmp_path)
    prepare_home(tmp_path)
    assert has_records(tmp_path)
    assert "DAGSTER_HOME" not in os.environ
