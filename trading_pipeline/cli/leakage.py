"""The command that looks for look-ahead, on whatever is stored."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.faults import naming_faults
from trading_pipeline.adapters.terminal import ProgressBars, say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import CalendarName, MarketOrSample, Strict
from trading_pipeline.cli.panel import read_panel
from trading_pipeline.cli.runner import running
from trading_pipeline.errors import HistoryTooShort

LEAK = 1  # exit code


def check_leakage(
    market: MarketOrSample = None,
    data_path: Annotated[
        Path | None,
        typer.Option(help="Parquet file or folder: features, universe and targets of it alone."),
    ] = None,
    calendar: CalendarName = None,
    cuts: Annotated[
        int, typer.Option(min=1, help="Dates at which bars end, become noise, or begin.")
    ] = 3,
    strict: Strict = False,
) -> None:
    """Look for look-ahead in features, training, predictions and orders, on real stored bars.

    Cuts off and scrambles the future, and computes all stages again: nothing of the past may
    change. Exit code 0: clean. 1: a leak was found. 2: refused, for example because no bars are
    stored.
    """
    with naming_faults(lambda: f"looking for leaks in {data_path or market or 'sample'} broke"):
        if data_path is None:
            examined, skipped = _of_market(market or "sample", cuts)
        else:
            examined, skipped = _of_panel(data_path, market, calendar, cuts, strict)
    _print(examined, skipped)
    if any(each.leaks for each in examined):
        raise typer.Exit(LEAK)


def _of_market(name: str, cuts: int) -> tuple[list[Any], dict[str, str]]:
    """What all stages of a stored market came to, and what was skipped and why."""
    with running(settings_of(name), name) as (run, plan), ProgressBars() as bars:
        from trading_pipeline.steps.leakage import examine_market

        return examine_market(run.home, plan, cuts, _watching(bars, name))


def _of_panel(
    path: Path, template: str | None, calendar: str | None, cuts: int, strict: bool
) -> tuple[list[Any], dict[str, str]]:
    """The stages that need no model, on a panel of one's own; nothing is stored."""
    from trading_pipeline.core.leakage.bars import N_STEPS, examine_bars
    from trading_pipeline.core.learning.adhoc import market_name, market_of_panel
    from trading_pipeline.core.market.calendar import on_open_days
    from trading_pipeline.core.market.stamps import clock_of
    from trading_pipeline.steps.leakage import MODEL, examine_trainings
    from trading_pipeline.steps.plan import Plan

    settings, name = settings_of(), market_name(path.resolve().stem)
    terms = settings.market(template) if template else None
    named = calendar or (terms.calendar if terms else None)
    file = read_panel(path, strict, calendar, terms)
    clock = clock_of(file.bars, named, str(path)).calendar
    panel = file.panel(on_open_days(file.bars, clock, str(path)))
    skipped = {MODEL: "a panel has no checkpoint"}
    with ProgressBars() as bars:
        watching = _watching(bars, name)
        examined = examine_bars(panel, clock.name, count=cuts, watch=watching("bars to features"))
        try:
            market, notes = market_of_panel(file.bars, name, N_STEPS, terms, named, str(path))
        except HistoryTooShort as error:
            return examined, {"training": str(error)} | skipped
        for note in notes:
            say(f"note: {note}")
        trained, why = examine_trainings(panel, Plan(market), watching)
    return examined + trained, why | skipped


def _watching(bars: ProgressBars, name: str) -> Callable[[str], Any]:
    """Progress of one piece of work after the other, as lines or bars."""
    return lambda label: bars.start(f"{name}: {label}", say)


def _print(examined: list[Any], skipped: dict[str, str]) -> None:
    from trading_pipeline.core.leakage.experiment import merged

    rows = merged(examined)
    width = max([len(f"{each.stage} {each.check}") for each in rows], default=0) + 2
    for each in rows:
        place = f"{each.stage}, {each.check}"
        typer.echo(f"{place:<{width}} {each.values:>12,}  {each.verdict:<8}  {each.done}")
        for leak in each.leaks[:3]:
            typer.echo(f"    {leak}")
    for stage, why in skipped.items():
        typer.echo(f"{stage:<{width}} {'':>12}  skipped   {why}")
    leaks = sum(len(each.leaks) for each in rows)
    values = sum(each.values for each in rows)
    if leaks:
        typer.echo(f"\n{leaks} leaks found among {values:,} values")
    else:
        typer.echo(f"\nNo leak found: {values:,} values compared, none had changed")
