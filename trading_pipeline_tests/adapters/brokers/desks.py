"""A broker and the loopback venue behind it, of each kind, in one form for all tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import SecretStr

from trading_pipeline.adapters.brokers.alpaca import AlpacaBroker
from trading_pipeline.adapters.brokers.ccxt_broker import CcxtBroker, venue_id
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.trading.broker import Broker, Order
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline_tests.fakes import alpaca_broker, binance_broker
from trading_pipeline_tests.fakes.alpaca import KEY, SECRET
from trading_pipeline_tests.fakes.alpaca_broker import FakeAlpacaBroker
from trading_pipeline_tests.fakes.binance_broker import FakeBinanceBroker
from trading_pipeline_tests.fakes.books import Booked, Books
from trading_pipeline_tests.fakes.venue import TestClock, Venue

EVENING = pd.Timestamp("2024-12-02 20:30", tz="America/New_York")  # a Monday
FIRST = pd.Timestamp("2024-12-02", tz="UTC")


@dataclass
class Desk:
    """What a test of brokers needs. `unit`: of a quantity that the venue takes as it is."""

    venue: Any
    connect: Callable[..., Broker]
    symbols: tuple[str, ...]
    unit: float
    name: Callable[[str], str]  # client order id -> as the venue writes it
    secrets: tuple[str, ...]
    orders: str  # part of the target of a request that places one

    @property
    def books(self) -> Books:
        return self.venue.books

    def order(self, number: int = 0, symbol: int = 0, side: str = "buy", units: float = 3) -> Order:
        """The order of a decision; another number is another day."""
        at, name = FIRST + pd.Timedelta(days=number), self.symbols[symbol]
        return Order(
            client_order_id=order_id("paper", at, name, 0),
            symbol=name,
            side=side,
            quantity=units * self.unit,
            decided_at=at.to_pydatetime(),
        )

    def there(self, order: Order) -> Booked:
        """The order as the venue has it."""
        found = self.books.named(self.name(order.client_order_id))
        assert found is not None
        return found

    def placed(self) -> int:
        """How many orders the venue has accepted."""
        return len(self.books.orders)


def patience(**given: Any) -> Patience:
    """That never waits, but a moment for a silent venue."""
    clock = TestClock()
    return Patience(sleep=clock.sleep, clock=clock.time, random=lambda: 1.0, **given)


def alpaca_at(venue: Venue, **given: Any) -> AlpacaBroker:
    usual = {"key": SecretStr(KEY), "secret": SecretStr(SECRET), "trading_url": venue.url}
    usual |= {"clock": lambda: EVENING.to_pydatetime(), "patience": patience(timeout=1.0, tries=4)}
    return AlpacaBroker(**(usual | given))


def binance_at(venue: FakeBinanceBroker, **given: Any) -> CcxtBroker:
    usual = {
        "key": SecretStr(binance_broker.KEY),
        "secret": SecretStr(binance_broker.SECRET),
        "symbols": tuple(binance_broker.PRICES),
        "url": venue.url,
        "clock": lambda: venue.books.now.to_pydatetime(),
        "patience": patience(timeout=1.0, tries=4),
    }
    return CcxtBroker(**(usual | given))


@contextmanager
def alpaca() -> Iterator[Desk]:
    with FakeAlpacaBroker(EVENING) as venue:
        yield Desk(
            venue=venue,
            connect=lambda **given: alpaca_at(venue, **given),
            symbols=tuple(alpaca_broker.PRICES),
            unit=1.0,
            name=lambda client_order_id: client_order_id,
            secrets=(KEY, SECRET),
            orders="/v2/orders?",
        )


@contextmanager
def binance() -> Iterator[Desk]:
    with FakeBinanceBroker() as venue:
        yield Desk(
            venue=venue,
            connect=lambda **given: binance_at(venue, **given),
            symbols=tuple(binance_broker.PRICES),
            unit=0.01,
            name=venue_id,
            secrets=(binance_broker.KEY, binance_broker.SECRET),
            orders="/api/v3/order?",
        )


DESKS = {"alpaca": alpaca, "binance": binance}
