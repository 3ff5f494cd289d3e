"""What old runs said goes, what they made stays on record: on SQLite and on PostgreSQL."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster_postgres import PostgresEventLogStorage

from trading_pipeline.defs.history import KEPT, prune
from trading_pipeline.defs.instance import prepare_home

NOW = datetime.now(UTC)
LATER = NOW + KEPT + timedelta(days=1)


@dg.asset(check_specs=[dg.AssetCheckSpec("fine", asset="one")])
def one(context):
    context.log.info("a line that nobody reads again")
    print("nor this one")
    return dg.MaterializeResult(
        metadata={"rows": 7}, check_results=[dg.AssetCheckResult(passed=True, check_name="fine")]
    )


@dg.op
def breaks():
    raise ValueError("as it should")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def kept(request, tmp_path):
    """An instance that keeps its records on disk or in a server."""
    if request.param == "sqlite":
        with dg.DagsterInstance.from_config(str(prepare_home(tmp_path))) as instance:
            yield instance
        return
    url = request.getfixturevalue("postgres").empty_database()
    url = url.replace("postgresql:", "postgresql+psycopg2:")
    overrides = {"telemetry": {"enabled": False}, "storage": {"postgres": {"postgres_url": url}}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        yield instance


def age(instance, run, days):
    """Time passes: SQLite's files get older, and so do Dagster's others beside them."""
    then = (LATER - timedelta(days=days)).timestamp()
    for name in (run, "index", "runs"):
        path = Path(instance.root_directory, "history", f"{name}.db")
        if path.exists():
            os.utime(path, (then, then))


def said(instance, run):
    return [each.message for each in instance.all_logs(run)]


@pytest.mark.slow
def test_what_was_made_stays_and_what_was_said_goes(kept):
    made = dg.materialize([one], instance=kept).run_id
    failed = dg.GraphDefinition("job", node_defs=[breaks]).to_job()
    broken = failed.execute_in_process(instance=kept, raise_on_error=False).run_id
    assert "a line that nobody reads again" in " ".join(said(kept, made))
    printed = Path(kept.root_directory, "storage", made, "compute_logs")
    assert printed.is_dir()

    for run in (made, broken):
        age(kept, run, days=KEPT.days + 1)
    assert prune(kept, LATER) == 2
    assert "a line that nobody reads again" not in " ".join(said(kept, made))
    assert not printed.parent.exists()

    assert kept.get_run_by_id(made).status == dg.DagsterRunStatus.SUCCESS
    event = kept.get_latest_materialization_event(dg.AssetKey("one"))
    assert event.asset_materialization.metadata["rows"].value == 7
    key = dg.AssetCheckKey(dg.AssetKey("one"), "fine")
    (check,) = kept.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert check.event.dagster_event.asset_check_evaluation_data.passed
    for kind, run in {"RUN_SUCCESS": made, "RUN_FAILURE": broken}.items():
        changes = dg.RunStatusChangeRecordsFilter(getattr(dg.DagsterEventType, kind))
        (end,) = kept.fetch_run_status_changes(changes, limit=10).records
        assert end.event_log_entry.run_id == run


@pytest.mark.slow
def test_what_was_said_lately_is_kept_and_what_a_session_says_that_goes_on(kept):
    lately = dg.materialize([one], instance=kept).run_id
    session = kept.create_run_for_job(dg.GraphDefinition("job", node_defs=[breaks]).to_job())
    kept.report_engine_event("it trades", session)
    assert prune(kept, LATER - timedelta(days=2)) == 0
    assert "a line that nobody reads again" in " ".join(said(kept, lately))
    age(kept, session.run_id, days=1)
    prune(kept, LATER)
    assert "it trades" in said(kept, session.run_id)


@pytest.mark.slow
def test_a_session_of_months_that_ended_yesterday_keeps_all_that_it_said(kept):
    """What it printed last says why it ended."""
    run = dg.materialize([one], instance=kept).run_id
    if isinstance(log := kept.event_log_storage, PostgresEventLogStorage):
        began = (NOW - KEPT - timedelta(days=9)).replace(tzinfo=None)
        with log.index_connection() as connection:
            connection.execute(Events.update().values(timestamp=began))
    assert prune(kept, NOW + timedelta(days=1)) == 0
    assert "a line that nobody reads again" in " ".join(said(kept, run))
    assert Path(kept.root_directory, "storage", run, "compute_logs").is_dir()
