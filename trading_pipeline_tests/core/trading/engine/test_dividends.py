"""Levels compare total return, whatever a dividend is: golden numbers for every kind and side.

Price plus dividends since entry is what a position is worth a share. A level is reached when that
is, so it lies a dividend lower in the price; where that is below zero, no price reaches it.
"""

from dataclasses import replace
from math import exp

import pytest

from trading_pipeline_tests.core.trading.markets import FREE
from trading_pipeline_tests.core.trading.orders import (
    BARE,
    CALM,
    fill,
    fills,
    limit,
    order,
    run,
    stop,
)

# × 4 %: 10 % below, 20 % above
GUARDED = replace(BARE, stop_loss=2.5, take_profit=5.0)
TRAILED = replace(BARE, trailing_stop=2.5)
BRACKET = {"stop_loss": 90.0, "take_profit": 122.0}
SHORT_BRACKET = {"side": "sell", "stop_loss": 110.0, "take_profit": 82.0}


def flat(price):
    return (price, price, price, price)


def held(*bars, side="buy", profile=GUARDED, dividend=None, split=None, terms=None):
    """Ten at 100, free of cost, held from bar 1 on."""
    asked = order(side=side) | (terms or {})
    kinds = {"costs": FREE, "profile": profile, "dividend": dividend, "split": split}
    book = run([asked], CALM, CALM, *bars, **kinds)
    return fills(book)[1:]


KINDS = [
    ("buy", GUARDED, None),
    ("sell", GUARDED, None),
    ("buy", TRAILED, None),
    ("sell", TRAILED, None),
    ("buy", None, BRACKET),
    ("sell", None, SHORT_BRACKET),
]


@pytest.mark.parametrize(("side", "profile", "terms"), KINDS)
def test_a_return_of_capital_trips_nothing(side, profile, terms):
    """97 of 100 are paid and 1.70 is left: a total return of -1.3 %."""
    after = (1.7, 2.5, 1.0, 1.7)  # -0.5 % to -2 %
    kinds = {"side": side, "profile": profile, "terms": terms}
    assert held(after, after, dividend={(2, 0): 97.0}, **kinds) == []
    if side == "buy":
        assert held(after, after, **kinds), "without the dividend it is a loss"


@pytest.mark.parametrize(
    ("side", "bar", "kind", "level"),
    [
        ("buy", (60, 61, 50, 55), "stop_loss", 100 * exp(-0.1) - 40),  # 50.48
        ("buy", (60, 83, 59, 80), "take_profit", 100 * exp(0.2) - 40),  # 82.14
        ("sell", (60, 71, 59, 65), "stop_loss", 100 * exp(0.1) - 40),  # 70.52
        ("sell", (60, 61, 41, 45), "take_profit", 100 * exp(-0.2) - 40),  # 41.87
    ],
)
@pytest.mark.parametrize("parts", [(40.0,), (15.0, 25.0)])
def test_a_level_lies_lower_by_what_was_paid(side, bar, kind, level, parts):
    """In one dividend or in two; a price a thousandth short of the level does nothing."""
    sign = 1 if side == "buy" else -1
    paid = {(2 + i, 0): cash for i, cash in enumerate(parts)}
    before = [flat(100 - parts[0])] + [flat(60)] * (len(parts) - 1)
    got = held(*before, bar, side=side, dividend=paid)
    assert got == [fill(2 + len(before), -sign * 10, level, kind)]
    near = level + 1e-3 if level < 60 else level - 1e-3
    short = (60, max(near, 60), min(near, 60), 60)
    assert held(*before, short, side=side, dividend=paid) == []


def test_a_trailing_stop_keeps_its_distance_from_the_best_total_return():
    """The best was 130; 40 are paid; 10 % of 130 and not of 90 below it: 77.63."""
    up, down = (120, 130, 118, 130), (90, 91, 77, 80)
    paid = {(3, 0): 40.0}
    level = 130 * exp(-0.1) - 40
    expected = [fill(4, -10, level, "trailing_stop")]
    assert held(up, flat(90), down, profile=TRAILED, dividend=paid) == expected
    higher = (90, 100, 89, 99)  # 140 with the dividend
    level = 140 * exp(-0.1) - 40
    got = held(up, higher, (99, 99, 86, 90), profile=TRAILED, dividend=paid)
    assert got == [fill(4, -10, level, "trailing_stop")]
    lower, back = (50, 50, 40, 41), (41, 49, 40, 45)  # a short's best: 80 with the dividend
    level = 80 * exp(0.1) - 40
    got = held(lower, back, profile=TRAILED, side="sell", dividend={(2, 0): 40.0})
    assert got == [fill(3, 10, level, "trailing_stop")]


