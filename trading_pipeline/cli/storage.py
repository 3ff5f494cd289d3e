"""The command that says what takes the disk, and clears what nothing refers to any more."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.errors import StoreError

if TYPE_CHECKING:
    from trading_pipeline.steps.storage import Leftover

_LEAST = 100_000  # bytes of a place that has a line of its own


def storage(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what is listed as left over.")
    ] = False,
    days: Annotated[
        int,
        typer.Option(
            min=1, help="Age of logs, curves and killed trainings that are left over, in days."
        ),
    ] = 30,
) -> None:
    """Say how much disk each folder and market takes, and what of it nothing refers to any more.

    Left over are checkpoints and predictions of folds that neither today's settings nor a report
    nor a paper session refers to (of walk-forward spans of before, say); and, older than --days,
    trainings that were killed and never went on, curves of folds that are gone, what runs of the
    web UI said, and files that a kill kept the ledger from naming.

    Nothing goes without --prune. Bars and their revisions, the ledger, what it names, reports,
    models that were in service, and markets that pipeline.toml does not have, stay in any case; so
    does all of a market that a paper session trades now. Whatever is made anew by mistake costs
    time and no result.
    """
    from trading_pipeline.adapters.store.files import one_writer
    from trading_pipeline.definitions import home_of

    settings = settings_of()
    home, age = home_of(settings), timedelta(days=days)
    _print_usage(home, settings)
    if not home.path.is_dir():
        return
    if not prune:
        _print_leftovers(list(_leftovers(home, settings, age)))
        _print_history(home)
        return
    busy = f"another command works in {home.path}; waiting until it ends (Ctrl-C gives up)"
    with one_writer(home.path, lambda: say(busy)):
        _remove(home, list(_leftovers(home, settings, age)))
        _prune_runs(home, age)


def _print_usage(home: Any, settings: Any) -> None:
    from trading_pipeline.steps.storage import usage

    sizes = usage(home)
    typer.echo(f"{settings.home}: {decimal(sum(sizes.values()))}")
    for place, size in sizes.items():
        if size >= _LEAST:
            market = place.partition("/")[2]
            unknown = (
                "  (not in pipeline.toml)" if market and market not in settings.markets else ""
            )
            typer.echo(f"{decimal(size):>10}  {place}{unknown}")
    rest = sum(size for size in sizes.values() if size < _LEAST)
    typer.echo(f"{decimal(rest):>10}  all others")
    if home.path.exists():
        typer.echo(f"{decimal(shutil.disk_usage(home.path).free):>10}  free on the disk")


def _leftovers(home: Any, settings: Any, age: timedelta) -> Iterator["Leftover"]:
    """Of all markets, and of the home; of a market about which too little is known, a line."""
    from trading_pipeline.definitions import plan_of
    from trading_pipeline.steps.storage import leftovers, unnamed_returns

    for name in settings.markets:
        if not (home.path / "raw" / name).is_dir():
            continue
        try:
            yield from leftovers(home, plan_of(settings, name), age)
        except StoreError as error:
            say(f"note: nothing of {name} is left over as far as is known: {error}")
    yield from unnamed_returns(home, age)
    yield from _old_logs(home, age)


def _old_logs(home: Any, age: timedelta) -> list["Leftover"]:
    from trading_pipeline.defs.history import old_logs
    from trading_pipeline.steps.storage import Leftover

    records = home.path / "dagster"
    old = old_logs(records / "history", home.clock.now() - age)
    said = [(*path.parent.glob(f"{path.name}*"), records / "storage" / path.stem) for path in old]
    return [Leftover(each, "what a run said long ago") for each in said]


def _print_leftovers(found: list["Leftover"]) -> None:
    if not found:
        typer.echo("Nothing is left over.")
        return
    total = sum(each.size for each in found)
    typer.echo(f"Left over, and removed with --prune: {decimal(total)}")
    for each in found:
        typer.echo(f"{decimal(each.size):>10}  {_named(each)}: {each.why}")


def _print_history(home: Any) -> None:
    """Dagster's part, which is left over only when it is old: after a demo it is the largest."""
    from trading_pipeline.defs.history import KEPT
    from trading_pipeline.steps.storage import size_of

    if size := size_of(home.path / "dagster"):
        typer.echo(
            f"{decimal(size)} of dagster/ are Dagster's history: what a run said is thrown away "
            f"after {KEPT.days} days, while the web UI runs, or by --prune; what it made stays."
        )


def _remove(home: Any, found: list["Leftover"]) -> None:
    """One after the other; a kill leaves the others for the next time."""
    freed = 0
    for each in found:
        size = each.size
        each.remove()
        freed += size
        typer.echo(f"removed {_named(each)}, {decimal(size)}: {each.why}")
    typer.echo(f"{decimal(freed)} are free again." if found else "Nothing is left over.")


def _prune_runs(home: Any, age: timedelta) -> None:
    """What runs said, where a deployment keeps that in a database; files are removed by now."""
    from trading_pipeline.defs.history import prune
    from trading_pipeline.defs.instance import has_records, local_instance

    if not (home.path / "dagster").exists() and has_records(home.path):
        with local_instance(home.path) as instance:
            prune(instance, home.clock.now(), age)


def _named(leftover: "Leftover") -> Path:
    from trading_pipeline.adapters.terminal import shown

    return shown(max(leftover.paths, key=lambda path: path.suffix == ".pt"))
