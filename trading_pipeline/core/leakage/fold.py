"""Does what a checkpoint is asked, says and orders look ahead? Experiments from raw bars on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.features.catalog import LOOKBACK
from trading_pipeline.core.leakage.bars import (
    AS_STORED,
    UNIVERSE,
    comparable,
    raw_bars,
    sampled,
)
from trading_pipeline.core.leakage.experiment import Examined, Watch, differences, examine
from trading_pipeline.core.leakage.stages import INPUTS, ORDERS, PREDICTIONS, FoldStages
from trading_pipeline.core.leakage.training import examine_fit, examine_training
from trading_pipeline.core.learning.dataset import Dataset, burn_in
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.panel import Panel

DECIDED = 12  # first dates of a fold that are predicted and traded again
STORED = 5  # of them that are compared with what is stored, on all symbols
AFTER = 25  # dates beyond those, which a look further ahead would use
SPARE = LOOKBACK // 4  # dates more than are needed, for symbols that lack bars
CHECKS = ("truncation", "scrambling")  # of the stages of a fold


def examine_model(
    data: Dataset,
    fold: Fold,
    recipe: Recipe,
    checkpoint: Mapping[str, Any],
    stored: pd.DataFrame,
    cuts: int = 3,
    seed: int = 0,
    watch: Watch = lambda done, total, note: None,
) -> list[Examined]:
    """All that can be asked of a fold's checkpoint and its stored predictions."""
    return [
        *examine_training(data.panel, fold, recipe, seed),
        examine_fit(data, fold, checkpoint),
        *examine_fold(data.panel, fold, recipe, checkpoint, cuts, seed, watch),
        examine_stored_predictions(data, fold, checkpoint, stored),
    ]


def examine_fold(
    panel: Panel,
    fold: Fold,
    recipe: Recipe,
    checkpoint: Mapping[str, Any],
    cuts: int = 3,
    seed: int = 0,
    watch: Watch = lambda done, total, note: None,
) -> list[Examined]:
    """Universe, scaled inputs, predictions and orders of a fold's first dates, from raw bars on.

    At most 24 symbols; the dates after them are known, and then cut off or scrambled, at `cuts`
    of these dates. On the first night of a fold no bar follows its only one, so there is nothing
    to cut off: the stages are listed with no value compared.
    """
    first, last = fold.test.first, min(fold.test.first + DECIDED + AFTER, len(panel.timestamps)) - 1
    if first == last:
        done = "no bar follows the fold's first one yet"
        names = (UNIVERSE, INPUTS, PREDICTIONS, ORDERS)
        return [Examined(name, check, done, 0) for name in names for check in CHECKS]
    start = max(0, first - burn_in(recipe.model.n_steps) - SPARE)
    symbols = sampled(panel, Rows(first, last), seed)
    bars = raw_bars(panel, symbols, Rows(start, last))
    stages = FoldStages(checkpoint, recipe.market, symbols, panel.timestamps[first], DECIDED)
    places = np.linspace(first + 1, min(first + DECIDED, last), cuts).round().astype(int)
    dates = list(panel.timestamps[np.unique(places)])
    return examine(stages, bars, truncate=dates, scramble=dates, seed=seed, watch=watch)


def examine_stored_predictions(
    data: Dataset, fold: Fold, checkpoint: Mapping[str, Any], stored: pd.DataFrame
) -> Examined:
    """Whether a fold's stored predictions are what its checkpoint says, on its first dates."""
    rows = Rows(fold.test.first, min(fold.test.first + STORED - 1, fold.test.last))
    end = data.panel.timestamps[rows.last]
    computed = predict_rows(Predictor(dict(checkpoint)), data, rows, fold.key)
    theirs = stored[stored["timestamp"] <= end].reset_index(drop=True)
    ours, theirs = (comparable(each.drop(columns=["model", "fold"])) for each in (computed, theirs))
    values, leaks = differences(PREDICTIONS, "stored", ours, theirs, end, AS_STORED)
    done = f"first {len(rows)} dates predicted again, all symbols"
    return Examined(PREDICTIONS, "stored", done, values, tuple(leaks))
