"""Sweeping limits over the stored out-of-sample predictions of a market.

Bars and predictions are only read. What is written, once and at the end, are the trials: whoever
looks at many variants has tried them, and the report must know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.trials import (
    Trial,
    distinct_trials,
    panel_identity,
    record_trials,
)
from trading_pipeline.core.backtest.basis import Basis, half_lives, score_grid, volatilities
from trading_pipeline.core.backtest.sweep import Grid, market_under, sweep
from trading_pipeline.core.evaluation.performance import day_closes
from trading_pipeline.core.evaluation.sweep import Luck, luck_of, sweep_table
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.core.trading.profiles import Profile, profile_of
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.steps.freshness import predicted
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

OWN = "the market's own"  # name of the row that stands for pipeline.toml, if no other is it


@dataclass(frozen=True)
class Swept:
    """What a sweep came to."""

    table: pd.DataFrame  # `sweep_table`, the limits swept in front, `own` (bool) behind
    limits: tuple[str, ...]  # the ones swept
    left_out: Mapping[str, str]  # combinations that are no profile, and why
    luck: Luck
    new_trials: int  # that the journal did not have before
    days: int
    first: datetime
    last: datetime


def sweep_market(
    home: Home,
    plan: Plan,
    grid: Grid,
    capital: float,
    threads: int,
    watching: Callable[[str], Advance],
) -> Swept:
    """Trade the stored predictions under every combination of limits, and journal each as a trial.

    Args:
        grid: `grid_of_limits` of the market's profile, which is swept too: first, if it is none of
            them.
        capital: quote currency. threads: that run books at once.
        watching: from the name of a piece of work to who watches it.

    Raises:
        StoreError: predictions are missing or out of date. EvaluationError: too short a history.
    """
    data, folds = predicted(home, plan)
    table = home.predictions(plan.market).read(folds)
    with home.ledger() as ledger:
        return sweep_predictions(
            ledger, plan, data.panel, table, data.eligible, grid, capital, threads, watching
        )


def sweep_predictions(
    ledger: Ledger,
    plan: Plan,
    panel: Panel,
    predictions: pd.DataFrame,
    eligible: np.ndarray,
    grid: Grid,
    capital: float,
    threads: int,
    watching: Callable[[str], Advance],
) -> Swept:
    """As `sweep_market`, of predictions that are at hand.

    Args:
        panel: T rows, N symbols. eligible: (T, N) bool.
    """
    market, own = plan.market, profile_of(plan.market)
    profiles = _with_own(grid.profiles, own)
    score, lasting = score_grid(panel, predictions), half_lives(panel, predictions)
    forecast = volatilities(panel, predictions)
    basis = Basis.of(panel, score, eligible, market, lasting, forecast)
    terms = Terms.of(market, capital)
    watch = watching("books")
    swept = sweep(basis, terms, profiles, threads=threads, watch=watch)
    baselines = {name: each.equity for name, each in basis.trade_baselines(terms).items()}
    table = sweep_table(swept, market, watch=watching("intervals"))
    at = swept.timestamps[-1].to_pydatetime()
    tried, new = _journal(ledger, plan, profiles, list(table["sharpe"]), at)
    sharpes = [each.sharpe for each in tried if each.sharpe is not None]
    for place, name in enumerate(grid.limits):
        table.insert(place, name, [getattr(each, name) for each in profiles.values()])
    table["own"] = [each == own for each in profiles.values()]
    return Swept(
        table=table,
        limits=grid.limits,
        left_out=grid.left_out,
        luck=luck_of(swept, market, baselines, len(tried), sharpes),
        new_trials=new,
        days=len(day_closes(swept.timestamps)),
        first=swept.timestamps[0].to_pydatetime(),
        last=at,
    )


def _with_own(profiles: Mapping[str, Profile], own: Profile) -> dict[str, Profile]:
    return dict(profiles) if own in profiles.values() else {OWN: own, **profiles}


def _journal(
    ledger: Ledger,
    plan: Plan,
    profiles: Mapping[str, Profile],
    sharpes: Sequence[float],
    at: datetime,
) -> tuple[list[Trial], int]:
    """Append all variants at once; every distinct trial so far, and how many of them are new."""
    market, catalog = plan.market, catalog_hash()
    panel = panel_identity(market.source, market.symbols, market.timeframe)
    trials = []
    for profile, sharpe in zip(profiles.values(), sharpes, strict=True):
        variant = market_under(market, profile)
        config = replace(plan, market=variant).recipe.config_hash(catalog)
        # The market's own is what every report of it evaluates.
        kind = "walk_forward" if variant is market else "sweep"
        trials.append(Trial(config, panel, kind, sharpe if isfinite(sharpe) else None))
    before = len(distinct_trials(ledger))
    record_trials(ledger, trials, at=at, recorded_at=datetime.now(UTC))
    tried = distinct_trials(ledger)
    return tried, len(tried) - before
