"""The command that shows a paper session in a browser."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from trading_pipeline.adapters.dashboard_page import PORT
from trading_pipeline.cli.markets import cancel_at_broker, settings_of


def dashboard(
    market: Annotated[str, typer.Option(help="Name of the market in pipeline.toml.")] = "sample",
    session: Annotated[str, typer.Option(help="Its session; the newest, if not given.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = PORT,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. At any other than this, whoever reaches it can halt "
            "and resume the market."
        ),
    ] = "127.0.0.1",
) -> None:
    """A live page of a market's paper session, also for a phone: for this machine alone.

    Equity against what the backtest expects, drawdown, positions, open orders, the last decisions
    with their reasons, risk state and heartbeat; buttons to halt, which asks twice, pause and
    resume. It reads the ledger and, for what is expected, the report: it shows a session of any
    process, and a dead one, too. The backtest's report is at /report/report.html.
    """
    from trading_pipeline.adapters.dashboard import dashboard_app
    from trading_pipeline.adapters.kill_switch import HALTED, operator, record_intent
    from trading_pipeline.adapters.web_server import serve
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.dashboard import Dashboard

    settings = settings_of(market)
    home, known = home_of(settings), settings.market(market)
    who = f"{operator()}, live page"
    with home.ledger() as ledger:
        report = home.report(known)
        shown = Dashboard(ledger, known, session, report)

        def tell(intent: str, reason: str) -> None:
            record_intent(ledger, market, intent, reason, datetime.now(UTC), who)
            if intent == HALTED:
                cancel_at_broker(settings, market)

        app = dashboard_app(market, lambda: shown.state(datetime.now(UTC)), tell, report)
        serve(app, host, port, lambda url: typer.echo(f"{url}  (Ctrl-C ends it)"))
