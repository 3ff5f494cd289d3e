"""A session's account at its broker: whatever the venue does, all goes once and comes once."""

import logging
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters import threads
from trading_pipeline.adapters.kill_switch import (
    HALTED,
    PAUSED,
    TRADING,
    intent_of,
    is_halted,
    record_intent,
)
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Bar, Signals, Trader
from trading_pipeline.errors import BrokerError, CredentialsError, LedgerError
from trading_pipeline.steps.brokerage import Brokerage, routes
from trading_pipeline.steps.order_routing import OrderRouter, cancel_all
from trading_pipeline_tests.adapters.brokers.desks import binance_at
from trading_pipeline_tests.core.trading.markets import panel_of
from trading_pipeline_tests.fakes import binance_broker
from trading_pipeline_tests.fakes.binance_broker import FakeBinanceBroker
from trading_pipeline_tests.fakes.books import Booked
from trading_pipeline_tests.fakes.venue import FOREVER, Fault, refusal
from trading_pipeline_tests.steps.exchanges import SPARE, AlpacaExchange, Clock
from trading_pipeline_tests.steps.kills import CAPITAL, FIRST

MARKET, panel, close_of = AlpacaExchange.market, AlpacaExchange.panel, AlpacaExchange.close_of
BROKER_STREAM = f"broker/{MARKET.name}/s"


def account_at(*of: Any, **given: Any) -> Brokerage:
    return Brokerage(OrderRouter(*of, **given))


@dataclass
class Desk:
    """A venue and a ledger that outlive every process."""

    venue: AlpacaExchange
    ledger: Ledger
    clock: Clock

    def connect(self, **given: Any) -> Brokerage:
        """The session's account, as a process that starts has it."""
        broker = self.venue.connect(self.clock, **given)
        return account_at(
            broker, self.ledger, MARKET, "s", clock=lambda: self.clock.now, wait=self.clock.wait
        )

    def order(
        self, row: int = FIRST, symbol: str = "AAA", quantity: float = 10.0, side: str = "buy"
    ):
        """An order of the decision at a row's close, as it is journalled."""
        at = panel().timestamps[row]
        return {
            "client_order_id": order_id("s", at, symbol, 0),
            "decided_at": at.isoformat(),
            "symbol": symbol,
            "side": side,
            "quantity": quantity,
            "type": "market",
            "limit_price": None,
            "stop_price": None,
            "reasons": "",
        }

    def booked(self, order: dict[str, Any]) -> Booked:
        found = self.venue.books.named(order["client_order_id"])
        assert found is not None
        return found

    def close(self, row: int) -> Bar:
        """The bar of a row, five seconds after its close."""
        self.clock.to(close_of(row) + timedelta(seconds=5))
        return Bar.of(panel(), row)

    def posted(self) -> int:
        return len([each for each in self.venue.requests if each.method == "POST"])


def new_trader() -> Trader:
    return Trader(panel().symbols, Terms.of(MARKET, CAPITAL), session="s")


@pytest.fixture
def desk(tmp_path):
    with AlpacaExchange() as venue, Ledger(tmp_path / "ledger.sqlite") as ledger:
        venue.partial = False
        made = Desk(venue, ledger, Clock(venue.url))
        made.connect().begin(new_trader())
        made.close(FIRST)
        yield made


def test_an_order_waits_until_the_venue_takes_it(desk):
    """After the close the opening auction takes none until 19:00; nothing is sent before."""
    said = desk.connect().orders.send(desk.order())
    assert said["status"] == "new"
    assert (desk.posted(), desk.venue.books.orders[desk.booked(desk.order()).number].symbol) == (
        1,
        "AAA",
    )
    local = desk.booked(desk.order()).at.tz_convert("America/New_York")
    assert (local.hour, local.minute) == (19, 2)


def test_an_order_that_can_only_come_after_the_next_close_lapses(desk):
    """A session that comes back at noon: tonight's auction is not the one that was decided for."""
    desk.clock.to(close_of(FIRST + 1) - timedelta(hours=4))
    said = desk.connect().orders.send(desk.order())
    assert said["status"] == "lapsed"
    assert desk.posted() == 0


