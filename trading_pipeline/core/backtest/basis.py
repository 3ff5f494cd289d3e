"""What every account of a backtest is decided on: bars, scores, and what follows from them."""

from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import (
    AT_TARGET_VOLATILITY,
    NAMED_BENCHMARK,
    RULE_BASELINES,
    Span,
)
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.benchmark import benchmark_weights
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import Inputs, Prepared, prepare
from trading_pipeline.core.trading.kelly import KellyEvidence, kelly_evidence
from trading_pipeline.core.trading.rules import without_guards
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import TradingError


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """What every account of a backtest is decided on, over rows [start, stop) of the panel."""

    panel: Panel
    start: int
    stop: int
    prepared: Prepared
    inputs: Inputs  # of the strategy
    evidence: KellyEvidence
    named: bool = False  # whether the market's entry names the weights of its benchmark

    @classmethod
    def of(
        cls,
        panel: Panel,
        score: np.ndarray,
        eligible: np.ndarray,
        market: Market,
        half_life: np.ndarray | None = None,
        volatility: np.ndarray | None = None,
    ) -> Self:
        """The basis of scores (T, N) that were predicted out of sample, and last `half_life` (T,).

        `volatility`: (T, N) that was forecast; NaN, or None for all: σ.

        Raises:
            TradingError: no prediction is of a bar of the panel.
        """
        start, stop = scored_rows(score, len(panel.timestamps))
        prepared, groups = prepare(panel), groups_of(panel, market)
        inputs, evidence = inputs_of(
            panel, prepared, score, half_life, volatility, eligible, groups, market
        )
        return cls(
            panel=panel,
            start=start,
            stop=stop,
            prepared=prepared,
            inputs=inputs,
            evidence=evidence,
            named=bool(market.benchmark),
        )

    @classmethod
    def of_predictions(
        cls, panel: Panel, predictions: pd.DataFrame, eligible: np.ndarray, market: Market
    ) -> Self:
        """The basis of a predictions table: scores, how long they last, and their volatility.

        Raises:
            TradingError: no prediction is of a bar of the panel.
        """
        score, lasting, forecast = grids_of(panel, predictions)
        return cls.of(panel, score, eligible, market, lasting, forecast)

    def of_others(self, predictions: pd.DataFrame, market: Market) -> Self:
        """Other predictions on the same rows, with evidence of their own; the bars are shared.

        Raises:
            TradingError: no prediction is of a bar of the panel.
        """
        grids = grids_of(self.panel, predictions)
        scored_rows(grids[0], len(grids[0]))  # refused where there are none
        shared = self.eligible, self.groups, market
        inputs, evidence = inputs_of(self.panel, self.prepared, *grids, *shared)
        return replace(self, inputs=inputs, evidence=evidence)

    @property
    def score(self) -> np.ndarray:
        """(T, N) in units of the volatility sized by; NaN where nothing was predicted."""
        return cast(np.ndarray, self.inputs.score)

    @property
    def volatility(self) -> np.ndarray:
        """(T, N) of a bar that the strategy is sized by: σ, unless another one was forecast."""
        own, forecast = self.prepared.volatility, self.inputs.forecast
        return own if forecast is None else np.where(np.isnan(forecast), own, forecast)

    @property
    def eligible(self) -> np.ndarray:
        """(T, N) bool."""
        return cast(np.ndarray, self.inputs.eligible)

    @property
    def groups(self) -> np.ndarray:
        """(T, N) int."""
        return cast(np.ndarray, self.inputs.groups)

    def trade(self, terms: Terms, everything: bool = False, **changed: Any) -> BacktestResult:
        """The strategy under these terms, or with some of its inputs changed; see `simulate`."""
        return simulate(
            self.panel,
            terms,
            replace(self.inputs, **changed),
            start=self.start,
            stop=self.stop,
            everything=everything,
            prepared=self.prepared,
        )

    def trade_baselines(self, terms: Terms) -> dict[str, BacktestResult]:
        """Every rule baseline: with no more than its costs, and managed as the strategy is.

        Managed means the profile's volatility target, caps and risk rules, on the weights that the
        baseline last asked for. Whatever the strategy's mandate, they hold the market and go long:
        those of a neutral strategy are the ones that a long-only strategy of the profile has. None
        of them knows what a network forecasts. A benchmark that the market's entry names is one of
        them.
        """
        span = Span(self.start, self.stop, terms.bars_per_year)
        bare = replace(self, inputs=replace(self.inputs, score=None, forecast=None))
        paths = {
            name: rule(self.panel, self.eligible, span) for name, rule in RULE_BASELINES.items()
        }
        if self.named:
            paths[NAMED_BENCHMARK] = cast(np.ndarray, self.inputs.weights)
        plain, managed = replace(terms, profile=None), replace(terms, mandate="long_only")
        target = replace(managed, profile=terms.profile and without_guards(terms.profile))
        return {
            **{name: bare.trade(plain, weights=path) for name, path in paths.items()},
            AT_TARGET_VOLATILITY: bare.trade(target, weights=paths["equal_weight"]),
            **{
                f"{name}_managed": bare.trade(managed, weights=path)
                for name, path in paths.items()
                if name != "cash"
            },
        }


