"""What Alpaca wants otherwise than an order says, and what happens to orders there."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from trading_pipeline.adapters.brokers.alpaca import NEW_YORK
from trading_pipeline.core.trading.broker import Order
from trading_pipeline.errors import CredentialsError, Rejected, SettingsError, TooEarly
from trading_pipeline_tests.adapters.brokers.desks import alpaca, alpaca_at
from trading_pipeline_tests.fakes.books import Booked


@pytest.fixture
def desk():
    with alpaca() as made:
        yield made


def an_order(side, quantity, **given):
    usual = {"client_order_id": "s/20241202T000000/AAPL/0", "symbol": "AAPL"}
    usual |= {"decided_at": datetime(2024, 12, 2, tzinfo=NEW_YORK)}
    return Order(**(usual | {"side": side, "quantity": quantity} | given))


@pytest.mark.parametrize(
    ("timeframe", "held", "side", "asked", "sent", "tif", "said"),
    [
        ("1d", 0, "buy", 10.0, 10.0, "opg", ""),
        ("1d", 0, "buy", 10.7, 10.0, "opg", "10 of 10.7: whole shares only"),
        ("1d", 0, "sell", 10.7, 10.0, "opg", "10 of 10.7: whole shares only"),
        ("1d", 10.7, "sell", 10.7, 10.0, "opg", ""),
        ("1d", 10, "sell", 25, 10.0, "opg", "10 of 25: no order may go through zero"),
        ("1d", -10, "buy", 25, 10.0, "opg", "10 of 25: no order may go through zero"),
        ("1d", -10, "sell", 5, 5.0, "opg", ""),
        ("1h", 0, "buy", 0.123456789012, 0.123456789, "day", ""),
        ("1h", 0, "sell", 1.5, 1.0, "day", "1 of 1.5: whole shares only"),
        ("1h", 1.5, "sell", 1.5, 1.5, "day", ""),
        ("1h", 1.5, "sell", 0.5, 0.5, "day", ""),
    ],
)
def test_quantities_are_cut_towards_zero_and_it_is_said(
    desk, timeframe, held, side, asked, sent, tif, said
):
    if held:
        desk.books.positions["AAPL"] = held
    order = an_order(side, asked)
    state = desk.connect(timeframe=timeframe).submit(order)
    there = desk.there(order)
    assert (there.quantity, there.extra["time_in_force"]) == (sent, tif)
    assert said in state.reason
    assert bool(state.reason) == (abs(asked - sent) > 1e-6)


@pytest.mark.parametrize(("side", "held"), [("buy", 0), ("sell", 0.7)])
def test_less_than_a_share_is_no_order(desk, side, held):
    if held:
        desk.books.positions["AAPL"] = held
    with pytest.raises(Rejected, match=r"0 of 0.7: whole shares only.*nothing was sent"):
        desk.connect().submit(an_order(side, 0.7))
    assert desk.placed() == 0


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize(
    ("at", "open_"),
    [("09:27", True), ("09:28", False), ("16:01", False), ("18:59", False), ("19:00", True)],
)
def test_the_opening_auction_takes_orders_in_the_evening_and_at_night(desk, at, open_, month):
    """By New York's clock, in summer and winter; the venue would refuse them at other times."""
    now = pd.Timestamp(f"2024-{month:02d}-16 {at}", tz="America/New_York")
    desk.venue.now = now
    broker = desk.connect(clock=lambda: now.tz_convert("UTC").to_pydatetime())
    if open_:
        assert broker.submit(an_order("buy", 1)).status == "new"
        return
    with pytest.raises(TooEarly, match="nothing was sent") as caught:
        broker.submit(an_order("buy", 1))
    assert desk.placed() == 0
    assert caught.value.until == datetime(2024, month, 16, 19, tzinfo=NEW_YORK)
    desk.venue.now = pd.Timestamp(caught.value.until + timedelta(seconds=1))
    broker = desk.connect(clock=lambda: caught.value.until)
    assert broker.submit(an_order("buy", 1)).status == "new"


def test_an_order_that_was_replaced_lives_on_in_what_took_its_place(desk):
    """Somebody changes it in the venue's own application: its fills and its end are ours."""
    broker, order = desk.connect(), an_order("buy", 5)
    broker.submit(order)
    first = desk.there(order)
    desk.books.fill(first, 1)
    second = desk.books.replace(first, 4)
    desk.books.fill(second, 2)
    for each in (broker, desk.connect()):
        state = each.order(order.client_order_id)
        assert (state.status, state.filled_quantity) == ("replaced", 3)
        assert "replace it by 4" in state.reason
        assert each.open_orders()[0].client_order_id == order.client_order_id
        names = [told.client_order_id for told in each.executions(None)]
        assert names == [order.client_order_id] * 2
    state = broker.cancel(order.client_order_id)
    assert (state.status, state.filled_quantity) == ("canceled", 3)
    assert second.status == "canceled"


def test_all_open_orders_are_told_page_by_page(desk):
    """More than a page, many of one instant."""
    for number in range(1203):
        desk.books.accept(Booked(f"n{number}", "AAPL", 1, 1))
        if number % 400 == 0:
            desk.books.pass_time()
    states = desk.connect().open_orders()
    assert sorted(each.client_order_id for each in states) == sorted(f"n{n}" for n in range(1203))


def test_limit_and_stop_orders_carry_their_price(desk):
    broker = desk.connect()
    for kind, price in (("limit", 150.129), ("stop", 0.56789)):
        name = f"s/20241202T000000/AAPL/{kind}"
        given = {"client_order_id": name, "type": kind, f"{kind}_price": price}
        broker.submit(an_order("buy", 1, **given))
        there = desk.books.named(name)
        assert (there.kind, there.extra["time_in_force"]) == (kind, "day")
        assert there.price == {"limit": 150.13, "stop": 0.5679}[kind]


def test_shorts_are_held_and_told_with_their_sign(desk):
    broker, order = desk.connect(), an_order("sell", 4)
    broker.submit(order)
    desk.there(order).extra["short"] = True
    desk.books.fill(desk.there(order))
    assert broker.positions() == {"AAPL": -4}
    assert broker.executions(None)[0].quantity == -4


def test_orders_go_to_paper_accounts_only(desk):
    with pytest.raises(SettingsError, match="real money"):
        alpaca_at(desk.venue, trading_url="https://api.alpaca.markets/")


def test_keys_are_asked_for(desk):
    with pytest.raises(CredentialsError, match="TP_ALPACA_KEY"):
        alpaca_at(desk.venue, key=None).cash()


def test_a_name_that_is_too_long_is_rejected_before_it_is_sent(desk):
    with pytest.raises(Rejected, match="longer than the 128"):
        desk.connect().submit(an_order("buy", 1, client_order_id="x" * 129))
    assert not desk.venue.requests