def test_an_order_of_a_bar_that_was_caught_up_is_not_sent(desk):
    desk.clock.to(close_of(FIRST + 1) + timedelta(hours=4))
    assert desk.connect().orders.send(desk.order())["status"] == "lapsed"
    assert desk.posted() == 0


def test_a_refused_order_is_told_and_nothing_else_happens(desk, caplog):
    """The session goes on: the answer is journalled, the operator finds it in the log."""
    with caplog.at_level(logging.WARNING, "trading_pipeline"):
        said = desk.connect().orders.send(desk.order(quantity=1e6))
    assert said["status"] == "rejected"
    assert "insufficient buying power" in said["reason"]
    assert "AAA/0 is rejected: Alpaca refused it" in caplog.text


def test_a_refusal_is_an_answer(desk, caplog):
    """A venue that was away and then refuses an order is back."""
    night(desk)
    desk.venue.misbehave(refusal(429), 2, method="POST")
    with caplog.at_level(logging.WARNING, "trading_pipeline"):
        said = desk.connect().orders.send(desk.order(quantity=1e6))
    assert said["status"] == "rejected"
    assert "does not answer" in caplog.text
    assert "answers again" in caplog.text


@pytest.mark.parametrize("arrives", [True, False])
def test_an_order_of_unknown_outcome_is_asked_for_and_sent_once(desk, arrives):
    """It may be under way for a minute; only a venue that has never heard of it by then gets it
    again."""
    night(desk)
    fault = Fault(mute=True) if arrives else refusal(500)
    desk.venue.misbehave(fault, method="POST")
    desk.venue.misbehave(refusal(500), 3, where="by_client_order_id")
    began = desk.clock.now
    said = desk.connect().orders.send(desk.order())
    assert said["status"] == "new"
    assert len(desk.venue.books.orders) == 1
    assert desk.posted() == (1 if arrives else 2)
    assert (desk.clock.now - began >= timedelta(seconds=60)) == (not arrives)


def night(desk, row=FIRST):
    """When the auction takes orders."""
    desk.clock.to(close_of(row) + timedelta(hours=4))


@pytest.mark.slow
def test_a_venue_that_is_down_for_an_hour_gets_the_order_afterwards(desk, caplog):
    """The session waits, keeps its lease meanwhile, and says so."""
    night(desk)
    until, wait = desk.clock.now + timedelta(hours=1), desk.clock.wait

    def and_behave(seconds):
        wait(seconds)
        if desk.clock.now >= until:
            desk.venue.behave()

    desk.clock.wait = and_behave
    desk.venue.misbehave(refusal(500), FOREVER, where="/v2/")
    account = desk.connect()
    with caplog.at_level(logging.WARNING, "trading_pipeline"):
        assert account.orders.send(desk.order())["status"] == "new"
    assert desk.clock.now >= until
    assert caplog.text.count("the venue does not answer, and is asked again") == 1
    assert caplog.text.count("the venue answers again") == 1
    assert len(desk.venue.books.orders) == 1


@pytest.mark.slow
def test_nobody_knows_of_an_order_of_a_venue_that_stays_away(desk):
    """Given up at the next close; what it became is what the venue tells by then."""
    desk.clock.to(desk.venue.opens()[FIRST + 1] - timedelta(minutes=20))
    desk.venue.misbehave(Fault(mute=True), method="POST")
    desk.venue.misbehave(refusal(500), FOREVER, where="/v2/", after=1)
    said = desk.connect().orders.send(desk.order())
    assert said["status"] == "unknown"
    desk.venue.behave()
    trader = new_trader()
    desk.connect().execute(trader, desk.close(FIRST + 1))
    assert trader.holdings()["symbol"].tolist() == ["AAA"]


def test_keys_that_are_refused_end_the_session(desk):
    from pydantic import SecretStr

    night(desk)
    with pytest.raises(CredentialsError, match=r"TP_ALPACA_KEY|paper account"):
        desk.connect(key=SecretStr("W" * 20)).orders.send(desk.order())


