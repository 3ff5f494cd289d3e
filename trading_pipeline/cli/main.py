"""The command line. Every command runs the same Dagster jobs as the web UI, on the same data.

Exit codes: 0 done, 2 refused with one line that says why, 3 downloaded in part, 130 stopped by
Ctrl-C or SIGTERM.
"""

import signal
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli import (
    alerts,
    bars,
    dashboard,
    divergence,
    doctor,
    download,
    explain,
    features,
    judge,
    leakage,
    ledger,
    model,
    opening,
    paper,
    pipeline,
    production,
    quality,
    rebuild,
    refits,
    simulate,
    sweep,
    trace,
    web_ui,
)
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.errors import TradingPipelineError

REFUSED, INTERRUPTED = 2, 130  # 130 is what shells report of a program that Ctrl-C ended


class Commands(TyperGroup):
    """Deliberate errors become one line and exit code 2, an interruption 130; no tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TradingPipelineError as error:
            say(f"error: {error}", style="red")
            raise typer.Exit(REFUSED) from None
        except KeyboardInterrupt:
            say("stopped; nothing is half-written, and the same command goes on from here")
            raise typer.Exit(INTERRUPTED) from None


def _version(asked: bool) -> None:
    if asked:
        from trading_pipeline.adapters.code_version import code_version

        typer.echo(f"trading-pipeline {code_version()}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "From bars to an honest backtest: causal features, an xLSTM-Transformer trained "
        "walk-forward, a simulation with costs and risk rules, and paper trading.\n\n"
        "Start with `trading-pipeline demo` (no key, no network), then judge your own data with "
        "`trading-pipeline walk-forward --data-path PANEL.parquet`."
    ),
)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print it, and end."),
    ] = False,
) -> None:
    """What `trading-pipeline` takes before any command."""


# In this order `--help` lists them.
app.command()(pipeline.demo)
app.command()(doctor.doctor)
app.command()(download.download)
app.command()(quality.quality)
app.command()(bars.bars)
app.command()(pipeline.train)
app.command()(pipeline.backtest)
app.command(epilog=sweep.lesson())(sweep.sweep)
app.command()(refits.refits)
app.command("walk-forward")(pipeline.walk_forward)
app.command()(judge.judge)
app.command()(simulate.simulate)
app.command("paper-trade")(paper.paper_trade)
app.command()(paper.replay)
app.command()(divergence.divergence)
app.command()(paper.status)
app.command("open")(opening.open_report)
app.command()(web_ui.ui)
app.command()(dashboard.dashboard)
app.command()(paper.stop)
app.command()(paper.pause)
app.command()(paper.halt)
app.command()(paper.resume)
app.command()(explain.explain)
app.add_typer(production.app, name="production")
app.command("check-leakage")(leakage.check_leakage)
app.command()(features.features)
app.command()(model.model)
app.command()(trace.trace)
app.command()(rebuild.rebuild)
app.add_typer(ledger.app, name="ledger")
app.add_typer(alerts.app, name="alerts")


@app.command()
def home() -> None:
    """Create the home of Dagster below TP_HOME, with its two files, and print its path."""
    from trading_pipeline.defs.instance import prepare_home

    typer.echo(str(prepare_home(settings_of().home)))


def main() -> None:
    """Entry point. SIGTERM, which a container or a system sends to end us, is a Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    app(prog_name="trading-pipeline")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
