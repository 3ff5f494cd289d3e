"""Training shared by processes: real ones, over gloo, as on two hosts."""

import copy
import subprocess
from dataclasses import replace

import pytest
import torch

from trading_pipeline.adapters.distributed import (
    JOB,
    REFUSAL,
    RUNS,
    command,
    read_result,
    write_job,
)
from trading_pipeline.adapters.store.checkpoints import read_runs, write_runs
from trading_pipeline.core.learning.checkpoint import model_fingerprint, train_fold
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.errors import StoreError, TrainingError
from trading_pipeline_tests.core.learning.checkpoints import assert_same_answers
from trading_pipeline_tests.core.learning.sample_market import (
    MARKET,
    dataset,
    fold,
    panel,
    recipe,
)

SHARED = recipe(blocks=2)


def torchrun(folder, processes=2):
    return subprocess.run(
        command(folder, processes),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def whole():
    """What one process makes of the same global batch."""
    runs = []
    checkpoint = train_fold(
        dataset(), fold(), SHARED, save=lambda saved: runs.append(copy.deepcopy(saved))
    )
    return checkpoint, runs


def assert_alike(one, other):
    assert_same_answers(one, other)
    assert one["fingerprint"] == other["fingerprint"]
    assert one["last_target"] == other["last_target"]


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_make_the_checkpoint_of_one(tmp_path, whole):
    write_job(tmp_path, dataset(), fold(), SHARED, runs={})
    ended = torchrun(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "fold 2006-01-01, 2 processes: 6 of 6" in ended.stdout
    assert ended.stdout.count("6 of 6") == 1  # one of them reports
    assert_alike(read_result(tmp_path), whole[0])


@pytest.mark.slow
@pytest.mark.long
def test_processes_go_on_with_an_interrupted_training(tmp_path, whole):
    """Also one that a single process began; what they save can be gone on with as well."""
    checkpoint, runs = whole
    write_job(tmp_path, dataset(), fold(), SHARED, runs=runs[0])
    ended = torchrun(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert_alike(read_result(tmp_path), checkpoint)
    assert read_runs(tmp_path / RUNS, checkpoint["fingerprint"])[0]["step"] == 6
    assert read_runs(tmp_path / RUNS, "another") == {}


def test_workers_that_left_no_result_are_an_error(tmp_path):
    write_job(tmp_path, dataset(), fold(), recipe(), runs={})
    with pytest.raises(StoreError, match="ended without a result"):
        read_result(tmp_path)


def test_workers_that_refused_say_why(tmp_path):
    """Until the job is written again: what was in the way may be gone."""
    write_job(tmp_path, dataset(), fold(), recipe(), runs={})
    (tmp_path / REFUSAL).write_text("the loss became nan")
    with pytest.raises(TrainingError, match="the loss became nan"):
        read_result(tmp_path)
    write_job(tmp_path, dataset(), fold(), recipe(), runs={})
    assert not (tmp_path / REFUSAL).exists()


def test_a_job_goes_on_from_what_its_workers_saved(tmp_path):
    """Of the same recipe and bars only; a file cut short costs time and nothing else."""

    def taken(of):
        write_job(tmp_path, dataset(), fold(), of, runs={})
        return torch.load(tmp_path / JOB, weights_only=True)["runs"]

    ours = model_fingerprint(panel(), fold(), SHARED)
    write_runs(tmp_path / RUNS, ours, {0: {"step": 3}})
    assert taken(SHARED) == {0: {"step": 3}}
    assert taken(recipe(blocks=3)) == {}
    (tmp_path / RUNS).write_bytes((tmp_path / RUNS).read_bytes()[:100])
    assert taken(SHARED) == {}


def test_a_recipe_survives_the_way_to_another_process():
    again = Recipe.from_dict(SHARED.to_dict())
    assert again == replace(SHARED, market=replace(MARKET, end=None))
