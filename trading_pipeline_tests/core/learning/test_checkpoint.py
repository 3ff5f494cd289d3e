import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from trading_pipeline.adapters.store.predictions import PredictionStore
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning import soundness
from trading_pipeline.core.learning.checkpoint import model_fingerprint, train_fold, training_arrays
from trading_pipeline.core.learning.dataset import Dataset, burn_in
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.soundness import ENTRIES, check_checkpoint, check_schema
from trading_pipeline.core.learning.walkforward import Rows, production_fold
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import CheckpointError, LookAheadError, TrainingError
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.core.learning.random_market import random_market
from trading_pipeline_tests.core.learning.sample_market import (
    MARKET,
    dataset,
    dataset_of,
    panel,
    recipe,
    short_fold,
)


@pytest.fixture(scope="module")
def trained():
    return train_fold(dataset(), short_fold(), recipe())


def scrambled(bars: Panel, first: int) -> Panel:
    """The same panel with other prices from a row on."""
    noise = np.exp(np.random.default_rng(1).normal(0, 0.05, bars.close.shape))
    noise[:first] = 1.0
    names = ("open", "high", "low", "close", "volume")
    return replace(bars, **{name: getattr(bars, name) * noise for name in names})


def same_weights(one, other) -> bool:
    pairs = zip(one["states"], other["states"], strict=True)
    return all(torch.equal(a[name], b[name]) for a, b in pairs for name in a)


PRICES = ("open", "high", "low", "close")


def without(bars: Panel, gone) -> Panel:
    """The panel without the bars where the mask (T, N) is true."""
    names = (*PRICES, "volume")
    return replace(bars, **{name: np.where(gone, np.nan, getattr(bars, name)) for name in names})


def unlearnable() -> dict[str, tuple[Panel, str]]:
    """Panels of which no bar can be learned from, and what is said of each."""
    bars = panel()
    rows, n = np.indices(bars.close.shape)
    still = {name: np.where(bars.traded, 100.0, np.nan) for name in PRICES}
    plain = {
        "split": bars.split * 0 + 1,
        "dividend": bars.dividend * 0,
        "factor": bars.factor * 0 + 1,
    }
    cheap = {name: getattr(bars, name) * 1e-3 for name in PRICES}
    return {
        "volume": (replace(bars, volume=bars.volume * 0), "no volume in the last 5 bars"),
        "price": (replace(bars, **cheap), "below the floor of price (1)"),
        "history": (without(bars, rows < 1200), "fewer than 312 bars since listing"),
        "quarantine": (without(bars, rows % 20 == 3 * n), "in quarantine, for too many bars"),
        "gappy": (without(bars, rows % 2 == n % 2), "fewer than 80% of the last 21 dates"),
        "still": (replace(bars, **still, **plain), "the price did not move"),
    }


@pytest.mark.parametrize("rule", ["volume", "price", "history", "quarantine", "gappy", "still"])
def test_a_training_without_a_sample_names_the_rule_that_took_them(rule):
    """More history would not help with a volume that is always zero."""
    bars, said = unlearnable()[rule]
    data = Dataset.of(bars, np.zeros((*bars.close.shape, len(NAMES)), np.float32), 60)
    with pytest.raises(TrainingError) as refused:
        training_arrays(data, short_fold(), recipe())
    text = str(refused.value)
    assert text.startswith("the training window is empty: no ")
    first = text.split("symbol to learn from: ")[1].split(";")[0]
    assert said in first
    assert "of 4 symbols (" in first
    assert ("history" in first) == (rule == "history")


@pytest.mark.slow
def test_training_is_deterministic_by_seed(trained):
    again = train_fold(dataset(), short_fold(), recipe())
    assert same_weights(trained, again)
    assert not same_weights(trained, train_fold(dataset(), short_fold(), recipe(seeds=(1,))))


@pytest.mark.slow
def test_a_training_of_two_seeds_goes_on_where_it_was_killed():
    """In the second seed: the first is not trained again, and nothing comes out differently."""
    both = recipe(seeds=(0, 1))
    kept, steps = {}, []

    def save(runs):
        kept.update(copy.deepcopy(runs))
        if 1 in runs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_fold(dataset(), short_fold(), both, save=save)
    again = train_fold(
        dataset(), short_fold(), both, lambda done, *_: steps.append(done), saved=kept
    )
    # One seed is done, the other goes on after step 3; the last word is what both found.
    assert steps == [0, 6, 4, 5, 6, 6, 6]
    whole = train_fold(dataset(), short_fold(), both)
    assert same_weights(again, whole)
    assert again["curves"] == whole["curves"]


