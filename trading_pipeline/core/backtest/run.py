"""The backtest of a market: its predictions traded, beside what anyone could have done.

Every account starts at the first row that has a prediction, on the same bars, with the same costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis, half_lives, score_grid, volatilities
from trading_pipeline.core.backtest.random_portfolios import random_portfolios
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.sweep import sweep
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.kelly import KellyEvidence
from trading_pipeline.core.trading.profiles import profile_of
from trading_pipeline.core.trading.rules import without_each_rule
from trading_pipeline.core.trading.terms import Terms

RANDOM_PORTFOLIOS = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtest:
    """All results over rows [start, stop) of the panel; K = stop - start bars."""

    start: int
    stop: int
    strategy: BacktestResult
    one_bar_late: BacktestResult  # the latency check: fills one bar later
    baselines: dict[str, BacktestResult]
    without_rules: dict[str, np.ndarray]  # (K,) equity of the strategy with one rule off, by rule
    random_equity: np.ndarray  # (R, K), quote currency
    score: np.ndarray  # (T, N) as predicted, NaN where nothing was
    learned: dict[str, np.ndarray]  # (T, N) scores of the learned baselines, by name
    evidence: KellyEvidence  # that sized the managed ones


def run_backtest(
    panel: Panel,
    predictions: pd.DataFrame,
    eligible: np.ndarray,
    market: Market,
    capital: float,
    seed: int = 0,
    learned: Mapping[str, pd.DataFrame] = MappingProxyType({}),
) -> Backtest:
    """Trade the predictions, also with each rule off, the baselines and random portfolios.

    Args:
        panel: T rows, N symbols.
        predictions: the predictions table; `score` is traded, at the risk that `volatility` says.
        eligible: (T, N) bool, who may be bought at each close.
        capital: quote currency, of every account.
        learned: predictions of the learned baselines, traded by the same rules on the same bars.

    Raises:
        TradingError: no prediction is of a bar of the panel.
    """
    score = score_grid(panel, predictions)
    lasting, forecast = half_lives(panel, predictions), volatilities(panel, predictions)
    basis = Basis.of(panel, score, eligible, market, lasting, forecast)
    terms = Terms.of(market, capital)
    bare = sweep(basis, terms, without_each_rule(profile_of(market)), own_evidence=False)
    return Backtest(
        start=basis.start,
        stop=basis.stop,
        strategy=basis.trade(terms),
        one_bar_late=basis.trade(
            terms,
            score=_a_bar_late(basis.score),
            forecast=None if (known := basis.inputs.forecast) is None else _a_bar_late(known),
        ),
        baselines=basis.trade_baselines(terms)
        | {name: _traded_alike(basis, table, market, terms) for name, table in learned.items()},
        without_rules=dict(zip(bare.names, bare.equity, strict=True)),
        random_equity=random_portfolios(
            panel,
            eligible,
            terms,
            start=basis.start,
            stop=basis.stop,
            seed=seed,
            count=RANDOM_PORTFOLIOS,
            prepared=basis.prepared,
        ),
        score=score,
        learned={name: score_grid(panel, table) for name, table in learned.items()},
        evidence=basis.evidence,
    )


def _a_bar_late(values: np.ndarray) -> np.ndarray:
    """(T, N), each row a bar later."""
    return np.vstack([np.full((1, values.shape[1]), np.nan), values[:-1]])


def _traded_alike(
    basis: Basis, predictions: pd.DataFrame, market: Market, terms: Terms
) -> BacktestResult:
    """Other predictions, traded as those of the basis are: with evidence of their own."""
    score, lasting = score_grid(basis.panel, predictions), half_lives(basis.panel, predictions)
    own = Basis.of(basis.panel, score, basis.eligible, market, lasting)
    return replace(own, start=basis.start, stop=basis.stop).trade(terms)
