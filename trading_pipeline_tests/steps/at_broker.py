"""A paper session at a broker on this machine, for tests that kill it or let the venue fail.

The session is that of `kills`, at a venue of `exchanges`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.steps.brokerage import executions_of, routes
from trading_pipeline.steps.guard import guarded
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.session import Session
from trading_pipeline_tests.fakes.books import Booked
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.exchanges import (
    LAST,
    SPARE,
    AlpacaExchange,
    BinanceExchange,
    Clock,
)
from trading_pipeline_tests.steps.kills import BEGIN, CAPITAL, FIRST, FOLDS, Left, Place

Exchange = AlpacaExchange | BinanceExchange


def trade(
    venue: Exchange,
    folder: Path,
    attempt: int,
    last: int = LAST,
    *,
    before: Callable[[int, Ledger], None] = lambda row, ledger: None,
    patience_of_ledger: int = 30,
    lease_clock: Callable[[], datetime] | None = None,
    sleep: Callable[[float], None] = lambda seconds: None,
) -> None:
    """One process's worth of the session; `before` is called before each bar. The lease is over
    when the next process asks, unless there is another clock for it."""
    began, ticks = BEGIN + timedelta(hours=attempt), iter(range(10**9))
    clock = Clock(venue.url)
    recordings = RecordingStore(folder / "recordings")
    with (
        Ledger(folder / "ledger.sqlite", patience_of_ledger) as ledger,
        guarded(
            ledger,
            venue.market.name,
            "s",
            lease_clock or (lambda: began + timedelta(seconds=3 * next(ticks))),
            sleep,
        ) as guard,
    ):
        broker = venue.connect(clock)
        at = routes(broker, ledger, venue.market, "s", clock=lambda: clock.now, wait=clock.wait)
        session = new_session(venue, ledger, recordings, clock, guard, at)
        at.begin(session.trader)
        for row in range(FIRST, last + 1):
            clock.to(venue.close_of(row) + timedelta(seconds=5))
            before(row, ledger)
            for _ in session.run(FIRST, row):
                pass


def new_session(
    venue: Exchange,
    ledger: Ledger,
    recordings: RecordingStore,
    clock: Clock,
    guard: Any,
    at: Any,
) -> Session:
    seen, panel = Recording.read(ledger, _streams(venue)[0], recordings), venue.panel()
    return Session(
        ledger,
        venue.market,
        kills.Scripted(
            seen.continued(panel) if seen else panel,
            venue.market,
            FOLDS,
            lambda key: {"fingerprint": f"model {key}", "seed": len(key)},
            seen.predictions if seen else None,
        ),
        recordings,
        session="s",
        capital=CAPITAL,
        clock=lambda: clock.now,
        execute=at.execute,
        send=at.send,
        guard=guard,
    )


def _streams(venue: Exchange) -> tuple[str, str]:
    """Of the session, and of what its broker said."""
    return f"paper/{venue.market.name}/s", f"broker/{venue.market.name}/s"


def left_of(venue: Exchange, folder: Path) -> Left:
    """What the session left behind in the ledger, and what the venue has."""
    with Ledger(folder / "ledger.sqlite") as ledger:
        for stream in _streams(venue):
            ledger.verify(stream)
        events, said = (ledger.read(stream) for stream in _streams(venue))
        words = ledger.read(f"operator/{venue.market.name}")
    decisions = [each.payload for each in events if each.kind == "decision"]
    ordered = [order for each in decisions for order in each["orders"]]
    executions = [one for each in said if each.kind == "executions" for one in executions_of(each)]
    placed = list(venue.books.orders.values())
    names = {venue.name(each["client_order_id"]): each["client_order_id"] for each in ordered}
    booked = {names.get(each.client_id, each.client_id): shown(each) for each in placed}
    return Left(
        events=[(each.kind, each.at, each.payload) for each in events]
        + [(each.kind, each.payload) for each in said],
        words=words,
        count=len(events),
        sent=[each.payload for each in events if each.kind == "sent"],
        orders=ordered,
        fills=[each.payload for each in events if each.kind == "fill"],
        vetoes=[veto for each in decisions for veto in each["vetoes"]],
        decisions=decisions,
        marks=[each.payload for each in events if each.kind == "mark"],
        executions=executions,
        venue=SimpleNamespace(orders=booked, positions=venue.held(), count=len(placed)),
    )


def shown(order: Booked) -> tuple[Any, ...]:
    return order.symbol, order.side, order.quantity, order.status, order.filled


def check_books(venue: Exchange, left: Left) -> None:
    """The venue's books and the ledger's are one: every trade once, and what they come to."""
    assert left.venue.count == len(left.venue.orders), "an order was sent twice"
    told = [each.execution_id for each in left.executions]
    assert told == [venue.trade_id(each) for each in venue.books.trades]
    last, held, panel = left.marks[-1], left.venue.positions, venue.panel()
    assert last["positions"].keys() == held.keys()
    assert all(np.isclose(last["positions"][name], held[name], rtol=1e-9) for name in held)
    assert np.isclose(last["cash"], venue.cash() - SPARE, rtol=1e-9)
    close = dict(zip(panel.symbols, panel.close[LAST].tolist(), strict=True))
    worth = sum(quantity * close[symbol] for symbol, quantity in held.items())
    assert np.isclose(last["equity"], venue.cash() - SPARE + worth, rtol=1e-9)


@contextmanager
def _at(kind: Callable[[], Exchange], folder: Path) -> Iterator[Place]:
    """At a venue's paper account, as far as the session can tell."""
    folder.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("trading_pipeline")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with kind() as venue:

            def left() -> Left:
                found = left_of(venue, folder)
                check_books(venue, found)
                return found

            yield Place(partial(trade, venue, folder), left)
    finally:
        logger.setLevel(before)


def at_alpaca(folder: Path) -> AbstractContextManager[Place]:
    return _at(AlpacaExchange, folder)


def at_binance(folder: Path) -> AbstractContextManager[Place]:
    return _at(BinanceExchange, folder)
