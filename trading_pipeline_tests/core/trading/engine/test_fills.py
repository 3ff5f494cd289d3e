"""Orders worked by hand: at what price each kind fills, how much of it, and what it costs."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline_tests.core.trading.markets import FREE, panel_of
from trading_pipeline_tests.core.trading.orders import (
    CALM,
    SLIP,
    fill,
    fills,
    limit,
    order,
    run,
    stop,
    traded,
)


@pytest.mark.parametrize(
    ("asked", "bar", "price"),
    [
        (order(), (100, 110, 90, 105), 101.0),  # 100 × 1.01
        (order(side="sell"), (100, 110, 90, 105), 99.0),
        # A limit that the open has passed: slips, but to its limit at most.
        (limit(120), (100, 110, 90, 105), 101.0),
        (limit(100.5), (100, 110, 90, 105), 100.5),
        (limit(80, side="sell"), (100, 110, 90, 105), 99.0),
        (limit(99.5, side="sell"), (100, 110, 90, 105), 99.5),
        # Reached within the bar: its own price, no slippage.
        (limit(95), (100, 110, 90, 105), 95.0),
        (limit(90), (100, 110, 90, 105), 90.0),
        (limit(105, side="sell"), (100, 110, 90, 105), 105.0),
        # A stop order becomes a market order at its level, or at an open beyond it.
        (stop(105), (100, 110, 90, 105), 105 * 1.01),
        (stop(105), (108, 110, 107, 109), 108 * 1.01),
        (stop(95, side="sell"), (100, 110, 90, 105), 95 * 0.99),
        (stop(95, side="sell"), (93, 94, 90, 91), 93 * 0.99),
    ],
)
def test_where_each_kind_of_order_fills(asked, bar, price):
    book = run([asked], CALM, bar, CALM)
    quantity = 10 if asked["side"] == "buy" else -10
    assert fills(book) == [fill(1, quantity, price)]
    assert book.lapsed("s").empty


@pytest.mark.parametrize(
    "asked", [limit(89), limit(111, side="sell"), stop(111), stop(89, side="sell")]
)
def test_an_order_whose_price_is_not_reached_lapses(asked):
    book = run([asked], CALM, (100, 110, 90, 105), CALM)
    assert fills(book) == []
    assert list(book.lapsed("s")["lapsed_at"]) == [book.timestamps[1]]
    assert (book.equity == 1e5).all()


def test_an_order_good_for_three_bars_waits_for_two():
    book = run([limit(95, bars=3)], CALM, CALM, CALM, (97, 98, 94, 96), CALM)
    assert fills(book) == [fill(3, 10, 95.0)]
    assert book.fills("s")["client_order_id"][0].startswith("s/20240101"), "decided on bar 0"
    book = run([limit(95, bars=2)], CALM, CALM, CALM, (97, 98, 94, 96), CALM)
    assert fills(book) == []
    assert list(book.lapsed("s")["lapsed_at"]) == [book.timestamps[2]]


def test_a_new_order_replaces_the_one_that_rests_and_zero_cancels_it():
    dip = (97, 98, 90, 96)
    book = run([limit(95, bars=9), limit(92, day=1, bars=9)], CALM, CALM, dip, CALM)
    assert fills(book) == [fill(2, 10, 92.0)]
    book = run([limit(95, bars=9), order(day=1, quantity=0)], CALM, CALM, dip, CALM)
    assert fills(book) == []


def test_impact_is_the_square_root_of_participation_in_units_of_volatility():
    """100 of a volume of 10,000 at σ = 4 % and a coefficient of 0.5: 0.5 × 0.04 × 0.1 = 20 bp."""
    costs = replace(FREE, slippage=0.001, impact=0.5)
    book = run([order(quantity=100)], CALM, CALM, CALM, costs=costs, volume=[10_000] * 3)
    assert fills(book) == [fill(1, 100, 100 * 1.003)]
    assert book.fills("s")["slippage"].tolist() == pytest.approx([30.0])


def test_an_order_of_many_times_the_volume_loses_nine_tenths_at_most():
    """σ 4 % × √(100 / 0.0001) is 40 times the price: a sale would cost money."""
    costs = replace(FREE, impact=1.0)
    asked = [order(side="sell", quantity=100)]
    book = run(asked, CALM, CALM, CALM, costs=costs, volume=[1e-4] * 3)
    assert fills(book) == [fill(1, -100, 10.0)]


def test_without_a_volume_or_a_volatility_there_is_no_impact():
    costs = replace(SLIP, impact=1.0)
    book = run([order()], CALM, CALM, CALM, costs=costs, volume=[0.0] * 3)
    assert fills(book) == [fill(1, 10, 101.0)]
    book = run([order()], CALM, CALM, CALM, costs=costs, volatility=np.full((3, 1), np.nan))
    assert fills(book) == [fill(1, 10, 101.0)]


@pytest.mark.parametrize(
    ("asked", "fee"),
    [
        (order(), 10 * 100 * 0.002),  # takes liquidity
        (limit(120), 10 * 100 * 0.002),  # so does a limit that the open has passed
        (limit(95), 10 * 95 * 0.0005),  # makes it
        (stop(105), 10 * 105 * 0.002),
    ],
)
def test_takers_and_makers_pay_different_fees(asked, fee):
    costs = replace(FREE, fee=0.002, maker_fee=0.0005)
    book = run([asked], CALM, (100, 110, 90, 105), CALM, costs=costs)
    assert book.fills("s")["fee"].tolist() == pytest.approx([fee])
    assert book.equity[1] == pytest.approx(1e5 + 10 * (105 - book.fills("s")["price"][0]) - fee)


def test_a_take_profit_pays_the_fee_of_makers_and_a_stop_that_of_takers():
    costs = replace(FREE, fee=0.002, maker_fee=0.0005)
    asked = order(stop_loss=90, take_profit=120)
    taken = run([asked], CALM, CALM, (100, 125, 95, 110), costs=costs)
    assert taken.fills("s")["fee"].tolist() == pytest.approx([2.0, 10 * 120 * 0.0005])
    stopped = run([asked], CALM, CALM, (100, 101, 85, 95), costs=costs)
    assert stopped.fills("s")["fee"].tolist() == pytest.approx([2.0, 10 * 90 * 0.002])


def test_fees_per_share_and_their_minimum():
    """200 shares at half a cent are 1.00; 10 shares would be 0.05 and pay the minimum of 0.35."""
    costs = replace(FREE, fee_per_share=0.005, minimum_fee=0.35)
    big = run([order(quantity=200)], CALM, CALM, CALM, costs=costs)
    small = run([order()], CALM, CALM, CALM, costs=costs)
    assert big.fills("s")["fee"].tolist() == pytest.approx([1.00])
    assert small.fills("s")["fee"].tolist() == pytest.approx([0.35])


def test_an_order_that_turns_a_position_pays_the_minimum_once():
    """Long 10, 25 sold: closing 10 and opening 15 short is one order."""
    costs = replace(FREE, minimum_fee=2.0)
    orders = [order(), order(day=1, side="sell", quantity=25)]
    book = run(orders, CALM, CALM, CALM, costs=costs)
    assert book.fills("s")["quantity"].tolist() == [10, -25]
    assert book.fills("s")["fee"].tolist() == [2.0, 2.0]
    assert book.equity[-1] == pytest.approx(1e5 - 4)


def test_volume_caps_what_fills_and_the_rest_waits_or_lapses():
    """A tenth of 40, 30 and 1000: 4, then 3, then the last 3 of 10."""
    costs = replace(SLIP, participation=0.1)
    bars = (CALM, CALM, CALM, CALM)
    book = run([order(bars=5)], *bars, costs=costs, volume=[1e6, 40, 30, 1000])
    assert fills(book) == [fill(1, 4, 101), fill(2, 3, 101), fill(3, 3, 101)]
    assert book.lapsed("s").empty
    book = run([order()], *bars, costs=costs, volume=[1e6, 40, 30, 1000])
    assert fills(book) == [fill(1, 4, 101)]
    assert "participation" in book.fills("s")["reasons"][0]
    assert list(book.lapsed("s")["lapsed_at"]) == [book.timestamps[1]]


@pytest.mark.parametrize("volume", [0.0, np.nan])
def test_no_volume_no_fill(volume):
    costs = replace(SLIP, participation=0.1)
    book = run([order()], CALM, CALM, CALM, costs=costs, volume=[1e6, volume, 1e6])
    assert fills(book) == []
    assert len(book.lapsed("s")) == 1


def test_orders_that_money_does_not_cover_are_cut_by_one_share():
    """1,000 for orders of 600 and 1,000: both are cut to five eighths, 3.75 and 6.25."""
    panel = panel_of(np.full((3, 2), 100.0))
    orders = [order(quantity=6), order(quantity=10, symbol="BBB")]
    book = traded(panel, orders, FREE, capital=1000)
    assert book.quantity[1].tolist() == pytest.approx([3.75, 6.25])
    assert set(book.fills("s")["reasons"]) == {"buying_power"}
    whole = traded(panel, orders, replace(FREE, lot=1.0), capital=1000)
    assert whole.quantity[1].tolist() == [3, 6], "and then to whole lots"
    assert traded(panel, orders, replace(FREE, leverage=2), capital=1000).quantity[1, 0] == 6


def test_funding_is_paid_by_longs_and_earned_by_shorts():
    """25.2 % a year over 252 bars: 0.1 % of 1,000 is 1 a bar, two nights held."""
    costs = replace(FREE, funding=0.252)
    for side, sign in (("buy", -1), ("sell", 1)):
        book = run([order(side=side)], CALM, CALM, CALM, CALM, costs=costs)
        flows = book.cash_flows()
        assert flows["kind"].tolist() == ["funding", "funding"]
        assert flows["amount"].tolist() == pytest.approx([sign * 1.0] * 2)
        assert book.equity[-1] == pytest.approx(1e5 + sign * 2)


def test_borrow_is_paid_on_shorts_at_the_last_close():
    """25.2 % a year: 0.1 % of 10 × 100, then of 10 × 120."""
    costs = replace(FREE, borrow=0.252)
    bars = (CALM, CALM, (100, 120, 100, 120), (120, 120, 120, 120))
    book = run([order(side="sell")], *bars, costs=costs)
    assert book.cash_flows()["amount"].tolist() == pytest.approx([-1.0, -1.2])
    assert run([order()], *bars, costs=costs).cash_flows().empty


def test_a_dividend_is_earned_by_longs_and_owed_by_shorts():
    for side, sign in (("buy", 1), ("sell", -1)):
        book = run([order(side=side)], CALM, CALM, CALM, costs=FREE, dividend={(2, 0): 2.5})
        assert book.cash_flows()["amount"].tolist() == pytest.approx([sign * 25.0])


def test_a_split_changes_shares_orders_and_levels():
    """Two for one between order and fill: 20 at a limit of 47.5, the stop of 90 at 45."""
    bars = (CALM, (50, 51, 47, 50), (50, 50, 44, 46))
    book = run([limit(95, stop_loss=90)], *bars, costs=FREE, split={(1, 0): 2.0})
    assert fills(book) == [fill(1, 20, 47.5), fill(2, -20, 45.0, "stop_loss")]


def test_sales_at_the_same_open_pay_for_purchases():
    """All 1,000 are in AAA; selling it and buying BBB at one open needs no more."""
    panel = panel_of(np.full((4, 2), 100.0))
    swap = [order(day=1, side="sell"), order(day=1, symbol="BBB")]
    book = traded(panel, [order(), *swap], FREE, capital=1000)
    assert book.quantity[2].tolist() == [0, 10]


def test_cash_alone_never_goes_below_zero_but_for_a_minimum_fee():
    """A fee of 2 % and slippage of 1 %: 1,000 buy 1,000 / 103.02 shares."""
    book = run([order(quantity=50)], CALM, CALM, CALM, costs=replace(SLIP, fee=0.02), capital=1000)
    assert book.quantity[1, 0] == pytest.approx(1000 / (101 * 1.02))
    assert book.cash[1] == pytest.approx(0, abs=1e-9)


def test_an_order_whose_costs_are_more_than_the_money_is_cut_by_them():
    """10 at 100 are 1,000, but with 1 % slippage and a fee of 2 % of 101 each takes 103.02."""
    book = run([order()], CALM, CALM, CALM, costs=replace(SLIP, fee=0.02), capital=1000)
    assert book.quantity[1, 0] == pytest.approx(1000 / 103.02)
    assert book.cash[1] == pytest.approx(0, abs=1e-9)
