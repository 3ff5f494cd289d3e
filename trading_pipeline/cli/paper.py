"""Commands about paper trading."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import markets_of, settings_of
from trading_pipeline.cli.options import Capital
from trading_pipeline.cli.runner import running


def paper_trade(
    source: Annotated[str, typer.Option(help="The market to replay, or its source.")] = "sample",
    capital: Capital = 100_000.0,
    session: Annotated[
        str, typer.Option(help="Name of the session; the same name resumes where it stopped.")
    ] = "paper",
    start: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day to decide on.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day to replay.")
    ] = None,
    bars_per_second: Annotated[
        float, typer.Option(min=0.0, help="Speed of the replay; 0 is as fast as possible.")
    ] = 0.0,
) -> None:
    """Replay stored bars one by one through the same kernels as the backtest, journalled.

    A replay of the past, whatever the source: bars that `download` stored, fills that are
    simulated, each bar with the model of its own fold. It does not wait for new bars of a venue,
    and sends no order to anyone. Every decision is in the ledger before it is acted on. Ctrl-C
    stops cleanly; the same command resumes. The orders are those of the backtest of the same
    period and checkpoints.
    """
    settings = settings_of()
    name = markets_of(settings, source, None if source in settings.markets else source)[0]
    say(
        f"note: a replay of the bars of {name} that are stored, with simulated fills: new bars are "
        "not waited for, and no order is sent to a venue"
    )
    with running(settings, name, alone=False) as (run, plan):
        from trading_pipeline.defs.paper import run_session

        summary = run_session(
            run,
            plan,
            {
                "session": session,
                "capital": capital,
                "start": f"{start:%Y-%m-%d}" if start else "",
                "end": f"{end:%Y-%m-%d}" if end else "",
                "bars_per_second": bars_per_second,
            },
        )
    typer.echo(summary)


Name = Annotated[str, typer.Option(help="Name of the market in pipeline.toml.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the order.")]


def halt(market: Name, reason: Reason = "") -> None:
    """The kill switch: close every position of a market's paper sessions, and open none.

    It holds from the next decision on, of sessions that run and of those that start later, until
    `trading-pipeline resume`.
    """
    _tell(market, "halted", reason)


def resume(market: Name, reason: Reason = "") -> None:
    """Undo `halt`: from the next decision on, a market's paper sessions trade again."""
    _tell(market, "trading", reason)


def _tell(market: str, intent: str, reason: str) -> None:
    from trading_pipeline.adapters.kill_switch import record_intent
    from trading_pipeline.definitions import home_of

    with home_of(settings_of(market)).ledger() as ledger:
        record_intent(ledger, market, intent, reason, datetime.now(UTC))
    typer.echo(f"{market}: {intent} from the next decision on")
