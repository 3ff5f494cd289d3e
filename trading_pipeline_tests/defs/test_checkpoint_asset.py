"""The asset `model_checkpoint` itself, on real bars: in processes, and killed in the middle.

Each run is a process of its own, with a budget of a few steps of two blocks.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline_tests.core.learning.checkpoints import assert_same_answers

pytestmark = pytest.mark.slow

FOLD, STEPS, LOOKS = "2006-01-01", 24, 6
PATIENCE = 900  # seconds; a run that takes longer hangs
RUN = f"""
import sys
from datetime import date
from pathlib import Path

import dagster as dg

from trading_pipeline.core.model import config
from trading_pipeline.definitions import build, plan_of
from trading_pipeline.defs import runs
from trading_pipeline.steps.home import ConfiguredSources, Home
from trading_pipeline.settings import Settings

config._BUDGETS["tiny"] |= {{"steps": {STEPS}, "blocks": 2, "evaluate_every": {LOOKS}}}
settings = Settings(_env_file=None, home=Path(sys.argv[1]))
changes = {{"end": date(2006, 3, 1), "processes": int(sys.argv[2])}}
entry = settings.markets["sample"].model_copy(update=changes)
settings = settings.model_copy(update={{"markets": {{"sample": entry}}}})
with runs.runner(build(settings), Home(root=str(settings.home)), ConfiguredSources({{}})) as run:
    runs.download(run, plan_of(settings, "sample"))
    only = [dg.AssetKey(["sample", "model_checkpoint"])]
    run.run("sample_train", partition_key="{FOLD}", only=only)
"""


def started(home: Path, processes: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(home), str(processes)],
        env={name: each for name, each in os.environ.items() if name != "DAGSTER_HOME"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(home: Path, processes: int):
    """The checkpoint of a run that goes to its end."""
    run = started(home, processes)
    try:
        _, said = run.communicate(timeout=PATIENCE)
    finally:
        run.kill()
    assert run.returncode == 0, said
    return CheckpointStore(home / "models" / "sample").read(FOLD)


def killed(home: Path, processes: int) -> None:
    """A run that is killed, it alone, once it has kept something to go on from."""
    kept = home / "models" / "sample" / "unfinished"
    kept = kept / f"{FOLD}.pt" if processes == 1 else kept / FOLD / "runs.pt"
    run, limit = started(home, processes), time.monotonic() + PATIENCE
    while not kept.exists():
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.01)
    run.kill()
    run.wait()
    run.stderr.close()
    while left := workers(home):
        assert time.monotonic() < limit, f"processes {left} train on"
        time.sleep(0.1)
    assert not (home / "models" / "sample" / f"{FOLD}.pt").exists()
    assert not (kept.parent / "result.pt").exists()


def workers(home: Path) -> list[str]:
    """Processes that have to do with a home, by what the system says of their arguments."""
    found = []
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(home).encode() in arguments.read_bytes():
                found.append(arguments.parent.name)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where one process has trained, and nobody disturbed it."""
    made = tmp_path_factory.mktemp("home")
    finished(made, 1)
    return made


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_killed_ends_with_the_weights_of_one_that_is_not(home, processes):
    """Also shared by two processes, over gloo and through Pipes: those of a single process."""
    store = CheckpointStore(home / "models" / "sample")
    alone = store.read(FOLD)
    store.path(FOLD).rename(home / "alone.pt")
    killed(home, processes)
    checkpoint = finished(home, processes)
    assert checkpoint["fingerprint"] == alone["fingerprint"]
    assert [look["step"] for look in checkpoint["curves"][0]] == list(
        range(LOOKS, STEPS + 1, LOOKS)
    )
    drawn = home / "tensorboard" / "sample" / FOLD / "seed-0"
    assert len(list(drawn.iterdir())) == 2  # it went on: a training from the start draws anew
    assert_same_answers(checkpoint, alone)
    if processes == 1:  # bit for bit; two may add in another order
        for mine, theirs in zip(checkpoint["states"], alone["states"], strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert [path.name for path in (store.folder / "unfinished").iterdir()] == ["locks"]