def test_what_the_operator_halted_is_not_sent(desk):
    night(desk)
    record_intent(desk.ledger, MARKET.name, HALTED, "", desk.clock.now)
    assert desk.connect().orders.send(desk.order())["status"] == "called_off"
    assert desk.posted() == 0


def test_a_paused_market_sends_nothing_until_it_trades_again(desk):
    night(desk)
    record_intent(desk.ledger, MARKET.name, PAUSED, "", desk.clock.now)
    orders, posted = desk.connect().orders, []

    def wait(seconds):
        desk.clock.wait(seconds)
        posted.append(desk.posted())
        if len(posted) == 5:
            record_intent(desk.ledger, MARKET.name, TRADING, "", desk.clock.now)

    orders.wait = wait
    assert orders.send(desk.order())["status"] == "new"
    assert (posted, desk.posted()) == ([0] * 5, 1)


def test_a_question_of_many_requests_keeps_the_lease(desk, monkeypatch):
    """An account's trades of three days at Alpaca are hundreds of requests."""
    monkeypatch.setattr(threads, "_WATCH", 0.01)
    orders, waits = desk.connect().orders, []
    orders.wait = waits.append
    assert orders.ask(lambda: time.sleep(0.2) or "told") == "told"
    assert waits
    assert max(waits) < 0.01


def test_what_was_sent_while_the_operator_halted_is_cancelled(desk):
    """The word comes between the last look at it and the answer of the venue."""
    night(desk)
    account = desk.connect()
    submit = account.orders.broker.submit

    def and_halt(order):
        state = submit(order)
        record_intent(desk.ledger, MARKET.name, HALTED, "", desk.clock.now)
        return state

    account.orders.broker.submit = and_halt
    account.orders.send(desk.order())
    assert desk.booked(desk.order()).status == "canceled"


def test_an_order_that_closes_what_is_held_is_sent_though_the_market_is_halted(desk):
    """It was decided on after the word; one from before it is not sent."""
    stream = "paper/shares/s"
    record_intent(desk.ledger, MARKET.name, HALTED, "", desk.clock.now, flatten=True)
    desk.clock.wait(5)
    desk.ledger.append(stream, "decision", desk.clock.now, {}, desk.clock.now)
    assert desk.connect().orders.send(desk.order())["status"] == "new"
    record_intent(desk.ledger, MARKET.name, HALTED, "", desk.clock.now, flatten=True)
    assert desk.connect().orders.send(desk.order(symbol="CCC"))["status"] == "called_off"


def test_what_is_open_at_the_next_close_is_cancelled_and_its_part_is_booked(desk):
    """Those of others stay, and so do those of another session of the same market."""
    night(desk)
    account = desk.connect()
    account.orders.send(desk.order())
    order = desk.booked(desk.order())
    other = desk.venue.books.accept(Booked("by-hand", "AAA", 1, 5.0))
    namesake = desk.venue.books.accept(Booked("s/20240101T000000/SPY/0", "SPY", 1, 5.0))
    desk.venue._fill = lambda each: desk.venue.books.fill(each, 4.0) if each is order else None
    bar, trader = desk.close(FIRST + 1), new_trader()
    filled = account.execute(trader, bar)
    assert (order.status, other.status, namesake.status) == ("canceled", "new", "new")
    assert filled.fills["quantity"].tolist() == [4.0]


def test_a_session_with_a_slash_in_its_name_knows_its_orders(desk):
    """Those of a session of which its name is the beginning are not its own."""
    night(desk)
    clocks = {"clock": lambda: desk.clock.now, "wait": desk.clock.wait}
    name = desk.order()["client_order_id"]
    for session in ("s/1", "s"):
        own = desk.order() | {"client_order_id": name.replace("s/", f"{session}/", 1)}
        orders = OrderRouter(desk.connect().broker, desk.ledger, MARKET, session, **clocks)
        orders.send(own)
        other = desk.venue.books.accept(Booked(f"{session}/2/{name[2:]}", "AAA", 1, 5.0))
        orders.cancel()
        assert (desk.booked(own).status, other.status) == ("canceled", "new")


