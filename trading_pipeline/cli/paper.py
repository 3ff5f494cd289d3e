"""Commands about paper trading."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_pipeline.adapters.terminal import say
from trading_pipeline.cli.markets import cancel_at_broker, markets_of, settings_of
from trading_pipeline.cli.options import Capital, MarketOrAll, market_option
from trading_pipeline.cli.overview import print_overview
from trading_pipeline.cli.runner import running
from trading_pipeline.errors import SettingsError, TradingError
from trading_pipeline.steps.replay_speed import seconds_a_bar

if TYPE_CHECKING:
    from trading_pipeline.steps.status import Status

_SHOWN = 20  # differences


def paper_trade(
    source: Annotated[
        str | None,
        typer.Option(
            help="The market of this source (sample, alpaca, binance, ...).", show_default="sample"
        ),
    ] = None,
    market: Annotated[
        str | None,
        market_option(
            "The market to trade, an entry of pipeline.toml; of a source that has several, which "
            "one.",
            "the source's",
        ),
    ] = None,
    capital: Capital = 100_000.0,
    session: Annotated[
        str, typer.Option(help="Name of the session; the same name resumes where it stopped.")
    ] = "paper",
    replayed: Annotated[
        bool, typer.Option("--replay", help="Stored bars, also of a venue that tells new ones.")
    ] = False,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Of a replay, the first day to decide on."),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Of a replay, its last day.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="Of a replay: max, real (a bar in a bar's time), or 60x that.")
    ] = "max",
) -> None:
    """Trade on paper, bar by bar, by the code of the backtest; each step is in the ledger.

    A market of a venue (binance, alpaca, ccxt) trades live: its bars as they close there, with the
    production model. Any other one, or any with --replay, is a replay of bars that `download`
    stored, each with the model of its own fold: the orders are those of the backtest of the same
    period and checkpoints. Fills are simulated, unless the market names a `broker` and trades live:
    then orders go to its paper account. Every decision is in the ledger before it is acted on.
    Ctrl-C stops cleanly; the same command resumes, and of bars that closed meanwhile only the
    newest is decided on. A live market that has no model in service yet gets one first, trained on
    all stored bars as every night does.

    - `trading-pipeline paper-trade --source binance --capital 100000`
    - `trading-pipeline paper-trade --market sample --start 2011-01-03 --end 2011-06-30`
    """
    from trading_pipeline.settings_markets import LIVE_SOURCES

    settings = settings_of()
    name = _market_meant(settings, source, market)
    seconds_a_bar(speed, settings.market(name).timeframe)  # it is refused before work begins
    live = settings.markets[name].source in LIVE_SOURCES and not replayed
    if live and (start or end or speed != "max"):
        raise TradingError(
            f"{name} trades the bars of a venue as they close: --start, --end and --speed are "
            "those of a --replay"
        )
    say(
        f"note: bars of {name} as they close; broker: {settings.markets[name].broker}"
        if live
        else f"note: a replay of the bars of {name} that are stored, with simulated fills: new "
        "bars are not waited for, and no order is sent to a venue"
    )
    if live:
        _bring_model(settings, name)
    with running(settings, name, alone=False) as (run, plan):
        from trading_pipeline.defs.paper import run_session
        from trading_pipeline.steps.inputs import refuse_without_bars

        refuse_without_bars(run.home, plan.market)
        _say_where_it_goes_on(run.home, name, session, is_asked=start is not None)
        if live:
            _say_what_it_waits_for(run.home, plan.market)
        summary = run_session(
            run,
            plan,
            {
                "session": session,
                "capital": capital,
                "replay": replayed,
                "start": f"{start:%Y-%m-%d}" if start else "",
                "end": f"{end:%Y-%m-%d}" if end else "",
                "speed": speed,
            },
        )
    typer.echo(summary)


def _market_meant(settings: Any, source: str | None, market: str | None) -> str:
    """The market of that name, or the only one of a source; `sample`, if neither is said.

    Raises:
        SettingsError: there is none, or there are several; names them.
    """
    if market is None and source in settings.markets:
        market, source = source, None  # by its name, as this option took it before there were two
    if source is None:
        return markets_of(settings, market or "sample", None)[0]
    names = markets_of(settings, "", source)
    if market is None and len(names) > 1:
        raise SettingsError(
            f"{source} is the source of {', '.join(names)}: say which one with --market {names[0]}"
        )
    if market not in (None, *names):
        raise SettingsError(
            f"{market!r} is no market of source {source}: it has {', '.join(names)}"
        )
    return market or names[0]


def _say_where_it_goes_on(home: Any, name: str, session: str, is_asked: bool) -> None:
    """Of a session that has lived: a start that is asked for is not its own."""
    from trading_pipeline.steps.streams import session_stream

    with home.ledger() as ledger:
        newest = ledger.last(session_stream(name, session), "bar")
    if newest is not None:
        but = ", whatever --start says; another --session begins anew" if is_asked else ""
        say(f"note: session {session} goes on after {newest.at:%Y-%m-%d %H:%M} UTC{but}")


def _say_what_it_waits_for(home: Any, market: Any) -> None:
    """Of bars of a day, for most of one."""
    from trading_pipeline.adapters.timed_progress import duration
    from trading_pipeline.steps.status import next_close

    now = home.clock.now()
    if (close := next_close(market, now)) is not None:
        left = duration((close - now).total_seconds())
        say(
            f"note: the next bar of {market.name} closes at {close:%Y-%m-%d %H:%M} UTC, in {left}; "
            f"`trading-pipeline status --market {market.name}` shows that the session waits"
        )


def _bring_model(settings: Any, name: str) -> None:
    """Train a model on all stored bars where a market has none in service yet."""
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.production import has_model

    home, known = home_of(settings), settings.market(name)
    if has_model(home, known) or not home.bars(known).files():
        return  # without bars there is nothing to train on, and the session says so
    say(f"note: {name} has no model in service yet: one is trained on all of its stored bars")
    with running(settings, name) as (run, plan):
        from trading_pipeline.defs import runs

        runs.produce(run, plan)


def replay(
    session: Annotated[str, typer.Argument(help="Name of the paper session.")],
    market: Annotated[str, typer.Option(help="The market that it traded.")] = "sample",
) -> None:
    """Is a paper session what the backtest would have done? Its recording, run through it.

    A session records the bars that it saw, the predictions that it had, and what it ordered. They
    are run through the backtest, and all orders (symbol, side, quantity, type, prices, decision
    time), fills and the equity are compared. Each difference is shown, with the cause of the first
    one, from which others may follow. An event that was changed since is refused.

    Exit codes: 0 the same, 1 not the same, 2 the recording is damaged, or there is none.
    """
    from trading_pipeline.definitions import home_of, plan_of
    from trading_pipeline.steps.identity import compare
    from trading_pipeline.steps.past_session import eligibility_of

    settings = settings_of(market)
    home, plan = home_of(settings), plan_of(settings, market)
    able = eligibility_of(plan.recipe.model.n_steps)
    with home.ledger() as ledger:
        found = compare(ledger, plan.market, home.recordings(plan.market), session, able)
    counted = f"{found.bars} bars, {found.orders} orders, {found.fills} fills"
    if found.same:
        typer.echo(f"the same: {counted}, on paper and in the backtest")
        return
    typer.echo(f"NOT the same, of {counted}: {len(found.differences)} differences")
    for each in found.differences[:_SHOWN]:
        typer.echo(f"  {each.at:%Y-%m-%d %H:%M}  {each.what}")
        typer.echo(f"      on paper         {each.recorded}")
        typer.echo(f"      in the backtest  {each.replayed}")
    typer.echo(f"the first one: {found.cause}")
    raise typer.Exit(1)


Name = Annotated[str, typer.Option(help="Name of the market in pipeline.toml.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the order.")]


def halt(
    market: Name,
    reason: Reason = "",
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Close every position as well, at the next open.")
    ] = False,
) -> None:
    """The kill switch: a market's paper sessions order nothing, and what is open is cancelled.

    At a broker, all open orders of the account are cancelled at once; at Binance those that a
    session sent, others are only listed. Positions stay as they are; with --flatten the session
    closes them with its next decision, so it has to run. It holds for sessions that run and for
    those that start later, until `trading-pipeline resume`.
    """
    _tell(market, "halted", reason, flatten)
    for state in cancel_at_broker(settings_of(market), market):
        typer.echo(f"{state.client_order_id}: {state.status}")


def resume(market: Name, reason: Reason = "") -> None:
    """Undo `halt` or `pause`: from the next decision on, a market's paper sessions trade again."""
    _tell(market, "trading", reason)


