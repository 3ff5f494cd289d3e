"""What a paper session knows of each bar: features, predictions, and the evidence of past ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import half_lives, inputs_of, score_grid, volatilities
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.inference import Predictor
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import prepare
from trading_pipeline.core.trading.trader import Signals


class Forecaster:
    """Features and predictions of one bar at a time, from the bars up to it and no others."""

    def __init__(
        self,
        panel: Panel,
        market: Market,
        folds: list[Fold],
        load: Callable[[str], Any],
        history: pd.DataFrame | None = None,
    ) -> None:
        """`load` gives the checkpoint of a fold's key; `history` are the predictions of bars before
        the session, if there are any: they are evidence to size by."""
        self.panel, self.market, self.folds, self.load = panel, market, folds, load
        self.history = np.full(panel.close.shape, np.nan)  # (T, N) scores
        self.volatility = self.history.copy()  # that was forecast
        self.half_life = np.full(len(panel.timestamps), np.nan)
        if history is not None:
            self.history, self.half_life = score_grid(panel, history), half_lives(panel, history)
            self.volatility = volatilities(panel, history)
        self.groups = groups_of(panel, market)  # of each month by what came before it
        self.fold: Fold | None = None
        self.predictor: Predictor | None = None
        self.next_row = 0

    def scores(self, row: int) -> tuple[np.ndarray, Dataset]:
        """(N,) scores at the close of `row`, and the dataset cut there.

        The model's notional book starts at its fold's first decision: after a restart within a
        fold, the rows before are predicted again, which gives the same answers.
        """
        fold = next(each for each in self.folds if each.test.first <= row <= each.test.last)
        if fold is not self.fold:
            self.predictor, self.fold = Predictor(self.load(fold.key)), fold
            self.predictor.restart(len(self.panel.symbols))
            self.next_row = fold.test.first
        assert self.predictor is not None
        data = self._dataset(row)
        for earlier in range(self.next_row, row + 1):
            said = self.predictor.step(data, earlier)
            self.history[earlier], self.volatility[earlier] = said.score, said.volatility
            if data.eligible[earlier].any():  # else the table has no row that would say it
                self.half_life[earlier] = self.predictor.calibration.half_life
        self.next_row = row + 1
        return self.history[row], data

    def signals(self, row: int) -> Signals:
        """All that is decided on at the close of `row`, from the bars up to there."""
        _, data = self.scores(row)
        panel, known = data.panel, slice(None, row + 1)
        prepared = prepare(panel)
        inputs, _ = inputs_of(
            panel,
            prepared,
            self.history[known],
            self.half_life[known],
            self.volatility[known],
            data.eligible,
            self.groups[known],
            self.market,
        )
        return Signals.of(prepared, inputs, row)

    def _dataset(self, row: int) -> Dataset:
        assert self.predictor is not None
        known = self.panel.until(row + 1)
        features = features_of(known, self.market.calendar)
        return Dataset.of(known, features, self.predictor.config.n_steps)
