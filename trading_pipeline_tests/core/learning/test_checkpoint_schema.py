"""A checkpoint is a sound model, or it is refused with what is wrong about it."""

import copy

import pytest
import torch

from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.checkpoint_schema import ENTRIES, check_schema
from trading_pipeline.errors import CheckpointError
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.core.learning.sample_market import dataset, fold, panel, recipe

HEAD = "answers.price.weight"


def refused(change):
    checkpoint = copy.deepcopy(made_up())
    change(checkpoint)
    with pytest.raises(CheckpointError) as error:
        check_schema(checkpoint)
    return str(error.value)


def test_what_a_training_makes_is_sound_and_complete():
    made = train_fold(dataset(), fold(), recipe(steps=1, evaluate_every=1))
    check_schema(made)
    assert set(made) == set(ENTRIES)
    assert made["data_hash"] == panel().data_hash(fold().test.first)
    check_schema(made_up())


@pytest.mark.parametrize("name", ENTRIES)
def test_a_missing_entry_is_named(name):
    assert refused(lambda checkpoint: checkpoint.pop(name)) == f"lacks {name}"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value):
    said = refused(lambda checkpoint: checkpoint["states"][0][HEAD].fill_(value))
    assert said == f"holds numbers that are none, in {HEAD} of the network of seed 0"


def test_weights_of_another_network_are_refused():
    said = refused(lambda checkpoint: checkpoint["states"][0].update({HEAD: torch.zeros(1, 7)}))
    assert f"{HEAD} of the network of seed 0 is (1, 7), and should be (1, 32)" in said
    said = refused(lambda checkpoint: checkpoint["states"][0].pop(HEAD))
    assert f"{HEAD} of the network of seed 0 is missing, and should be (1, 32)" in said
    said = refused(lambda checkpoint: checkpoint["states"][0].update(more=torch.zeros(3)))
    assert "more of the network of seed 0 is (3,), and should be missing" in said


def test_a_network_for_every_seed():
    said = refused(lambda checkpoint: checkpoint["states"].clear())
    assert said == "holds 0 networks for 1 seeds"


def test_a_scaler_that_divides_by_nothing_is_refused():
    for value in (0.0, -1.0, float("nan")):
        assert "a scale that is not positive" in refused(
            lambda checkpoint, value=value: checkpoint["scaler"]["scale"].__setitem__(3, value)
        )
    assert "scaler of (59,) for 60 features" in refused(
        lambda checkpoint: checkpoint["scaler"]["center"].pop()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda checkpoint: checkpoint["model"].pop("dropout"),
        lambda checkpoint: checkpoint["model"].update(xlstm_width=7),
        lambda checkpoint: checkpoint.update(model=None),
        lambda checkpoint: checkpoint.update(scaler={}),
        lambda checkpoint: checkpoint["recipe"]["training"].pop("seeds"),
    ],
)
def test_settings_that_cannot_be_read_are_refused(change):
    assert "holds settings that cannot be read" in refused(change)