def test_a_split_and_a_dividend_of_one_day():
    """Two for one, then 30 on each new share: 50 × e^-0.1 - 30 = 15.24, and a bracket's 15."""
    night = {"split": {(2, 0): 2.0}, "dividend": {(2, 0): 30.0}}
    level = 50 * exp(-0.1) - 30
    assert held(flat(20), (20, 20, 15, 16), **night) == [fill(3, -20, level, "stop_loss")]
    got = held(flat(20), (20, 20, 14, 16), profile=None, terms=BRACKET, **night)
    assert got == [fill(3, -20, 15.0, "stop_loss")]
    level = 50 * exp(0.2) - 30
    assert held(flat(20), (20, 32, 19, 30), **night) == [fill(3, -20, level, "take_profit")]


def test_a_split_after_a_dividend_divides_what_was_paid():
    """40 paid, then two for one: (100 × e^-0.1 - 40) / 2 = 25.24."""
    got = held(flat(60), (30, 30, 25, 26), dividend={(2, 0): 40.0}, split={(3, 0): 2.0})
    assert got == [fill(3, -20, (100 * exp(-0.1) - 40) / 2, "stop_loss")]


def test_a_dividend_above_the_price_decides_by_itself():
    """130 on 100 that leave 5: 35 % earned by a long, and lost by a short."""
    paid = {"dividend": {(2, 0): 130.0}}
    assert held(flat(5), **paid) == [fill(2, -10, 5, "take_profit")]
    assert held(flat(5), side="sell", **paid) == [fill(2, 10, 5, "stop_loss")]
    assert held(flat(5), profile=None, terms=BRACKET, **paid) == [fill(2, -10, 5, "take_profit")]
    got = held(flat(5), side="sell", profile=None, terms=SHORT_BRACKET, **paid)
    assert got == [fill(2, 10, 5, "stop_loss")]
    assert held(flat(5), side="sell", profile=TRAILED, **paid) == [fill(2, 10, 5, "trailing_stop")]
    assert held(flat(5), profile=TRAILED, **paid) == []


def test_what_is_bought_after_a_dividend_did_not_get_it():
    """Ten at 100 got 40 each, ten more at 60 nothing: on average 80 paid and 20 received."""
    orders = [order(), order(day=2)]
    bars = (CALM, CALM, flat(60), flat(60), (60, 60, 51, 55))
    book = run(orders, *bars, costs=FREE, profile=GUARDED, dividend={(2, 0): 40.0})
    assert fills(book)[2] == fill(4, -20, 80 * exp(-0.1) - 20, "stop_loss")
    book = run(orders, *bars, costs=FREE, profile=TRAILED, dividend={(2, 0): 40.0})
    assert fills(book)[2] == fill(4, -20, 80 * exp(-0.1) - 20, "trailing_stop")


def test_the_next_position_knows_of_no_dividend():
    """Sold at 60 after 40 were paid, bought again at 60: the stop is 10 % below that."""
    orders = [order(), order(day=2, side="sell"), order(day=3)]
    bars = (CALM, CALM, flat(60), flat(60), flat(60), (60, 60, 54, 55))
    book = run(orders, *bars, costs=FREE, profile=GUARDED, dividend={(2, 0): 40.0})
    assert fills(book)[-1] == fill(5, -10, 60 * exp(-0.1), "stop_loss")


@pytest.mark.parametrize(
    ("asked", "bar", "price"),
    [
        (stop(90, side="sell", bars=9), (60, 60, 49, 55), 50.0),
        (limit(95, bars=9), (60, 60, 54, 58), 55.0),
        (stop(105, bars=9), (60, 106, 60, 100), 105.0),
        (limit(105, side="sell", bars=9), (60, 106, 60, 100), 105.0),
    ],
)
def test_orders_that_a_fall_would_fill_are_lowered(asked, bar, price):
    """FINRA rule 5330: bids and stops to sell by the dividend, offers and stops to buy not."""
    book = run([asked], CALM, flat(60), bar, costs=FREE, dividend={(1, 0): 40.0})
    sign = 1 if asked["side"] == "buy" else -1
    assert fills(book) == [fill(2, sign * 10, price)]


@pytest.mark.parametrize("asked", [order(**BRACKET), limit(100, **BRACKET)])
def test_a_bracket_that_waits_is_lowered_with_its_order(asked):
    """Ordered before the ex-date at 100, filled on it at 60: the levels are 50 and 82."""
    paid = {"costs": FREE, "dividend": {(1, 0): 40.0}}
    book = run([asked], CALM, flat(60), (60, 61, 49, 55), **paid)
    assert fills(book) == [fill(1, 10, 60), fill(2, -10, 50, "stop_loss")]
    book = run([asked], CALM, flat(60), (60, 83, 59, 80), **paid)
    assert fills(book) == [fill(1, 10, 60), fill(2, -10, 82, "take_profit")]
    offer = limit(105, side="sell", bars=9, stop_loss=110)
    bars = (CALM, flat(60), (60, 106, 60, 100), flat(109), (109, 111, 108, 110))
    later = run([offer], *bars, **paid)
    assert fills(later)[1:] == [fill(4, 10, 110, "stop_loss")], "an offer keeps its own"
