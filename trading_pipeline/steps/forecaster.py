"""What a paper session knows of each bar: features, predictions, and the evidence of past ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.kill_points import around
from trading_pipeline.core.backtest.basis import grids_of
from trading_pipeline.core.backtest.signal_walk import SignalWalk
from trading_pipeline.core.features.catalog import LOOKBACK
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.inference import Prediction, Predictor
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.learning.window_walk import WindowWalk
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.walk import MarketRow, MarketWalk
from trading_pipeline.core.trading.trader import Bar, Signals
from trading_pipeline.steps.recording import Forecasts


class Forecaster:
    """Features and predictions of one bar at a time, from the bars up to it and no others.

    The first row that it is asked about costs a look at the whole history, each one after it that
    of a bar. Rows are asked about in order.
    """

    def __init__(
        self,
        panel: Panel,
        market: Market,
        folds: list[Fold],
        load: Callable[[str], Any],
        history: pd.DataFrame | None = None,
    ) -> None:
        """`load` gives the checkpoint of a fold's key; `history` are the predictions that are known
        already, if there are any: evidence to size by, which nothing said later changes."""
        self.panel, self.market, self.folds, self.load = panel, market, folds, load
        self.history = np.full(panel.close.shape, np.nan)  # (T, N) scores
        self.volatility = self.history.copy()  # that was forecast
        self.half_life = np.full(len(panel.timestamps), np.nan)
        self.known = np.zeros(len(panel.timestamps), dtype=bool)  # rows whose predictions stay
        if history is not None:
            self.history, self.half_life, self.volatility = grids_of(panel, history)
            self.known = np.isfinite(self.history).any(axis=1)
        self.fold: Fold | None = None
        self.predictor: Predictor | None = None
        self.next_row = 0
        self.model = ""  # SHA-256 of the checkpoint asked
        self._market: MarketWalk | None = None  # all of them at the row of `_seen`
        self._windows: WindowWalk | None = None
        self._seen: MarketRow | None = None
        self._window: NDArray[np.float32] | None = None  # (S, N, F)
        self._sizing: SignalWalk | None = None
        self._signals: Signals | None = None
        self._sized = 0  # row of `_signals`
        self.beat: Callable[[], None] = lambda: None  # called while rows are predicted again

    @property
    def forecasts(self) -> Forecasts:
        """All that was predicted so far."""
        return Forecasts(score=self.history, volatility=self.volatility, half_life=self.half_life)

    def bar(self, row: int) -> Bar:
        """The bar of a row."""
        follows = self._market is not None and row in (self._market.row, self._market.row + 1)
        return Bar.of(self.panel, row, self._known(row).conversion if follows else None)

    def follow(self, panel: Panel) -> None:
        """Go on with a panel that begins with the rows of the one before, and has later ones."""
        more = len(panel.timestamps) - len(self.panel.timestamps)
        nothing = np.full((more, len(panel.symbols)), np.nan)
        self.history = np.vstack([self.history, nothing])
        self.volatility = np.vstack([self.volatility, nothing])
        self.half_life = np.append(self.half_life, np.full(more, np.nan))
        self.known = np.append(self.known, np.zeros(more, dtype=bool))
        self.panel = panel

    def scores(self, row: int) -> np.ndarray:
        """(N,) scores at the close of `row`.

        The model's notional book starts at its fold's first decision: after a restart within a
        fold, the rows before are predicted again, which gives the same answers.
        """
        fold = self._fold_of(row)
        if fold is not self.fold:
            self._swap_model(fold)
        for each in range(self.next_row, row + 1):
            if each < row:
                self.beat()
            self._predict(each)
        said: np.ndarray = self.history[row]
        return said

    def catch_up(self, row: int) -> None:
        """Predict the rows of its fold before `row`, for a session that begins within a fold."""
        if self._fold_of(row).test.first < row:
            self.scores(row - 1)

    def signals(self, row: int) -> Signals:
        """All that is decided on at the close of `row`, from the bars up to there."""
        self.scores(row)
        self._size(self._known(row))
        assert self._signals is not None
        return self._signals

    def has_model(self, row: int) -> bool:
        """Whether there is a model that may be asked about a row."""
        return any(each.test.first <= row <= each.test.last for each in self.folds)

    def _fold_of(self, row: int) -> Fold:
        return next(each for each in self.folds if each.test.first <= row <= each.test.last)

    def _swap_model(self, fold: Fold) -> None:
        with around("model swap"):
            checkpoint = self.load(fold.key)
            self.predictor, self.fold = self._predictor(checkpoint), fold
            self.model = checkpoint.get("sha256", checkpoint["fingerprint"])
            self.predictor.restart(len(self.panel.symbols))
            self.next_row = fold.test.first
        market = self._market
        if market is not None and (market.lookback, market.window) != self._needs():
            self._market = self._seen = None  # the model looks at other windows than the last one

    def _predict(self, row: int) -> None:
        assert self.predictor is not None
        self.next_row = row + 1
        seen = self._known(row)
        said = self._asked(seen)
        if self.known[row]:
            return
        self.history[row], self.volatility[row] = said.score, said.volatility
        if seen.eligible.any():  # else the table has no row that would say it
            self.half_life[row] = self.predictor.calibration.half_life
        self.known[row] = True

    def _asked(self, seen: MarketRow) -> Prediction:
        assert self.predictor is not None
        assert self._window is not None
        self.predictor.refuse_seen(self.panel.timestamps[seen.row])
        bar = seen.overnight, seen.intraday, seen.sigma_before
        return self.predictor.answer(self._window, bar, seen.sigma, seen.eligible)

    def _known(self, row: int) -> MarketRow:
        """What is known of the market at a row: of the one after the last, or the first asked."""
        if self._seen is not None and self._seen.row == row:
            return self._seen
        if self._market is None or row != self._market.row + 1:
            self._begin(row)
        elif self._seen is not None:
            self._size(self._seen)
        assert self._market is not None
        assert self._windows is not None
        self._seen = self._market.step(self.panel)
        self._window = self._windows.step(self.panel, self._seen)
        return self._seen

    def _begin(self, row: int) -> None:
        """Look at the whole history before a row."""
        past, (lookback, window) = self.panel.until(row), self._needs()
        able = eligible(past, lookback, window)
        said = self.history[:row], self.half_life[:row], self.volatility[:row]
        self._market = MarketWalk(past, lookback, window, own=LOOKBACK)
        self._windows = WindowWalk(past, self.market.calendar, window)
        self._sizing, self._sized = SignalWalk(past, self.market, able, *said), row - 1
        self._seen = self._signals = None

    def _size(self, seen: MarketRow) -> None:
        """What a row's predictions, which are complete by now, are traded by."""
        if self._sized == seen.row:
            return
        assert self._sizing is not None
        row = self._sized = seen.row
        said = self.history[row], float(self.half_life[row]), self.volatility[row]
        self._signals = self._sizing.step(self.panel, seen, *said)

    def _needs(self) -> tuple[int, int]:
        """Bars of history that a symbol needs, and how many of them a prediction looks at."""
        assert self.predictor is not None
        n_steps = self.predictor.config.n_steps
        return burn_in(n_steps), n_steps

    def _predictor(self, checkpoint: dict[str, Any]) -> Predictor:
        return Predictor(checkpoint)
