"""A market of each of two fake venues, and downloads of it into a store."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from trading_pipeline.adapters.sources.alpaca import AlpacaSource
from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.market.market import Market
from trading_pipeline.steps.download import download
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import NOW, source_at
from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca
from trading_pipeline_tests.fakes.binance import FakeBinance
from trading_pipeline_tests.fakes.venue import TestClock


@dataclass(frozen=True)
class Case:
    """A venue, and a market of it with a halt, a listing or a delisting."""

    market: Market
    today: pd.Timestamp
    before: pd.Timestamp  # some nights ago

    def venue(self) -> Any:
        if self.market.source == "alpaca":
            return FakeAlpaca(NOW, page=30)
        return FakeBinance(now=str(self.today.tz_localize(None)), page_limit=120)

    def source(self, venue: Any, timeout: float) -> AlpacaSource | CcxtSource:
        if self.market.source == "alpaca":
            return source_at(venue, timeout=timeout)
        clock = TestClock()
        patience = Patience(sleep=clock.sleep, clock=clock.time, timeout=timeout)
        return CcxtSource("binance", "1d", venue.url, patience=patience)

    def at(self, venue: Any, instant: pd.Timestamp) -> None:
        """Let it be that instant at the venue."""
        venue.now = instant if self.market.source == "alpaca" else str(instant.tz_localize(None))


COINS = Market(
    name="coins",
    source="binance",
    symbols=("ADA/USDT", "BTC/USDT", "LUNA/USDT"),
    start=date(2021, 1, 20),
    calendar="24/7",
)
SHARES = Market(
    name="shares", source="alpaca", symbols=("AAPL", "DEAD", "NEWCO"), start=stocks.FIRST.date()
)
CASES = {
    "binance": Case(
        COINS,
        pd.Timestamp("2021-06-15 10:20:30", tz="UTC"),
        pd.Timestamp("2021-06-12 10:20:30", tz="UTC"),
    ),
    "alpaca": Case(SHARES, NOW, NOW - pd.Timedelta(days=5)),
}


def fetch(case, venue, store, *, instant=None, timeout=10.0, refetch=False):
    instant = instant or case.today
    case.at(venue, instant)
    first = pd.Timestamp(case.market.start, tz="UTC")
    span = (first, instant.normalize() + pd.Timedelta(days=1))
    source = case.source(venue, timeout)
    return download(source, store, case.market, span, lambda: instant, refetch=refetch)
