"""A recipe is read tomorrow as it is stored today, and its hashes do not follow names."""

import json
from dataclasses import replace
from datetime import date
from math import inf

import pytest

from trading_pipeline.core.learning.recipe import Recipe, training_part
from trading_pipeline.core.market.market import Costs, Market

PLAIN = Market(name="m", source="sample", symbols=("X", "Y"), start=date(2020, 1, 1))
WEIGHTED = replace(PLAIN, benchmark={"X": 3.0, "Y": 1.0})
NEUTRAL = replace(
    PLAIN,
    mandate="neutral",
    shortable=True,
    limits={"stop_loss": inf},
    costs=Costs(participation=inf, maker_fee=0.0001),
)


@pytest.mark.parametrize(
    "market", [PLAIN, NEUTRAL, WEIGHTED], ids=["plain", "neutral", "configured benchmark"]
)
def test_a_recipe_reads_back_equal(market):
    recipe = Recipe.preset(market, "tiny", 60)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("market", [PLAIN, NEUTRAL], ids=["plain", "neutral"])
def test_a_recipe_that_was_stored_under_old_names_is_the_same(market):
    """Checkpoints from before the mandate was called that."""
    recipe = Recipe.preset(market, "tiny", 60)
    stored = recipe.to_dict()
    old = {name: each for name, each in stored["market"].items() if name != "mandate"}
    old |= {"book": market.mandate, "benchmark": "equal_weight"}
    assert Recipe.from_dict({**stored, "market": old}) == recipe
    assert training_part({**stored, "market": old}) == training_part(stored)


@pytest.mark.parametrize(
    ("market", "training", "config"),
    [
        (PLAIN, "2851043e35ac5bd558b15221c3d577e5", "2c002dfda45a82f43658ecb246bc6875"),
        (NEUTRAL, "102ce9a97d0bb64e96927b3ac1844484", "bb521d38252020938c514170f17ffac1"),
    ],
    ids=["plain", "neutral"],
)
def test_hashes_are_what_they_were_under_old_names(market, training, config):
    """An upgrade neither trains anything anew nor counts a known configuration as a new trial."""
    recipe = Recipe.preset(market, "tiny", 60)
    assert recipe.training_hash("cat").startswith(training)
    assert recipe.config_hash("cat").startswith(config)


def test_another_benchmark_is_another_backtest_of_the_same_model():
    """Else a report of the old benchmark would count as current."""
    one, other = (Recipe.preset(market, "tiny", 60) for market in (PLAIN, WEIGHTED))
    assert one.config_hash("cat") != other.config_hash("cat")
    assert one.training_hash("cat") == other.training_hash("cat")