def pause(market: Name, reason: Reason = "") -> None:
    """Let a market's paper sessions do nothing, and keep what they hold, until `resume`.

    A session that runs waits before its next bar; a replay that is started waits after its first.
    """
    _tell(market, "paused", reason)


def stop(market: Name, reason: Reason = "") -> None:
    """End a market's paper session, and let the watchdog start it no more; it keeps what it holds.

    One that runs ends within half a minute; `paper-trade` goes on from there.
    """
    from trading_pipeline.adapters.kill_switch import operator
    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.watchdog import stop_session

    with home_of(settings_of(market)).ledger() as ledger:
        session = stop_session(ledger, market, operator(), reason, datetime.now(UTC))
    typer.echo(f"{market}: session {session} is stopped")


def status(
    market: MarketOrAll = None,
    session: Annotated[str, typer.Option(help="Its session; the newest, if not given.")] = "",
    watch: Annotated[
        float, typer.Option(min=0.0, help="Show it anew every so many seconds; 0 shows it once.")
    ] = 0.0,
) -> None:
    """How all markets stand; with --market, its paper session: account, positions, orders and their
    reasons, heartbeat.

    - `trading-pipeline status` what is stored, trained, reported and traded, a line for each
      market, and below them what is wrong: alerts that are not over
    - `trading-pipeline status --market crypto --watch 5` its session, shown anew every 5 seconds
    """
    if market is None:
        if session or watch:
            raise SettingsError("whose session? Give --market, too")
        print_overview(settings_of())
        return
    import time

    from rich.console import Console
    from rich.live import Live

    from trading_pipeline.definitions import home_of
    from trading_pipeline.steps.status import status_of, word_on_recipe

    settings = settings_of(market)
    home, told = home_of(settings), settings.market(market)
    with home.ledger() as ledger:

        def table() -> Any:
            known = status_of(ledger, told, session, datetime.now(UTC))
            return _table(known, word_on_recipe(home.report(told)))

        if not watch:
            Console(highlight=False).print(table())
            return
        with Live(table(), auto_refresh=False) as live:
            while True:
                time.sleep(watch)
                live.update(table(), refresh=True)


