"""Bad input is refused with a message that says what, where and why, or does what is said here."""

from dataclasses import fields, replace
from math import inf, nan

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.profiles import LIMITS, PROFILES
from trading_pipeline.core.trading.trader import Bar
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.backtest.accounting import accounting_error
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    new_trader,
    panel_of,
    random_panel,
    random_scores,
    simulated,
    simulated_orders,
)
from trading_pipeline_tests.core.trading.orders import limit, order, stop

MODERATE = PROFILES["moderate"]
TERMS = {
    "capital": 1e5,
    "bars_per_year": 252,
    "horizon": 10,
    "mandate": "neutral",
    "shortable": True,
}
THREE = panel_of([10.0, 11, 12])


def hold(panel, weight=0.5, **changes):
    """Ask for the weight in every symbol at every close."""
    T = len(panel.close)
    terms = {"start": 0, "stop": T, "costs": FREE} | TERMS | changes
    return simulated(panel, weights=np.full(panel.close.shape, weight), **terms)


def managed(panel, score, **changes):
    terms = {"start": 0, "stop": len(panel.close), "costs": FREE, "profile": MODERATE}
    return simulated(panel, score=score, **terms | TERMS | changes)


def place(*orders, panel=THREE, **changes):
    terms = {"start": 0, "stop": len(panel.close), "capital": 1e5, "costs": FREE}
    terms |= {"bars_per_year": 252, "shortable": True}
    return simulated_orders(panel, pd.DataFrame(list(orders)), **terms | changes)


@pytest.mark.parametrize("price", [nan, inf, 0.0, -1.0])
@pytest.mark.parametrize("name", ["open", "high", "low"])
def test_a_price_that_is_none_names_symbol_and_bar(name, price):
    grid = getattr(THREE, name).copy()
    grid[1, 0] = price
    with pytest.raises(TradingError, match=f"{name} of AAA at 2024-01-02 .* is {price}"):
        hold(replace(THREE, **{name: grid}))


def bar_with(**changes):
    return replace(Bar.of(THREE, 1), **{name: np.array([v]) for name, v in changes.items()})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        *(({name: nan}, "four positive prices") for name in ("open", "high", "low", "close")),
        *(({name: inf}, "four positive prices") for name in ("open", "high", "low", "close")),
        *(({name: 0.0}, "four positive prices") for name in ("open", "high", "low", "close")),
        ({"close": -1.0}, "four positive prices"),
        ({"high": 10.9}, r"within \[low, high\]"),
        ({"low": 11.1}, r"within \[low, high\]"),
        ({"volume": -1.0}, "volume below 0"),
        ({"volume": inf}, "volume below 0 or infinite"),
        *(({"split": value}, "split that is not > 0") for value in (0.0, -1.0, nan, inf)),
        *(({"dividend": value}, "dividend that is not >= 0") for value in (-1.0, nan, inf)),
    ],
)
def test_an_impossible_bar_never_reaches_the_account(changes, rule):
    """On paper a bar comes from a venue: the account stays as it was, and can go on."""
    trader = new_trader(("AAA",), session="s", profile=None, scored=False, costs=FREE, **TERMS)
    trader.fill(Bar.of(THREE, 0))
    before = trader.to_dict()
    with pytest.raises(TradingError, match=f"the bar of AAA at 2024-01-02 .*{rule}"):
        trader.fill(bar_with(**changes))
    assert trader.to_dict() == before
    trader.fill(Bar.of(THREE, 1))


def test_a_bar_of_other_symbols_is_refused():
    trader = new_trader(
        ("AAA", "BBB"), session="s", profile=None, scored=False, costs=FREE, **TERMS
    )
    with pytest.raises(TradingError, match=r"open of the bar 2024-01-01 .* shape \(1,\), not \(2"):
        trader.fill(Bar.of(THREE, 0))


