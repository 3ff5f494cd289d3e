"""Dagster's launcher of runs as processes of a code server, which also sees that one is gone.

A server that is killed takes its runs with it, and Dagster's own launcher asks after none of them:
they would be under way for good, and keep the slots of their pools from every later night.
"""

import json
from collections import Counter

import dagster as dg
import psutil
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from trading_pipeline.defs.instance import has_ended, process_of

PATIENCE = 3  # looks in a row at which a server does not answer
_FIRST = 20  # events of Dagster's own, among which a process says its id
_SLACK = 5  # seconds between the start of a process and what it says first
_RUNNING = CheckRunHealthResult(WorkerStatus.RUNNING)


class WatchedRunLauncher(DefaultRunLauncher):
    """The default one, for `run_launcher` of dagster.yaml.

    A server at a socket is of this machine, and so are its processes, whose ids are on record. One
    at a port is asked: it has to be `dagster api grpc`, for `dagster code-server` forgets at each
    reload what runs there are.
    """

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._unanswered = Counter[str]()

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster asks where `run_monitoring` is on."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run that has begun is still there."""
        if process := process_of(run):
            return _lost("its command was killed") if has_ended(process) else _RUNNING
        place = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if place.get("socket"):
            return _lost("its process was killed") if self._is_gone(run) else _RUNNING
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        return _RUNNING if client is None else self._answer(client, run.run_id)

    def _is_gone(self, run: dg.DagsterRun) -> bool:
        """Whether the process of this machine has ended that said first that it is the run's."""
        said = self._instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, limit=_FIRST
        )
        for record in said.records:
            entry = record.event_log_entry
            told = entry.dagster_event and entry.dagster_event.engine_event_data.metadata.get("pid")
            if told:
                return not _lives(int(str(told.value)), since=entry.timestamp)
        return False

    def _answer(self, client: DagsterGrpcClient, run_id: str) -> CheckRunHealthResult:
        """What the server says, which may be starting or busy."""
        try:
            told = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id))
        except DagsterUserCodeUnreachableError:
            self._unanswered[run_id] += 1
            if self._unanswered[run_id] < PATIENCE:
                return _RUNNING
            return _lost("its code server has not answered for minutes")
        del self._unanswered[run_id]
        if deserialize_value(told, CanCancelExecutionResult).can_cancel:
            return _RUNNING
        return _lost("its code server was started anew and does not know it")


def _lost(why: str) -> CheckRunHealthResult:
    return CheckRunHealthResult(WorkerStatus.NOT_FOUND, why)


def _lives(pid: int, since: float) -> bool:
    """Whether the process is that of an instant, and not a later one with its id."""
    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return not dead and bool(process.create_time() < since + _SLACK)
    except psutil.NoSuchProcess:
        return False