def test_an_order_that_somebody_replaced_is_cancelled_in_its_newest_form(desk):
    night(desk)
    account = desk.connect()
    account.orders.send(desk.order())
    newest = desk.venue.books.replace(desk.booked(desk.order()), 6.0)
    desk.venue._fill = lambda each: desk.venue.books.fill(each, 2.0)
    trader = new_trader()
    filled = account.execute(trader, desk.close(FIRST + 1))
    assert newest.status == "canceled"
    assert filled.fills[["client_order_id", "quantity"]].values.tolist() == [
        [desk.order()["client_order_id"], 2.0]
    ]


def test_asked_again_it_says_the_same_and_what_came_since_is_the_next_bars(desk):
    """A session that was killed between booking and deciding books the same once more."""
    night(desk)
    account = desk.connect()
    account.orders.send(desk.order())
    bar = desk.close(FIRST + 1)
    first, again = (desk.connect().execute(new_trader(), bar) for _ in range(2))
    pd.testing.assert_frame_equal(first.fills, again.fills)
    desk.venue.books.fill(desk.venue.books.accept(Booked("by-hand", "CCC", 1, 2.0)))
    trader = new_trader()
    third = desk.connect().execute(trader, bar)
    pd.testing.assert_frame_equal(first.fills, third.fills)
    trader.decide(signals())
    later = desk.connect().execute(trader, desk.close(FIRST + 2))
    assert later.fills[["symbol", "quantity"]].values.tolist() == [["CCC", 2.0]]
    assert len(desk.ledger.read(BROKER_STREAM, kind="executions")) == 2


def signals() -> Signals:
    N = len(panel().symbols)
    return Signals(eligible=np.zeros(N, bool), volatility=np.full(N, 0.02), recent=np.zeros((5, N)))


def test_a_bar_that_is_caught_up_has_what_was_traded_by_its_close(desk):
    """The session was away for a day: the fills of the second morning are the second bar's."""
    night(desk)
    account = desk.connect()
    account.orders.send(desk.order())
    desk.close(FIRST + 1)
    desk.venue.books.accept(Booked("by-hand", "CCC", 1, 2.0))
    desk.close(FIRST + 2)
    trader = new_trader()
    bars = [Bar.of(panel(), FIRST + 1), Bar.of(panel(), FIRST + 2)]
    one = account.execute(trader, bars[0])
    trader.decide(signals())
    two = account.execute(trader, bars[1])
    assert set(one.fills["symbol"]) == {"AAA"}
    assert set(two.fills["symbol"]) == {"CCC"}


def test_what_is_traded_twice_is_booked_once_and_what_comes_late_is_not_lost(desk):
    night(desk)
    account = desk.connect()
    for symbol in ("AAA", "CCC"):
        account.orders.send(desk.order(symbol=symbol))
    desk.venue.twice, desk.venue.quiet_until = True, pd.Timestamp(close_of(FIRST + 1))
    trader = new_trader()
    filled = account.execute(trader, desk.close(FIRST + 1))
    assert filled.fills["quantity"].sum() == 20.0
    assert len({each.execution_id for each in desk.connect()._news()}) == 0


def test_executions_that_are_told_seconds_later_are_waited_for(desk):
    """Positions move at once there, activities follow: a decision without them errs."""
    night(desk)
    account = desk.connect()
    account.orders.send(desk.order(quantity=100.0))
    desk.venue.quiet_until = pd.Timestamp(close_of(FIRST + 1) + timedelta(seconds=12))
    trader = new_trader()
    account.execute(trader, desk.close(FIRST + 1))
    assert desk.ledger.last(BROKER_STREAM, "reconciliation") is None
    assert trader.holdings()["quantity"].tolist() == [100.0]


