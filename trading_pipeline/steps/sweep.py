"""Sweeping limits over the stored out-of-sample predictions of a market.

Bars and predictions are only read. What is written, once and at the end, are the trials: whoever
looks at many variants has tried them, and the report must know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.sweep import Grid, Sweep, market_under
from trading_pipeline.core.evaluation.performance import day_closes
from trading_pipeline.core.evaluation.sweep import Luck, luck_of, sweep_table
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.core.trading.profiles import Profile, profile_of
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps.freshness import predicted
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.trials import (
    Evaluation,
    counted,
    journal,
    name_of,
    named_events,
)

# Trades a basis under profiles, and tells as books are done: where, is its own affair.
Trade = Callable[[Basis, Terms, Mapping[str, Profile], Advance], Sweep]
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
    trade: Trade,
    watching: Callable[[str], Advance],
) -> Swept:
    """Trade the stored predictions under every combination of limits, and journal each as a trial.

    Args:
        grid: `grid_of_limits` of the market's profile, which is swept too: first, if it is none of
            them.
        capital: quote currency. trade: `sweep` on so many threads, or `sweep_on_ray`.
        watching: from the name of a piece of work to who watches it.

    Raises:
        StoreError: predictions are missing or out of date. EvaluationError: too short a history.
        LedgerError: how many trials there were is unknown; nothing is traded or journalled.
    """
    data, folds = predicted(home, plan)
    table = home.predictions(plan.market).read(folds)
    return sweep_predictions(
        home, plan, data.panel, table, data.eligible, grid, capital, trade, watching
    )


def sweep_predictions(
    home: Home,
    plan: Plan,
    panel: Panel,
    predictions: pd.DataFrame,
    eligible: np.ndarray,
    grid: Grid,
    capital: float,
    trade: Trade,
    watching: Callable[[str], Advance],
) -> Swept:
    """As `sweep_market`, of predictions that are at hand.

    Args:
        panel: T rows, N symbols. eligible: (T, N) bool.
    """
    market, own = plan.market, profile_of(plan.market)
    before = _known_before(home, market)
    profiles = _with_own(grid.profiles, own)
    basis = Basis.of_predictions(panel, predictions, eligible, market)
    terms = Terms.of(market, capital)
    watch = watching("books")
    swept = trade(basis, terms, profiles, watch)
    baselines = {name: each.equity for name, each in basis.trade_baselines(terms).items()}
    table = sweep_table(swept, market, watch=watching("intervals"))
    tried = _journal(home, plan, swept)
    for place, name in enumerate(grid.limits):
        table.insert(place, name, [getattr(each, name) for each in profiles.values()])
    table["own"] = [each == own for each in profiles.values()]
    return Swept(
        table=table,
        limits=grid.limits,
        left_out=grid.left_out,
        luck=luck_of(swept, market, baselines, tried),
        new_trials=tried.count - before,
        days=len(day_closes(swept.timestamps)),
        first=swept.timestamps[0].to_pydatetime(),
        last=swept.timestamps[-1].to_pydatetime(),
    )


def _with_own(profiles: Mapping[str, Profile], own: Profile) -> dict[str, Profile]:
    return dict(profiles) if own in profiles.values() else {OWN: own, **profiles}


def _known_before(home: Home, market: Market) -> int:
    """How many trials of the panel there were: refused now where none can say, and not when all is
    done and seen.

    Raises:
        LedgerError: the ledger is gone, or lacks what a report of this home names.
    """
    known = counted(home, market)
    anew = not home.has_ledger and not any(named_events(home))  # nothing was ever evaluated here
    if known.trials is None and known.warnings and not anew:
        raise LedgerError(f"{'; '.join(known.warnings)}. A sweep would deflate by too few")
    return known.trials.count if known.trials else 0


def _journal(home: Home, plan: Plan, swept: Sweep) -> Trials:
    """Append all variants at once; every distinct trial of the panel so far.

    Raises:
        LedgerError: how many there were is unknown, and so is what luck would show.
    """
    catalog, evaluations = catalog_hash(), []
    for name, profile, equity in zip(
        swept.names, swept.profiles.values(), swept.equity, strict=True
    ):
        variant = market_under(plan.market, profile)
        config = replace(plan, market=variant).recipe.config_hash(catalog)
        # The market's own is what every report of it evaluates.
        own = variant is plan.market
        label = name_of(plan) if own else f"{name_of(plan)}, {name}"
        evaluations.append(Evaluation(config, label, equity, "walk_forward" if own else "sweep"))
    done = journal(home, plan.market, swept.timestamps, evaluations)
    if done.trials is None:
        raise LedgerError("; ".join(done.warnings))
    return done.trials