def test_a_symbol_may_be_missing_from_a_bar_and_its_volume_unknown():
    trader = new_trader(("AAA",), session="s", profile=None, scored=False, costs=FREE, **TERMS)
    trader.fill(bar_with(volume=nan))
    gone = dict.fromkeys(("open", "high", "low", "close", "volume"), nan)
    trader.fill(replace(bar_with(**gone), timestamp=THREE.timestamps[2]))
    assert trader.equity == 1e5


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (order(symbol="ZZZ"), "symbol 'ZZZ' is not in the panel"),
        (
            order(decided_at=pd.Timestamp("1999-01-01", tz="UTC")),
            "decided_at .* is not a bar of the panel",
        ),
        (order(decided_at=pd.Timestamp("2024-01-01")), "decided_at .* is not a bar of the panel"),
        (order(decided_at=pd.NaT), "decided_at .* is not a bar of the panel"),
        (order(decided_at="tomorrow"), "decided_at 'tomorrow' is not a bar of the panel"),
        (order(quantity=-1), "quantity -1 is not a finite number >= 0"),
        (order(quantity=nan), "quantity nan is not a finite number >= 0"),
        (order(quantity=inf), "quantity inf is not a finite number >= 0"),
        (order(quantity="ten"), "quantity 'ten' is not a number"),
        (order(side="long"), "side 'long' is not buy or sell"),
        (order(side=None), "side .* is not buy or sell"),
        (order(type="iceberg"), "type 'iceberg' is not one of market, limit, stop"),
        (order(type="limit"), "limit_price nan is missing in a limit order"),
        (order(type="stop"), "stop_price nan is missing in a stop order"),
        (limit(0), "limit_price 0.0 is not a positive price"),
        (limit(-5), "limit_price -5.0 is not a positive price"),
        (stop(inf), "stop_price inf is not a positive price"),
        (limit("cheap"), "limit_price 'cheap' is not a number"),
        (order(bars=0), "bars 0 is not a whole number >= 1"),
        (order(bars=nan), "bars nan is not a whole number >= 1"),
        (order(bars=1.5), "bars 1.5 is not a whole number >= 1"),
        (order(stop_loss=-1), "stop_loss -1.0 is not a positive price"),
        (order(take_profit=0), "take_profit 0.0 is not a positive price"),
        (order(limit_price=5), "limit_price 5.0 is given, and the type is not limit"),
        (order(type="limit", limit_price=5, stop_price=4), "stop_price 4.0 is given, and the type"),
        (order(stop_loss=9, take_profit=8), "stop_loss 9.0 is on the side of take_profit"),
        (order(side="sell", stop_loss=8, take_profit=9), "stop_loss 8.0 is on the side of take"),
    ],
)
def test_an_order_that_cannot_be_one_names_its_row_and_rule(asked, complaint):
    with pytest.raises(TradingError, match=f"order 1: {complaint}"):
        place(order(day=1), asked)


def test_one_order_per_symbol_and_bar():
    with pytest.raises(TradingError, match="order 1: symbol 'AAA' has an order at that bar"):
        place(order(), order(side="sell"))


def test_an_order_table_that_lacks_a_column_is_refused_and_an_empty_one_trades_nothing():
    with pytest.raises(TradingError, match="lack the columns side"):
        place({name: value for name, value in order().items() if name != "side"})
    empty = simulated_orders(
        THREE, pd.DataFrame([order()])[:0], start=0, stop=3, capital=1e5, costs=FREE,
        bars_per_year=252, shortable=True,
    )  # fmt: skip
    assert (empty.equity == 1e5).all()


def test_orders_at_the_last_bar_are_not_filled():
    assert len(place(order(day=2)).events) == 0


def test_stamps_with_a_time_zone_in_a_column_of_objects_are_understood():
    table = pd.DataFrame([order()])
    table["decided_at"] = table["decided_at"].astype(object)
    terms = {"start": 0, "stop": 3, "capital": 1e5, "costs": FREE}
    book = simulated_orders(THREE, table, bars_per_year=252, shortable=True, **terms)
    assert book.quantity[1, 0] == 10


def test_orders_may_come_in_any_order():
    forward = place(order(), order(day=1, side="sell"))
    backward = place(order(day=1, side="sell"), order())
    assert forward.log.tobytes() == backward.log.tobytes()


@pytest.mark.slow
def test_no_prediction_no_trade():
    panel = random_panel(1)
    book = managed(panel, np.full(panel.close.shape, nan))
    assert len(book.events) == 0
    assert (book.equity == 1e5).all()


def test_no_eligible_symbol_no_trade_but_a_veto():
    panel = random_panel(1)
    nobody = np.zeros(panel.close.shape, dtype=bool)
    book = managed(panel, random_scores(1, panel), eligible=nobody)
    assert len(book.events) == 0
    assert set(book.vetoes()["rule"]) <= {"ineligible", "no_bar"}


@pytest.mark.parametrize("sigma", [nan, 0.0, -1.0])
def test_without_a_volatility_scores_buy_nothing(sigma):
    panel = random_panel(1)
    grid = np.full(panel.close.shape, sigma)
    assert len(managed(panel, random_scores(1, panel), volatility=grid).events) == 0


