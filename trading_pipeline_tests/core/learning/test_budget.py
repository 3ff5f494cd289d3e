"""Epochs, batches and rates do to a training what they say."""

from dataclasses import replace
from datetime import date
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.learning.budget import LOOKS, epochs_of, with_batch
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.learning.windows import BlockSampler
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.model.config import PRESETS, TrainingConfig
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.trials import name_of
from trading_pipeline_tests.core.learning.sample_market import dataset, recipe, short_fold

SHORT = {"steps": 4, "warmup": 1, "evaluate_every": 2}


def sampler(training: TrainingConfig, usable: np.ndarray) -> BlockSampler:
    rows = Rows(0, len(usable) - 1)
    return BlockSampler(usable, rows, training.windows, training.min_dates, training.symbols)


@given(st.sampled_from(PRESETS), st.integers(8, 5000), st.integers(1, 200))
def test_a_step_has_no_more_windows_than_asked_for_and_half_where_the_market_has_them(
    preset, windows, symbols
):
    """Of 64 windows a market of five symbols gives 5 × 12; what is not there cannot be given."""
    training = with_batch(TrainingConfig.preset(preset), windows)
    drawn = sampler(training, np.ones((1000, symbols), dtype=bool))
    batch = drawn.width * drawn.length * training.blocks
    most = training.blocks * 60 * symbols  # a block is of 60 dates at most
    least_of_a_block = training.min_dates * min(symbols, drawn.width)
    assert batch <= max(windows, training.blocks * least_of_a_block)
    assert batch >= min(windows, most) / 2


@pytest.mark.parametrize(("preset", "symbols"), product(PRESETS, (4, 8, 16, 500)))
def test_a_batch_of_64_is_64_windows(preset, symbols):
    """The specification's, on markets whose number of symbols divides it."""
    training = with_batch(TrainingConfig.preset(preset), 64)
    drawn = sampler(training, np.ones((300, symbols), dtype=bool))
    assert (drawn.width * drawn.length, training.blocks) == (64, 1)


def test_every_process_gets_a_block_of_the_batch():
    training = with_batch(TrainingConfig.preset("small"), 64, processes=4)
    assert (training.blocks, training.windows) == (4, 16)
    with pytest.raises(ValueError, match=r"at least 32 windows, was 31: .* 8 consecutive dates"):
        with_batch(TrainingConfig.preset("small"), 31, processes=4)


@given(st.integers(1, 50), st.integers(30, 2000), st.integers(1, 30))
def test_epochs_look_at_as_many_windows_as_there_are_so_many_times(epochs, dates, symbols):
    asked = with_batch(replace(TrainingConfig.preset("tiny"), epochs=epochs), 64)
    usable = np.ones((dates, symbols), dtype=bool)
    training, found = epochs_of(asked, usable, Rows(0, dates - 1))
    assert found.windows == dates * symbols
    assert training.steps == epochs * found.steps
    assert (found.steps - 1) * found.batch < found.windows <= found.steps * found.batch
    assert training.warmup < training.steps
    assert training.steps / training.evaluate_every <= LOOKS
    assert f"{epochs:,} epochs of {found.windows:,} windows are {training.steps:,} steps of" in (
        found.text(training)
    )


def test_windows_that_may_not_be_learned_from_are_no_part_of_an_epoch():
    usable = np.ones((100, 4), dtype=bool)
    usable[:, 3] = usable[:10] = False
    asked = replace(TrainingConfig.preset("tiny"), epochs=1)
    assert epochs_of(asked, usable, Rows(0, 99))[1].windows == 90 * 3


def test_without_epochs_the_budget_is_the_presets_and_so_is_its_hash():
    """Nothing that was trained before is trained again because it could have been asked for."""
    asked = TrainingConfig.preset("tiny")
    assert epochs_of(asked, np.ones((100, 4), dtype=bool), Rows(0, 99)) == (asked, None)
    assert "epochs" not in asked.to_dict()
    assert TrainingConfig.from_dict(asked.to_dict()) == asked
    timed = replace(asked, epochs=3)
    assert TrainingConfig.from_dict(timed.to_dict()) == timed


MARKET = Market(name="mine", source="parquet", symbols=("AAA", "BBB"), start=date(2020, 1, 1))
ASKED = ({"epochs": 3}, {"batch_size": 64}, {"learning_rate": 1e-3})


@pytest.mark.parametrize("asked", ASKED)
def test_each_makes_another_model_and_another_trial(asked):
    plain, other = Plan(MARKET, preset="tiny"), Plan(MARKET, preset="tiny", **asked)
    assert plain.recipe.training_hash("x") != other.recipe.training_hash("x")
    assert plain.recipe.config_hash("x") != other.recipe.config_hash("x")
    assert name_of(plain) == "network tiny, moderate"
    assert name_of(other) != name_of(plain)


def test_a_simpler_model_is_the_same_whatever_is_asked_of_the_network():
    hashes = {
        Plan(MARKET, model="ridge", **asked).recipe.training_hash("x") for asked in ({}, *ASKED)
    }
    assert len(hashes) == 1


@pytest.fixture(scope="module")
def trained():
    """What a few trainings came to, by what was asked for."""

    def train(**changes):
        made, noted = recipe(), []
        rates = []
        checkpoint = train_fold(
            dataset(),
            short_fold(),
            replace(made, training=replace(made.training, **changes)),
            on_step=lambda done, total, note: noted.append((done, total, note)),
            record=lambda moment: rates.append(moment.learning_rate),
        )
        return checkpoint, noted, rates

    return train


@pytest.mark.slow
def test_a_training_takes_the_steps_of_its_epochs_and_says_how_many(trained):
    checkpoint, noted, _ = trained(epochs=2, windows=4000, symbols=0)
    said = [int(word.replace(",", "")) for word in noted[0][2].split() if word[0].isdigit()]
    epochs, windows, steps, batch, in_all = said
    assert (epochs, batch, steps * batch) == (2, 60 * 3, in_all)  # GOOG came later
    assert steps == 2 * -(-windows // batch) == noted[0][1]
    assert checkpoint["curves"][0][-1]["step"] == noted[-1][0] == steps
    assert checkpoint["recipe"]["training"]["epochs"] == 2


@pytest.mark.slow
def test_the_rate_is_the_peak_that_was_asked_for(trained):
    *_, rates = trained(learning_rate=1e-3, **SHORT)
    assert max(rates) == pytest.approx(1e-3)
    *_, rates = trained(learning_rate=5e-4, **SHORT)
    assert max(rates) == pytest.approx(5e-4)
