"""One machine that runs the pipeline: its home, a code server, Dagster's daemon, and its clock."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from trading_pipeline.adapters.store.lease import tenure_of
from trading_pipeline.defs.instance import BATCH_SIZE, BATCH_VARIABLE, prepare_home
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.postgres import free_port
from trading_pipeline_tests.week.moving_clock import VARIABLE, MovingClock

_PATIENCE = 1800  # seconds of real time without which nothing may come to pass
_LOOK = 0.1
_LEAP = 20.0  # seconds of the moving clock, while nobody works
_STRIDE = 1800.0  # the same, on the way to an instant
_WORK = (dg.DagsterRunStatus.NOT_STARTED, *IN_PROGRESS_RUN_STATUSES)
_PAPER = "_paper_trading"


@dataclass
class Machine:
    """What runs on it, and how its time passes.

    Time goes at its usual pace while a run works or a session is awake; where all sleep, or nothing
    is to be done, it leaps, and never further than to whoever wakes first.
    """

    folder: Path
    variables: Mapping[str, str]
    clock: MovingClock
    schedules: int  # that are on
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)  # markets whose session is meant to live

    def __post_init__(self) -> None:
        self.home = Home(root=str(self.folder / "home"), clock=self.clock.given)
        config = prepare_home(self.home.path) / "dagster.yaml"
        settings = yaml.safe_load(config.read_text())
        # A leap of the clock is no start that takes too long.
        settings["run_monitoring"]["start_timeout_seconds"] = 7 * 24 * 3600
        config.write_text(yaml.safe_dump(settings))
        place = {"host": "127.0.0.1", "port": self.port, "location_name": "week"}
        self.workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": place}]}))

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    # Processes

    def switch_on(self) -> None:
        """The code server, and when it answers the daemon."""
        module = "trading_pipeline_tests.week"
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        self._start([f"{module}.server", *place, "--module-name", f"{module}.location"])
        limit = time.monotonic() + _PATIENCE
        while self.dagster("api", "grpc-health-check", "--port", str(self.port)).returncode:
            assert time.monotonic() < limit, self.said()
            time.sleep(0.2)
        begun = self.clock.seconds()
        self._start([f"{module}.daemon", "--workspace", str(self.workspace)])
        while not self._schedules_are_kept(begun):
            assert time.monotonic() < limit, self.said()
            time.sleep(0.2)

    def switch_off(self) -> None:
        """As a power cut does."""
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()
        self.sessions.clear()

    def dagster(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of Dagster's, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "trading_pipeline_tests.week.command", *words],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )

    def _schedules_are_kept(self, begun: float) -> bool:
        """Whether the daemon has looked at every schedule since it was started."""
        beat = self.instance.get_daemon_heartbeats().get("SCHEDULER")
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        return beat is not None and beat.timestamp > begun and len(states) >= self.schedules

    def _start(self, words: list[str]) -> None:
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=self._environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.processes.append(process)

    @property
    def _environment(self) -> dict[str, str]:
        plain = {name: each for name, each in os.environ.items() if not name.startswith("TP_")}
        return plain | {
            "DAGSTER_HOME": str(self.home.path / "dagster"),
            BATCH_VARIABLE: BATCH_SIZE,
            VARIABLE: str(self.clock.path),
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }

    def said(self) -> str:
        """The end of what the processes wrote."""
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    # Records

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """What the processes write down, to be read."""
        return dg.DagsterInstance.from_config(str(self.home.path / "dagster"))

    def runs(self, *statuses: dg.DagsterRunStatus, job: str | None = None) -> list[dg.DagsterRun]:
        """Newest first."""
        wanted = dg.RunsFilter(job_name=job, statuses=list(statuses) or None)
        return list(self.instance.get_runs(wanted))

    # Time

    def until(self, come: Callable[[], object], what: str) -> None:
        """Let time pass until something has come to pass."""
        limit = time.monotonic() + _PATIENCE
        while not come():
            assert time.monotonic() < limit, f"{what}: not by {self.clock.now()}\n{self.said()}"
            self._pass(_LEAP)
            time.sleep(_LOOK)

    def go_to(self, instant: datetime) -> None:
        """Let time pass until an instant; runs that work meanwhile do so at its usual pace."""
        limit = time.monotonic() + _PATIENCE
        while (left := (instant - self.clock.now()).total_seconds()) > 0:
            assert time.monotonic() < limit, f"{instant}: not reached\n{self.said()}"
            if not self._pass(min(_STRIDE, left)):
                time.sleep(_LOOK)

    def quiet(self) -> bool:
        """Whether no run is under way or waits, but those of sessions."""
        unfinished = self.runs(*_WORK, dg.DagsterRunStatus.QUEUED)
        return not [each for each in unfinished if not each.job_name.endswith(_PAPER)]

    def _pass(self, longest: float) -> bool:
        """Leap at most so many seconds, where nobody minds; whether it did."""
        asleep, traders = self.clock.asleep(), self._traders()
        if not traders <= asleep.keys() or (asleep.keys() <= traders and self._working()):
            return False
        leap = min([longest, *(until - self.clock.seconds() for until in asleep.values())])
        if leap > 0:
            self.clock.leap(leap)
        return leap > 0

    def _working(self) -> bool:
        """Whether a run is at work, or on its way to it."""
        return not all(map(_waits_for_bars, self.runs(*_WORK)))

    def _traders(self) -> set[int]:
        """The processes of the sessions that are meant to live."""
        if not self.sessions:
            return set()
        with self.home.ledger() as ledger:
            held = [tenure_of(ledger, market) for market in self.sessions]
        return {process_of(each.event.payload["holder"]) for each in held if each}


def _waits_for_bars(run: dg.DagsterRun) -> bool:
    return run.job_name.endswith(_PAPER) and run.status == dg.DagsterRunStatus.STARTED


def process_of(holder: str) -> int:
    """The process of who holds a lease: 'paper, process 12 on HOST'."""
    return int(holder.partition(", process ")[2].split()[0])