def test_one_symbol_one_bar_and_both():
    one_row = panel_of([10.0])
    assert hold(one_row).equity.tolist() == [1e5]
    panel = random_panel(1)
    assert hold(panel, start=5, stop=6).equity.tolist() == [1e5]
    assert hold(THREE, 1.0).equity == pytest.approx([1e5, 1e5, 1e5 * 12 / 11])


def test_a_neutral_book_of_one_symbol_holds_nothing():
    """One symbol has no other to be worth more than."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, 100)))
    book = managed(panel_of(close), np.ones((100, 1)))
    assert (book.quantity == 0).all()


def test_a_symbol_without_any_bar_is_a_column_of_nothing():
    close = np.full((5, 2), 10.0)
    close[:, 1] = nan
    book = hold(panel_of(close), 0.4)
    assert book.quantity[-1].tolist() == [4000, 0]
    assert book.equity.tolist() == [1e5] * 5


def test_a_lot_larger_than_the_capital_trades_nothing():
    book = hold(THREE, costs=replace(FREE, lot=1e9))
    assert (book.equity == 1e5).all()


def test_a_tiny_participation_trades_a_tiny_part():
    """A millionth of a volume of a million is one share."""
    book = hold(THREE, costs=replace(FREE, participation=1e-6))
    assert book.quantity[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("volume", [nan, 0.0])
def test_unknown_or_no_volume_fills_nothing_unless_any_share_is_allowed(volume):
    panel = panel_of([10.0, 11, 12], volume=[volume] * 3)
    assert (hold(panel, costs=replace(FREE, participation=0.1)).quantity == 0).all()
    assert hold(panel).quantity[1, 0] > 0


def test_limits_on_the_wrong_side_fill_at_once_and_no_worse_than_the_market():
    """A purchase at 99 where the market opens at 11, a sale at 1: both trade at 11."""
    book = place(limit(99, quantity=10), panel=THREE)
    assert book.fills("s")["price"].tolist() == [11.0]
    book = place(limit(1, side="sell"), panel=THREE)
    assert book.fills("s")["price"].tolist() == [11.0]


def test_a_squeeze_with_leverage_ends_in_debt_and_adds_up():
    """Short 3 × the equity, then five times the price: 100,000 - 12,000 × 100."""
    close = [100.0, 100, 500, 500, 500]
    panel = panel_of(close, open_=[100.0, 100, 500, 500, 500])
    costs = Costs(leverage=4, min_notional=0, participation=inf, fee=0, slippage=0, borrow=0)
    book = hold(panel, -3.0, costs=costs)
    assert book.equity[2] == pytest.approx(1e5 - 3000 * 400)
    assert (book.quantity[3:] == 0).all()
    assert accounting_error(book) < 1e-12
    assert np.isfinite(book.log["equity"]).all()


COST_NAMES = [each.name for each in fields(Costs)]


@pytest.mark.parametrize("name", [name for name in COST_NAMES if name != "funding"])
def test_no_cost_is_below_zero(name):
    with pytest.raises(ValueError, match=f"{name} must be .*was -0.1"):
        Costs(**{name: -0.1})


@pytest.mark.parametrize("name", [name for name in COST_NAMES if name != "delisted_after"])
def test_no_cost_is_unknown(name):
    with pytest.raises(ValueError, match=f"{name} must be .*was nan"):
        Costs(**{name: nan})


@pytest.mark.parametrize("days", [nan, inf, 1.5])
def test_days_until_a_delisting_are_a_whole_number(days):
    with pytest.raises(ValueError, match="delisted_after"):
        Costs(delisted_after=days)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [-0.1, nan])
def test_no_limit_is_below_zero_or_unknown(name, value):
    with pytest.raises(ValueError, match=f"must|{name}"):
        replace(MODERATE, **{name: value})


@pytest.mark.parametrize("name", ["flat_days", "half_days"])
def test_days_and_bars_are_finite(name):
    with pytest.raises(ValueError, match=name):
        replace(MODERATE, **{name: inf})


@pytest.mark.parametrize("kelly", [np.full(160, -1.0), np.full(3, 1.0), np.full((160, 4), 1.0)])
def test_evidence_is_one_number_per_row_and_not_negative(kelly):
    """A cap below zero turns longs into shorts; a short array is read beyond its end."""
    panel = random_panel(1)
    with pytest.raises((ValueError, TradingError), match="kelly"):
        managed(panel, random_scores(1, panel), kelly=kelly)
