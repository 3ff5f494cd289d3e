"""What the out-of-sample predictions would have earned, honestly: simulate, evaluate, report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.series import ReportSeries
from trading_pipeline.adapters.reports.tear_sheet import write_report
from trading_pipeline.core.backtest.run import Backtest, run_backtest
from trading_pipeline.core.evaluation.backtest import (
    coefficient_tables,
    holdings_of,
    median_turnover,
    view_of,
    warnings_of,
)
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.features.diagnostics import Diagnostics, History, diagnose
from trading_pipeline.core.evaluation.heads import Comparison, Outcomes, Windows, compare_heads
from trading_pipeline.core.evaluation.portfolio.tear_sheet import Holdings
from trading_pipeline.core.evaluation.summary import (
    FOREIGN,
    SINGLE_MODEL,
    WALK_FORWARD,
    EvaluationInputs,
    check_days,
    evaluate,
)
from trading_pipeline.core.evaluation.verdict import spelled
from trading_pipeline.core.explain.trades import why_opened
from trading_pipeline.core.features.catalog import CATALOG
from trading_pipeline.core.learning.checkpoint import targets_of
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.inference import MODEL
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.validation import validation_of
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.report import Quality
from trading_pipeline.core.market.set_aside import lines_of
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.steps.freshness import (
    leaks_of,
    predicted,
    rivals_with,
    stale_rivals,
)
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of
from trading_pipeline.steps.lineage import SEED, lineage_of
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.quality import examine_store
from trading_pipeline.steps.trials import (
    Counted,
    Evaluation,
    journal,
    name_of,
)

_KINDS = {  # of trials
    WALK_FORWARD: "walk_forward",
    FOREIGN: "judge",
    SINGLE_MODEL: "single_model",
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Predictions to evaluate, the bars that they are of, and what is known of their origin."""

    market: Market
    panel: Panel  # T rows, N symbols
    eligible: NDArray[np.bool_]  # (T, N), who may be bought at each close
    predictions: pd.DataFrame  # columns timestamp, symbol, score, and others of the contract
    targets: Targets  # what came true
    name: str  # of what made them, in a few words
    hashes: Mapping[str, Any]  # as of `EvaluationInputs`
    aside: pd.DataFrame  # rows that came and are no bars
    origin: str = WALK_FORWARD
    learned: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # rivals' predictions
    diagnostics: Diagnostics | None = None  # of the features behind them; None: not known
    quality: Quality | None = None  # of the bars; None: they are of no market
    notes: Sequence[str] = ()  # to warn of, before all else
    known: Mapping[str, Any] = field(default_factory=dict)  # further `EvaluationInputs`


@dataclass(frozen=True)
class Evaluated:
    """A report that was written."""

    summary: dict[str, Any]  # the content of report.json
    series: ReportSeries
    diagnostics: Diagnostics | None
    aside: pd.DataFrame  # rows that came and are no bars
    files: Mapping[str, Path]  # by what they show


def evaluate_market(home: Home, plan: Plan, capital: float) -> Evaluated:
    """Simulate all stored predictions anew, journal the trial, evaluate, and write the report.

    Raises:
        StoreError: a fold's predictions are not up to date, or their check has not ended on them.
        EvaluationError: the history is too short.
    """
    data, folds = predicted(home, plan, leaking=True)
    market, panel = plan.market, data.panel
    predictions, targets = home.predictions(market).read(folds), targets_of(data, plan.recipe)
    rivals, possible = rivals_with(home, plan, panel, folds), folds_of(panel, plan.recipe)
    history = history_of(data, targets, {key: possible[key] for key in folds}, market.horizon)
    candidate = Candidate(
        market=market,
        panel=panel,
        eligible=data.eligible,
        predictions=predictions,
        targets=targets,
        learned={name: home.beside(name).predictions(market).read(folds) for name in rivals},
        aside=home.bars(market).set_aside(),
        name=name_of(plan),
        hashes=lineage_of(home, plan, data, folds, rivals, capital, home.clock.now()),
        diagnostics=diagnose(history, CATALOG),
        quality=examine_store(home, market),
        known={
            "leaks": leaks_of(home, plan, folds),
            "model": plan.model,
            "choices": choices_of(home, plan, folds),
            "starts": starts_of(home, plan, folds),
            "validation": validations_of(home, plan, folds),
            "stale": stale_rivals(home, plan, rivals),
            "heads": heads_of(
                panel, predictions, outcomes_of(data, targets), history.folds, market
            ),
        },
    )
    done = evaluate_candidate(home, candidate, home.report(market), capital)
    home.share_report(market)
    return done


