"""A command that is stopped, killed or started twice: nothing is lost, and nothing hangs.

Each command is a process of its own, with a training budget of a few steps.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline_tests.synthetic import panel

pytestmark = pytest.mark.slow

COUNT, FOLDS = 760, 5
PATIENCE = 900  # seconds; a command that takes longer hangs
COMMAND = """
from trading_pipeline.core.model import config
config._BUDGETS["tiny"] = {"steps": 6, "warmup": 2, "evaluate_every": 3}
from trading_pipeline.cli.main import main
main()
"""


class Running:
    """A `walk-forward` command, and what it has said so far."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *self._arguments(folder)],
            cwd=folder,
            env={name: each for name, each in os.environ.items() if name != "DAGSTER_HOME"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.reader = threading.Thread(target=self._listen, daemon=True)
        self.reader.start()

    @staticmethod
    def _arguments(folder: Path) -> list[str]:
        data = str(folder / "one.parquet")
        return ["walk-forward", "--data-path", data, "--out", str(folder / "out"), "--preset=tiny"]

    def _listen(self) -> None:
        self.said.extend(iter(self.process.stderr.readline, ""))

    def wait_for(self, text: str) -> None:
        limit = time.monotonic() + PATIENCE
        while not any(text in line for line in list(self.said)):
            assert self.process.poll() is None, "".join(self.said)
            assert time.monotonic() < limit, f"never said {text!r}: {''.join(self.said)}"
            time.sleep(0.02)

    def end(self) -> int:
        """Its exit code."""
        code = self.process.wait(PATIENCE)
        self.reader.join(5)
        assert "Traceback" not in "".join(self.said)
        return code

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> int:
        self.process.send_signal(sent)
        return self.end()


@pytest.fixture
def folder(tmp_path):
    panel(COUNT, ("ONE",), days="D").to_parquet(tmp_path / "one.parquet")
    return tmp_path


def assert_whole(folder: Path) -> None:
    """Bars, checkpoints and report are all there, readable, and of the panel."""
    bars = BarStore(folder / "out" / "raw" / "one").read()
    assert len(check_bars(bars)) == COUNT
    checkpoints = CheckpointStore(folder / "out" / "models" / "one")
    assert len([checkpoints.read(name) for name in checkpoints.names()]) == FOLDS
    report = folder / "out" / "reports" / "one"
    assert json.loads((report / "report.json").read_text())["market"]
    assert (report / "report.html").read_text().rstrip().endswith("</html>")
    leftovers = [path for path in (folder / "out").rglob(".*") if path.name != ".lock"]
    assert not leftovers


KILL, DEAD = signal.SIGKILL, -signal.SIGKILL
MOMENTS = {  # what a command says, the seconds after it, the signal, the exit code
    "downloading": ("bars, checks, features", 3.0, KILL, DEAD),
    "training": ("training: 2 of 6", 0.0, KILL, DEAD),
    "training, stopped": ("training: 2 of 6", 0.0, signal.SIGINT, 130),
    "predicting, stopped": ("predicting: ", 0.0, signal.SIGTERM, 130),
    "reporting": ("random portfolios, report", 2.5, KILL, DEAD),
}


@pytest.mark.long
@pytest.mark.parametrize(
    "moments",
    [["training"], pytest.param([*MOMENTS], marks=pytest.mark.long)],
)
def test_what_was_killed_or_stopped_is_repaired_by_the_next_commands(folder, moments):
    """In the middle of download, training, prediction and report; at last two go on at once."""
    for moment, delay, sent, code in map(MOMENTS.get, moments):
        command = Running(folder)
        command.wait_for(moment)
        time.sleep(delay)
        assert command.kill(sent) in {code, 0 if delay else code}  # a quick one may be through
        assert code < 0 or "the same command goes on from here" in command.said[-1]
    first, second = Running(folder), Running(folder)
    assert (first.end(), second.end()) == (0, 0)
    assert_whole(folder)
