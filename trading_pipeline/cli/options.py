"""Options that several commands have."""

import math
from pathlib import Path
from typing import Annotated

import typer

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
    if preset not in (None, "tiny", "small", "full"):
        raise SettingsError(f"--preset must be tiny, small or full, was {preset!r}")
    return preset


def _known_model(model: str | None) -> str | None:
    from trading_pipeline.core.model.config import MODELS

    if model not in (None, *MODELS):
        raise SettingsError(f"--model must be one of {', '.join(MODELS)}, was {model!r}")
    return model


def _known_executor(executor: str | None) -> str | None:
    known = ("in_process", "multiprocess", "ray", "kubernetes")
    if executor not in (None, *known):
        raise SettingsError(f"--executor must be one of {', '.join(known)}, was {executor!r}")
    return executor


MarketName = Annotated[str, typer.Option("--market", "-m", help="An entry of pipeline.toml.")]
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
        help="What trades: network, ridge, ridge_lags, lightgbm, lstm, or best on validation.",
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
