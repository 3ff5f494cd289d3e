"""What the out-of-sample predictions would have earned, honestly: simulate, evaluate, report."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from trading_pipeline.adapters.reports.charts.series import ReportSeries
from trading_pipeline.adapters.reports.tear_sheet import write_report
from trading_pipeline.adapters.store.trials import (
    Trial,
    distinct_trials,
    panel_identity,
    record_trials,
)
from trading_pipeline.core.backtest.run import Backtest, run_backtest
from trading_pipeline.core.evaluation.backtest import (
    annual_sharpe,
    coefficient_table,
    holdings_of,
    view_of,
    warnings_of,
)
from trading_pipeline.core.evaluation.features.diagnostics import Diagnostics, History, diagnose
from trading_pipeline.core.evaluation.heads import Comparison, Outcomes, Windows, compare_heads
from trading_pipeline.core.evaluation.portfolio.tear_sheet import Holdings
from trading_pipeline.core.evaluation.summary import EvaluationInputs, check_days, evaluate
from trading_pipeline.core.evaluation.verdict import spelled
from trading_pipeline.core.features.catalog import CATALOG
from trading_pipeline.core.learning.checkpoint import targets_of
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.inference import MODEL
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.set_aside import lines_of
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.steps.freshness import (
    leaks_of,
    predicted,
    report_hashes,
    rivals_with,
    stale_rivals,
)
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of
from trading_pipeline.steps.plan import Plan


@dataclass(frozen=True)
class Evaluated:
    """A report that was written."""

    summary: dict[str, Any]  # the content of report.json
    series: ReportSeries
    diagnostics: Diagnostics
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
    predictions, aside = home.predictions(market).read(folds), home.bars(market).set_aside()
    learned = rivals_of(home, plan, data, folds)
    backtest = run_backtest(panel, predictions, data.eligible, market, capital, learned=learned)
    check_days(market, backtest.strategy.timestamps)
    targets = targets_of(data, plan.recipe)
    hashes = report_hashes(home, plan, data, folds, capital)
    trials, sharpes = _journal(home, market, backtest, hashes["config_hash"])
    holdings = holdings_of(backtest.strategy)
    possible = folds_of(panel, plan.recipe)
    history = history_of(data, targets, {key: possible[key] for key in folds}, market.horizon)
    summary = evaluate(
        EvaluationInputs(
            market=market,
            timestamps=backtest.strategy.timestamps,
            strategy=view_of(backtest.strategy),
            baselines={name: view_of(result) for name, result in backtest.baselines.items()},
            random_equity=backtest.random_equity,
            ic=coefficient_table(panel, backtest, targets.price, market),
            trials=trials,
            trial_sharpes=sharpes,
            capital=capital,
            warnings=[*lines_of(aside), *warnings_of(panel, backtest, market)],
            hashes=hashes,
            leaks=leaks_of(home, plan, folds),
            model=plan.model,
            choices=choices_of(home, plan, folds),
            starts=starts_of(home, plan, folds),
            stale=stale_rivals(home, plan, learned),
            holdings=holdings,
            without_rules=backtest.without_rules,
            heads=heads_of(panel, predictions, outcomes_of(data, targets), history.folds, market),
        )
    )
    series = report_series(backtest, predictions, holdings, market)
    diagnostics = diagnose(history, CATALOG)
    files = write_report(home.report(market), summary, series, diagnostics, aside)
    return Evaluated(summary, series, diagnostics, aside, files)


def rivals_of(home: Home, plan: Plan, data: Dataset, folds: list[str]) -> dict[str, pd.DataFrame]:
    """Predictions of the rivals that have predicted all of these folds, by name."""
    return {
        model: home.beside(model).predictions(plan.market).read(folds)
        for model in rivals_with(home, plan, data.panel, folds)
    }


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


def _journal(
    home: Home, market: Market, backtest: Backtest, config_hash: str
) -> tuple[int, list[float]]:
    """Append this evaluation to the trials; how many there are, and their Sharpe ratios."""
    value = annual_sharpe(backtest.strategy, market)
    panel = panel_identity(market.source, market.symbols, market.timeframe)
    trial = Trial(config_hash, panel, "walk_forward", value if isfinite(value) else None)
    with home.ledger() as ledger:
        at = backtest.strategy.timestamps[-1].to_pydatetime()
        record_trials(ledger, [trial], at=at, recorded_at=datetime.now(UTC))
        trials = distinct_trials(ledger)
    return len(trials), [each.sharpe for each in trials if each.sharpe is not None]


def report_series(
    backtest: Backtest, predictions: pd.DataFrame, holdings: Holdings, market: Market
) -> ReportSeries:
    """What the report draws and tables of a backtest."""
    result = backtest.strategy
    return ReportSeries(
        timestamps=result.timestamps,
        equity=result.equity,
        baselines={name: each.equity for name, each in backtest.baselines.items()},
        random_equity=backtest.random_equity,
        weights=result.weight,
        symbols=result.symbols,
        orders=result.orders("backtest"),
        fills=result.fills("backtest"),
        vetoes=result.vetoes(),
        predictions=predictions,
        cash_flows=result.cash_flows(),
        cash=result.cash,
        trades=holdings.trades,
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
