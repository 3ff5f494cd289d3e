"""A paper session at a broker on this machine, for tests that kill it or let the venue fail.

The session is that of `kills`, in the sessions of New York. The venue speaks Alpaca's own format to
the client that is used in earnest, keeps its books in this process whoever is killed, and fills at
the opens of the panel. Time passes when the session waits, for both.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import numpy as np
import pandas as pd

from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.steps.brokerage import executions_of, routes
from trading_pipeline.steps.guard import guarded
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.session import Session
from trading_pipeline_tests.adapters.brokers.desks import alpaca_at
from trading_pipeline_tests.fakes.alpaca_broker import FakeAlpacaBroker, _activity_id
from trading_pipeline_tests.fakes.books import Booked
from trading_pipeline_tests.fakes.venue import FOREVER, Answer, Request, refusal
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import BEGIN, CAPITAL, FIRST, FOLDS, Left, Place

CALENDAR = trading_calendar("XNYS", "1d")
MARKET = replace(
    kills.MARKET,
    name="shares",
    calendar="XNYS",
    costs=replace(kills.MARKET.costs, lot=1.0, fee=0.0, slippage=0.0, debit=0.0),
)
STREAM, BROKER_STREAM = "paper/shares/s", "broker/shares/s"
BESIDE = {"BBB": 7.0, "SPY": 3.0}  # shares that were there before
SPARE = 20_000.0  # money, as well
LAST = FIRST + 11
_PARTLY = 9  # one order of so many is filled by a half


@cache
def panel() -> Panel:
    """The bars of `kills`, on days on which New York trades."""
    days = CALENDAR.sessions(
        datetime(2023, 11, 1, tzinfo=BEGIN.tzinfo), datetime(2024, 12, 1, tzinfo=BEGIN.tzinfo)
    )
    return replace(kills.panel(), timestamps=days[: kills.LAST + 1])


@cache
def opens() -> list[pd.Timestamp]:
    return list(CALENDAR.opens_of(panel().timestamps))


class Exchange(FakeAlpacaBroker):
    """A paper account whose orders are filled at the opens of the panel, when its time comes there;
    `/clock?to=` moves it, and says what it is."""

    def __init__(self) -> None:
        start = pd.Timestamp(CALENDAR.close_of(panel().timestamps[FIRST - 1]))
        super().__init__(start, CAPITAL + SPARE)
        self.books.prices = dict(zip(panel().symbols, panel().close[FIRST].tolist(), strict=True))
        self.books.positions = dict(BESIDE)
        self.books.prices["SPY"] = 400.0
        self.partial = True
        self.quiet_until = start  # no trade is told before
        self.outages: list[tuple[datetime, datetime]] = []  # it answers 500
        self.twice = False  # whether every trade is told twice
        self.skew = pd.Timedelta(0)  # that its clock is ahead of ours

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        if request.path != "/clock":
            return super().answer(request, half=half)
        with self.books.lock:
            self._pass_to(pd.Timestamp(request.query["to"]))
            return Answer({"now": (self.now - self.skew).isoformat()})

    def _pass_to(self, then: pd.Timestamp) -> None:
        """Let the time come, with the openings on the way."""
        then = then + self.skew
        for row, at in enumerate(opens()):
            if self.now < at <= then:
                self._open(row, at)
        self.now = max(self.now, then)
        self.books.now = max(self.books.now, self.now)
        if self.outages:
            begin, end = self.outages[0]
            self.behave()
            if self.now >= end:
                self.outages.pop(0)
            elif self.now >= begin:
                self.misbehave(refusal(500), FOREVER, where="/v2/")

    def _open(self, row: int, at: pd.Timestamp) -> None:
        self.books.now = at
        prices = zip(panel().symbols, panel().open[row].tolist(), strict=True)
        self.books.prices |= dict(prices)
        for order in [each for each in self.books.orders.values() if each.is_open]:
            self._fill(order)

    def _fill(self, order: Booked) -> None:
        if self.partial and sum(order.client_id.encode()) % _PARTLY == 0 and order.quantity > 1:
            self.books.fill(order, order.quantity // 2)
        elif order.quantity > 3:
            self.books.fill(order, 1.0)
            self.books.fill(order)
        else:
            self.books.fill(order)

    def _activities(self, query: dict[str, str]) -> Answer:
        token = query.get("page_token", "")
        rows = [
            each
            for each in self.books.trades
            if _activity_id(each.number, each.at) > token and self.quiet_until <= self.now
        ]
        return _activity_page(rows, min(int(query["page_size"]), self.page), self.twice)


def _activity_page(rows: list[Any], size: int, twice: bool) -> Answer:
    from trading_pipeline_tests.fakes.alpaca_broker import _activity

    told = [_activity(each) for each in rows[: size // 2 if twice else size]]
    return Answer([each for one in told for each in (one, one)] if twice else told)


class Clock:
    """What time it is at the venue; it passes when somebody waits."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = self.to(datetime(2000, 1, 1, tzinfo=BEGIN.tzinfo))

    def to(self, then: datetime) -> datetime:
        with urlopen(f"{self.url}/clock?to={then:%Y-%m-%dT%H:%M:%S.%fZ}") as answer:
            self.now = datetime.fromisoformat(json.load(answer)["now"])
        return self.now

    def wait(self, seconds: float) -> None:
        self.to(self.now + timedelta(seconds=seconds))

    def given(self) -> dict[str, Any]:
        """What a broker is given, for it to live by this clock."""
        patience = Patience(
            sleep=self.wait,
            clock=lambda: self.now.timestamp(),
            random=lambda: 1.0,
            timeout=0.5,
            tries=2,
            limit=10.0,
        )
        return {"clock": lambda: self.now, "patience": patience, "per_minute": 1e9}


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
            MARKET.name,
            "s",
            lease_clock or (lambda: began + timedelta(seconds=3 * next(ticks))),
            sleep,
        ) as guard,
    ):
        broker = alpaca_at(venue, **clock.given())
        at = routes(broker, ledger, MARKET, "s", clock=lambda: clock.now, wait=clock.wait)
        session = new_session(ledger, recordings, clock, guard, at)
        at.begin(session.trader)
        for row in range(FIRST, last + 1):
            clock.to(close_of(row) + timedelta(seconds=5))
            before(row, ledger)
            for _ in session.run(FIRST, row):
                pass


