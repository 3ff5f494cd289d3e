"""Commands about the ledger: whether it is whole, and which trials it counts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.cli.markets import settings_of
from trading_pipeline.errors import BrokenChain, LedgerError, SettingsError, StoreError

NOT_WHOLE = 1  # exit code

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help=(
        "The journal of paper sessions and trials: append-only, every event chained to the one "
        "before by its hash."
    ),
)

Where = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Of a walk-forward: its folder, walk-forward/STEM.", show_default="TP_HOME"
    ),
]


@app.command()
def verify(home: Where = None) -> None:
    """Walk the chain of every stream, and say where it is broken.

    An event that was changed, removed or put in between breaks the chain at that place: stream and
    number are named. Events cut off at the end leave a shorter chain that is whole, so the reports
    of the home are asked, too: each names the event of its own evaluation. The files of daily
    returns, `trials/SHA-256.parquet`, are compared with their names; those of other homes,
    where several share a ledger, are not here, which is no fault. What nobody can see is a
    ledger that was rewritten from its first event on, together with every report.

    Exit code 0: all is whole. 1: it is not. 2: there is no such home, or its ledger cannot be
    opened.
    """
    place = _home(home)
    if not place.has_ledger:
        typer.echo(f"no ledger in {place.path}: nothing was evaluated or paper-traded there")
        raise typer.Exit(_say(_reports_without(place)))
    with place.trials() as book:
        faults = _streams(book.ledger) + _reports(place, book.ledger) + _returns(book)
    raise typer.Exit(_say(faults))


@app.command()
def trials(home: Where = None) -> None:
    """List every trial: configuration, panel, Sharpe ratio, first and last evaluation.

    A trial is a distinct configuration on a distinct panel. A report counts once, however often it
    is made anew; each variant of a sweep, and each model of your own that is judged, counts too.
    The number deflates the Sharpe ratio of the verdict. It is counted here and nowhere else: no
    setting can say another.
    """
    from trading_pipeline.adapters.reports.trials import trials_text

    place = _home(home)
    if not place.has_ledger:
        raise LedgerError(f"trials unknown: there is no ledger in {place.path}")
    with place.trials() as book:
        typer.echo(trials_text(book.distinct()))


def _home(home: Path | None) -> Any:
    """The home of the settings, or another one with the ledger of the settings, if they say it.

    Raises:
        SettingsError: the other one does not exist.
    """
    from trading_pipeline.definitions import home_of

    settings = settings_of()
    if home and not home.is_dir():
        raise SettingsError(f"--home: there is no folder {home}; give that of a walk-forward")
    return home_of(settings.model_copy(update={"home": home}) if home else settings)


def _say(faults: list[str]) -> int:
    """Name all faults; the exit code."""
    for fault in faults:
        typer.echo(f"NOT WHOLE: {fault}")
    return NOT_WHOLE if faults else 0


def _streams(ledger: Any) -> list[str]:
    """Print what each stream is; where chains are broken."""
    from trading_pipeline.core.market.quality.finding import counted

    faults = []
    for stream in ledger.streams():
        try:
            events = counted(ledger.verify(stream), "event")
            typer.echo(f"{stream}: {events}, the chain is whole")
        except BrokenChain as error:
            faults.append(str(error))
    return faults


def _reports(home: Any, ledger: Any) -> list[str]:
    from trading_pipeline.steps.trials import lost_events

    try:
        lost = lost_events(home, ledger)
    except LedgerError as error:  # an event cannot even be read; its stream says so, too
        return [str(error)]
    return [
        f"{path} names {event}, which the ledger does not have: its end was cut off, or it is "
        "another ledger"
        for path, event in lost.items()
    ]


def _reports_without(home: Any) -> list[str]:
    from trading_pipeline.steps.trials import named_events

    return [
        f"{path} names event {named['seq']} of a ledger that is gone"
        for path, named in named_events(home)
    ]


def _returns(book: Any) -> list[str]:
    """What is wrong with files of daily returns."""
    from trading_pipeline.core.market.quality.finding import counted

    faults, files = [], 0
    try:
        digests = book.digests()
    except LedgerError as error:
        return [str(error)]
    here = [each for each in digests if not book.elsewhere(each)]
    for digest in here:
        try:
            book.read(digest)
            files += 1
        except StoreError as error:
            faults.append(str(error))
    typer.echo(f"daily returns: {files:,} of {len(here):,} files are as they were written")
    if away := len(digests) - len(here):
        typer.echo(
            f"note: {counted(away, 'file')} of daily returns not in {book.folder}: of other homes "
            "that share the ledger, or lost; their trials count, each as one of its own"
        )
    return faults
