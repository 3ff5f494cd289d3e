"""The command that starts Dagster's web UI."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from trading_pipeline.adapters.dashboard_page import REPORTS_PORT
from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import settings_of
from trading_pipeline.errors import SettingsError

PORT = 3000


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it is shown.")] = PORT,
) -> None:
    """Start Dagster's web UI with its daemon, for this machine alone, until Ctrl-C.

    It shows the markets of pipeline.toml and all that commands did in their home. Schedules and
    sensors run as long as it does. `trading-pipeline open ui` opens it in a browser. The reports of
    all markets are at http://127.0.0.1:8711, where the pages of their assets link to.
    """
    settings = settings_of()
    if not settings.markets:
        raise SettingsError(
            f"no market to show in {Path.cwd()}: run this where pipeline.toml is, or set "
            "TP_CONFIG; `trading-pipeline demo` makes a pipeline.toml where there is none"
        )
    from trading_pipeline.adapters.web_server import listening_at
    from trading_pipeline.defs.instance import (
        BATCH_SIZE,
        BATCH_VARIABLE,
        HOME_VARIABLE,
        WORKSPACE,
        prepare_home,
    )

    listening_at("127.0.0.1", port).close()  # a port that is taken is refused before all else
    home = prepare_home(settings.home)
    _serve_reports(settings.home / "reports")
    said = {
        HOME_VARIABLE: str(home),
        BATCH_VARIABLE: BATCH_SIZE,
        "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded",
    }
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(home / WORKSPACE)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Dagster ends by SIGTERM as it does by Ctrl-C, which a script's `ui &` has all of us ignore.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, command, {**os.environ, **said})


def _serve_reports(reports: Path) -> None:
    from trading_pipeline.adapters.web_server import serve_reports_beside

    try:
        typer.echo(f"reports: {serve_reports_beside(reports, '127.0.0.1', REPORTS_PORT)}")
    except SettingsError:
        say(
            f"note: port {REPORTS_PORT} is taken, perhaps by another `trading-pipeline ui`: the "
            "links to reports lead there; `trading-pipeline open` shows those of this home"
        )
