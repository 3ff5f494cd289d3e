"""The command that makes a report again, and says whether it is the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import ProgressBars, say, working
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.options import Report

NOT_REPRODUCED = 1  # exit code
_SHOWN = 20  # figures that differ


def rebuild(
    report: Report,
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder for all of it.", show_default="rebuild/MARKET"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Train on cpu, cuda, ...", show_default="what the report was made on"),
    ] = None,
) -> None:
    """Make a report again from its bars in a clean folder, train everything anew, and compare.

    Example: `trading-pipeline rebuild data_storage/reports/sample/report.json`. It takes as long as
    the report took; killed, it goes on where it was with the same command. The home that the report
    lies in is only read: its bars as they were known then, and its trials up to the report, which
    are copied.

    On the same kind of processor with the same packages every figure has to be equal bit for bit.
    On another, sums come out in another order, and trainings turn that into slightly other
    weights: numbers may then differ by 0.01 or 1 %, whichever is more. Which figures differ is
    listed. Exit code 0: reproduced. 1: not. 2: refused, for example because the stored bars are not
    those of the report any more.
    """
    from trading_pipeline.steps import rebuild as steps
    from trading_pipeline.steps.home import Home

    url = settings_of().ledger_url
    original = steps.read_original(report, url.get_secret_value() if url else None, device)
    market = original.plan.market.name
    home = Home(root=str((out or Path("rebuild") / market).absolute()))
    for note in steps.begin(original, home):
        say(f"note: {note}", style="yellow")
    with _running(original, home) as run:
        _make(run, original)
    _print(steps.compare(original, home), original, home)


@contextmanager
def _running(original: Any, home: Any) -> Iterator[Any]:
    """A runner on an instance of the new home's own."""
    from trading_pipeline.definitions import assemble
    from trading_pipeline.defs.instance import leave_deployment
    from trading_pipeline.defs.runs import runner

    leave_deployment()
    with ProgressBars() as bars:
        definitions = assemble([original.plan], home, original.sources, bars)
        with runner(definitions, home, original.sources, say) as run:
            yield run


def _make(run: Any, original: Any) -> None:
    """Bars to report, as for the first time."""
    from trading_pipeline.defs import runs
    from trading_pipeline.steps.rebuild import check_bars

    name = original.plan.market.name
    with working(f"{name}: bars as they were known at {original.made_at:%Y-%m-%d %H:%M}, features"):
        runs.download(run, original.plan)
    check_bars(original, run.home)
    runs.train(run, original.plan)
    with working(f"{name}: backtest, report"):
        runs.backtest(run, original.plan, original.capital)


def _print(done: Any, original: Any, home: Any) -> None:
    report = home.report(original.plan.market) / "report.json"
    for line in done.other:
        say(f"not as it was: {line}", style="yellow")
    if done.departure:
        say(f"the first file that is another: {done.departure}", style="yellow")
    absolute, relative = done.tolerance
    how = f"within {absolute:g} or {relative:.0%}" if absolute else "bit for bit"
    if not done.differing:
        typer.echo(f"reproduced: {done.figures:,} figures are equal, {how}\n{report}")
        return
    typer.echo(
        f"NOT REPRODUCED: {len(done.differing):,} of {done.figures:,} figures differ ({how})"
    )
    for each in done.differing[:_SHOWN]:
        typer.echo(f"  {each.key}: {each.was} → {each.now}")
    if (more := len(done.differing) - _SHOWN) > 0:
        typer.echo(f"  and {more:,} more")
    typer.echo(str(report))
    raise typer.Exit(NOT_REPRODUCED)
