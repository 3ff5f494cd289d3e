"""The command that asks how often a model should be fitted."""

import json

import typer

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import Capital, MarketName, Model
from trading_pipeline.cli.runner import running


def refits(
    market: MarketName = "sample", model: Model = None, capital: Capital = 100_000.0
) -> None:
    """Does refitting pay? Never, yearly, quarterly and monthly refits on the same bars.

    Fits a `tiny` model for each of the newest months that there is history for, 84 at most (half an
    hour or so on one core, for 30 symbols), and trades the four intervals alike: Sharpe ratio and
    rank information coefficient, what each costs in CPU time, and paired differences with 95 %
    intervals. What was fitted is kept: a second run, or one after Ctrl-C, goes on from there.
    """
    with running(settings_of(market, None, model), market) as (run, plan):
        from trading_pipeline.adapters.reports.refits import markdown_refits
        from trading_pipeline.defs import runs

        runs.refits(run, plan, capital)
        folder = run.home.report(plan.market)
    typer.echo(markdown_refits(json.loads((folder / "refits.json").read_text(encoding="utf-8"))))
    say(f"written: {folder / 'refits.json'} and refits.png")
