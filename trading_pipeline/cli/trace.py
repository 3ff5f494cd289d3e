"""The command that says what stands behind one figure of a report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import Report
from trading_pipeline.errors import StoreError


def trace(
    report: Report,
    key: Annotated[
        str,
        typer.Argument(
            help="A figure by its dotted path, such as strategy.sharpe, verdict.edge, "
            "baselines.equal_weight.calmar.low or warnings.0.",
            show_default=False,
        ),
    ],
) -> None:
    """Say what a figure of a report was made from, and whether that is still what is stored.

    Data, code, packages, processor, configuration with all its values, seeds, the checkpoints and
    predictions of the folds (SHA-256, what they learned from, where their targets end), the event
    in the ledger, and the runs of Dagster that made them. A figure of a baseline that needs no
    model has no checkpoints behind it.

    - `trading-pipeline trace data_storage/reports/sample/report.json strategy.sharpe`
    - `trading-pipeline trace data_storage/reports/sample/report.json baselines.ridge`

    A report of `trading-pipeline judge` has a table and bars behind it that somebody brought: their
    hashes, the code and the trial are named.

    An unknown key lists those that are near. `trading-pipeline rebuild` makes the report again.
    """
    from trading_pipeline.core.evaluation.summary import FOREIGN, SINGLE_MODEL
    from trading_pipeline.steps.rebuild import read_report
    from trading_pipeline.steps.trace import models_behind, where
    from trading_pipeline.steps.trace import trace as traced

    summary = read_report(report)
    origin = summary.get("origin")
    foreign = origin in (FOREIGN, SINGLE_MODEL)
    home = _home(report, foreign)
    found = traced(summary, key, home)
    typer.echo(f"{key} = {_short(found.value)}\n{where(summary, report)}\n")
    _print_sources(found)
    if origin == SINGLE_MODEL:
        typer.echo(
            "\nThe scores are those of one checkpoint, which is not kept with the report: "
            "`trading-pipeline backtest --model-path` with the same files makes it again."
        )
        return
    if foreign:
        typer.echo(
            f"\nThe scores are those of {summary['model']}, a table that was made elsewhere: no "
            "model, feature or run of this program is behind them. `trading-pipeline judge` with "
            "the same files makes the report again."
        )
        return
    _print_folds(found)
    if home is None:
        typer.echo(
            "\nIt lies in no home (HOME/reports/MARKET/report.json): files are not compared."
        )
    else:
        _print_runs(home, summary, models_behind(summary, key))
    typer.echo("\nConfiguration")
    for name, value in found.config.items():
        typer.echo(f"  {name} = {_short(value)}")


def _home(report: Path, foreign: bool) -> Any:
    """The home that a report lies in, None if in none; of a foreign one, that which counts its
    trial."""
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.rebuild import home_of_report

    settings = settings_of()
    if foreign:
        return home_of(settings)
    try:
        url = settings.ledger_url
        return home_of_report(report, url.get_secret_value() if url else None)
    except StoreError:
        return None


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _print_sources(found: Any) -> None:
    for each in found.sources:
        typer.echo(f"{each.what:<14} {each.value}\n{'':<14} {each.now}")


def _print_folds(found: Any) -> None:
    if not found.folds:
        typer.echo("\nNo model stands behind this figure: bars and configuration alone.")
        return
    typer.echo("\nFolds: what each model learned from, and the files of it")
    for each in found.folds:
        said: Mapping[str, Any] = each.lineage
        typer.echo(
            f"  {each.model} {each.key}: trained on {said['train_start'][:10]} to "
            f"{said['train_end'][:10]}, targets end {said['last_target'][:10]}, by "
            f"{said['code_version']}, torch {said['torch']}, on {said['processor']}\n"
            f"    checkpoint  {said['checkpoint']}  {each.checkpoint}\n"
            f"    predictions {said['predictions']}  {each.predictions}"
        )


def _print_runs(home: Any, summary: Mapping[str, Any], models: list[str]) -> None:
    """Dagster's records, where there are any: of the home, or of a deployment."""
    from trading_pipeline.defs.instance import has_records, local_instance
    from trading_pipeline.defs.materializations import materializations

    if not has_records(Path(home.root)):
        typer.echo("\nNo records of Dagster are beside the report.")
        return
    typer.echo("\nMaterializations (each by a run of Dagster)")
    with local_instance(Path(home.root)) as instance:
        for each in materializations(instance, summary, models):
            asset = f"{each.asset} {each.fold or ''}".strip()
            typer.echo(f"  {asset:<32} run {each.run_id}  {each.at:%Y-%m-%d %H:%M:%S} UTC")
