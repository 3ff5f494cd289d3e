"""The paper job on the bars of a venue that closes them one by one, and takes its orders too."""

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from trading_pipeline.adapters.brokers.factory import BINANCE_TESTNET, BrokerFactory
from trading_pipeline.adapters.clock import Clock
from trading_pipeline.defs.paper import paper_job, paper_op_name
from trading_pipeline.steps import live
from trading_pipeline.steps.watchdog import how_it_stands
from trading_pipeline_tests.adapters.brokers.desks import binance_at
from trading_pipeline_tests.defs.short_market import resources_of
from trading_pipeline_tests.fakes.binance_broker import FakeBinanceBroker
from trading_pipeline_tests.steps.live_market import (
    BEGIN,
    MARKET,
    PAIRS,
    PLAN,
    Moving,
    Scripted,
    furnish,
    source_at,
)

pytestmark = pytest.mark.slow
BARS = 5


@dataclass(frozen=True)
class Connected(BrokerFactory):
    """Opens the venue of a test, whose clock is its own."""

    venue: Any = None

    def open(self, market: Any, clock: Any, patience: Any = None) -> Any:
        return binance_at(self.venue, symbols=market.symbols)


@pytest.fixture
def venue():
    with FakeBinanceBroker(now=str(BEGIN), pairs=PAIRS) as opened:
        opened.now, opened.books.holding = BEGIN, False
        yield opened


@pytest.mark.long
def test_the_paper_job_trades_at_the_market_s_broker(home, venue, instance, monkeypatch):
    """What the session holds is what the venue says it holds, after each of two starts."""
    clock = Moving(venue)
    source, home = source_at(venue, clock), replace(home, clock=Clock(clock.here, clock.sleep))
    furnish(home, source)
    last = home.bars(MARKET).read().groupby("symbol")["close"].last()
    venue.books.prices = last.to_dict()
    trade = live.trade
    monkeypatch.setattr(live, "Forecaster", Scripted)
    monkeypatch.setattr(
        live,
        "trade",
        lambda *args, **how: islice(trade(*args, **how), BARS),
    )
    monkeypatch.setattr("trading_pipeline.steps.guard.TTL", timedelta(minutes=20))
    brokers = {MARKET.name: Connected(BINANCE_TESTNET, venue=venue)}
    for start in (1, 2):
        result = paper_job(PLAN).execute_in_process(
            run_config={"ops": {paper_op_name(MARKET): {"config": {"capital": 90_000.0}}}},
            resources=resources_of(home, source) | {"brokers": brokers},
            instance=instance,
        )
        told = result.output_for_node(paper_op_name(MARKET))
        assert (told["bars"], told["stream"]) == (BARS, "paper/hours/paper")
        with home.ledger() as ledger:
            events = ledger.read("paper/hours/paper")
            held = [each for each in events if each.kind == "mark"][-1].payload["positions"]
            assert sum(each.kind == "bar" for each in events) == BARS * start
            assert "stopped" in how_it_stands(ledger, MARKET.name)
            assert ledger.last("broker/hours/paper", "reconciliation") is None
        decisions = [each.payload["orders"] for each in events if each.kind == "decision"]
        sent = list(venue.books.orders.values())
        assert len({each.client_id for each in sent}) == len(sent) == sum(map(len, decisions)) > 0
    # The newest orders have filled already, and are booked at the close of their bar.
    signs = {"buy": 1, "sell": -1}
    moved = {each["symbol"]: signs[each["side"]] * each["quantity"] for each in decisions[-1]}
    for name in MARKET.symbols:
        expected = held.get(name, 0.0) + moved.get(name, 0.0)
        assert venue.books.positions.get(name, 0.0) == pytest.approx(expected, abs=1e-4)
