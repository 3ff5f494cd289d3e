"""Random panels long enough for a fold: gaps, late listings, splits, an untrained network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, fold_rows
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.core.trading.markets import random_panel

ROWS, FIRST_TEST = 560, 500  # bars of the panel, and the fold's first decision


def market_of(panel: Panel) -> Market:
    return Market(
        name="random",
        source="parquet",
        symbols=panel.symbols,
        start=panel.timestamps[0].date(),
        horizon=5,
    )


def recipe_for(panel: Panel, *seeds: int) -> Recipe:
    made = Recipe.preset(market_of(panel), "tiny", len(NAMES))
    budget = {"steps": 2, "warmup": 1, "evaluate_every": 1, "seeds": seeds}
    return replace(made, training=replace(made.training, **budget))


def random_market(
    seed: int, *more: int, N: int = 5
) -> tuple[Dataset, Fold, Recipe, dict[str, Any]]:
    """A dataset of N symbols, a fold of it, a recipe, and a checkpoint whose weights are as they
    began: of one network, or also of `more` seeds."""
    panel = on_weekdays(random_panel(seed, T=ROWS, N=N, missing=0.004))
    recipe = recipe_for(panel, seed, *more)
    data = Dataset.of(panel, features_of(panel, "XNYS"), recipe.model.n_steps)
    earliest = burn_in(recipe.model.n_steps)
    fold = fold_rows("f", earliest, FIRST_TEST, ROWS - 1, recipe.market.horizon)
    return data, fold, recipe, untrained(data, fold, recipe)


def on_weekdays(panel: Panel) -> Panel:
    stamps = pd.bdate_range("2015-01-05", periods=len(panel.timestamps), tz="UTC").as_unit("us")
    assert np.isfinite(panel.close[:, 0]).all()
    return replace(panel, timestamps=pd.DatetimeIndex(stamps, freq=None))
