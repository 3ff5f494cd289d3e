"""A rival's checkpoint is stored, checked, predicted with and traded as that of a network."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.leakage.fold import examine_fold, examine_stored_predictions
from trading_pipeline.core.learning.calibration import demeaned
from trading_pipeline.core.learning.checkpoint import best_of, model_fingerprint, train_fold
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.soundness import ENTRIES, check_checkpoint, check_schema
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.errors import CheckpointError, LookAheadError
from trading_pipeline_tests.core.learning.checkpoints import made_up
from trading_pipeline_tests.core.learning.sample_market import (
    MARKET,
    dataset,
    fold,
    panel,
    recipe,
)


def of(learner: str, **changes):
    return replace(recipe(**changes), learner=learner)


@pytest.fixture(scope="module", params=["ridge_lags", "lightgbm"])
def trained(request):
    return train_fold(dataset(), fold(), of(request.param))


@pytest.fixture(scope="module")
def rows():
    return Rows(fold().test.first, fold().test.first + 15)


@pytest.fixture(scope="module")
def stored(trained, rows):
    return predict_rows(Predictor(trained), dataset(), rows, fold().key)


def test_a_checkpoint_of_a_rival_is_sound_and_complete(trained):
    check_schema(trained)
    assert set(trained) == {*ENTRIES, "rival"}


def test_what_it_has_no_opinion_on_is_the_obvious_answer(trained, stored, rows):
    """σ, the frequencies of training, and the side of the score; the score is the market's alone,
    for four symbols have no more than that."""
    sigma = dataset().sigma[rows.first : rows.last + 1]
    symbols = list(dataset().panel.symbols)
    volatility = stored.pivot(index="timestamp", columns="symbol", values="volatility")[symbols]
    np.testing.assert_allclose(volatility, sigma)
    rival = trained["rival"]
    assert (stored[["p_down", "p_flat", "p_up"]] == rival["direction"]).all(axis=None)
    assert (stored["risk"] == rival["risk"]).all()
    assert 0 < rival["risk"] < 0.2
    assert set(stored["position"]) <= {-1.0, 0.0, 1.0}
    assert (stored["model"] == rival["name"]).all()
    assert (stored["score"] == trained["calibration"]["market"]).all()


def test_the_price_alone_makes_the_score(trained):
    """A position of -1 or 1 must not be blended with a price of a hundredth."""
    calibration, eligible = Predictor(trained).calibration._replace(slope=2.0), np.ones(9, bool)
    price = np.linspace(-0.1, 0.1, 9)
    score = calibration.score(price, np.sign(price), eligible)
    np.testing.assert_allclose(score, 2 * demeaned(price, eligible) + calibration.market)


def test_bars_that_it_has_seen_are_refused(trained):
    with pytest.raises(LookAheadError, match="has learned from bars up to 2005-12-30"):
        predict_rows(Predictor(trained), dataset(), fold().validation, "f")


@pytest.mark.slow
def test_a_rival_raises_no_alarm(trained, stored):
    """Cut and scrambled futures change neither what it is given nor what it says."""
    examined = examine_fold(panel(), fold(), of(trained["rival"]["name"]), trained, count=1)
    examined.append(examine_stored_predictions(dataset(), fold(), trained, stored))
    assert not [leak for each in examined for leak in each.leaks]
    assert all(each.values for each in examined)


def test_predictions_of_another_rival_are_caught(trained, stored):
    """The check looks at what the heads say, whoever they are."""
    other = stored.assign(risk=stored["risk"] + 0.01)
    assert examine_stored_predictions(dataset(), fold(), trained, other).leaks


def test_the_settings_of_a_network_are_nothing_to_a_rival(trained):
    """Another preset trains no rival anew; another rival, or the network, does."""
    name = trained["rival"]["name"]
    other = replace(Recipe.preset(MARKET, "small", 60), learner=name)
    assert trained["fingerprint"] == model_fingerprint(panel(), fold(), other)
    check_checkpoint(trained, other)
    for learner in ("network", "ridge", "best"):
        with pytest.raises(CheckpointError, match=f"model was {name} and is {learner}"):
            check_checkpoint(trained, of(learner))
        assert trained["fingerprint"] != model_fingerprint(panel(), fold(), of(learner))


def test_a_recipe_says_what_learns():
    for learner in ("network", "ridge", "best"):
        assert Recipe.from_dict(of(learner).to_dict()).learner == learner
    assert of("best").training_hash("c") != of("best", steps=7).training_hash("c")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rival: rival.pop("risk"), "cannot be read"),
        (lambda rival: rival.update(name="forest"), "cannot be read"),
        (lambda rival: rival.update(fitted={}), "cannot be read"),
        (lambda rival: rival.update(risk=float("nan")), "frequencies"),
        (lambda rival: rival.update(direction=[0.5, 0.5]), "frequencies"),
    ],
)
def test_a_damaged_rival_is_refused(trained, change, said):
    damaged = copy.deepcopy(trained)
    change(damaged["rival"])
    with pytest.raises(CheckpointError, match=said):
        check_schema(damaged)


def test_the_best_checkpoint_is_the_chosen_ones_and_says_why(trained):
    """Of four symbols nothing can be told, so that the simplest is taken."""
    network = made_up() | {"metrics": {**trained["metrics"], "validation_information": 0.9}}
    name = trained["rival"]["name"]
    best = best_of({"network": network, name: trained}, dataset(), fold(), of("best"))
    check_schema(best)
    check_checkpoint(best, of("best"))
    assert best["fingerprint"] == model_fingerprint(panel(), fold(), of("best"))
    assert best["choice"]["name"] == best["rival"]["name"] == name
    assert best["choice"]["validation_information"]["network"] == 0.9
    assert "too few dates" in best["choice"]["reason"]
    said, same = (
        predict_rows(Predictor(each), dataset(), Rows(fold().test.first, fold().test.first), "f")
        for each in (best, trained)
    )
    pd.testing.assert_frame_equal(said, same)