def _table(known: "Status", recipe: str) -> Any:
    """The status as a table of two columns."""
    from rich.table import Table
    from rich.text import Text  # brackets of names and words are not markup

    from trading_pipeline.adapters.reports.text import spaced
    from trading_pipeline.core.trading.rules import rule_name, rule_names

    made = Table(title=Text(known.stream), show_header=False, title_justify="left")
    rows = {
        "session": known.wanted,
        "operator": f"{known.intent} {known.intent_said}".rstrip(),
        "recipe": recipe,
        "runs": known.holder or "no: nobody holds the lease",
        "heartbeat": "none" if known.heartbeat is None else f"{_seconds(known.heartbeat)} ago",
        "last bar": _at(known.last_bar),
        "next bar": known.next_bar and f"{_at(known.next_bar)}, closes {_at(known.next_close)}",
        "equity": f"{known.equity:,.2f}",
        "drawdown": "" if known.drawdown is None else spaced(f"{known.drawdown:.2%}"),
        "risk state": known.risk,
        "limits": "\n".join(
            f"{rule_name(name)}: {spaced(text)}" for name, text in known.limits.items()
        ),
        "cash": f"{known.cash:,.2f}",
        "positions": "\n".join(
            f"{name} {held:g}"
            + (f", worth {known.values[name]:,.2f}" if name in known.values else "")
            for name, held in known.positions.items()
        ),
        "open orders": "\n".join(
            f"{each['side']} {each['quantity']:g} {each['symbol']} "
            f"({rule_names(each['reasons']) or 'aim'})"
            + (f", {each['answer']}" if each["answer"] else "")
            for each in known.orders
        ),
        "refused": "\n".join(
            sorted({f"{rule_name(each['rule'])} {each['symbol']}" for each in known.vetoes})
        ),
    }
    for name, value in rows.items():
        made.add_row(name, Text(value or "none"))
    return made


def _seconds(span: timedelta) -> timedelta:
    return timedelta(seconds=round(span.total_seconds()))


def _at(stamp: datetime | None) -> str:
    return "none" if stamp is None else f"{stamp:%Y-%m-%d %H:%M} UTC"


def _tell(market: str, intent: str, reason: str, flatten: bool = False) -> None:
    from trading_pipeline.adapters.kill_switch import operator, record_intent
    from trading_pipeline.definitions import home_of

    with home_of(settings_of(market)).ledger() as ledger:
        record_intent(
            ledger, market, intent, reason, datetime.now(UTC), operator(), flatten=flatten
        )
    closed = ", and everything is closed" if flatten else ""
    typer.echo(f"{market}: {intent} from the next decision on{closed}")