def evaluate_candidate(home: Home, candidate: Candidate, folder: Path, capital: float) -> Evaluated:
    """Simulate predictions, whoever made them, journal the trial, evaluate, and write the report.

    Raises:
        EvaluationError: the history is too short.
        TradingError: no prediction is of a bar of the panel.
    """
    market, panel, predictions = candidate.market, candidate.panel, candidate.predictions
    backtest = run_backtest(
        panel,
        predictions,
        candidate.eligible,
        market,
        capital,
        seed=SEED,
        learned=candidate.learned,
    )
    check_days(market, backtest.strategy.timestamps)
    counted = _journal(home, candidate, backtest)
    holdings = holdings_of(backtest.strategy)
    summary = evaluate(
        EvaluationInputs(
            market=market,
            timestamps=backtest.strategy.timestamps,
            strategy=view_of(backtest.strategy),
            baselines={name: view_of(result) for name, result in backtest.baselines.items()},
            random_equity=backtest.random.equity,
            random_turnover=median_turnover(backtest, market),
            profiles={name: view_of(each) for name, each in backtest.profiles.items()},
            variants=backtest.variants,
            seeds=backtest.seeds,
            ic=coefficient_tables(panel, backtest, candidate.targets.price, market),
            trials=counted.trials,
            capital=capital,
            warnings=[
                *candidate.notes,
                *lines_of(candidate.aside),
                *counted.warnings,
                *warnings_of(panel, backtest, market),
            ],
            hashes={**candidate.hashes, "trial": counted.event},
            holdings=holdings,
            without_rules=backtest.without_rules,
            seed=SEED,
            origin=candidate.origin,
            **candidate.known,
        )
    )
    series = report_series(backtest, predictions, holdings, market)
    diagnostics, aside = candidate.diagnostics, candidate.aside
    files = write_report(folder, summary, series, diagnostics, candidate.quality, aside)
    return Evaluated(summary, series, diagnostics, aside, files)


def heads_of(
    panel: Panel, predictions: pd.DataFrame, outcomes: Outcomes, windows: Windows, market: Market
) -> list[Comparison]:
    """Every head of the network where it predicted: a rival's are the obvious answers themselves.

    Arguments as of `compare_heads`; none where the network predicted nothing.
    """
    own = predictions[predictions["model"] == MODEL]
    return compare_heads(panel, own, outcomes, windows, market) if len(own) else []


def choices_of(home: Home, plan: Plan, folds: list[str]) -> dict[str, str]:
    """By fold, which model validation chose and why; {} where there was nothing to choose."""
    if plan.model != "best":
        return {}
    choices = {key: home.checkpoints(plan.market).read(key)["choice"] for key in folds}
    return {key: f"{spelled(each['name'])}: {each['reason']}" for key, each in choices.items()}


def starts_of(home: Home, plan: Plan, folds: list[str]) -> dict[str, Mapping[str, Any]]:
    """By fold, the terms that its network began with and how much the encoders count; without
    folds that a rival trades."""
    if plan.model in LEARNED_BASELINES:
        return {}
    read = {key: home.checkpoints(plan.market).read(key)["start"] for key in folds}
    return {key: start for key, start in read.items() if start}


def validations_of(home: Home, plan: Plan, folds: list[str]) -> dict[str, Estimate]:
    """By fold, the information coefficient of its scores on validation."""
    read = {key: home.checkpoints(plan.market).read(key)["metrics"] for key in folds}
    horizon = plan.market.horizon
    return {key: Estimate(*validation_of(metrics, horizon)) for key, metrics in read.items()}


def _journal(home: Home, candidate: Candidate, backtest: Backtest) -> Counted:
    """Append this evaluation to the trials, and count them."""
    strategy, kind = backtest.strategy, _KINDS[candidate.origin]
    own = Evaluation(candidate.hashes["config_hash"], candidate.name, strategy.equity, kind)
    return journal(home, candidate.market, strategy.timestamps, [own])


def report_series(
    backtest: Backtest, predictions: pd.DataFrame, holdings: Holdings, market: Market
) -> ReportSeries:
    """What the report draws and tables of a backtest."""
    result = backtest.strategy
    held = result.positions()
    return ReportSeries(
        timestamps=result.timestamps,
        equity=result.equity,
        baselines={name: each.equity for name, each in backtest.baselines.items()},
        random_equity=backtest.random.equity,
        weights=result.weight,
        symbols=result.symbols,
        orders=result.orders("backtest"),
        fills=result.fills("backtest"),
        vetoes=result.vetoes(),
        predictions=predictions,
        cash_flows=result.cash_flows(),
        cash=result.cash,
        trades=holdings.trades.assign(reason=why_opened(result, holdings.trades)),
        positions=held.assign(reason=why_opened(result, held)),
        price=result.price,
        split=result.split,
        turnover=result.turnover,
        earnings=holdings.earnings,
        days_per_year=market.days_per_year,
    )


def outcomes_of(data: Dataset, targets: Targets) -> Outcomes:
    """What came true, as the comparison of the heads takes it."""
    return Outcomes(
        price=targets.price,
        direction=targets.direction,
        next_return=targets.next_return,
        volatility=targets.volatility,
        risk=targets.risk,
        sigma=data.sigma,
    )


def history_of(data: Dataset, targets: Targets, folds: Mapping[str, Fold], horizon: int) -> History:
    """A market's history, with the windows that each fold's model learned from and was used on.

    The training window is the one that the scaler is fitted on: without validation.
    """
    return History(
        timestamps=data.panel.timestamps,
        grid=data.grid,
        present=data.panel.traded,
        eligible=data.eligible,
        target=targets.price,
        market_target=targets.market,
        horizon=horizon,
        folds={
            key: (
                slice(fold.train.first, fold.train.last + 1),
                slice(fold.test.first, fold.test.last + 1),
            )
            for key, fold in folds.items()
        },
    )
