"""What Binance wants otherwise than an order says: names, lots, commissions, clocks."""

import logging
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.adapters.brokers.ccxt_broker import venue_id
from trading_pipeline.core.trading.broker import Order
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline.errors import CredentialsError, Rejected, SettingsError
from trading_pipeline_tests.adapters.brokers.desks import binance, binance_at
from trading_pipeline_tests.fakes.books import Booked


@pytest.fixture
def desk():
    with binance() as made:
        yield made


def an_order(side="buy", quantity=0.1, symbol="BTC/USDT", **given):
    at = pd.Timestamp("2021-06-14", tz="UTC")
    usual = {"client_order_id": order_id("s", at, symbol, 0), "symbol": symbol}
    return Order(**(usual | {"side": side, "quantity": quantity, "decided_at": at} | given))


@given(
    st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True),
    st.datetimes(pd.Timestamp("2015-01-01"), pd.Timestamp("2090-01-01")),
    st.from_regex(r"[A-Z0-9]{1,8}", fullmatch=True),
    st.integers(0, 2),
)
@pytest.mark.slow
def test_names_are_short_and_those_of_different_orders_differ(session, at, base, sequence):
    at = pd.Timestamp(at).floor("s")
    name = venue_id(order_id(session, at, f"{base}/USDT", sequence))
    assert re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", name)
    others = [
        (session + "x", at, base, sequence),
        (session, at + pd.Timedelta(seconds=1), base, sequence),
        (session, at, base + "X", sequence),
        (session, at, base, sequence + 1),
    ]
    for session_, at_, base_, sequence_ in others:
        assert venue_id(order_id(session_, at_, f"{base_}/USDT", sequence_)) != name


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("s" * 30 + "/20240101T000000/BTC/USDT/0", "shorter --session"),
        ("ab c/20240101T000000/BTC/USDT/0", "letters, digits"),
        ("by hand", "letters, digits"),
    ],
)
def test_a_name_that_the_venue_cannot_have_is_rejected(desk, name, complaint):
    with pytest.raises(Rejected, match=complaint):
        desk.connect().submit(an_order(client_order_id=name))
    assert desk.placed() == 0


def test_quantities_are_cut_to_whole_lots_and_it_is_said(desk):
    order = an_order(quantity=0.123456789)
    state = desk.connect().submit(order)
    assert desk.there(order).quantity == 0.12345
    assert "0.12345 of 0.123457: whole lots only" in state.reason


@pytest.mark.parametrize("quantity", [0.1, 0.3, 0.7, 0.00029, 1.1, 0.1 + 0.2])
def test_a_whole_number_of_lots_stays_whole(desk, quantity):
    """Though its float may lie a rounding below or above."""
    order = an_order(quantity=quantity)
    assert desk.connect().submit(order).reason == ""
    assert desk.there(order).quantity == round(quantity, 5)


def test_less_than_a_lot_is_no_order_and_the_venue_minds_its_minimum(desk):
    broker = desk.connect()
    with pytest.raises(Rejected, match="whole lots only; nothing was sent"):
        broker.submit(an_order(quantity=0.000001))
    with pytest.raises(Rejected, match="NOTIONAL"):
        broker.submit(an_order(quantity=0.0001))
    with pytest.raises(Rejected, match="insufficient balance"):
        broker.submit(an_order("sell"))


@pytest.mark.parametrize("in_base", [True, False])
def test_what_the_venue_keeps_as_commission_is_accounted_for(desk, in_base):
    """In coins bought, which were never held, or in money: cash and coins are the venue's."""
    desk.venue.commission, desk.venue.in_base = 0.001, in_base
    broker, order = desk.connect(), an_order(quantity=0.5)
    broker.submit(order)
    desk.books.fill(desk.there(order), price=39_000.0)
    (told,) = broker.executions(None)
    assert told.quantity == pytest.approx(0.4995 if in_base else 0.5)
    assert told.fee == pytest.approx(19.5)
    assert broker.positions() == pytest.approx({"BTC/USDT": told.quantity})
    assert broker.cash() == pytest.approx(100_000 - told.quantity * told.price - told.fee)


def test_a_commission_in_another_coin_is_not_of_this_cash(desk, caplog):
    desk.venue.commission = 0.001
    broker, order = desk.connect(), an_order(quantity=0.5)
    broker.submit(order)
    desk.books.fill(desk.there(order))
    right = desk.venue._trade
    desk.venue._trade = lambda trade: right(trade) | {"commissionAsset": "BNB"}
    with caplog.at_level(logging.WARNING):
        (told,) = broker.executions(None)
    assert (told.quantity, told.fee) == (0.5, 0.0)
    assert "BNB" in caplog.text


def test_a_clock_that_goes_wrong_is_measured_anew(desk):
    """Signatures are good for seconds; neither a question nor an order is lost by it."""
    broker = desk.connect()
    broker.cash()
    desk.venue.skew = 300_000
    assert broker.cash() == 100_000
    desk.venue.skew = -300_000
    assert broker.submit(an_order()).status == "new"
    assert desk.placed() == 1


def test_trades_of_the_last_second_wait_for_those_of_other_symbols(desk):
    """Asked for one symbol after the other, a cursor would pass over what came in between."""
    broker = desk.connect()
    early, late = (an_order(symbol=name) for name in ("BTC/USDT", "ETH/USDT"))
    broker.submit(early)
    broker.submit(late)
    ask = broker._rows

    def rows(path, fields):
        answer = ask(path, fields)
        if path == "myTrades" and fields["symbol"] == "BTCUSDT" and not desk.books.trades:
            for order in (early, late):  # both trade right after the first symbol was asked for
                desk.books.fill(desk.there(order))
        return answer

    broker._rows = rows
    first = broker.executions(None)
    rest = broker.executions(first[-1].execution_id if first else None)
    assert [each.symbol for each in first + rest] == ["BTC/USDT", "ETH/USDT"]


def test_an_order_that_was_canceled_keeps_its_name(desk):
    """Otherwise its fills would be told under the name of the cancel."""
    broker, order = desk.connect(), an_order()
    broker.submit(order)
    desk.books.fill(desk.there(order), 0.04)
    broker.cancel(order.client_order_id)
    (told,) = desk.connect().executions(None)
    assert told.client_order_id == order.client_order_id


def test_coins_of_no_symbol_of_ours_are_no_positions(desk):
    desk.venue.spare = {"BTC": 1.0, "DOGE": 5.0}
    assert desk.connect().positions() == {"BTC/USDT": 1.0}


def test_orders_by_hand_are_told(desk):
    desk.books.accept(Booked("web_123", "ETH/USDT", 1, 1.0))
    assert [each.client_order_id for each in desk.connect().open_orders()] == ["web_123"]


@pytest.mark.parametrize(
    "url", ["https://api.binance.com", "https://api1.binance.com/", "https://api.binance.us"]
)
def test_orders_go_to_the_testnet_only(desk, url):
    with pytest.raises(SettingsError, match="real money"):
        binance_at(desk.venue, url=url)


def test_settings_that_cannot_be_are_refused(desk):
    with pytest.raises(SettingsError, match="one quote currency"):
        binance_at(desk.venue, symbols=("BTC/USDT", "ETH/BTC"))
    with pytest.raises(CredentialsError, match="TP_BINANCE_KEY"):
        binance_at(desk.venue, secret=None)