def new_session(
    ledger: Ledger, recordings: RecordingStore, clock: Clock, guard: Any, at: Any
) -> Session:
    seen = Recording.read(ledger, STREAM, recordings)
    return Session(
        ledger,
        MARKET,
        kills.Scripted(
            seen.continued(panel()) if seen else panel(),
            MARKET,
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


def close_of(row: int) -> datetime:
    return CALENDAR.close_of(panel().timestamps[row]).to_pydatetime()


def left_of(venue: Exchange, folder: Path) -> Left:
    """What the session left behind in the ledger, and what the venue has."""
    with Ledger(folder / "ledger.sqlite") as ledger:
        for stream in (STREAM, BROKER_STREAM):
            ledger.verify(stream)
        events, said = ledger.read(STREAM), ledger.read(BROKER_STREAM)
        words = ledger.read(f"operator/{MARKET.name}")
    decisions = [each.payload for each in events if each.kind == "decision"]
    executions = [one for each in said if each.kind == "executions" for one in executions_of(each)]
    positions = {
        symbol: held
        for symbol, quantity in venue.books.positions.items()
        if (held := quantity - BESIDE.get(symbol, 0.0))
    }
    orders = {each.client_id: shown(each) for each in venue.books.orders.values()}
    return Left(
        events=[(each.kind, each.at, each.payload) for each in events]
        + [(each.kind, each.payload) for each in said],
        words=words,
        count=len(events),
        sent=[each.payload for each in events if each.kind == "sent"],
        orders=[order for each in decisions for order in each["orders"]],
        fills=[each.payload for each in events if each.kind == "fill"],
        vetoes=[veto for each in decisions for veto in each["vetoes"]],
        decisions=decisions,
        marks=[each.payload for each in events if each.kind == "mark"],
        executions=executions,
        venue=SimpleNamespace(orders=orders, positions=positions, count=len(venue.books.orders)),
    )


def shown(order: Booked) -> tuple[Any, ...]:
    return order.symbol, order.side, order.quantity, order.status, order.filled


def check_books(venue: Exchange, left: Left) -> None:
    """The venue's books and the ledger's are one: every trade once, and what they come to."""
    assert left.venue.count == len(left.venue.orders), "an order was sent twice"
    told = [each.execution_id for each in left.executions]
    assert told == [_activity_id(each.number, each.at) for each in venue.books.trades]
    last = left.marks[-1]
    assert last["positions"] == left.venue.positions
    assert np.isclose(last["cash"], venue.books.cash - SPARE, rtol=1e-9)
    close = dict(zip(panel().symbols, panel().close[LAST].tolist(), strict=True))
    worth = sum(held * close[symbol] for symbol, held in left.venue.positions.items())
    assert np.isclose(last["equity"], venue.books.cash - SPARE + worth, rtol=1e-9)


@contextmanager
def at_alpaca(folder: Path) -> Iterator[Place]:
    """At Alpaca's paper account, as far as the session can tell."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("trading_pipeline").setLevel(logging.ERROR)
    with Exchange() as venue:

        def left() -> Left:
            found = left_of(venue, folder)
            check_books(venue, found)
            return found

        yield Place(partial(trade, venue, folder), left)
