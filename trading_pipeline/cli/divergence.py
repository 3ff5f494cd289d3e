"""The command that says why a paper session earned something else than the backtest."""

import json
from typing import Annotated

import typer

from trading_pipeline.cli.explain import print_sections
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import MarketName


def divergence(
    market: MarketName = "sample",
    session: Annotated[str, typer.Option(help="The session; the newest, if not given.")] = "",
    days: Annotated[int, typer.Option(min=1, help="How many of the newest days to show.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything as one JSON document, for machines.")
    ] = False,
) -> None:
    """Why did a paper session earn something else than the backtest of the same days?

    The difference is split into what was revised in the bars since (data), other predictions
    (signal), bars that were missed, halts and late fills (timing), executions beside the engine's
    (fill), and what was paid beside the model (cost). The backtest is run again with one of these
    after the other as it was on paper, which takes a moment; nothing is written. The nightly
    schedule writes the same into the folder of the report.

    Exit codes: 0 within what `[markets.NAME.divergence]` tolerates, 1 beyond it or not explained,
    2 refused.
    """
    from trading_pipeline.adapters.reports.divergence import sections_of
    from trading_pipeline.definitions import home_of, plan_of
    from trading_pipeline.steps.divergence import divergence_of, news_of

    settings = settings_of(market)
    home = home_of(settings)
    with home.ledger() as ledger:
        summary = divergence_of(home, plan_of(settings, market), ledger, session)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_sections(list(sections_of(summary, days)))
    news = news_of(summary)
    if not news.over:
        typer.echo(news.text, err=True)
        raise typer.Exit(1)