def test_an_account_begins_beside_what_was_there(desk):
    """Shares and money of before are nobody's here: no difference, never sold."""
    opened = desk.ledger.last(BROKER_STREAM, "opened").payload
    assert opened["beside"] == {"BBB": 7.0, "SPY": 3.0, "cash": SPARE}
    trader = new_trader()
    desk.connect().begin(trader)
    assert trader.holdings().empty
    assert desk.ledger.last(BROKER_STREAM, "reconciliation") is None


def test_an_account_with_less_than_the_capital_is_refused(desk, tmp_path):
    desk.venue.books.cash = CAPITAL - 1
    with (
        Ledger(tmp_path / "another.sqlite") as ledger,
        pytest.raises(BrokerError, match=r"has 99,999.00 in cash.*give a --capital up to that"),
    ):
        Desk(desk.venue, ledger, desk.clock).connect().begin(new_trader())


def test_a_session_stays_where_it_began(desk, tmp_path):
    """Neither from the simulation to a broker nor back: its account would be another."""
    given = {"clock": lambda: desk.clock.now, "wait": desk.clock.wait}
    with pytest.raises(LedgerError, match="trades at a broker"):
        routes(None, desk.ledger, MARKET, "s", **given)
    assert routes(None, desk.ledger, MARKET, "t", **given)[:2] == (Trader.fill, None)
    trader = new_trader()
    trader.fill(Bar.of(panel(), FIRST))
    trader.decide(signals())
    with (
        Ledger(tmp_path / "another.sqlite") as ledger,
        pytest.raises(LedgerError, match="traded in the simulation"),
    ):
        Desk(desk.venue, ledger, desk.clock).connect().begin(trader)


def test_a_small_difference_is_told_once_and_trading_goes_on(desk, caplog):
    desk.venue.books.cash -= 100.0
    trader = new_trader()
    with caplog.at_level(logging.WARNING, "trading_pipeline"):
        for row in (FIRST, FIRST + 1):
            desk.connect().execute(trader, desk.close(row))
            trader.decide(signals())
    (event,) = desk.ledger.read(BROKER_STREAM, kind="reconciliation")
    (row,) = event.payload["differences"]
    assert (row["symbol"], row["ours"], row["theirs"]) == ("cash", CAPITAL, CAPITAL - 100)
    assert "dividends are booked here on their ex-date" in row["why"]
    assert caplog.text.count("at the broker") == 1
    assert not is_halted(desk.ledger, MARKET.name)
    desk.venue.books.cash += 100.0
    desk.connect().begin(trader)
    assert desk.ledger.last(BROKER_STREAM, "reconciliation").payload["differences"] == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["begin", "execute"])
def test_a_large_difference_halts_until_the_operator_has_seen_it(desk, how):
    """Who and why are said; `resume` accepts what differs, and another difference halts again."""
    desk.venue.books.positions["DDD"] = 50.0
    trader, account = new_trader(), desk.connect()
    if how == "begin":
        account.begin(trader)
    else:
        account.execute(trader, desk.close(FIRST))
        trader.decide(signals())
    word = intent_of(desk.ledger, MARKET.name)
    assert (word.kind, word.payload["who"]) == (HALTED, "the session s")
    assert "DDD: 0 here, 50 at the broker" in word.payload["reason"]
    assert "not traded by this session" in word.payload["reason"]
    night(desk)
    assert desk.connect().orders.send(desk.order())["status"] == "called_off"
    desk.connect().begin(trader)
    assert is_halted(desk.ledger, MARKET.name)
    desk.clock.wait(60)
    record_intent(desk.ledger, MARKET.name, TRADING, "they are mine", desk.clock.now)
    for _ in range(2):
        desk.connect().begin(trader)
    assert not is_halted(desk.ledger, MARKET.name)
    assert desk.connect().orders.send(desk.order())["status"] == "new"
    assert len(desk.ledger.read(BROKER_STREAM, kind="accepted")) == 1
    desk.venue.books.positions["DDD"] = 90.0
    desk.connect().begin(trader)
    assert is_halted(desk.ledger, MARKET.name)


