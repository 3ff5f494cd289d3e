"""Commands that go from bars to a report: the whole chain, and its parts."""

import sys
from datetime import datetime
from pathlib import Path
from shutil import which
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import say, shown, since, working
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import (
    DAYS,
    BatchSize,
    CalendarName,
    Capital,
    DataPath,
    Epochs,
    Executor,
    LearningRate,
    MarketOrSample,
    Model,
    OwnBars,
    Preset,
    Strict,
)
from trading_pipeline.cli.panel import panel_settings
from trading_pipeline.cli.runner import running
from trading_pipeline.errors import SettingsError

_PLANTED = """
And where there is something to find: a synthetic market, made up with a planted edge far stronger
than any that real markets have. The same chain on it:
"""


def demo(
    market: Annotated[
        str | None,
        typer.Option("--market", "-m", help="Only this one of the two.", show_default="both"),
    ] = None,
    preset: Preset = None,
    model: Model = None,
    capital: Capital = 100_000.0,
) -> None:
    """Run the whole chain on four real US shares, and say honestly what came out; then on a
    synthetic market in which an edge was planted, to see what 'proven' looks like.

    Downloads nothing: the bars come with a Python package, or are made up. Bars, features, a model
    for every year, predictions, backtest, report. A second run does only what is not up to date.
    """
    if market not in (None, "sample", "synthetic"):
        raise SettingsError(
            f"--market must be sample or synthetic, was {market!r}; "
            "`trading-pipeline download`, `train` and `backtest` take any market of pipeline.toml"
        )
    from trading_pipeline.settings_sources import write_first_settings

    if written := write_first_settings():
        say(f"note: {written} is new here: the markets that every command works on, to be edited")
    if market != "synthetic":
        _chain(settings_of("sample", preset, model), "sample", capital, proofs=True)
    if market != "sample":
        typer.echo(_PLANTED)
        _chain(settings_of("synthetic", preset, model), "synthetic", capital)
    typer.echo(_next())


def train(
    market: MarketOrSample = None,
    data_path: OwnBars = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=DAYS, help="Last day that one model learns from.", show_default="that there is"
        ),
    ] = None,
    model_path: Annotated[
        Path | None,
        typer.Option(
            help="File of the one model; what is there is replaced.",
            show_default="HOME/models/best_model.pt",
        ),
    ] = None,
    preset: Preset = None,
    model: Model = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    calendar: CalendarName = None,
    strict: Strict = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Folds at a time, each in a process of its own.")
    ] = 1,
    executor: Executor = None,
) -> None:
    """Train a model for every walk-forward fold that lacks one, and predict the fold with it;
    or, with --data-path or --until, one model on all bars up to a day.

    A model sees nothing of the fold it is asked about, nor of what comes after. The result does
    not depend on how many folds are trained at a time, nor on where.

    - `trading-pipeline train --market us_equities`
    - `trading-pipeline train --data-path PANEL.parquet --epochs 100 --batch-size 64 --lr 0.001
      --until 2022-12-31`

    --data-path is a Parquet file or folder, or a market's folder below `data_storage/raw`. An epoch
    is as many steps as it takes to look at as many windows as there are; without it the number of
    steps is the preset's. Options that shape a training shape its backtest, so give them to
    `backtest --market`, too, or write them into the market's entry (`epochs`, `batch_size`,
    `learning_rate`). The file of one model carries its own.
    """
    budget = {"epochs": epochs, "batch_size": batch_size, "learning_rate": lr}
    if data_path or until or model_path:
        from trading_pipeline.cli.single_model import train_once

        asked = {"preset": preset, "model": model, **budget}
        given = (market, calendar, strict)
        train_once(
            settings_of(), given, data_path, until.date() if until else None, model_path, asked
        )
        return
    _refuse(calendar=calendar, strict=strict)
    name = market or "sample"
    settings = settings_of(name, preset, model, executor, **budget)
    with running(settings, name) as (run, plan):
        from trading_pipeline.defs import runs

        here = workers == 1 and settings.executor == "in_process"
        done = runs.train(run, plan, say, workers=None if here else workers)
        say(f"{name}: {_brought(list(done.values()), run.home.predictions(plan.market))}")


def _refuse(**given: object) -> None:
    """Say of options that they are of bars of one's own, where there are none."""
    if names := [f"--{name.replace('_', '-')}" for name, value in given.items() if value]:
        raise SettingsError(f"{names[0]} is for bars of your own: give --data-path as well")


def _brought(jobs: list[str], predictions: Any) -> str:
    """What was done to the folds, for a person; since when nothing was, if so."""
    from trading_pipeline.core.market.quality.finding import counted

    words = {
        "train": "trained {}",
        "predict": "predicted {} with the models they have",
        "rivals": "fitted the simpler models of {}",
    }
    told = [
        text.format(counted(jobs.count(job), "fold")) for job, text in words.items() if job in jobs
    ]
    return ", ".join(told) or (
        f"all folds are up to date, unchanged since {since(*predictions.folder.glob('*.parquet'))}"
    )


