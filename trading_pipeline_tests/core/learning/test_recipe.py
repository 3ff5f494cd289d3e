"""A recipe is read tomorrow as it is stored today, and hashed alike."""

import json
from dataclasses import replace
from datetime import date
from math import inf

import pytest

from trading_pipeline.core.learning.recipe import Recipe
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


@pytest.mark.parametrize(
    ("market", "training", "config"),
    [
        (PLAIN, "33c8eb2b92215bba1f8ab8c0a1ec93c3", "24b9226eca14d3f09207313ea7727316"),
        (NEUTRAL, "cdb6c8bdd654c6aeef6cb750c86481b9", "aa13a40982a35addf797848d825c29ef"),
    ],
    ids=["plain", "neutral"],
)
def test_hashes_stay_what_they_are(market, training, config):
    """An upgrade neither trains anything anew nor counts a known configuration as a new trial."""
    recipe = Recipe.preset(market, "tiny", 60)
    budget = replace(recipe.training, steps=200, warmup=20, evaluate_every=100)
    recipe = replace(recipe, training=budget)  # that the preset had when they were noted
    assert recipe.training_hash("cat").startswith(training)
    assert recipe.config_hash("cat").startswith(config)


def test_another_benchmark_is_another_backtest_of_the_same_model():
    """Else a report of the old benchmark would count as current."""
    one, other = (Recipe.preset(market, "tiny", 60) for market in (PLAIN, WEIGHTED))
    assert one.config_hash("cat") != other.config_hash("cat")
    assert one.training_hash("cat") == other.training_hash("cat")


def test_a_name_or_what_is_counted_in_the_bars_is_no_other_configuration():
    """Tomorrow's bars would be another trial, on every panel that no calendar fits."""
    counted = replace(PLAIN, measured_bars_per_year=2_016, measured_days_per_year=260)
    renamed = replace(counted, name="a_copy_of_the_file")
    one, other = (Recipe.preset(market, "tiny", 60) for market in (PLAIN, renamed))
    assert one.config_hash("cat") == other.config_hash("cat")
