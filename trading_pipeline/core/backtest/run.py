"""The backtest of a market: its predictions traded, beside what anyone could have done.

Every account starts at the first row that has a prediction, on the same bars, with the same costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import BENCHMARK
from trading_pipeline.core.backtest.basis import Basis, score_grid
from trading_pipeline.core.backtest.paths import Paths
from trading_pipeline.core.backtest.random_portfolios import portfolios_for, random_portfolios
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.sweep import sweep
from trading_pipeline.core.backtest.variants import Variants, profiles_of, variants_of
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.model.config import SCORE_OF_SEED
from trading_pipeline.core.trading.kelly import KellyEvidence
from trading_pipeline.core.trading.profiles import Profile, profile_of
from trading_pipeline.core.trading.rules import without_each_rule
from trading_pipeline.core.trading.terms import Terms


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtest:
    """All results over rows [start, stop) of the panel; K = stop - start bars."""

    start: int
    stop: int
    strategy: BacktestResult
    baselines: dict[str, BacktestResult]
    profiles: dict[str, BacktestResult]  # the strategy under each profile that its mandate allows
    without_rules: dict[str, np.ndarray]  # (K,) equity of the strategy with one rule off, by rule
    variants: Variants | None  # at other costs, and so on; None: not asked for
    seeds: dict[int, BacktestResult]  # on what each seed's network predicts; {}: there is one
    random: Paths  # R random portfolios
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
    verdicts_only: bool = False,
) -> Backtest:
    """Trade the predictions, also with one thing changed, the baselines and random portfolios.

    Args:
        panel: T rows, N symbols.
        predictions: the predictions table; `score` is traded, at the risk that `volatility` says.
        eligible: (T, N) bool, who may be bought at each close.
        capital: quote currency, of every account.
        learned: predictions of the learned baselines, traded by the same rules on the same bars.
        verdicts_only: leave out what no verdict is made from: other profiles, rules off, variants
            and random portfolios, which are nearly all of the work.

    Raises:
        TradingError: no prediction is of a bar of the panel.
    """
    basis = Basis.of_predictions(panel, predictions, eligible, market)
    terms = Terms.of(market, capital)
    strategy = basis.trade(terms)
    baselines = basis.trade_baselines(terms)
    rules = {} if verdicts_only else without_each_rule(profile_of(market))
    return Backtest(
        start=basis.start,
        stop=basis.stop,
        strategy=strategy,
        baselines=baselines
        | {name: basis.of_others(table, market).trade(terms) for name, table in learned.items()},
        profiles={market.profile: strategy}
        if verdicts_only
        else profiles_of(basis, market, terms, strategy),
        without_rules=_equity_under(basis, terms, rules),
        variants=None
        if verdicts_only
        else variants_of(basis, terms, strategy, baselines[BENCHMARK]),
        seeds={} if verdicts_only else _by_seed(basis, predictions, market, terms),
        random=random_portfolios(
            basis, terms, seed=seed, count=0 if verdicts_only else portfolios_for(basis)
        ),
        score=score_grid(panel, predictions),
        learned={name: score_grid(panel, table) for name, table in learned.items()},
        evidence=basis.evidence,
    )


def _equity_under(
    basis: Basis, terms: Terms, profiles: Mapping[str, Profile]
) -> dict[str, np.ndarray]:
    """(K,) equity under each profile, on the evidence of the basis."""
    if not profiles:
        return {}
    swept = sweep(basis, terms, profiles, own_evidence=False)
    return dict(zip(swept.names, swept.equity, strict=True))


def _by_seed(
    basis: Basis, predictions: pd.DataFrame, market: Market, terms: Terms
) -> dict[int, BacktestResult]:
    """The strategy on the scores of each seed alone, where the table has them."""
    columns = [str(name) for name in predictions if str(name).startswith(SCORE_OF_SEED)]
    return {
        int(name.removeprefix(SCORE_OF_SEED)): basis.of_others(
            predictions.assign(score=predictions[name]), market
        ).trade(terms)
        for name in columns
    }
