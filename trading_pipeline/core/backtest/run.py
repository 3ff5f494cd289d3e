"""The backtest of a market: its predictions traded, beside what anyone could have done.

Every book starts at the first row that has a prediction, on the same bars, with the same costs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import MANAGED, RULE_BASELINES
from trading_pipeline.core.backtest.random_portfolios import random_portfolios
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import Prepared, prepare
from trading_pipeline.core.trading.kelly import Evidence, kelly_caps
from trading_pipeline.core.trading.profiles import profile_of, without_stops
from trading_pipeline.errors import TradingError

RANDOM_PORTFOLIOS = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtest:
    """All books over rows [start, stop) of the panel; K = stop - start bars."""

    start: int
    stop: int
    strategy: BacktestResult
    without_stops: BacktestResult
    one_bar_late: BacktestResult  # the latency check: fills one bar later
    baselines: dict[str, BacktestResult]
    random_equity: np.ndarray  # (R, K), quote currency
    score: np.ndarray  # (T, N) as traded, NaN where nothing was predicted
    evidence: Evidence  # that sized the managed books


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """What the strategy is decided on, over rows [start, stop) of the panel."""

    start: int
    stop: int
    score: np.ndarray  # (T, N), NaN where nothing was predicted
    eligible: np.ndarray  # (T, N) bool
    prepared: Prepared
    groups: np.ndarray  # (T, N) int
    evidence: Evidence


def basis_of(
    panel: Panel, predictions: pd.DataFrame, eligible: np.ndarray, market: Market
) -> Basis:
    """What the books of a backtest have in common; arguments as those of `run_backtest`.

    Raises:
        TradingError: no prediction is of a bar of the panel.
    """
    score = score_grid(panel, predictions)
    start, stop = scored_rows(score, len(panel.timestamps))
    prepared = prepare(panel)
    return Basis(
        start=start,
        stop=stop,
        score=score,
        eligible=eligible,
        prepared=prepared,
        groups=groups_of(panel, market),
        evidence=evidence_of(panel, score, prepared.volatility, eligible, market),
    )


def strategy_book(
    panel: Panel, basis: Basis, market: Market, capital: float, everything: bool = False
) -> BacktestResult:
    """The strategy's book of a backtest; with `everything` as `simulate` explains it."""
    return simulate(
        panel,
        start=basis.start,
        stop=basis.stop,
        score=basis.score,
        eligible=basis.eligible,
        groups=basis.groups,
        kelly=basis.evidence.cap,
        prepared=basis.prepared,
        profile=profile_of(market),
        everything=everything,
        **book_settings(market, capital),
    )


def run_backtest(
    panel: Panel,
    predictions: pd.DataFrame,
    eligible: np.ndarray,
    market: Market,
    capital: float,
    seed: int = 0,
) -> Backtest:
    """Trade the predictions, the baselines and a thousand random portfolios.

    Args:
        panel: T rows, N symbols.
        predictions: the predictions table; `score` is traded.
        eligible: (T, N) bool, who may be bought at each close.
        capital: quote currency, of every book.

    Raises:
        TradingError: no prediction is of a bar of the panel.
    """
    basis = basis_of(panel, predictions, eligible, market)
    score, prepared, profile = basis.score, basis.prepared, profile_of(market)
    settings = book_settings(market, capital)
    rows: dict[str, Any] = {"start": basis.start, "stop": basis.stop}
    shared: dict[str, Any] = {"kelly": basis.evidence.cap, "prepared": prepared}
    shared["groups"] = basis.groups

    def trade(**inputs: Any) -> BacktestResult:
        return simulate(panel, eligible=eligible, **shared, **rows, **settings, **inputs)

    weights = {
        name: rule(panel, eligible, **rows, bars_per_year=market.bars_per_year)
        for name, rule in RULE_BASELINES.items()
    }
    baselines = {name: trade(weights=path) for name, path in weights.items()}
    for name in MANAGED:
        baselines[f"{name}_managed"] = trade(weights=weights[name], profile=profile)
    late = np.vstack([np.full((1, score.shape[1]), np.nan), score[:-1]])
    return Backtest(
        start=basis.start,
        stop=basis.stop,
        strategy=strategy_book(panel, basis, market, capital),
        without_stops=trade(score=score, profile=without_stops(profile)),
        one_bar_late=trade(score=late, profile=profile),
        baselines=baselines,
        random_equity=random_portfolios(
            panel,
            eligible,
            **rows,
            capital=capital,
            costs=market.costs,
            bars_per_year=market.bars_per_year,
            seed=seed,
            count=RANDOM_PORTFOLIOS,
            prepared=prepared,
        ),
        score=score,
        evidence=basis.evidence,
    )


def evidence_of(
    panel: Panel, score: np.ndarray, volatility: np.ndarray, eligible: np.ndarray, market: Market
) -> Evidence:
    """What past predictions allow a market to hold, in a backtest and on paper."""
    return kelly_caps(
        panel,
        score,
        volatility,
        eligible,
        horizon=market.horizon,
        book=market.book,
        shortable=market.shortable,
        profile=profile_of(market),
        costs=market.costs,
    )


def book_settings(market: Market, capital: float) -> dict[str, Any]:
    """What every account of a market is opened with, in a backtest and on paper."""
    return {
        "capital": capital,
        "costs": market.costs,
        "bars_per_year": market.bars_per_year,
        "horizon": market.horizon,
        "book": market.book,
        "shortable": market.shortable,
    }


def score_grid(panel: Panel, predictions: pd.DataFrame) -> np.ndarray:
    """(T, N) scores of the predictions table, NaN where there is none."""
    grid = np.full(panel.close.shape, np.nan)
    t = panel.timestamps.get_indexer(pd.DatetimeIndex(predictions["timestamp"]))
    n = pd.Index(panel.symbols).get_indexer(predictions["symbol"])
    known = (t >= 0) & (n >= 0)
    grid[t[known], n[known]] = predictions["score"].to_numpy(float)[known]
    return grid


def scored_rows(score: np.ndarray, rows: int) -> tuple[int, int]:
    """First row with a score, and the row after the last one that is decided on."""
    scored = np.flatnonzero(np.isfinite(score).any(axis=1))
    if not len(scored):
        raise TradingError("no prediction belongs to a bar of the panel; predict its folds first")
    return int(scored[0]), min(rows, int(scored[-1]) + 2)
