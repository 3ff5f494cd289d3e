"""Splits that do not divide: orders and positions stay whole, and fractions are paid in cash."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.evaluation.portfolio.earnings import earnings_of
from trading_pipeline_tests.core.trading.markets import FREE, panel_of
from trading_pipeline_tests.core.trading.orders import (
    CALM,
    fill,
    fills,
    limit,
    order,
    run,
    stop,
    traded,
)

WHOLE = replace(FREE, lot=1.0)


def flat(price):
    return (price, price, price, price)


@pytest.mark.parametrize(
    ("asked", "ratio", "filled"),
    [(25, 0.1, 2), (25, 1.5, 37), (30, 0.1, 3), (9, 0.01, 0), (10, 1.5, 15), (3, 1 / 3, 1)],
)
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_an_order_is_in_whole_lots_after_the_split_too(asked, ratio, filled, side):
    """Ordered before the split, filled after it: rounded towards zero on either side."""
    book = run(
        [order(quantity=asked, side=side)],
        CALM,
        flat(100 / ratio),
        flat(100 / ratio),
        costs=WHOLE,
        split={(1, 0): ratio},
    )
    sign = 1 if side == "buy" else -1
    assert book.quantity[-1, 0] == sign * filled
    assert fills(book) == ([fill(1, sign * filled, 100 / ratio)] if filled else [])
    assert list(book.lapsed("s")["symbol"]) == ([] if filled else ["AAA"])


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_closing_nine_through_one_for_a_hundred_is_cash_in_lieu(side):
    """0.09 of a share at the open of 9,900 are 891; nothing is left to sell, or to cover."""
    sign = 1 if side == "buy" else -1
    other = "sell" if side == "buy" else "buy"
    orders = [order(quantity=9, side=side), order(day=1, side=other, quantity=9)]
    bars = (CALM, CALM, flat(9900), flat(9900))
    book = run(orders, *bars, costs=replace(WHOLE, minimum_fee=1.0), split={(2, 0): 0.01})
    paid = fill(2, -sign * 0.09, 9900, "cash_in_lieu")
    assert fills(book) == [fill(1, sign * 9, 100), paid]
    assert book.fills("s")["fee"].tolist() == [1.0, 0.0]
    assert book.quantity[-1, 0] == 0
    assert book.equity[-1] == pytest.approx(1e5 - 1 + sign * (891 - 900))
    (trip,) = book.trades().itertuples()
    assert (trip.exit, trip.pnl) == ("cash_in_lieu", pytest.approx(sign * (891 - 900) - 1))


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_closing_after_an_odd_split_leaves_exactly_nothing(side):
    """25 become 37, half a share is paid; the order for all of it is 37."""
    other, sign = ("sell", 1) if side == "buy" else ("buy", -1)
    orders = [order(quantity=25, side=side), order(day=1, side=other, quantity=25)]
    for day, held in ((1, 0), (2, 37)):  # decided before the split, and after it
        orders[1] |= {"decided_at": order(day=day)["decided_at"], "quantity": (25, 37)[day - 1]}
        book = run(orders, CALM, CALM, flat(66), flat(66), costs=WHOLE, split={(2, 0): 1.5})
        assert book.quantity[2, 0] == sign * held
        assert book.quantity[-1, 0] == 0.0
        assert fill(2, -sign * 0.5, 66, "cash_in_lieu") in fills(book)
        assert book.equity[-1] == pytest.approx(1e5 + sign * (37.5 * 66 - 2500))


def test_a_flip_through_an_odd_split_has_money_for_both_sides():
    """25 become 37 and a half; 50 sold become 75: 37 close and 38 open, and all adds up."""
    orders = [order(quantity=25), order(day=1, side="sell", quantity=50)]
    book = run(orders, CALM, CALM, flat(66), flat(70), costs=WHOLE, split={(2, 0): 1.5})
    assert book.quantity[-1, 0] == -38
    earned = earnings_of(book)
    assert np.abs(earned.unexplained).max() < 1e-9
    long, short = earned.money.sum(axis=(0, 2, 3))
    assert long == pytest.approx(37.5 * 66 - 2500)
    assert short == pytest.approx(-38 * 4)
    (trip,) = book.trades().itertuples()
    assert (trip.exit, trip.pnl) == ("order", pytest.approx(37 * 66 + 0.5 * 66 - 2500))


@pytest.mark.parametrize("asked", [stop(90, bars=9), limit(95, bars=9)])
def test_what_rests_is_rounded_as_well(asked):
    """25 to buy become 37 at two thirds of the level."""
    price = asked["stop_price"] if asked["type"] == "stop" else asked["limit_price"]
    bars = (CALM, flat(66), (66, 68, 50, 60), flat(60))
    if asked["type"] == "stop":  # a stop to buy lies above the market
        asked, price = asked | {"stop_price": 102.0}, 102.0
    asked = asked | {"quantity": 25}
    book = run([asked], *bars, costs=WHOLE, split={(1, 0): 1.5})
    assert [row[2] for row in fills(book)] == [37]
    assert fills(book)[0][3] == pytest.approx(price / 1.5)


def test_a_stop_after_an_odd_split_sells_whole_shares():
    asked = order(quantity=25, stop_loss=90)
    book = run([asked], CALM, CALM, flat(66), flat(50), costs=WHOLE, split={(2, 0): 1.5})
    expected = [fill(2, -0.5, 66, "cash_in_lieu"), fill(3, -37, 50, "stop_loss")]
    assert fills(book)[1:] == expected
    both = run([asked], CALM, CALM, (66, 66, 50, 60), flat(50), costs=WHOLE, split={(2, 0): 1.5})
    expected = [fill(2, -37, 60, "stop_loss"), fill(2, -0.5, 66, "cash_in_lieu")]
    assert fills(both)[1:] == expected, "on one day, each at its own price"


def test_the_fraction_gets_the_dividend_of_its_day():
    """37.5 × 2, and half a share at the open."""
    book = run(
        [order(quantity=25)],
        CALM,
        CALM,
        flat(64),
        costs=WHOLE,
        split={(2, 0): 1.5},
        dividend={(2, 0): 2.0},
    )
    assert book.cash_flows()["amount"].tolist() == [75.0]
    assert book.quantity[-1, 0] == 37
    assert book.equity[-1] == pytest.approx(1e5 - 2500 + 37.5 * 66)


@pytest.mark.parametrize(
    ("lot", "held"),
    [(0.0, 37.53), (0.1, 37.5), (1.0, 37), (10.0, 37)],
)
def test_what_may_be_held_after_a_split(lot, held):
    """Any fraction, tenths, whole shares; and an odd lot of whole shares is held, not paid."""
    first = 25.02 if lot == 0 else 25.0
    panel = panel_of([100.0, 100, 66, 66, 66], split={(2, 0): 1.5})
    orders = [order(quantity=first)]
    book = traded(panel, orders, replace(FREE, lot=lot))
    if lot == 10:  # 20 become 30, and 30 become 45
        assert book.quantity[-1, 0] == 30
        twice = panel_of([100.0, 100, 66, 44, 44, 44], split={(2, 0): 1.5, (3, 0): 1.5})
        orders.append(order(day=4, side="sell", quantity=45))
        book = traded(twice, orders, replace(FREE, lot=lot))
        assert book.quantity[:, 0].tolist() == [0, 20, 30, 45, 45, 0]
    else:
        assert book.quantity[-1, 0] == pytest.approx(held)
    assert "cash_in_lieu" in set(book.fills("s")["kind"]) or lot != 1.0


def test_a_closing_order_of_an_odd_lot_closes_it_through_a_split():
    """30 in lots of ten become 45, all to be sold: none of it stays behind."""
    panel = panel_of([100.0, 100, 66, 66], split={(2, 0): 1.5})
    orders = [order(quantity=30), order(day=1, side="sell", quantity=30)]
    book = traded(panel, orders, replace(FREE, lot=10.0))
    assert book.quantity[-1, 0] == 0


def test_thirty_through_one_for_ten_are_three_and_no_dust():
    """30 × 0.1 is 3.0000000000000004 in floating point."""
    book = run([order(quantity=30)], CALM, CALM, flat(1000), costs=WHOLE, split={(2, 0): 0.1})
    assert book.quantity[-1, 0] == 3.0
    assert [row[1] for row in fills(book)] == ["order"]