@pytest.mark.parametrize(("theirs", "why"), [(20.0, "a split"), (13.0, "an execution")])
def test_a_difference_is_explained_as_far_as_it_tells(desk, theirs, why):
    night(desk)
    account, trader = desk.connect(), new_trader()
    account.orders.send(desk.order())
    account.execute(trader, desk.close(FIRST + 1))
    desk.venue.books.positions["AAA"] = theirs
    account.begin(trader)
    (row,) = desk.ledger.last(BROKER_STREAM, "reconciliation").payload["differences"]
    assert row["why"].startswith(why)


def test_what_is_traded_in_other_symbols_is_told_and_is_no_difference(desk, caplog):
    """Another market's session in the same account."""
    desk.venue.books.fill(desk.venue.books.accept(Booked("else", "SPY", 1, 40.0)))
    trader = new_trader()
    with caplog.at_level(logging.WARNING, "trading_pipeline"):
        desk.connect().execute(trader, desk.close(FIRST + 1))
    assert "not of this market, so not booked" in caplog.text
    assert trader.holdings().empty
    desk.connect().begin(trader)
    assert desk.ledger.last(BROKER_STREAM, "reconciliation") is None


def test_on_start_what_is_open_of_an_older_decision_is_cancelled(desk):
    """The one of the newest decision is still wanted."""
    night(desk)
    desk.connect().orders.send(desk.order())
    trader = new_trader()
    trader.book(Bar.of(panel(), FIRST), [])
    trader.decide(signals())
    desk.connect().begin(trader)
    assert desk.booked(desk.order()).status == "new"
    trader.book(Bar.of(panel(), FIRST + 1), [])
    trader.decide(signals())
    desk.connect().begin(trader)
    assert desk.booked(desk.order()).status == "canceled"


def test_halt_cancels_every_open_order_of_the_account(desk):
    for number, symbol in enumerate(("AAA", "SPY")):
        desk.venue.books.accept(Booked(f"order-{number}", symbol, 1, 1.0))
    assert [each.status for each in cancel_all(desk.connect().broker)] == ["canceled"] * 2
    assert cancel_all(desk.connect().broker) == []


def test_a_session_at_binance_trades_beside_the_coins_that_the_testnet_gave(tmp_path):
    """Its names are shorter there, and its trades of the last second wait."""
    with FakeBinanceBroker() as venue, Ledger(tmp_path / "ledger.sqlite") as ledger:
        venue.books.positions["ETH/USDT"] = 2.0
        symbols = tuple(binance_broker.PRICES)
        market = replace(MARKET, name="coins", symbols=symbols, calendar="24/7")
        bars = panel_of(np.full((3, 2), 40_000.0), start=f"{venue.books.now:%Y-%m-%d}")

        def now():
            return venue.books.now.to_pydatetime()

        def wait(seconds):
            venue.books.pass_time(seconds)

        def connect():
            return account_at(binance_at(venue), ledger, market, "s", clock=now, wait=wait)

        trader = Trader(symbols, Terms.of(market, 90_000.0), session="s")
        connect().begin(trader)
        venue.now = str(bars.timestamps[1].tz_localize(None) + pd.Timedelta(seconds=5))
        venue.books.holding = False
        order = {
            "client_order_id": order_id("s", bars.timestamps[0], symbols[0], 0),
            "decided_at": bars.timestamps[0].isoformat(), "symbol": symbols[0], "side": "buy",
            "quantity": 0.5, "type": "market", "limit_price": None, "stop_price": None,
        }  # fmt: skip
        for _ in range(2):
            assert connect().orders.send(order)["status"] == "filled"
        venue.now = str(bars.timestamps[2].tz_localize(None) + pd.Timedelta(seconds=5))
        trader.book(Bar.of(bars, 0), [])
        filled = connect().execute(trader, Bar.of(bars, 1))
        assert filled.fills[["client_order_id", "quantity"]].values.tolist() == [
            [order["client_order_id"], 0.5]
        ]
        assert ledger.last("broker/coins/s", "reconciliation") is None
