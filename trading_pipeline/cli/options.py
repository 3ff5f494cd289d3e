"""Options that several commands have."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.core.model.config import MODELS
from trading_pipeline.errors import SettingsError


def _finite(amount: float) -> float:
    if not math.isfinite(amount):
        raise typer.BadParameter("must be a finite amount of money")
    return amount


def _known_calendar(name: str | None) -> str | None:
    from trading_pipeline.core.market.exchanges import canonical_calendar

    try:
        return name and canonical_calendar(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def known_preset(preset: str | None) -> str | None:
    """The preset, if there is one of that name."""
    if preset not in (None, "tiny", "small", "full"):
        raise SettingsError(f"--preset must be tiny, small or full, was {preset!r}")
    return preset


def _known_model(model: str | None) -> str | None:
    from trading_pipeline.core.model.config import MODELS

    if model not in (None, *MODELS):
        raise SettingsError(f"--model must be one of {', '.join(MODELS)}, was {model!r}")
    return model


def _known_executor(executor: str | None) -> str | None:
    if executor is None:
        return None
    from trading_pipeline.settings import EXECUTORS

    if executor not in EXECUTORS:
        raise SettingsError(f"--executor must be one of {', '.join(EXECUTORS)}, was {executor!r}")
    return executor


def _rate(rate: float | None) -> float | None:
    if rate is not None and not 0 < rate < 1:
        raise typer.BadParameter("must be between 0 and 1, such as 0.001")
    return rate


Epochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Passes over the windows that a training has, in place of the preset's steps.",
        show_default="the preset's steps",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=8,
        help="Windows of a step, about: 64 are a block of 8 symbols on 8 consecutive dates.",
        show_default="the preset's",
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--lr", callback=_rate, help="Peak learning rate.", show_default="the preset's"),
]
DAYS = ["%Y-%m-%d"]  # formats of an option that is a day


def market_names(incomplete: str) -> list[str]:
    """Of pipeline.toml, for a shell that completes them; none where that cannot be read."""
    from trading_pipeline.settings import Settings

    try:
        known = Settings.read().markets
    except SettingsError:
        return []
    return [name for name in known if name.startswith(incomplete)]


def market_option(meaning: str, default: str | bool = True) -> Any:
    """`--market`, whose names a shell completes.

    Args:
        default: what is said to be meant where none is given.
    """
    return typer.Option(
        "--market", "-m", help=meaning, show_default=default, autocompletion=market_names
    )


_ENTRY = "An entry of pipeline.toml."
MarketName = Annotated[str, market_option(_ENTRY)]
MarketOrSample = Annotated[str | None, market_option(_ENTRY, "sample")]
MarketOrAll = Annotated[str | None, market_option(_ENTRY, "all of them, a line each")]
OwnBars = Annotated[
    Path | None,
    typer.Option(
        "--data-path",
        help="Bars of your own, a Parquet file or folder; settings are then those of --market. The "
        "folder in which a market is stored brings that market's.",
        show_default="those stored of --market",
    ),
]
DataPath = Annotated[
    Path, typer.Option(help="Parquet file or folder: timestamp, symbol, OHLC, volume.")
]
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
        callback=known_preset,
        help="Size of the network and its budget: tiny (minutes), small (CPU), full (GPU).",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        callback=_known_model,
        help=f"What trades: {', '.join(MODELS[:-1])}, or {MODELS[-1]} on validation.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        callback=_known_executor,
        help="Where work is done: in_process, multiprocess, ray (at RAY_ADDRESS) or kubernetes.",
        show_default="`executor` of pipeline.toml",
    ),
]
Capital = Annotated[
    float,
    typer.Option(min=1.0, callback=_finite, help="Starting capital, in quote currency."),
]
Report = Annotated[
    Path,
    typer.Argument(
        help="report.json of a backtest, where it was written: HOME/reports/MARKET/report.json.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse the first impossible row, instead of setting it aside."),
]
