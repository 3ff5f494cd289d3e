"""A training that the assets start: in one process or in several, with its curves."""

import os
import signal
import struct
import subprocess
import time
from copy import deepcopy
from dataclasses import replace

import dagster as dg
import pytest
import torch
from tensorboardX.proto.event_pb2 import Event

from trading_pipeline.adapters.distributed import RUNS, command, write_job
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets.models import host_of
from trading_pipeline.errors import TrainingError
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.train import train_fold as train_fold_of
from trading_pipeline_tests.core.learning.checkpoints import assert_same_answers
from trading_pipeline_tests.core.learning.sample_market import MARKET, dataset, fold

SHARED = Plan(MARKET, preset="tiny", processes=2)
NAME = "2006-01-01"


@pytest.fixture
def shorten(monkeypatch):
    """The recipe of a plan with a budget of a few steps, for the test and for what it tests."""

    def make(steps, every):
        made = Plan.recipe.fget

        def few(plan):
            recipe = made(plan)
            budget = replace(recipe.training, steps=steps, warmup=2, evaluate_every=every)
            return replace(recipe, training=budget)

        monkeypatch.setattr(Plan, "recipe", property(few))
        return few

    return make


def materialize(home, instance, plan):
    """`train_fold` of the step, inside a real run: (checkpoint, digest)."""
    made = []

    @dg.asset
    def checkpoint(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        host = host_of(context, Progress())
        done = train_fold_of(home, plan, dataset(), fold(), NAME, host, f"fold {NAME}")
        made.append((done.checkpoint, done.digest))
        return dg.MaterializeResult()

    dg.materialize([checkpoint], instance=instance)
    return made[0]


def scalars(folder):
    """What TensorBoard would draw: {(name, step): value}, read from the records themselves."""
    drawn = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)  # then 4 bytes of checksum
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4
            drawn |= {(each.tag, event.step): each.simple_value for each in event.summary.value}
    return drawn


def assert_same_weights(one, other):
    for mine, theirs in zip(one["states"], other["states"], strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.slow
def test_a_training_leaves_its_curves_for_tensorboard(home, instance, shorten):
    """Loss and rate of every step, and the information coefficient of every look."""
    recipe = shorten(6, 3)(Plan(MARKET, preset="tiny"))
    checkpoint, _ = materialize(home, instance, Plan(MARKET, preset="tiny"))
    drawn = scalars(home.curves(MARKET, NAME) / "seed-0")
    looks = {look["step"]: look for look in checkpoint["curves"][0]}
    assert {step for name, step in drawn if name == "loss"} == set(range(1, 7))
    assert drawn["learning_rate", 1] == pytest.approx(recipe.training.learning_rate / 2)
    assert drawn["learning_rate", 2] == pytest.approx(recipe.training.learning_rate)
    for step, look in looks.items():
        assert drawn["validation_information", step] == pytest.approx(look["information"])
    mean = sum(drawn["loss", step] for step in (1, 2, 3)) / 3
    assert mean == pytest.approx(looks[3]["loss"])


@pytest.mark.long
@pytest.mark.slow
def test_curves_go_on_after_a_kill_and_begin_anew_with_another_training(home, instance, shorten):
    plan = Plan(MARKET, preset="tiny")
    recipe = shorten(6, 3)(plan)
    store, runs = home.checkpoints(MARKET), []
    whole = train_fold(dataset(), fold(), recipe, save=lambda saved: runs.append(deepcopy(saved)))
    folder = home.curves(MARKET, NAME) / "seed-0"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.0").write_bytes(b"")
    store.write_unfinished(NAME, whole["fingerprint"], runs[0])
    again, _ = materialize(home, instance, plan)
    assert_same_weights(again, whole)
    assert {step for name, step in scalars(folder) if name == "loss"} == {4, 5, 6}
    assert (folder / "events.out.tfevents.0").exists()
    materialize(home, instance, plan)
    assert not (folder / "events.out.tfevents.0").exists()
    assert {step for name, step in scalars(folder) if name == "loss"} == set(range(1, 7))


@pytest.mark.long
@pytest.mark.slow
def test_processes_that_were_killed_go_on_in_the_next_run(home, instance, shorten):
    """Two of them, over gloo and through Pipes; the end is that of a single process."""
    recipe = shorten(40, 10)(SHARED)
    assert recipe.training.blocks == 2
    folder = home.training_job(MARKET, NAME)
    write_job(folder, dataset(), fold(), recipe, runs={})
    workers = subprocess.Popen(command(folder, 2), start_new_session=True)
    limit = time.monotonic() + 900
    while not (folder / RUNS).exists() and time.monotonic() < limit:
        time.sleep(0.05)
    os.killpg(workers.pid, signal.SIGKILL)
    workers.wait()
    assert not (folder / "result.pt").exists()
    checkpoint, digest = materialize(home, instance, SHARED)
    alone = train_fold(dataset(), fold(), recipe)
    assert_same_answers(checkpoint, alone)
    assert checkpoint["fingerprint"] == alone["fingerprint"]
    assert home.checkpoints(MARKET).verify(NAME) == digest
    assert not folder.exists()
    drawn = scalars(home.curves(MARKET, NAME) / "seed-0")
    steps = [step for name, step in drawn if name == "loss"]
    assert min(steps) > 10
    assert max(steps) == 40
    said = [entry.user_message for entry in instance.all_logs(instance.get_runs()[0].run_id)]
    assert any("fold 2006-01-01, 2 processes: 40 of 40" in each for each in said)


def test_a_gpu_that_is_not_there_is_named(home, instance, shorten):
    shorten(2, 1)
    with pytest.raises(TrainingError, match="none is cuda:7"):
        materialize(home, instance, Plan(MARKET, preset="tiny", device="cuda:7"))


@pytest.mark.parametrize(
    ("model", "device", "named"),
    [("network", "cpu", "cpu"), ("network", "cpu:0", "cpu:0"), ("ridge", "cuda", "cpu")],
)
@pytest.mark.slow
def test_a_checkpoint_names_the_processor_that_trained_it(
    home, instance, shorten, monkeypatch, model, device, named
):
    """That of the market's device, and for a rival, which is fitted on the CPU, the CPU."""
    monkeypatch.setattr("trading_pipeline.adapters.store.checkpoints.processor", "as of {}".format)
    shorten(steps=2, every=2)
    materialize(home, instance, Plan(MARKET, preset="tiny", model=model, device=device))
    assert home.checkpoints(MARKET).read(NAME)["processor"] == f"as of {named}"
