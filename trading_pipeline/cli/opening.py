"""The command that shows what was made."""

import os
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_pipeline.adapters.terminal import say, shown
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.cli.web_ui import PORT
from trading_pipeline.errors import SettingsError

PAGE = "report.html"


def open_report(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A market, the folder or file of a report, or `ui`, Dagster's web UI.",
            show_default="the newest report",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Of the web UI.")] = PORT,
) -> None:
    """Open the newest report in a browser, or the web UI; where there is no browser, say where.

    - `trading-pipeline open` the newest of all reports, of whatever command
    - `trading-pipeline open crypto` that of a market
    - `trading-pipeline open backtest/mine` that of a folder
    - `trading-pipeline open ui` Dagster's web UI, which `trading-pipeline ui` starts
    """
    if what == "ui":
        _open(_web_ui(port))
        return
    page = _page(settings_of(), what)
    typer.echo(str(shown(page.absolute())))
    _open(page.absolute().as_uri(), said=True)


def _page(settings: Any, what: str | None) -> Path:
    """The page that is meant.

    Raises:
        SettingsError: there is none; says which command makes one.
    """
    if what is not None:
        named = Path(what)
        places: list[Path] = [named, named / PAGE, settings.home / "reports" / what / PAGE]
        if found := next((each for each in places if each.is_file()), None):
            return found
        raise SettingsError(
            f"there is no report in {', '.join(map(str, places[1:]))}; `trading-pipeline backtest "
            f"--market NAME` makes that of a market: {', '.join(settings.markets) or 'none is set'}"
        )
    pages = list(_pages(settings.home))
    if not pages:
        raise SettingsError(
            f"no report was made yet, in {settings.home} or below this folder; `trading-pipeline "
            "demo` makes two in some minutes"
        )
    return max(pages, key=lambda page: page.stat().st_mtime)


def _pages(home: Path) -> Iterator[Path]:
    """All reports: of markets, of panels, of models of one's own, of one model."""
    yield from home.glob(f"reports/*/{PAGE}")
    for folder in ("backtest", "judge"):
        yield from Path(folder).glob(f"*/{PAGE}")
    yield from Path("walk-forward").glob(f"*/reports/*/{PAGE}")


def _web_ui(port: int) -> str:
    """The address of the web UI, if something answers there."""
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError as error:
        raise SettingsError(
            f"nothing answers at port {port}: `trading-pipeline ui --port {port}` starts the web UI"
        ) from error
    return f"http://127.0.0.1:{port}"


def _open(address: str, said: bool = False) -> None:
    if not said:
        typer.echo(address)
    if not _has_screen() or not webbrowser.open(address):
        say("no browser was found here; open it where there is one")


def _has_screen() -> bool:
    """Without one, a browser of a terminal would take this terminal."""
    asked = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in asked)
