"""The command that says what is wrong with market data."""

from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.faults import naming_faults
from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import CalendarName, market_option

SEVERE = 1  # exit code


def quality(
    data_path: Annotated[
        Path | None,
        typer.Option(help="Parquet file or folder: timestamp, symbol, OHLC, volume."),
    ] = None,
    market: Annotated[
        str | None,
        market_option(
            "An entry of pipeline.toml: its stored bars, or its calendar for --data-path.", "sample"
        ),
    ] = None,
    calendar: CalendarName = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for quality.html, quality.txt, findings.csv, coverage.png."),
    ] = None,
) -> None:
    """Say what is wrong with market data: which rows, how bad it is, and what to do.

    Of stored bars (--market), or of any Parquet file or folder (--data-path), whose timeframe and
    calendar come from its stamps. Rows that break a rule are all listed. Exit code 0: nothing
    severe. 1: something severe, which is refused, or holds its symbol out of learning and trading.
    2: refused, because there are no bars to read.
    """
    with naming_faults(lambda: f"examining {data_path or market or 'sample'} broke"):
        if data_path is None:
            examined = _of_market(market or "sample")
        else:
            examined = _of_path(data_path, market, calendar)
    _print(examined, out)
    if examined.severe:
        raise typer.Exit(SEVERE)


def _of_market(name: str) -> Any:
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.quality import examine_store

    settings = settings_of(name)
    return examine_store(home_of(settings), settings.market(name))


def _of_path(path: Path, market: str | None, calendar: str | None) -> Any:
    from trading_pipeline.steps.quality import examine_files

    return examine_files(path, settings_of(market).market(market) if market else None, calendar)


def _print(examined: Any, out: Path | None) -> None:
    from rich.console import Console

    from trading_pipeline.adapters.reports.quality import quality_text
    from trading_pipeline.steps.quality import write_quality

    console = Console()
    wide = console.width if console.is_terminal else None
    typer.echo(quality_text(examined, wide, colour=console.is_terminal), nl=False)
    if out is not None:
        for path in write_quality(out, examined):
            say(f"written: {path}")
