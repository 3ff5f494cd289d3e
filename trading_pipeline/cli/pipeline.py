"""Commands that go from bars to a report: the whole chain, and its parts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import say, working
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import (
    CalendarName,
    Capital,
    DataPath,
    MarketName,
    Model,
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
    if market != "synthetic":
        _chain(settings_of("sample", preset, model), "sample", capital, proofs=True)
    if market != "sample":
        typer.echo(_PLANTED)
        _chain(settings_of("synthetic", preset, model), "synthetic", capital)
    typer.echo(_NEXT)


def train(market: MarketName = "sample", preset: Preset = None, model: Model = None) -> None:
    """Train a model for every walk-forward fold that lacks one, and predict the fold with it.

    A model sees nothing of the fold it is asked about, nor of what comes after.
    """
    with running(settings_of(market, preset, model), market) as (run, plan):
        from trading_pipeline.defs import runs

        done = runs.train(run, plan)
    say(f"{market}: {_brought(list(done.values()))}")


def _brought(jobs: list[str]) -> str:
    """What was done to the folds, for a person."""
    words = {
        "train": "trained {} folds",
        "predict": "predicted {} folds with the models they have",
        "rivals": "fitted the simpler models of {} folds",
    }
    told = [text.format(jobs.count(job)) for job, text in words.items() if job in jobs]
    return ", ".join(told) or "all folds are up to date"


def backtest(
    market: MarketName = "sample",
    preset: Preset = None,
    model: Model = None,
    capital: Capital = 100_000.0,
) -> None:
    """Trade the out-of-sample predictions with costs and risk rules, and write the report."""
    with running(settings_of(market, preset, model), market) as (run, plan):
        from trading_pipeline.defs import runs

        with working(f"{market}: backtest"):
            runs.backtest(run, plan, capital)
        _print_summary(run.home.report(plan.market))


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
        runs.train(run, plan)
        with working(f"{name}: backtest, baselines, random portfolios, report"):
            runs.backtest(run, plan, capital)
        _print_summary(run.home.report(plan.market))
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
  make ui                                          the graph, the runs, the pictures
  trading-pipeline paper-trade --source sample     the same decisions, bar by bar, journalled
  trading-pipeline walk-forward --data-path FILE   your own bars (columns: see README)
(commands live in .venv/bin; `. .venv/bin/activate` puts them on the path)"""


def _print_summary(folder: Path) -> None:
    import json

    from trading_pipeline.adapters.reports.summary_text import summary_text

    typer.echo(summary_text(json.loads((folder / "report.json").read_text(encoding="utf-8"))))
    typer.echo(f"\nReport: {folder / 'report.html'}")
