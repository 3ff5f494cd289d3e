"""The command that trades the stored predictions under many risk limits, and counts them."""

import os
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import ProgressBars, say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import Capital, Executor, MarketName
from trading_pipeline.core.trading.profiles import LIMITS, PROFILES
from trading_pipeline.errors import SettingsError

LARGEST = 2000  # variants of one sweep


def _value(profile: Any, limit: str) -> str:
    return f"{getattr(profile, limit):g}"


def lesson() -> str:
    """What `--help` says of every limit."""
    names = ", ".join(PROFILES)
    lines = [f"Limits, with the values of {names}. Without --set: those of the market now.", ""]
    for limit, meaning in LIMITS.items():
        values = " / ".join(_value(each, limit) for each in PROFILES.values())
        lines.append(f"- **{limit}** {values}: {meaning}")
    return "\n".join(lines)


def sweep(
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="LIMIT=VALUE,VALUE,...; again for every other limit."),
    ] = None,
    market: MarketName = "sample",
    capital: Capital = 100_000.0,
    executor: Executor = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the table here, too; a file there is replaced.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Write a heat map here (PNG), for two limits; a file there is replaced."),
    ] = None,
) -> None:
    """Trade the stored out-of-sample predictions under every combination of some risk limits.

    Example: `trading-pipeline sweep --set stop_loss=2,3,4 --set trailing_stop=2,3,inf`. Nothing is
    trained. Every variant is journalled as a trial, since choosing the best of them is fitting:
    the table is in the order given, and says what luck alone would show.
    """
    settings = settings_of(market, executor=executor)
    if not given:
        _show_limits(settings.market(market))
        return
    grid = _grid(settings.market(market), _parsed(given))
    if picture is not None and len(grid.limits) != 2:
        raise SettingsError(f"--picture needs two limits, --set names {len(grid.limits)}")
    swept = _swept(settings, market, grid, capital)
    _print(swept, market)
    _write(swept, market, csv, picture)


def _parsed(given: list[str]) -> dict[str, list[float]]:
    """Values by limit.

    Raises:
        SettingsError: not LIMIT=VALUE,..., a limit twice, or too many combinations.
    """
    limits: dict[str, list[float]] = {}
    variants = 1
    for text in given:
        name, equals, values = (part.strip() for part in text.partition("="))
        try:
            numbers = [float(value) for value in values.split(",")]
        except ValueError:
            numbers = []
        if not equals or not numbers or any(map(isnan, numbers)):
            raise SettingsError(
                f"--set must be LIMIT=VALUE,VALUE,... such as stop_loss=2,3,inf; was {text!r}"
            )
        if name in limits:
            raise SettingsError(f"--set names {name} twice; give all its values at once")
        limits[name], variants = numbers, variants * len(numbers)
    if variants > LARGEST:
        raise SettingsError(f"{variants:,} variants are asked for; a sweep has {LARGEST:,} at most")
    return limits


def _grid(market: Any, limits: dict[str, list[float]]) -> Any:
    from trading_pipeline.core.backtest.sweep import grid_of_limits
    from trading_pipeline.core.trading.profiles import profile_of

    try:
        return grid_of_limits(profile_of(market), limits)
    except ValueError as error:
        raise SettingsError(f"--set: {error}") from error


def _trade(executor: str) -> Any:
    """What trades the books: threads of this process, or workers of Ray. They hold no Python code
    for long, so processes of this machine would be no faster than threads."""
    from trading_pipeline.adapters.ray_sweep import sweep_on_ray
    from trading_pipeline.core.backtest.sweep import sweep

    if executor == "ray":
        return sweep_on_ray
    threads = os.cpu_count() or 1
    return lambda basis, terms, profiles, watch: sweep(
        basis, terms, profiles, threads=threads, watch=watch
    )


def _swept(settings: Any, market: str, grid: Any, capital: float) -> Any:
    from trading_pipeline.definitions import home_of, plan_of
    from trading_pipeline.steps.sweep import sweep_market

    home = home_of(settings)
    with ProgressBars() as bars:
        return sweep_market(
            home,
            plan_of(settings, market),
            grid,
            capital,
            _trade(settings.executor),
            lambda label: bars.start(f"{market}: {label}", say),
        )


def _print(swept: Any, market: str) -> None:
    from trading_pipeline.adapters.reports.sweep import luck_text, sweep_text

    for name, why in swept.left_out.items():
        say(f"left out: {name} ({why})")
    typer.echo(f"{market}, {swept.first:%Y-%m-%d} to {swept.last:%Y-%m-%d}, {swept.days:,} days")
    typer.echo(sweep_text(swept.table, swept.limits))
    typer.echo("* the market's own limits. Out of sample, costs in; turnover is a year's.\n")
    typer.echo(luck_text(len(swept.table), swept.new_trials, swept.luck))


def _write(swept: Any, market: str, csv: Path | None, picture: Path | None) -> None:
    from trading_pipeline.adapters.reports.sweep import draw_sweep, write_sweep

    if csv is not None:
        write_sweep(csv, swept.table)
        say(f"written: {csv}")
    if picture is not None:
        title = f"{market}: Sharpe ratio and its 95 % interval, {len(swept.table)} variants tried"
        draw_sweep(picture, swept.table, swept.limits, title)
        say(f"written: {picture}")


def _show_limits(market: Any) -> None:
    """The limits that a market trades under now."""
    from trading_pipeline.core.trading.profiles import profile_of

    profile = profile_of(market)
    typer.echo(f"{market.name} trades under {profile.name}:")
    for limit, meaning in LIMITS.items():
        changed = " (pipeline.toml)" if limit in market.limits else ""
        typer.echo(f"  {limit:<18}{_value(profile, limit):>8}{changed}  {meaning}")
    typer.echo("\nSweep one: trading-pipeline sweep --set stop_loss=2,3,4")