def backtest(
    market: MarketOrSample = None,
    data_path: OwnBars = None,
    model_path: Annotated[
        Path | None,
        typer.Option(
            help="Test this one model, a .pt file that `train` wrote, on bars it has not seen.",
            show_default="the models of all folds",
        ),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            formats=DAYS,
            help="First day that one model decides on.",
            show_default="the first that it has not seen",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the report of one model.", show_default="backtest/STEM"),
    ] = None,
    preset: Preset = None,
    model: Model = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: LearningRate = None,
    capital: Capital = 100_000.0,
    calendar: CalendarName = None,
    strict: Strict = False,
) -> None:
    """Trade the out-of-sample predictions with costs and risk rules, and write the report;
    or, with --model-path, those of one model on bars that it has not seen.

    - `trading-pipeline backtest --market us_equities`
    - `trading-pipeline backtest --data-path PANEL.parquet --model-path
      data_storage/models/best_model.pt --start 2023-01-01 --capital 100000`

    A model that has learned from any bar that it is to be tested on is refused, with the first day
    that it has not seen, and the commands that make an honest test. Each report is a trial.
    """
    asked = {"preset": preset, "model": model}
    budget = {"epochs": epochs, "batch_size": batch_size, "learning_rate": lr}
    if model_path:
        from trading_pipeline.cli.single_model import backtest_once

        if options := [name for name, each in {**asked, **budget}.items() if each is not None]:
            raise SettingsError(
                f"{model_path} has a {options[0]} of its own: leave that option out"
            )
        given = (market, calendar, strict)
        backtest_once(settings_of(), given, data_path, model_path, start, out, capital)
        return
    if data_path or start or out:
        raise SettingsError(
            "which model? --data-path, --start and --out are of one model: give --model-path FILE, "
            "or judge a panel with a model for every year: `trading-pipeline walk-forward "
            f"--data-path {data_path or 'PANEL.parquet'}`"
        )
    _refuse(calendar=calendar, strict=strict)
    name = market or "sample"
    with running(settings_of(name, preset, model, None, **budget), name) as (run, plan):
        from trading_pipeline.defs import runs

        with working(f"{name}: backtest"):
            made = runs.backtest(run, plan, capital)
        _print_summary(run.home.report(plan.market), made)


def walk_forward(
    data_path: DataPath,
    out: Annotated[
        Path | None, typer.Option(help="Where everything goes.", show_default="walk-forward/STEM")
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Take the settings of this entry of pipeline.toml.")
    ] = None,
    calendar: CalendarName = None,
    preset: Preset = None,
    model: Model = None,
    capital: Capital = 100_000.0,
    strict: Strict = False,
) -> None:
    """Judge a panel of your own: the whole chain on any Parquet file or folder.

    Impossible rows are set aside, named, and become gaps; more than 1 % of them are refused.
    Without --market the timeframe comes from the stamps, costs are 10 bp of fee and 5 bp of
    slippage, and a short history shrinks the spans (and says so). The calendar is the one that
    fits the days of the bars, unless --calendar or --market names it.
    """
    from trading_pipeline.defs.instance import leave_deployment

    settings, name = panel_settings(data_path, out, market, preset, model, calendar, strict)
    leave_deployment()  # a panel of one's own has an instance of its own
    _chain(settings, name, capital)


def _chain(settings: Any, name: str, capital: float, proofs: bool = False) -> None:
    """Bars to report, doing only what is not up to date, then the summary."""
    with running(settings, name) as (run, plan):
        from trading_pipeline.defs import runs

        with working(f"{name}: bars, checks, features"):
            runs.download(run, plan)
        runs.train(run, plan, say)
        with working(f"{name}: backtest, baselines, random portfolios, report"):
            made = runs.backtest(run, plan, capital)
        _print_summary(run.home.report(plan.market), made)
        if proofs:
            _print_proofs(run, plan, capital)


def _print_proofs(run: Any, plan: Any, capital: float) -> None:
    """Whatever the verdict is, these can be shown to anyone."""
    from trading_pipeline.defs.paper import run_session
    from trading_pipeline.steps.demo import paper_equals_backtest, planted_leak, traced_figure

    typer.echo("\nWhat is proven, seen just now")
    with working("planting a leak, replaying the first weeks on paper, tracing a figure"):
        lines = [
            planted_leak(run.home, plan.market),
            paper_equals_backtest(
                run.home, plan.market, capital, lambda terms: run_session(run, plan, terms)
            ),
            traced_figure(run.home, plan.market),
        ]
    for line in lines:
        typer.echo(f"  {line}")


_NEXT = """
What next:
  trading-pipeline ui                              the graph, the runs, the pictures
  trading-pipeline paper-trade --market sample     the same decisions, bar by bar, journalled
  trading-pipeline walk-forward --data-path FILE   your own bars (docs/your-data.md)"""


def _next() -> str:
    """What to type now; and how, where the shell does not find it."""
    if which("trading-pipeline"):
        return _NEXT
    folder = shown(Path(sys.executable).parent)
    return f"{_NEXT}\n(commands live in {folder}; `. {folder}/activate` puts them on the path)"


def _print_summary(folder: Path, made: bool) -> None:
    import json

    from trading_pipeline.adapters.reports.summary_text import summary_text

    typer.echo(summary_text(json.loads((folder / "report.json").read_text(encoding="utf-8"))))
    page = folder / "report.html"
    typer.echo(f"\nReport: {page}")
    if not made:
        say(f"bars, models, settings and trials are those of then: unchanged since {since(page)}")
