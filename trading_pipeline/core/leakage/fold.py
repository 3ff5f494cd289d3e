"""Does what a checkpoint is given, predicts and orders look ahead? Experiments from raw bars on.

Every stage is computed by the code that prediction, backtest and paper trading use, as a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.backtest.basis import half_lives, inputs_of, score_grid, volatilities
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.features.catalog import LOOKBACK, NAMES
from trading_pipeline.core.leakage.bars import (
    AFTER,
    AS_STORED,
    UNIVERSE,
    comparable,
    panel_of,
    raw_bars,
    sampled,
    table_of,
    universe,
)
from trading_pipeline.core.leakage.experiment import Examined, Tables, compare, examine, far_apart
from trading_pipeline.core.leakage.training import examine_fit, examine_training
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.inference import (
    Close,
    Heads,
    HeadValues,
    Predictor,
    predict_rows,
)
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import prepare
from trading_pipeline.core.trading.terms import Terms

INPUTS, PREDICTIONS, ORDERS = "scaled inputs", "predictions", "orders"
STAGES = (UNIVERSE, INPUTS, PREDICTIONS, ORDERS)
CAPITAL = 100_000.0  # of the account whose orders are compared; quote currency
DECIDED = 12  # first dates of a fold that are predicted and traded again
STORED = 5  # of them that are compared with what is stored, on all symbols
SPARE = LOOKBACK // 4  # dates more than are needed, for symbols that lack bars
Array = NDArray[np.float64]


def examine_model(
    data: Dataset,
    fold: Fold,
    recipe: Recipe,
    checkpoint: Mapping[str, Any],
    stored: pd.DataFrame,
    count: int = 3,
    seed: int = 0,
) -> list[Examined]:
    """All that can be asked of a fold's checkpoint and its stored predictions."""
    return [
        *examine_training(data.panel, fold, recipe, seed),
        examine_fit(data, fold, checkpoint),
        *examine_fold(data.panel, fold, recipe, checkpoint, count, seed),
        examine_stored_predictions(data, fold, checkpoint, stored),
    ]


def examine_fold(
    panel: Panel,
    fold: Fold,
    recipe: Recipe,
    checkpoint: Mapping[str, Any],
    count: int = 3,
    seed: int = 0,
) -> list[Examined]:
    """Universe, scaled inputs, predictions and orders of a fold's first dates, from raw bars on.

    At most 24 symbols; the dates after them are known, and then cut off or scrambled, at `count`
    of these dates. On the first night of a fold no bar follows its only one, so there is nothing
    to cut off: the stages are listed with no value compared.
    """
    first, last = fold.test.first, min(fold.test.first + DECIDED + AFTER, len(panel.timestamps)) - 1
    if first == last:
        done = "no bar follows the fold's first one yet"
        checks = ("truncation", "scrambling")
        return [Examined(stage, check, done, 0) for stage in STAGES for check in checks]
    start = max(0, first - burn_in(recipe.model.n_steps) - SPARE)
    symbols = sampled(panel, Rows(first, last), seed)
    bars = raw_bars(panel, symbols, Rows(start, last))
    stages = FoldStages(checkpoint, recipe.market, symbols, panel.timestamps[first], DECIDED)
    places = np.linspace(first + 1, min(first + DECIDED, last), count).round().astype(int)
    dates = list(panel.timestamps[np.unique(places)])
    return examine(stages, bars, truncate=dates, scramble=dates, seed=seed)


def examine_stored_predictions(
    data: Dataset, fold: Fold, checkpoint: Mapping[str, Any], stored: pd.DataFrame
) -> Examined:
    """Whether a fold's stored predictions are what its checkpoint says, on its first dates."""
    rows = Rows(fold.test.first, min(fold.test.first + STORED - 1, fold.test.last))
    end = data.panel.timestamps[rows.last]
    computed = predict_rows(Predictor(dict(checkpoint)), data, rows, fold.key)
    theirs = stored[stored["timestamp"] <= end].reset_index(drop=True)
    ours, theirs = (comparable(each.drop(columns=["model", "fold"])) for each in (computed, theirs))
    done = f"first {len(rows)} dates predicted again, all symbols"
    differ = partial(far_apart, tolerance=AS_STORED)
    return compare(PREDICTIONS, "stored", ours, theirs, end, differ, done=done)


