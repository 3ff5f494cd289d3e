"""Commands about market data."""

from typing import Annotated

import typer

from trading_pipeline.adapters.terminal import say, working
from trading_pipeline.cli.context import MarketName, markets_of, runner_of, settings_of


def download(
    market: MarketName = "sample",
    source: Annotated[
        str | None, typer.Option(help="All markets of this source, or `all`.")
    ] = None,
) -> None:
    """Fetch the bars that are missing, check them, and compute their features.

    A night that runs again after a failure does not double anything.
    """
    settings = settings_of()
    with runner_of(settings) as run:
        from trading_pipeline.definitions import plan_of
        from trading_pipeline.defs import runs

        for name in markets_of(settings, market, source):
            with working(f"{name}: bars and features"):
                days = runs.download(run, plan_of(settings, name))
            say(f"{name}: {f'{days[0]} to {days[1]} stored' if days else 'up to date'}")
