"""Does the daemon see that the process of a run is gone? With real code servers and real kills."""

import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import dagster as dg
import psutil
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._grpc.client import DagsterGrpcClient

from trading_pipeline.defs.instance import PROCESS_TAG, prepare_home, this_process
from trading_pipeline.defs.launcher import PATIENCE, WatchedRunLauncher
from trading_pipeline_tests.postgres import free_port

STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE
SLEEPS = """
import os
import time
from pathlib import Path
import dagster as dg

@dg.op
def sleep():
    Path(__file__).with_name("process").write_text(str(os.getpid()))
    time.sleep(600)

@dg.job(executor_def=dg.in_process_executor)
def sleeps():
    sleep()

defs = dg.Definitions(jobs=[sleeps])
"""


class Machine:
    """An instance, its code server, and a run that sleeps."""

    def __init__(self, folder, instance, place):
        self.instance, self.place = instance, place
        self.file = folder / "sleeps.py"
        self.file.write_text(SLEEPS)
        self.client = DagsterGrpcClient(host="localhost", **place)
        self.server = None

    def serve(self):
        (name, where), *_ = self.place.items()
        words = ["api", "grpc", "--python-file", str(self.file), f"--{name}", str(where)]
        self.server = subprocess.Popen(
            [sys.executable, "-m", "dagster", *words], start_new_session=True
        )
        until(lambda: self.client.health_check_query() == "SERVING")

    def launch(self):
        place = GrpcServerCodeLocationOrigin("localhost", **self.place, location_name="here")
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(place, "__repository__"), "sleeps")
        run = create_run_for_test(self.instance, "sleeps", remote_job_origin=origin)
        WatchedRunLauncher.launch_run_from_grpc_client(self.instance, run, self.client)
        until(lambda: self.status(run) == STARTED)
        return run

    def status(self, run):
        return self.instance.get_run_by_id(run.run_id).status

    def look(self, times=1):
        """What the daemon does every minute."""
        here = SimpleNamespace(instance=self.instance, create_request_context=lambda: None)
        for _ in range(times):
            assert not any(execute_run_monitoring_iteration(here, logging.getLogger("look")))

    def process(self):
        """The one of the run."""
        told = self.file.with_name("process")
        until(lambda: told.exists() and told.read_text())
        return psutil.Process(int(told.read_text()))

    def kill(self):
        """The server and its runs, as a container ends."""
        with suppress(ProcessLookupError):  # all of them are gone
            os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()


def until(come):
    limit = time.monotonic() + 120
    while not come():
        assert time.monotonic() < limit
        time.sleep(0.1)


@contextmanager
def machine(folder, place):
    home = prepare_home(folder / "home")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        made = Machine(folder, instance, place)
        made.serve()
        try:
            yield made
        finally:
            made.kill()


@pytest.mark.slow
def test_a_run_whose_code_server_was_killed_fails(tmp_path, no_dagster_home):
    """It was under way for good, with the slots of its pools. A server that is started anew does
    not know it; one that does not come back is waited for, a few looks long."""
    with machine(tmp_path, {"port": free_port()}) as here:
        runs = [here.launch(), here.launch()]
        here.look(2 * PATIENCE)
        assert [here.status(run) for run in runs] == [STARTED, STARTED]
        here.kill()
        here.look(PATIENCE - 1)
        assert here.status(runs[0]) == STARTED
        here.look()
        assert here.status(runs[0]) == FAILURE
        here.serve()
        last = here.launch()
        here.kill()
        here.serve()
        here.look()
        assert here.status(last) == FAILURE
        said = here.instance.all_logs(last.run_id)[-1].message
        assert "its code server was started anew and does not know it" in said


@pytest.mark.slow
def test_a_run_of_this_machine_lives_as_long_as_its_process(tmp_path, no_dagster_home):
    """At a socket, as `trading-pipeline ui` has it: there a reload makes another server, which
    knows of none of the runs before, and they go on."""
    with machine(tmp_path, {"socket": str(tmp_path / "socket")}) as here:
        run, process = here.launch(), here.process()
        here.server.kill()
        here.server.wait()
        here.look(2 * PATIENCE)
        assert here.status(run) == STARTED
        process.kill()
        until(lambda: not process.is_running())
        here.look()
        assert here.status(run) == FAILURE


@pytest.mark.slow
@pytest.mark.parametrize(("later", "status"), [("", STARTED), ("0", FAILURE)])
def test_a_run_of_a_command_lives_as_long_as_the_command(tmp_path, no_dagster_home, later, status):
    """A process that began later and has its id is another one."""
    with dg.DagsterInstance.from_config(str(prepare_home(tmp_path))) as instance:
        tags = {PROCESS_TAG: this_process() + later}
        run = create_run_for_test(instance, "download", status=STARTED, tags=tags)
        here = SimpleNamespace(instance=instance, create_request_context=lambda: None)
        list(execute_run_monitoring_iteration(here, logging.getLogger("look")))
        assert instance.get_run_by_id(run.run_id).status == status