@pytest.mark.slow
def test_a_checkpoint_knows_nothing_of_its_fold(trained):
    """Scaler, weights and calibration are those of a history that ends before the fold."""
    first = short_fold().test.first
    other = dataset_of(scrambled(panel(), first))
    again = train_fold(other, short_fold(other), recipe())
    assert same_weights(trained, again)
    assert again["scaler"] == trained["scaler"]
    assert again["calibration"] == trained["calibration"]


@pytest.mark.slow
def test_a_checkpoint_does_depend_on_the_bars_before(trained):
    other = dataset_of(scrambled(panel(), short_fold().test.first - 1))
    again = train_fold(other, short_fold(other), recipe())
    assert again["fingerprint"] != trained["fingerprint"]


@pytest.mark.slow
def test_the_last_target_ends_on_the_bar_before_the_fold(trained):
    stamps = dataset().panel.timestamps
    assert pd.Timestamp(trained["last_target"]) == stamps[short_fold().test.first - 1]


def test_a_checkpoint_refuses_the_bars_it_has_seen(trained):
    seen = short_fold().validation
    with pytest.raises(LookAheadError, match="test it on bars that open after 2005-12-30"):
        predict_rows(Predictor(trained), dataset(), seen, "2006-01-01")


def test_predictions_do_not_change_when_the_future_is_cut_off(trained):
    """Bit for bit: paper trading sees only the bars so far."""
    rows = Rows(short_fold().test.first, short_fold().test.first + 10)
    whole = predict_rows(Predictor(trained), dataset(), rows, "2006-01-01")
    part = predict_rows(
        Predictor(trained), dataset_of(panel().until(rows.last + 1)), rows, "2006-01-01"
    )
    pd.testing.assert_frame_equal(whole, part, check_exact=True)


