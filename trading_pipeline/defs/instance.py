"""The local Dagster instance: where it lives, and how it is configured."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.defs.compute_logs import COMMAND_VARIABLE
from trading_pipeline.defs.origin import LOCATION
from trading_pipeline.errors import StoreError

HOME_VARIABLE = "DAGSTER_HOME"  # where a deployment says which instance it is
PROCESS_TAG = "trading_pipeline/process"
SESSION_TAG = "trading_pipeline/paper_session"  # names the market that a run trades
# Dagster hands events over in batches of this size, if the variable is set.
BATCH_VARIABLE, BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", "1000"
WORKSPACE = "workspace.yaml"  # where Dagster finds the assets, beside the instance's dagster.yaml

_YAML = """\
# Written by `trading-pipeline`; change it there, not here.
telemetry:
  enabled: false
nux:
  enabled: false
event_log_storage:
  module: trading_pipeline.defs.event_logs
  class: BatchedSqliteEventLog
  config:
    base_dir: {history}
compute_logs:
  module: trading_pipeline.defs.compute_logs
  class: ServedComputeLogs
  config:
    base_dir: {printed}
freshness:
  enabled: true
concurrency:
  pools:
    granularity: op
    default_limit: 1
  runs:
    max_concurrent_runs: 24 # paper sessions for months among them
    tag_concurrency_limits:
      - key: dagster/backfill
        limit: 6
      - key: trading_pipeline/paper_session
        value:
          applyLimitPerUniqueValue: true
        limit: 1
run_queue:
  max_user_code_failure_retries: 5 # a minute apart, while the code server is started anew
run_monitoring:
  enabled: true
  poll_interval_seconds: 60
  start_timeout_seconds: 300
  free_slots_after_run_end_seconds: 60
retention: # of what schedules and sensors found at each look
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days: {{skipped: 7, success: 30, failure: 30}}
scheduler:
  module: dagster._core.scheduler
  class: DagsterDaemonScheduler
  config:
    max_tick_retries: 10 # a night whose first look met a locked database is not lost
run_launcher:
  module: trading_pipeline.defs.launcher
  class: WatchedRunLauncher
"""
_WORKSPACE_YAML = f"""\
# Written by `trading-pipeline`; change it there, not here.
load_from:
  - python_module:
      module_name: trading_pipeline.definitions
      location_name: {LOCATION}
"""


def prepare_home(root: Path) -> Path:
    """Create `root`/dagster with its two files; return the absolute path, for DAGSTER_HOME."""
    home = root.absolute() / "dagster"
    # Dagster puts the path into URLs of SQLite as it is, and alembic into templates.
    if found := [each for each in "%?" if each in str(home)]:
        raise StoreError(
            f"{home} has {' and '.join(found)} in it, which Dagster cannot have in a path; "
            "choose another folder with TP_HOME or --out"
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        places = {"history": home / "history", "printed": home / "storage"}
        quoted = {name: json.dumps(str(at), ensure_ascii=False) for name, at in places.items()}
        text = _YAML.format(**quoted)
        _write_if_other(home / "dagster.yaml", text.encode())
        _write_if_other(home / WORKSPACE, _WORKSPACE_YAML.encode())
    except OSError as error:
        raise StoreError(
            f"cannot write to {home} ({error.strerror}); set TP_HOME to a folder that is writable"
        ) from error
    return home


def _write_if_other(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        replace_file(path, lambda draft: draft.write_bytes(content))


def leave_deployment() -> None:
    """From now on the instance is that below the root, whatever a deployment sets."""
    os.environ.pop(HOME_VARIABLE, None)


def has_records(root: Path) -> bool:
    """Whether `local_instance` would find any: those below `root` go before a deployment's."""
    if (root / "dagster").exists():
        leave_deployment()
        return True
    return HOME_VARIABLE in os.environ


@contextmanager
def local_instance(root: Path, alone: bool = False) -> Iterator[DagsterInstance]:
    """The instance below `root`, or of DAGSTER_HOME where a deployment sets it.

    What processes that were killed left behind is cleaned away first.

    Args:
        alone: the caller holds the lock of the root.
    """
    if HOME_VARIABLE not in os.environ:
        os.environ[HOME_VARIABLE] = str(prepare_home(root))
    os.environ.setdefault(BATCH_VARIABLE, BATCH_SIZE)
    os.environ[COMMAND_VARIABLE] = "1"
    try:
        with DagsterInstance.get() as instance:
            is_below = Path(instance.root_directory) == root.absolute() / "dagster"
            close_abandoned_runs(instance, alone and is_below)
            yield instance
    finally:
        os.environ.pop(COMMAND_VARIABLE, None)


def close_abandoned_runs(instance: DagsterInstance, alone: bool = False) -> list[str]:
    """Fail the runs whose process was killed, and free the pool slots they hold; their ids.

    A killed process cannot say goodbye, and the next run would wait for its slot forever.

    Args:
        alone: no other command works on these records, so that one of another host is on record
            only because they were copied from there. A paper session is not alone, and stays.
    """
    running = [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING]
    closed = []
    for run in instance.get_runs(RunsFilter(statuses=running)):
        process = process_of(run)
        elsewhere = alone and SESSION_TAG not in run.tags
        if process and has_ended(process, elsewhere):
            instance.report_run_failed(run, "The process of this run was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
    return closed


def process_of(run: DagsterRun) -> str | None:
    """The process of the command that a run was made by; None: the web UI or the daemon made it,
    also where they re-execute a command's run, whose tags they copy."""
    return None if run.parent_run_id else run.tags.get(PROCESS_TAG)


def this_process() -> str:
    """Host, process id and start of this process: the id alone is given out again."""
    return f"{socket.gethostname()} {os.getpid()} {_start_of(os.getpid())}"


def has_ended(process: str, elsewhere: bool = False) -> bool:
    """Whether a process of this host is no more; of another host's nothing is known, so that it is
    what `elsewhere` says."""
    host, pid, start = process.rsplit(" ", 2)
    if host != socket.gethostname():
        return elsewhere
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, so the id was given out again
        return True
    return _start_of(int(pid)) != start


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's ticks; '0' where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    return stat.rpartition(")")[2].split()[19]  # field 22; the name before may hold anything