def inputs_of(
    panel: Panel,
    prepared: Prepared,
    score: np.ndarray,
    half_life: np.ndarray | None,
    volatility: np.ndarray | None,
    eligible: np.ndarray,
    groups: np.ndarray,
    market: Market,
) -> tuple[Inputs, KellyEvidence]:
    """What scores are traded by, in a backtest and on paper, and the evidence that sizes them.

    A forecast volatility sizes in place of σ; where it is σ, none was forecast. Impact and stops
    are in σ always.
    """
    inputs = scored_inputs(panel, prepared, score, half_life, volatility, eligible, groups, market)
    evidence = kelly_evidence(panel, prepared, inputs, Terms.of(market, capital=1.0))
    return replace(inputs, kelly=evidence.share), evidence


def scored_inputs(
    panel: Panel,
    prepared: Prepared,
    score: np.ndarray,
    half_life: np.ndarray | None,
    volatility: np.ndarray | None,
    eligible: np.ndarray,
    groups: np.ndarray,
    market: Market,
) -> Inputs:
    """As `inputs_of`, without the evidence."""
    if volatility is not None:
        volatility = forecast_of(volatility, prepared.volatility)
        score = in_units_of(volatility, score, prepared.volatility)
    return Inputs(
        score=score,
        half_life=half_life,
        forecast=volatility,
        weights=benchmark_weights(panel, eligible, market),
        eligible=eligible,
        groups=groups,
    )


def forecast_of(volatility: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The `volatility` of predictions where it is a forecast, NaN where it is σ, or no number.

    To a millionth: σ that was stored may differ in its last bits from one that another processor
    computes, and is no forecast for that.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        new = np.abs(volatility / sigma - 1) > 1e-6
    return np.where(new & (volatility > 0) & (volatility < np.inf), volatility, np.nan)


def in_units_of(volatility: np.ndarray, score: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Scores (T, N) that are expected returns in units of σ√h, in units of another volatility.

    What a symbol is expected to return beyond the others, (score - mean) × σ√h, does not depend on
    how its risk is measured; divided by the better forecast of it, and once more when it becomes a
    weight, it gives the mean-variance answer, expected return / variance. The mean of a date's
    scores is the market's and is no reason to prefer a symbol, in whatever unit: it stays. So does
    every bit of a score without a forecast, which is NaN.
    """
    known = np.isfinite(score)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    mean = np.where(known, score, 0.0).sum(axis=1, keepdims=True) / count
    both = (sigma > 0) & (volatility > 0)  # not where it is NaN: none was forecast
    ratio = np.divide(sigma, volatility, out=np.ones_like(score), where=both)
    converted: np.ndarray = score + np.where(known, score - mean, 0.0) * (ratio - 1)
    return converted  # what is infinite stays so, and is refused


def volatilities(panel: Panel, predictions: pd.DataFrame) -> np.ndarray:
    """(T, N) volatility of a bar that was forecast; NaN where the table does not say."""
    if "volatility" not in predictions:
        return np.full(panel.close.shape, np.nan)
    return predicted_grid(panel, predictions, "volatility")


def half_lives(panel: Panel, predictions: pd.DataFrame) -> np.ndarray:
    """(T,) bars that the scores of each row last; NaN where the table does not say."""
    row = np.full(len(panel.timestamps), np.nan)
    if "half_life" in predictions:
        t = panel.timestamps.get_indexer(pd.DatetimeIndex(predictions["timestamp"]))
        values = predictions["half_life"].to_numpy(float)
        known = (t >= 0) & np.isfinite(values)
        row[t[known]] = values[known]
    return row


def grids_of(panel: Panel, predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a predictions table says on a panel: `score_grid`, `half_lives`, `volatilities`."""
    table = panel, predictions
    return score_grid(*table), half_lives(*table), volatilities(*table)


def score_grid(panel: Panel, predictions: pd.DataFrame) -> np.ndarray:
    """(T, N) scores of the predictions table, NaN where there is none."""
    return predicted_grid(panel, predictions, "score")


def predicted_grid(panel: Panel, predictions: pd.DataFrame, column: str) -> np.ndarray:
    """(T, N) of one column of the predictions table, NaN where there is none."""
    grid = np.full(panel.close.shape, np.nan)
    t = panel.timestamps.get_indexer(pd.DatetimeIndex(predictions["timestamp"]))
    n = pd.Index(panel.symbols).get_indexer(predictions["symbol"])
    known = (t >= 0) & (n >= 0)
    grid[t[known], n[known]] = predictions[column].to_numpy(float)[known]
    return grid


def scored_rows(score: np.ndarray, rows: int) -> tuple[int, int]:
    """First row with a score, and the row after the last one that is decided on."""
    scored = np.flatnonzero(np.isfinite(score).any(axis=1))
    if not len(scored):
        raise TradingError("no prediction belongs to a bar of the panel; predict its folds first")
    return int(scored[0]), min(rows, int(scored[-1]) + 2)