def test_predictions_follow_the_contract(trained):
    rows = predict_rows(
        Predictor(trained),
        dataset(),
        Rows(short_fold().test.first, short_fold().test.first + 3),
        "f",
    )
    probabilities = rows[["p_down", "p_flat", "p_up"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert rows["position"].between(-1, 1).all()
    assert (rows["volatility"] > 0).all()
    assert rows["risk"].between(0, 1).all()
    calibration = trained["calibration"]
    assert (rows["score"] == calibration["market"]).all()  # four symbols have no more than that
    assert (rows["half_life"] == calibration["half_life"]).all()
    assert calibration["half_life"] == MARKET.horizon  # nothing to measure among four
    assert list(rows["symbol"][:4]) == sorted(MARKET.symbols)


def test_scores_of_each_seed_are_told_beside_those_of_all(tmp_path):
    """A blend is linear in the heads, so that the mean of the seeds' scores is the score."""
    data, its_fold, _, checkpoint = random_market(3, 8, N=10)
    rows = Rows(its_fold.test.first, its_fold.test.first + 2)
    said = predict_rows(Predictor(checkpoint), data, rows, "f")
    apart = said[["score_seed_3", "score_seed_8"]]
    assert said.columns.str.startswith("score_seed_").sum() == 2
    np.testing.assert_allclose(apart.mean(axis=1), said["score"], rtol=1e-6)
    assert not np.allclose(apart["score_seed_3"], apart["score_seed_8"])
    store = PredictionStore(tmp_path)
    store.write("f", said, "made of this")
    pd.testing.assert_frame_equal(store.read(["f"]), said)


def test_another_catalog_or_recipe_is_named(trained, monkeypatch):
    check_checkpoint(trained, recipe())
    with pytest.raises(CheckpointError, match=r"training settings differ in \['steps'\]"):
        check_checkpoint(trained, recipe(steps=7))
    fewer = replace(recipe(), market=replace(MARKET, symbols=("AAPL",)))
    with pytest.raises(CheckpointError, match="other symbols"):
        check_checkpoint(trained, fewer)
    monkeypatch.setattr(soundness, "catalog_hash", lambda: "another")
    with pytest.raises(CheckpointError, match="another feature catalog"):
        check_checkpoint(trained, recipe())


def test_other_limits_need_no_other_model(trained):
    """Fingerprint and check agree: else `train` finds nothing to do, and a report refuses."""
    costs = replace(MARKET.costs, borrow=0.5)
    market = replace(MARKET, limits={"trailing_stop": 3.0}, costs=costs, sectors={"IBM": "tech"})
    other = replace(recipe(), market=market)
    assert model_fingerprint(panel(), short_fold(), other) == trained["fingerprint"]
    check_checkpoint(trained, other)
    dearer = replace(other, market=replace(MARKET, costs=replace(MARKET.costs, fee=0.01)))
    with pytest.raises(CheckpointError, match=r"market differs in \['costs'\]"):
        check_checkpoint(trained, dearer)


def test_the_fingerprint_changes_with_what_a_model_depends_on():
    known = model_fingerprint(panel(), short_fold(), recipe())
    later = replace(MARKET, end=MARKET.end.replace(year=2009), profile="aggressive")
    assert model_fingerprint(panel(), short_fold(), replace(recipe(), market=later)) == known
    dearer = replace(MARKET, horizon=5)
    assert model_fingerprint(panel(), short_fold(), replace(recipe(), market=dearer)) != known
    assert model_fingerprint(panel(), short_fold(), recipe(steps=7)) != known


def test_a_production_model_uses_every_known_target():
    ours = recipe()
    first, dates = burn_in(ours.model.n_steps), ours.training.min_dates
    made = production_fold(dataset().panel.timestamps, ours.market, first, dates)
    assert made.validation.last + MARKET.horizon + 1 == len(dataset().panel.timestamps) - 1


def test_curves_are_kept_for_people(trained):
    assert [look["step"] for look in trained["curves"][0]] == [3, 6]
    assert all(np.isfinite(look["loss"]) for look in trained["curves"][0])


def test_what_differs_is_said_with_both_values(trained):
    """Also where only the checkpoint, or only the settings, know of an entry."""
    with pytest.raises(CheckpointError, match="steps was 6 and is 7; train it again"):
        check_checkpoint(trained, recipe(steps=7))
    older = copy.deepcopy(trained)
    older["recipe"]["training"]["momentum"] = 0.9
    with pytest.raises(CheckpointError, match=r"in \['momentum'\]: momentum was 0.9 and is None"):
        check_checkpoint(older, recipe())
    fewer = replace(recipe(), market=replace(MARKET, symbols=("AAPL", "XOM")))
    with pytest.raises(CheckpointError, match=r"only there: \['GOOG', .*only here: \['XOM'\]"):
        check_checkpoint(trained, fewer)
    turned = replace(recipe(), market=replace(MARKET, symbols=MARKET.symbols[::-1]))
    with pytest.raises(CheckpointError, match="another order"):
        check_checkpoint(trained, turned)


# A checkpoint is a sound model, or it is refused with what is wrong about it

HEAD = "answers.price.weight"


def refused(change):
    checkpoint = copy.deepcopy(made_up())
    change(checkpoint)
    with pytest.raises(CheckpointError) as error:
        check_schema(checkpoint)
    return str(error.value)


def test_what_a_training_makes_is_sound_and_complete():
    made = train_fold(dataset(), short_fold(), recipe(steps=1, evaluate_every=1))
    check_schema(made)
    assert set(made) == set(ENTRIES)
    assert made["start"]["terms"] == []  # four symbols are no cross-section to find any in
    assert made["start"]["gain"] == float(made["states"][0]["answers.gain"])
    assert made["data_hash"] == panel().data_hash(short_fold().test.first)
    check_schema(made_up())


@pytest.mark.parametrize("name", ENTRIES)
def test_a_missing_entry_is_named(name):
    assert refused(lambda checkpoint: checkpoint.pop(name)) == f"lacks {name}"


@pytest.mark.parametrize(("column", "value"), [(0, 60), (0, -1), (1, 61), (3, -1)])
def test_terms_of_what_no_window_has_are_refused(column, value):
    def change(checkpoint):
        checkpoint["states"][0]["terms.index"][5, column] = value

    assert "terms of bars or features that there are not" in refused(change)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value):
    said = refused(lambda checkpoint: checkpoint["states"][0][HEAD].fill_(value))
    assert said == f"holds numbers that are none, in {HEAD} of the network of seed 0"


def test_a_calibration_that_is_none_is_refused():
    said = refused(lambda checkpoint: checkpoint["calibration"].update(slope=float("nan")))
    assert said == "holds a calibration with a number that is none, or out of range"
    said = refused(lambda checkpoint: checkpoint["calibration"].pop("half_life"))
    assert "holds settings that cannot be read" in said


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
    ("name", "value"),
    [("slope", float("nan")), ("slope", -1.0), ("market", "0"), ("half_life", 0.0)],
)
def test_a_calibration_out_of_range_is_refused(name, value):
    said = refused(lambda checkpoint: checkpoint["calibration"].update({name: value}))
    assert said == "holds a calibration with a number that is none, or out of range"


@pytest.mark.parametrize(
    "change",
    [
        lambda start: start.pop("gain"),
        lambda start: start.update(gain=float("nan")),
        lambda start: start.update(terms=None),
        lambda start: start["terms"][0].pop("term"),
        lambda start: start["terms"][0].update(t="large"),
        lambda start: start["terms"][0].update(weight=float("inf")),
    ],
)
def test_a_start_that_people_cannot_be_shown_is_refused(change):
    assert refused(lambda checkpoint: change(checkpoint["start"])).startswith("holds a start ")


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