@dataclass(frozen=True)
class FoldStages:
    """What a checkpoint does with the first `count` bars from `first` on, up to the orders."""

    checkpoint: Mapping[str, Any]
    market: Market
    symbols: tuple[str, ...]
    first: pd.Timestamp
    count: int

    def __call__(self, bars: pd.DataFrame) -> Tables:
        predictor = Predictor(dict(self.checkpoint))
        predictor.heads = recorder = Recorder(predictor.heads)
        panel = panel_of(bars, self.symbols)
        features = features_of(panel, self.market.calendar)
        data = Dataset.of(panel, features, predictor.config.n_steps)
        start = int(panel.timestamps.searchsorted(self.first))
        rows = Rows(start, min(start + self.count, len(panel.timestamps)) - 1)
        if not len(rows):
            return dict.fromkeys(STAGES, table_of(panel.timestamps[:0], (), {}))
        predictions = predict_rows(predictor, data, rows, "")
        return {
            UNIVERSE: universe(data),
            INPUTS: recorder.table(data, rows),
            PREDICTIONS: predictions.drop(columns=["model", "fold"]),
            ORDERS: decisions(data, predictions, rows, self.market),
        }


class Recorder:
    """Heads that record their inputs, as the model got them."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.inputs: list[Array] = []

    def restart(self, n_symbols: int) -> None:
        """As the heads do."""
        self.heads.restart(n_symbols)

    def step(self, close: Close) -> HeadValues:
        """The same answers; keeps one number a feature: float64 sums of float32 miss no bit."""
        sums = close.windows.double().sum(dim=1).numpy()
        self.inputs.append(np.column_stack([sums, *close[1:]]))
        return self.heads.step(close)

    def table(self, data: Dataset, rows: Rows) -> pd.DataFrame:
        """A row for every date predicted and every symbol."""
        columns = [*NAMES, "overnight", "intraday", "sigma", "tradable"]
        values = np.concatenate(self.inputs).T
        return _table(data.panel, rows, dict(zip(columns, values, strict=True)))


def decisions(data: Dataset, predictions: pd.DataFrame, rows: Rows, market: Market) -> pd.DataFrame:
    """What a backtest decides at each close of `rows`, and the state of account and risk then.

    The newest bar is decided on as well, as on paper: a bar without prices follows it.
    """
    panel = _with_an_empty_bar(data.panel.until(rows.last + 1))
    score = score_grid(panel, predictions)
    able = np.vstack([data.eligible[: rows.last + 1], np.zeros((1, score.shape[1]), dtype=bool)])
    prepared, lasting = prepare(panel), half_lives(panel, predictions)
    groups, forecast = groups_of(panel, market), volatilities(panel, predictions)
    inputs, _ = inputs_of(panel, prepared, score, lasting, forecast, able, groups, market)
    result = simulate(
        panel,
        Terms.of(market, CAPITAL),
        inputs,
        start=rows.first,
        stop=rows.last + 2,
        everything=True,
        prepared=prepared,
    )
    decided, account = result.decisions[: -len(panel.symbols)], result.log[:-1]
    columns = {name: decided[name] for name in decided.dtype.names or ()}
    for name in account.dtype.names or ():
        columns[f"account {name}"] = np.repeat(account[name], len(panel.symbols))
    return _table(panel, rows, columns)


def _table(panel: Panel, rows: Rows, columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    return table_of(panel.timestamps[rows.first : rows.last + 1], panel.symbols, columns)


def _with_an_empty_bar(panel: Panel) -> Panel:
    empty = np.full((1, len(panel.symbols)), np.nan)
    filled = {"split": np.ones_like(empty), "dividend": np.zeros_like(empty)}
    filled["factor"] = panel.factor[-1:]
    names = ("open", "high", "low", "close", "volume", "split", "dividend", "factor")
    grids: dict[str, Any] = {
        name: np.vstack([getattr(panel, name), filled.get(name, empty)]) for name in names
    }
    doubts = np.broadcast_to(panel.in_doubt, panel.close.shape)
    return replace(
        panel,
        timestamps=panel.timestamps.append(panel.timestamps[-1:] + pd.Timedelta(minutes=1)),
        **grids,
        in_doubt=np.vstack([doubts, np.zeros((1, doubts.shape[1]), dtype=bool)]),
    )
