"""The backtest report: what the out-of-sample predictions would have earned, honestly."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from trading_pipeline.core.market.quality.finding import written
from trading_pipeline.defs.freshness import lacking
from trading_pipeline.defs.inputs import (
    Plan,
    folds_of,
    read_dataset,
    recipe_of,
    short,
)
from trading_pipeline.defs.resources import DUCKDB_POOL, Home
from trading_pipeline.errors import EvaluationError, StoreError

if TYPE_CHECKING:
    from trading_pipeline.core.learning.dataset import Dataset

INPUTS = "inputs_hash"  # in report.json: of everything that the report was made from


class BacktestConfig(dg.Config):
    """What can be asked of a backtest."""

    capital: float = 100_000.0


def backtest_report(plan: Plan) -> dg.AssetsDefinition:
    """One report for a market: strategy, baselines, random portfolios, verdict."""
    market = plan.market

    @dg.asset(
        key=[market.name, "backtest_report"],
        deps=[
            dg.AssetDep([market.name, "predictions"], partition_mapping=dg.AllPartitionMapping())
        ],
        pool=DUCKDB_POOL,
        group_name=market.name,
        kinds={"html"},
        description="Out-of-sample predictions traded with costs and risk rules, beside baselines.",
    )
    def report_of_market(
        context: dg.AssetExecutionContext, home: dg.ResourceParam[Home], config: BacktestConfig
    ) -> dg.MaterializeResult[None]:
        """Simulated anew from all stored predictions; the evaluation is journalled as a trial.

        Refused while a fold's predictions are not cleared by their check, whoever asks for it.
        """
        from trading_pipeline.adapters.reports.charts.pictures import as_markdown
        from trading_pipeline.adapters.reports.charts.sparkline import equity_markdown
        from trading_pipeline.adapters.reports.features_page import drift_sentence
        from trading_pipeline.adapters.reports.tear_sheet import write_report
        from trading_pipeline.adapters.reports.text import (
            markdown_attribution,
            markdown_brief,
            markdown_table,
        )

        summary, series, diagnostics = _evaluated(home, plan, config.capital)
        aside = home.bars(market).set_aside()
        files = write_report(home.report(market), summary, series, diagnostics, aside)
        verdict, benchmark = summary["verdict"], summary["benchmark"]
        curve = equity_markdown(series.equity, series.baselines[benchmark], benchmark)
        return dg.MaterializeResult(
            metadata={
                "verdict": f"the edge is {verdict['edge']}",
                "equity": dg.MetadataValue.md(curve),
                "summary": dg.MetadataValue.md(markdown_brief(summary)),
                "chart": dg.MetadataValue.md(as_markdown(files["png"].read_bytes(), "equity")),
                **{
                    name: dg.MetadataValue.md(as_markdown(files[name].read_bytes(), name))
                    for name in ("drawdown", "months")
                },
                "attribution": dg.MetadataValue.md(markdown_attribution(summary)),
                "all_metrics": dg.MetadataValue.md(markdown_table(summary)),
                "reasons": dg.MetadataValue.md("\n".join(f"- {r}" for r in verdict["reasons"])),
                "report": dg.MetadataValue.path(str(files["html"].absolute())),
                "features": dg.MetadataValue.path(str(files["features"].absolute())),
                "drift": drift_sentence(diagnostics),
                "fills": len(series.fills),
                "set_aside": len(aside),
                "data_hash": short(summary["data_hash"]),
                "config_hash": short(summary["config_hash"]),
                "code_version": summary["code_version"],
            }
        )

    return report_of_market


def is_current(home: Home, plan: Plan, capital: float) -> bool:
    """Whether the stored report is the one that would be made now."""
    from trading_pipeline.adapters.reports.tear_sheet import is_whole

    folder = home.report(plan.market)
    if not is_whole(folder):
        return False
    path = folder / "report.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["lineage"][INPUTS]
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # damaged: made anew
        return False
    data, folds = predicted(home, plan)
    return bool(stored == hashes_of(home, plan, data, folds, capital)[INPUTS])


def hashes_of(
    home: Home, plan: Plan, data: "Dataset", folds: list[str], capital: float
) -> dict[str, str]:
    """What the numbers of a report trace to."""
    from trading_pipeline.adapters.code_version import code_version
    from trading_pipeline.core.features.catalog import catalog_hash
    from trading_pipeline.core.learning.recipe import fingerprint
    from trading_pipeline.core.market.bars import content_hash

    made_from = {fold: home.predictions(plan.market).fingerprint(fold) for fold in folds}
    hashes = {
        "data_hash": data.panel.data_hash(len(data.panel.timestamps)),
        "code_version": code_version(),
        "config_hash": recipe_of(plan).config_hash(catalog_hash()),
        "catalog_hash": catalog_hash(),
        "predictions_hash": fingerprint(made_from),
    }
    aside = home.bars(plan.market).set_aside()  # the report names them
    named = [content_hash(aside)] if len(aside) else []
    return {**hashes, INPUTS: fingerprint(hashes, capital, *named)}


def _evaluated(home: Home, plan: Plan, capital: float) -> tuple[dict[str, Any], Any, Any]:
    """Simulate, journal the trial, evaluate; the summary, and what the two pages draw."""
    from trading_pipeline.core.backtest.run import run_backtest
    from trading_pipeline.core.evaluation.backtest import (
        coefficient_table,
        holdings_of,
        view_of,
        warnings_of,
    )
    from trading_pipeline.core.evaluation.features.diagnostics import diagnose
    from trading_pipeline.core.evaluation.summary import EvaluationInputs, check_days, evaluate
    from trading_pipeline.core.features.catalog import CATALOG
    from trading_pipeline.core.learning.targets import make_targets
    from trading_pipeline.core.market.set_aside import lines_of
    from trading_pipeline.steps.feature_history import history_of

    data, folds = predicted(home, plan)
    market, panel = plan.market, data.panel
    predictions = home.predictions(market).read(folds)
    backtest = run_backtest(panel, predictions, data.eligible, market, capital)
    check_days(market, backtest.strategy.timestamps)
    targets = make_targets(panel, data.sigma, data.eligible, market.horizon)
    hashes = hashes_of(home, plan, data, folds, capital)
    trials, sharpes = _journal(home, plan, backtest, hashes["config_hash"])
    holdings = holdings_of(backtest.strategy)
    summary = evaluate(
        EvaluationInputs(
            market=market,
            timestamps=backtest.strategy.timestamps,
            strategy=view_of(backtest.strategy),
            baselines={name: view_of(book) for name, book in backtest.baselines.items()},
            random_equity=backtest.random_equity,
            ic=coefficient_table(panel, backtest, targets.price),
            trials=trials,
            trial_sharpes=sharpes,
            capital=capital,
            warnings=[
                *lines_of(home.bars(market).set_aside()),
                *warnings_of(panel, backtest, market),
            ],
            hashes=hashes,
            holdings=holdings,
        )
    )
    possible = folds_of(data, recipe_of(plan))
    history = history_of(data, targets, {key: possible[key] for key in folds}, market.horizon)
    series = report_series(backtest, predictions, holdings, market)
    return summary, series, diagnose(history, CATALOG)


def predicted(home: Home, plan: Plan) -> tuple["Dataset", list[str]]:
    """The dataset, and its folds up to the newest that is predicted, all of them cleared.

    Raises:
        StoreError: there are none, or one is not up to date and cleared; names it.
    """
    data, recipe, store = read_dataset(home, plan), recipe_of(plan), home.predictions(plan.market)
    # Folds that are not predicted yet may be missing at the end; a hole would be a silent lie.
    possible, newest = folds_of(data, recipe), max(store.folds(), default="")
    folds = [key for key in possible if key <= newest]
    lacks = lacking(home, plan, data.panel)
    for key in folds:
        if key in lacks:
            raise StoreError(lacks[key].why)
    if not folds:
        raise StoreError(
            f"{store.folder} has no predictions; run `trading-pipeline train --market "
            f"{plan.market.name}` or materialize model_checkpoint and predictions"
        )
    rows = slice(possible[folds[0]].test.first, possible[folds[-1]].test.last + 1)
    refuse_nothing_eligible(data, rows, plan.market.name, recipe.model.n_steps)
    return data, folds


def refuse_nothing_eligible(data: "Dataset", rows: slice, name: str, n_steps: int) -> None:
    """Raise EvaluationError where nobody may be traded in these rows; names the rules."""
    if not data.eligible[rows].any():
        stamps = data.panel.timestamps[rows]
        raise EvaluationError(
            f"{name}: no bar from {written(stamps[0])} to {written(stamps[-1])} is eligible, so "
            f"that nothing was predicted: {data.refusals(rows, n_steps)}"
        )


def _journal(
    home: Home, plan: Plan, backtest: Any, config_hash: str
) -> tuple[int | None, list[float]]:
    """Append this evaluation to the trials; how many there are, and their Sharpe ratios."""
    from math import isfinite

    from trading_pipeline.adapters.store.trials import (
        Trial,
        distinct_trials,
        panel_identity,
        record_trial,
    )
    from trading_pipeline.core.evaluation.backtest import annual_sharpe

    market = plan.market
    value = annual_sharpe(backtest.strategy, market)
    panel = panel_identity(market.source, market.symbols, market.timeframe)
    trial = Trial(config_hash, panel, "walk_forward", value if isfinite(value) else None)
    with home.ledger() as ledger:
        at = backtest.strategy.timestamps[-1].to_pydatetime()
        record_trial(ledger, trial, at=at, recorded_at=datetime.now(UTC))
        trials = distinct_trials(ledger)
    return len(trials), [each.sharpe for each in trials if each.sharpe is not None]


def report_series(backtest: Any, predictions: Any, holdings: Any, market: Any) -> Any:
    """What the report draws and tables of a backtest."""
    from trading_pipeline.adapters.reports.charts.series import ReportSeries

    book = backtest.strategy
    return ReportSeries(
        timestamps=book.timestamps,
        equity=book.equity,
        baselines={name: each.equity for name, each in backtest.baselines.items()},
        random_equity=backtest.random_equity,
        weights=book.weight,
        symbols=book.symbols,
        orders=book.orders("backtest"),
        fills=book.fills("backtest"),
        vetoes=book.vetoes(),
        predictions=predictions,
        cash_flows=book.cash_flows(),
        cash=book.cash,
        trades=holdings.trades,
        price=book.price,
        split=book.split,
        turnover=book.turnover,
        earnings=holdings.earnings,
        days_per_year=market.days_per_year,
    )
