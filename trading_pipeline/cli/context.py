"""What commands share: their options, the settings they read, the runner they run jobs with."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import ProgressBars, say, telling
from trading_pipeline.errors import SettingsError

VENUES = "trading_pipeline.adapters.sources.retry"  # logs why it asks a venue again, and when


def _finite(amount: float) -> float:
    if not math.isfinite(amount):
        raise typer.BadParameter("must be a finite amount of money")
    return amount


MarketName = Annotated[str, typer.Option("--market", "-m", help="An entry of pipeline.toml.")]


def _known_calendar(name: str | None) -> str | None:
    from trading_pipeline.core.market.exchanges import canonical_calendar

    try:
        return name and canonical_calendar(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


CalendarName = Annotated[
    str | None,
    typer.Option(
        "--calendar",
        callback=_known_calendar,
        help="Of the panel: any of exchange_calendars, such as XNYS, XTKS, 24/5 or 24/7.",
        show_default="the one that fits",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="Size of the network and its budget: tiny (minutes), small (CPU), full (GPU)."
    ),
]
Capital = Annotated[
    float,
    typer.Option(min=1.0, callback=_finite, help="Starting capital, in quote currency."),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse the first impossible row, instead of setting it aside."),
]


@contextmanager
def runner_of(settings: Any, alone: bool = True, wait: bool = False) -> Iterator[Any]:
    """A runner for the settings, with progress bars in a terminal.

    Commands that change bars, models or reports are `alone`: a second one waits for the first.
    They `wait` for a venue that is down as long as a night does, or not much longer than a minute.
    """
    from trading_pipeline.definitions import build, home_of, sources_of
    from trading_pipeline.defs.runs import runner

    with ProgressBars() as bars, telling(VENUES):
        definitions = build(settings, bars, hurried=not wait)
        located, sources = home_of(settings), sources_of(settings, hurried=not wait)
        with runner(definitions, located, sources, say, alone) as run:
            yield run


def settings_of(market: str | None = None, preset: str | None = None) -> Any:
    from trading_pipeline.settings import Settings

    settings = Settings.read()
    return with_preset(settings, market, preset) if market else settings


def with_preset(settings: Any, name: str, preset: str | None) -> Any:
    settings.market(name)
    if preset is None:
        return settings
    entry = settings.markets[name].model_copy(update={"preset": known_preset(preset)})
    return settings.model_copy(update={"markets": {**settings.markets, name: entry}})


def known_preset(preset: str) -> str:
    if preset not in ("tiny", "small", "full"):
        raise SettingsError(f"--preset must be tiny, small or full, was {preset!r}")
    return preset


def markets_of(
    settings: Any, market: str, source: str | None, timeframe: str | None = None
) -> list[str]:
    """The markets meant: one by its name, or all of a source; of a timeframe, if one is given."""
    if source is None:
        known = {market: settings.market(market)}
    else:
        sources = {name: each.source for name, each in settings.markets.items()}
        names = [name for name, each in sources.items() if source in (each, "all")]
        if not names:
            raise SettingsError(_no_market(settings, source, timeframe))
        known = {name: settings.market(name) for name in names}
    found = [name for name, each in known.items() if timeframe in (None, each.timeframe)]
    if not found:
        have = ", ".join(f"{name} of {each.timeframe}" for name, each in known.items())
        raise SettingsError(
            f"no bars of {timeframe} are asked for in pipeline.toml: it has {have}. A market has "
            f"one timeframe; for another one add\n{_entry(source or 'binance', timeframe)}"
        )
    return found


def _no_market(settings: Any, source: str, timeframe: str | None) -> str:
    known = ", ".join(sorted({each.source for each in settings.markets.values()})) or "none"
    complaint = f"no market of source {source!r} in pipeline.toml; it has {known}"
    if source not in _EXAMPLES:
        return complaint
    return f"{complaint}. Add\n{_entry(source, timeframe)}"


_EXAMPLES = {  # by source: the symbols of a first entry, and what else it needs
    "sample": ('"AAPL", "IBM"', ""),
    "parquet": ('"SPY"', '\npath = "panel.parquet"'),
    "alpaca": ('"AAPL", "MSFT"', ""),
    "binance": ('"BTC/USDT", "ETH/USDT"', ""),
    "ccxt": ('"BTC/USD", "ETH/USD"', '\nexchange = "kraken"'),
}


def _entry(source: str, timeframe: str | None) -> str:
    """The lines of pipeline.toml that would make such a market."""
    source = source if source in _EXAMPLES else "binance"
    symbols, more = _EXAMPLES[source]
    name = f"{source}_{timeframe}" if timeframe else source
    return (
        f'[markets.{name}]\nsource = "{source}"{more}\nsymbols = [{symbols}]\n'
        f'timeframe = "{timeframe or "1d"}"\nstart = 2019-01-01'
    )


def read_panel(path: Path, strict: bool, named: str | None, template: Any) -> Any:
    """`read_panel_file`; the rows set aside are named on the screen."""
    from trading_pipeline.core.market.set_aside import lines_of
    from trading_pipeline.steps.panel_file import read_panel_file

    file = read_panel_file(path, strict, named, template)
    for line in lines_of(file.aside):
        say(f"note: {line}", style="yellow")
    return file
