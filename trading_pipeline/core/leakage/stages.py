"""From raw bars to orders, stage by stage, as tables that the leakage experiments compare.

Everything is computed by the code that prediction, backtest and paper trading use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from trading_pipeline.core.backtest.run import evidence_of, score_grid
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.leakage.bars import UNIVERSE, keys_of, panel_of, universe
from trading_pipeline.core.leakage.experiment import Tables
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.inference import Ensemble, HeadValues, Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.panel import volatility as panel_volatility
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import Inputs
from trading_pipeline.core.trading.terms import Terms

INPUTS, PREDICTIONS, ORDERS = "scaled inputs", "predictions", "orders"
CAPITAL = 100_000.0  # of the account whose orders are compared; quote currency
Array = NDArray[np.float64]


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
        overheard = Overhearing(predictor.ensemble)
        predictor.ensemble = overheard
        panel = panel_of(bars, self.symbols)
        features = features_of(panel, self.market.calendar)
        data = Dataset.of(panel, features, predictor.config.n_steps)
        start = int(panel.timestamps.searchsorted(self.first))
        rows = Rows(start, min(start + self.count, len(panel.timestamps)) - 1)
        if not len(rows):
            return dict.fromkeys((UNIVERSE, INPUTS, PREDICTIONS, ORDERS), _nothing())
        predictions = predict_rows(predictor, data, rows, "")
        return {
            UNIVERSE: universe(data),
            INPUTS: overheard.table(data, rows),
            PREDICTIONS: predictions.drop(columns=["model", "fold"]),
            ORDERS: decisions(data, predictions, rows, self.market),
        }


class Overhearing(Ensemble):
    """An ensemble that remembers what it was asked, as the networks got it."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__(ensemble.networks)
        self.heard: list[Array] = []

    def step(
        self,
        windows: torch.Tensor,
        overnight: Array,
        intraday: Array,
        sigma: Array,
        tradable: NDArray[np.bool_],
    ) -> HeadValues:
        """The same answers; keeps one number a feature: float64 sums of float32 miss no bit."""
        sums = windows.double().sum(dim=1).numpy()
        self.heard.append(np.column_stack([sums, overnight, intraday, sigma, tradable]))
        return super().step(windows, overnight, intraday, sigma, tradable)

    def table(self, data: Dataset, rows: Rows) -> pd.DataFrame:
        """A row for every date asked about and every symbol."""
        columns = [*NAMES, "overnight", "intraday", "sigma", "tradable"]
        values = pd.DataFrame(np.concatenate(self.heard), columns=columns)
        return pd.concat([keys_of(data.panel, rows), values], axis=1)


def decisions(data: Dataset, predictions: pd.DataFrame, rows: Rows, market: Market) -> pd.DataFrame:
    """What a backtest decides at each close of `rows`, and the state of account and risk then.

    The newest bar is decided on as well, as on paper: a bar without prices follows it.
    """
    panel = _with_an_empty_bar(data.panel.until(rows.last + 1))
    score = score_grid(panel, predictions)
    able = np.vstack([data.eligible[: rows.last + 1], np.zeros((1, score.shape[1]), dtype=bool)])
    inputs = Inputs(
        score=score,
        eligible=able,
        groups=groups_of(panel, market),
        kelly=evidence_of(panel, score, panel_volatility(panel), able, market).cap,
    )
    result = simulate(
        panel,
        Terms.of(market, CAPITAL),
        inputs,
        start=rows.first,
        stop=rows.last + 2,
        everything=True,
    )
    decided, account = result.decisions[: -len(panel.symbols)], result.log[:-1]
    columns = {name: decided[name] for name in decided.dtype.names or ()}
    for name in account.dtype.names or ():
        columns[f"account {name}"] = np.repeat(account[name], len(panel.symbols))
    return pd.concat([keys_of(panel, rows), pd.DataFrame(columns)], axis=1)


def _with_an_empty_bar(panel: Panel) -> Panel:
    after = panel.timestamps[-1:] + pd.Timedelta(minutes=1)
    empty = np.full((1, len(panel.symbols)), np.nan)
    plain = {"split": np.ones_like(empty), "dividend": np.zeros_like(empty)}
    plain["factor"] = panel.factor[-1:]
    names = ("open", "high", "low", "close", "volume", "split", "dividend", "factor")
    grids = {name: np.vstack([getattr(panel, name), plain.get(name, empty)]) for name in names}
    return Panel(
        timestamps=panel.timestamps.append(after),
        symbols=panel.symbols,
        **grids,
        total_return_units=panel.total_return_units,
        in_doubt=_one_row_longer(panel.in_doubt, panel.close.shape),
    )


def _one_row_longer(flags: np.ndarray | bool, shape: tuple[int, ...]) -> np.ndarray:
    return np.vstack([np.broadcast_to(flags, shape), np.zeros((1, shape[1]), dtype=bool)])


def _nothing() -> pd.DataFrame:
    stamps = pd.DatetimeIndex([], dtype="datetime64[us, UTC]")
    return pd.DataFrame({"timestamp": stamps, "symbol": np.empty(0, dtype=object)})
