"""Random panels long enough for a fold: gaps, late listings, splits, an untrained network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.features.catalog import NAMES, catalog_hash
from trading_pipeline.core.learning.checkpoint import training_arrays
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, fold_rows
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.model.network import TradingNetwork
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


def recipe_for(panel: Panel) -> Recipe:
    made = Recipe.preset(market_of(panel), "tiny", len(NAMES))
    return replace(made, training=replace(made.training, steps=2, warmup=1, evaluate_every=1))


def random_market(seed: int) -> tuple[Dataset, Fold, Recipe, dict[str, Any]]:
    """A dataset, a fold of it, a recipe, and a checkpoint whose weights are as they began."""
    panel = on_weekdays(random_panel(seed, T=ROWS, N=5, missing=0.004))
    recipe = recipe_for(panel)
    data = Dataset.of(panel, features_of(panel, "XNYS"), recipe.model.n_steps)
    earliest = burn_in(recipe.model.n_steps)
    fold = fold_rows("f", earliest, FIRST_TEST, ROWS - 1, recipe.market.horizon)
    scaler, _, _ = training_arrays(data, fold, recipe)
    last_target = panel.timestamps[fold.validation.last + recipe.market.horizon + 1]
    checkpoint = {
        "model": recipe.model.to_plain(),
        "scaler": scaler.to_plain(),
        "blend": {"weight": 0.5, "position_scale": 1.0, "market": 0.1},
        "last_target": last_target.isoformat(),
        "catalog_hash": catalog_hash(),
        "states": [dict(TradingNetwork(recipe.model, seed=seed).state_dict())],
    }
    return data, fold, recipe, checkpoint


def on_weekdays(panel: Panel) -> Panel:
    stamps = pd.bdate_range("2015-01-05", periods=len(panel.timestamps), tz="UTC").as_unit("us")
    assert np.isfinite(panel.close[:, 0]).all()
    return replace(panel, timestamps=pd.DatetimeIndex(stamps, freq=None))
