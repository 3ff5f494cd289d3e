"""Does it pay to train again every month? Never, yearly, quarterly and monthly on the same bars.

A model is fitted for each of the newest months that the walk-forward allows; the rarer intervals
take of these models the first of each quarter, each year, or of all, and ask it for longer.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.refits import draw_refits
from trading_pipeline.adapters.store.files import replace_file
from trading_pipeline.core.backtest.basis import Basis, score_grid
from trading_pipeline.core.evaluation.information_coefficient import rank_correlations
from trading_pipeline.core.evaluation.performance import daily_returns, day_closes
from trading_pipeline.core.evaluation.refits import Refitted, compare_refits
from trading_pipeline.core.learning.checkpoint import targets_of
from trading_pipeline.core.learning.dataset import Dataset, burn_in
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Fold, folds, refitted_every
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.steps.freshness import stored_model
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_dataset
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.train import Host, train_fold

INTERVALS = {"never": None, "yearly": 12, "quarterly": 3, "monthly": 1}  # months
MOST_MONTHS = 84  # so many trainings at most: seven years
ASIDE = "refits"  # folder of the models
_SECONDS = "cpu_seconds.json"  # of each training, by month


@dataclass(frozen=True)
class Refits:
    """A comparison that was made."""

    summary: dict[str, Any]  # as `compare_refits`, and what it is of
    picture: Path
    file: Path  # the summary, as JSON


def refit_comparison(home: Home, plan: Plan, host: Host, capital: float) -> Refits:
    """Fit a `tiny` model for every month, trade the four intervals alike, and compare them.

    What was fitted is kept, and fitted again only where its bars or its recipe have changed; a
    comparison that was killed goes on where it was. No report and no trial: it chooses nothing.

    Raises:
        HistoryTooShort: the bars allow no fold of a month.
    """
    plan = replace(plan, preset="tiny", model="network" if plan.model == "best" else plan.model)
    data = read_dataset(home, plan)
    months = monthly_folds(data.panel.timestamps, plan)
    aside = home.beside(ASIDE)
    watch = host.watching(f"{plan.market.name}: fitting {len(months)} months")
    seconds = {}
    for n, (key, fold) in enumerate(months.items()):
        watch(n, len(months), key)
        seconds[key] = _fit(aside, plan, data, fold, key, host)
    watch(len(months), len(months), "all fitted")
    refitted = {
        name: _traded(aside, plan, data, refitted_every(months, count), seconds, capital)
        for name, count in INTERVALS.items()
    }
    spans, stamps = [fold.test for fold in months.values()], data.panel.timestamps
    summary = {
        "market": plan.market.name,
        "model": plan.model,
        "preset": plan.preset,
        "start": stamps[spans[0].first].isoformat(),
        "end": stamps[spans[-1].last].isoformat(),
        **compare_refits(refitted, plan.market),
    }
    return _written(home, plan, summary)


def monthly_folds(stamps: pd.DatetimeIndex, plan: Plan) -> dict[str, Fold]:
    """The newest folds of the walk-forward, had they a month each."""
    market, lookback = plan.market, burn_in(plan.recipe.model.n_steps)
    spans = replace(market.walk_forward, test=1)
    every = folds(stamps, spans, market.horizon, lookback)
    return {key: every[key] for key in list(every)[-MOST_MONTHS:]}


def _fit(home: Home, plan: Plan, data: Dataset, fold: Fold, key: str, host: Host) -> float:
    """The CPU seconds that the model of a month took, now or when it was fitted; of a training that
    was killed, those after it went on."""
    file = home.checkpoints(plan.market).folder / _SECONDS
    known = _measured(file)
    if key in known and stored_model(home, plan, data.panel, fold, key) is not None:
        return float(known[key])
    began = _cpu_seconds()
    silent = replace(host, watching=lambda label: _unwatched)
    train_fold(home, plan, data, fold, key, silent, key)
    known[key] = _cpu_seconds() - began
    text = json.dumps(known, indent=1, sort_keys=True)
    replace_file(file, lambda draft: draft.write_text(text))
    return float(known[key])


def _measured(file: Path) -> dict[str, float]:
    """CPU seconds by month; a damaged file knows none, and what it was of is fitted again."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in known.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _cpu_seconds() -> float:
    """Of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def _unwatched(done: int, total: int, note: str = "") -> None:
    """There are too many months for a bar each."""


def _traded(
    home: Home,
    plan: Plan,
    data: Dataset,
    spans: Mapping[str, Fold],
    seconds: Mapping[str, float],
    capital: float,
) -> Refitted:
    """The predictions of these models on their spans, traded as the market's own are."""
    market, panel, store = plan.market, data.panel, home.checkpoints(plan.market)
    told = pd.concat(
        [
            predict_rows(Predictor(store.read(key)), data, fold.test, key)
            for key, fold in spans.items()
        ]
    )
    basis = Basis.of_predictions(panel, told, data.eligible, market)
    account = basis.trade(Terms.of(market, capital))
    rows = slice(basis.start, basis.stop)
    said, target = score_grid(panel, told)[rows], targets_of(data, plan.recipe).price[rows]
    by_date = rank_correlations(said, target)
    wide = (np.isfinite(said) & np.isfinite(target)).sum(axis=1) >= MIN_CROSS_SECTION
    return Refitted(
        fits=len(spans),
        cpu_seconds=float(np.sum([seconds[key] for key in spans])),
        returns=daily_returns(account.equity, day_closes(account.timestamps)),
        # A model that orders no symbols knows nothing of them, which is a coefficient of 0.
        coefficients=np.where(wide & np.isnan(by_date), 0.0, by_date),
    )


def _written(home: Home, plan: Plan, summary: dict[str, Any]) -> Refits:
    folder = home.report(plan.market)
    file, picture = folder / "refits.json", folder / "refits.png"
    text = json.dumps(summary, indent=2, allow_nan=False)
    replace_file(picture, lambda draft: draw_refits(draft, summary))
    replace_file(file, lambda draft: draft.write_text(text))
    home.share_report(plan.market)
    return Refits(summary, picture, file)
