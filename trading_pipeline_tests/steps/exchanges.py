"""Venues on this machine at which a session lives through the bars of `kills`, one by one.

Each speaks a venue's own format to the client that is used in earnest, keeps its books in this
process whoever is killed, and fills at the opens of the panel. Time passes when the session waits,
for both.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar
from urllib.request import urlopen

import pandas as pd

from trading_pipeline.adapters.brokers.ccxt_broker import venue_id
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.market.calendar import TradingCalendar, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.broker import Broker
from trading_pipeline_tests.adapters.brokers.desks import alpaca_at, binance_at
from trading_pipeline_tests.fakes.alpaca_broker import (
    FakeAlpacaBroker,
    _activity,
    _activity_id,
)
from trading_pipeline_tests.fakes.binance import Pair, ms
from trading_pipeline_tests.fakes.binance_broker import FakeBinanceBroker, _written
from trading_pipeline_tests.fakes.books import Booked, Trade
from trading_pipeline_tests.fakes.venue import FOREVER, Answer, Request, refusal
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.kills import BEGIN, CAPITAL, FIRST

LAST = FIRST + 11  # the session's last row
SPARE = 20_000.0  # money that was there before
_PARTLY = 9  # one order of so many is filled by a half
_TICK = pd.Timedelta(milliseconds=10)  # between two trades


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
        return {"clock": lambda: self.now, "patience": patience}


class _AtOpens:
    """What the venues have in common: `/clock?to=` moves time, and says what it is."""

    market: Market
    calendar: TradingCalendar
    beside: ClassVar[dict[str, float]]  # units that were there before
    api: str  # how the address of a question about the account begins

    @classmethod
    @cache
    def panel(cls) -> Panel:
        """The bars of `kills`, on days on which the market trades."""
        days = cls.calendar.sessions(
            datetime(2023, 11, 1, tzinfo=BEGIN.tzinfo), datetime(2024, 12, 1, tzinfo=BEGIN.tzinfo)
        )
        return replace(kills.panel(), timestamps=days[: kills.LAST + 1], symbols=cls.market.symbols)

    @classmethod
    @cache
    def opens(cls) -> list[pd.Timestamp]:
        return list(cls.calendar.opens_of(cls.panel().timestamps))

    @classmethod
    def close_of(cls, row: int) -> datetime:
        return cls.calendar.close_of(cls.panel().timestamps[row]).to_pydatetime()

    def _prepare(self) -> None:
        self.time = pd.Timestamp(self.close_of(FIRST - 1))
        self.books.positions = dict(self.beside)
        self._quote(self.panel().close[FIRST])
        self.partial = True
        self.outages: list[tuple[datetime, datetime]] = []  # it answers 500
        self.ahead = pd.Timedelta(0)  # that its clock is ahead of ours
        self._tape = self.time  # when the next trade is

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        if request.path != "/clock":
            return super().answer(request, half=half)
        with self.books.lock:
            self._pass_to(pd.Timestamp(request.query["to"]))
            return Answer({"now": (self.time - self.ahead).isoformat()})

    def trade_id(self, trade: Trade) -> str:
        """As the broker's `Execution` has it."""
        raise NotImplementedError

    def name(self, client_order_id: str) -> str:
        """As the venue writes an order's name."""
        return client_order_id

    def connect(self, clock: Clock, **given: Any) -> Broker:
        """The client that is used in earnest."""
        raise NotImplementedError

    def cash(self) -> float:
        return self.books.cash

    def held(self) -> dict[str, float]:
        """Units by symbol, without those that were there before."""
        held = {name: each - self.beside.get(name, 0) for name, each in self._units().items()}
        return {name: each for name, each in held.items() if abs(each) > 1e-9}

    def _units(self) -> dict[str, float]:
        return self.books.positions

    def _pass_to(self, then: pd.Timestamp) -> None:
        """Let the time come, with the openings on the way."""
        then = then + self.ahead
        for row, at in enumerate(self.opens()):
            if self.time < at <= then:
                self._tape = at
                self._quote(self.panel().open[row])
                self._open(row)
        self.time = self.now = max(self.time, then)
        self.books.now = max(self.books.now, self.time)
        if self.outages:
            begin, end = self.outages[0]
            self.behave()
            if self.time >= end:
                self.outages.pop(0)
            elif self.time >= begin:
                self.misbehave(refusal(500), FOREVER, where=self.api)

    def _quote(self, prices: Any) -> None:
        self.books.prices |= dict(zip(self.panel().symbols, prices.tolist(), strict=True))

    def _open(self, row: int) -> None:
        """A bar begins."""

    def _fill(self, order: Booked) -> None:
        if self.partial and sum(order.client_id.encode()) % _PARTLY == 0 and order.quantity > 1:
            self._execute(order, order.quantity // 2)
        elif order.quantity > 3:
            self._execute(order, 1.0)
            self._execute(order)
        else:
            self._execute(order)

    def _execute(self, order: Booked, quantity: float | None = None) -> None:
        """Stamped one after the other from the opening on, so that a kill, after which orders come
        later, changes no stamp."""
        now, self.books.now = self.books.now, self._tape
        self.books.fill(order, quantity)
        self.books.now, self._tape = now, self._tape + _TICK


class AlpacaExchange(_AtOpens, FakeAlpacaBroker):
    """A paper account whose orders are filled in the opening auctions of New York."""

    market = replace(
        kills.MARKET,
        name="shares",
        calendar="XNYS",
        costs=replace(kills.MARKET.costs, lot=1.0, fee=0.0, slippage=0.0, debit=0.0),
    )
    beside: ClassVar = {"BBB": 7.0, "SPY": 3.0}
    calendar = trading_calendar("XNYS", "1d")
    api = "/v2/"

    def __init__(self) -> None:
        super().__init__(self.close_of(FIRST - 1), CAPITAL + SPARE)
        self._prepare()
        self.books.prices["SPY"] = 400.0
        self.quiet_until = self.time  # no trade is told before
        self.twice = False  # whether every trade is told twice

    def trade_id(self, trade: Trade) -> str:
        return _activity_id(trade.number, trade.at)

    def connect(self, clock: Clock, **given: Any) -> Broker:
        return alpaca_at(self, **(clock.given() | {"per_minute": 1e9} | given))

    def _open(self, row: int) -> None:
        for order in [each for each in self.books.orders.values() if each.is_open]:
            self._fill(order)

    def _activities(self, query: dict[str, str]) -> Answer:
        token, size = query.get("page_token", ""), min(int(query["page_size"]), self.page)
        told = [
            _activity(each)
            for each in self.books.trades
            if self.trade_id(each) > token and self.quiet_until <= self.time
        ]
        if self.twice:
            return Answer([each for one in told[: size // 2] for each in (one, one)])
        return Answer(told[:size])


class BinanceExchange(_AtOpens, FakeBinanceBroker):
    """A test account whose orders are filled as they come, at the price at which the bar opened;
    coins that are bought are a thousandth less. What a half is left of rests until it is cancelled.
    """

    market = replace(
        kills.MARKET,
        name="coins",
        symbols=tuple(f"{name}/USDT" for name in kills.MARKET.symbols),
        costs=replace(kills.MARKET.costs, lot=0.001, slippage=0.0, debit=0.0),
    )
    calendar = trading_calendar("24/7", "1d")
    api = "/api/v3/"
    beside: ClassVar = {"BBB/USDT": 7.0}

    def __init__(self) -> None:
        pairs = tuple(Pair(symbol.partition("/")[0]) for symbol in self.market.symbols)
        super().__init__(CAPITAL + SPARE, now=str(self.close_of(FIRST - 1)), pairs=pairs)
        self._prepare()
        self.commission, self.in_base = 0.001, True

    def trade_id(self, trade: Trade) -> str:
        return f"{ms(trade.at)}:{trade.order.symbol.replace('/', '')}:{trade.number}"

    def name(self, client_order_id: str) -> str:
        return venue_id(client_order_id)

    def connect(self, clock: Clock, **given: Any) -> Broker:
        made = binance_at(self, symbols=self.market.symbols, **(clock.given() | given))
        made._api._pace.interval = 0.0  # every wait is a question of its own to this venue
        return made

    def cash(self) -> float:
        return next(float(row["free"]) for row in self._balances() if row["asset"] == "USDT")

    def _units(self) -> dict[str, float]:
        free = {f"{row['asset']}/USDT": float(row["free"]) for row in self._balances()}
        return {symbol: free[symbol] for symbol in self.market.symbols if symbol in free}

    def _new_order(self, sent: dict[str, str]) -> Answer:
        answer = super()._new_order(sent)
        order = self.books.named(sent["newClientOrderId"])
        if answer.status != 200 or order is None or self.time >= pd.Timestamp(self.close_of(LAST)):
            return answer
        self._fill(order)
        return Answer(_written(order))
