"""How all markets stand, in a line each: what is stored, trained, reported, and traded on paper.

Below them is what is wrong, as the daemon's sensors have told it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from trading_pipeline.adapters.terminal import since
from trading_pipeline.errors import TradingPipelineError

_NOTHING = "-"


def print_overview(settings: Any) -> None:
    """A table of all markets of the settings, from files and the ledger alone."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # brackets of a session's name are not markup

    heads = (
        "market",
        "nights",
        "bars to, stored",
        "folds",
        "report",
        "model in service",
        "paper session",
    )
    table = Table(*heads, box=None)
    for name, entry in settings.markets.items():
        cells = (name, "on" if entry.nightly else "off", *_row(settings, name))
        table.add_row(*map(Text, cells))
    Console(width=120, highlight=False).print(table)
    if not settings.markets:
        typer.echo("no market: run this where pipeline.toml is, or set TP_CONFIG")
    _print_wrong(settings)


def _print_wrong(settings: Any) -> None:
    """What was told as wrong and is not over, with the words of the alert."""
    from trading_pipeline.adapters.alerts import open_alerts
    from trading_pipeline.definitions import home_of

    home = home_of(settings)
    if not home.has_ledger:
        return
    with home.ledger() as ledger:
        wrong = open_alerts(ledger)
    if wrong:
        typer.echo("\nWrong now, as alerts told it:")
    for at, news in wrong:
        typer.echo(f"  {at:%Y-%m-%d %H:%M} UTC  {news.title}\n    {news.text}")


def _row(settings: Any, name: str) -> list[str]:
    from trading_pipeline.definitions import home_of

    home, market = home_of(settings), settings.market(name)
    files = home.bars(market).files()
    bars = f"{files[-1].stem}, {since(*files)[:10]}" if files else _NOTHING
    folds = len(home.predictions(market).folds())
    return [
        bars,
        str(folds or _NOTHING),
        _report(home.report(market)),
        *(_of_ledger(home, market) if home.has_ledger else [_NOTHING, _NOTHING]),
    ]


def _report(folder: Path) -> str:
    """When it was made, and its verdict on the edge."""
    path = folder / "report.json"
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"))["verdict"]["edge"]
    except FileNotFoundError:
        return _NOTHING
    except (OSError, ValueError, LookupError, TypeError):
        return "damaged"
    return f"{since(path)[:10]}, edge {verdict}"


def _of_ledger(home: Any, market: Any) -> list[str]:
    """The model that trades, and the newest paper session."""
    from trading_pipeline.adapters.store.production import newest_in_service
    from trading_pipeline.steps.status import status_of
    from trading_pipeline.steps.streams import session_of

    with home.ledger() as ledger:
        model = newest_in_service(ledger, market.name)
        try:
            known = status_of(ledger, market, "", datetime.now(UTC))
        except TradingPipelineError:
            known = None
    learned = f"learned to {model.last_target[:10]}" if model else _NOTHING
    if known is None:
        return [learned, _NOTHING]
    runs = "runs" if known.holder else "rests"
    return [learned, f"{session_of(known.stream)} {runs}, equity {known.equity:,.0f}"]
