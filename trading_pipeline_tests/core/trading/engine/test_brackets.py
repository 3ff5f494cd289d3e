"""Brackets and trailing stops worked by hand: what closes a position, where, and how much."""

from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest

from trading_pipeline_tests.core.trading.markets import FREE, panel_of
from trading_pipeline_tests.core.trading.orders import (
    BARE,
    CALM,
    fill,
    fills,
    limit,
    order,
    run,
    stop,
    traded,
)


def test_a_bracket_guards_what_its_order_opens():
    """Bought at 101; the stop at 90 fills at 90 × 0.99, the take-profit at 120 without slippage."""
    asked = order(stop_loss=90, take_profit=120)
    book = run([asked], CALM, CALM, (100, 101, 85, 95))
    assert fills(book) == [fill(1, 10, 101.0), fill(2, -10, 89.1, "stop_loss")]
    assert book.equity[-1] == pytest.approx(1e5 + 10 * (89.1 - 101))
    book = run([asked], CALM, CALM, (100, 125, 95, 110))
    assert fills(book)[1] == fill(2, -10, 120.0, "take_profit")
    both = run([asked], CALM, CALM, (100, 125, 85, 110))
    assert fills(both)[1] == fill(2, -10, 89.1, "stop_loss"), "the stop comes first"
    gap = run([asked], CALM, CALM, (80, 125, 75, 110))
    assert fills(gap)[1] == fill(2, -10, 79.2, "stop_loss"), "80 × 0.99: gapped through"


def test_a_bracket_of_a_short_is_the_mirror():
    asked = order(side="sell", stop_loss=110, take_profit=85)
    book = run([asked], CALM, CALM, (100, 112, 95, 105))
    assert fills(book)[1] == fill(2, 10, 110 * 1.01, "stop_loss")
    book = run([asked], CALM, CALM, (100, 104, 80, 95))
    assert fills(book)[1] == fill(2, 10, 85.0, "take_profit")


def test_a_limit_order_within_the_bar_may_be_stopped_but_takes_no_profit_in_it():
    """Bought at 95 on the way down; the high of 125 may have been before."""
    book = run([limit(95, take_profit=120)], CALM, (100, 125, 94, 110), CALM)
    assert fills(book) == [fill(1, 10, 95.0)]
    book = run([limit(95, stop_loss=92)], CALM, (100, 125, 90, 110), CALM)
    assert fills(book) == [fill(1, 10, 95.0), fill(1, -10, 92 * 0.99, "stop_loss")]


def test_what_a_limit_order_adds_brings_no_profit_in_the_same_bar():
    """10 at 101, then 10 at 90 within the bar: the average falls to 95.5, and with it the
    take-profit at 95.5 × e^0.1 = 105.54. The bar's 108 may have been before the second purchase.
    """
    profile = replace(BARE, take_profit=2.5)  # × 4 %
    orders = [order(), limit(90, day=1)]
    book = run(orders, CALM, CALM, (100, 108, 89, 100), (104, 109, 104, 108), profile=profile)
    assert fills(book)[:2] == [fill(1, 10, 101.0), fill(2, 10, 90.0)]
    assert fills(book)[2] == fill(3, -20, 95.5 * exp(0.1), "take_profit")


def test_a_stop_order_within_the_bar_may_take_profit_in_it():
    """Bought at 105 on the way up: what is above comes after."""
    book = run([stop(105, take_profit=120)], CALM, (100, 125, 99, 110), CALM)
    assert fills(book) == [fill(1, 10, 105 * 1.01), fill(1, -10, 120.0, "take_profit")]


@pytest.mark.parametrize(
    ("asked", "price"),
    [
        (order(stop_loss=150), 100 * 0.99),  # a long whose stop is above the market
        (order(side="sell", stop_loss=50), 100 * 1.01),
        (order(take_profit=50), 100.0),
        (order(side="sell", take_profit=150), 100.0),
        (limit(95, stop_loss=150), 95 * 0.99),
        (stop(105, take_profit=50), 105.0),
    ],
)
def test_a_bracket_on_the_wrong_side_closes_where_the_market_stands(asked, price):
    """Nobody pays 150 for what trades at 100."""
    book = run([asked], CALM, (100, 110, 90, 105), CALM)
    assert len(fills(book)) == 2
    assert fills(book)[1][0] == 1
    assert fills(book)[1][3] == pytest.approx(price)
    assert book.equity[-1] <= 1e5


def test_a_stop_closer_than_the_slippage_earns_nothing():
    """Bought at 100 × 1.01; the stop at 101 × e^-0.004 = 100.6 was never quoted."""
    profile = replace(BARE, stop_loss=0.1)
    book = run([order()], CALM, CALM, CALM, profile=profile)
    assert fills(book) == [fill(1, 10, 101.0), fill(1, -10, 99.0, "stop_loss")]


def test_a_trailing_stop_follows_the_best_price_and_never_loosens():
    """1 × 4 % below the best: 101, then 130 of bar 2, not the 125 of bar 3."""
    profile = replace(BARE, trailing_stop=1.0)
    up, down = (120, 130, 110, 128), (126, 126.5, 124, 125)
    book = run([order()], CALM, CALM, up, down, profile=profile)
    level = 130 * exp(-0.04)  # 124.90
    assert fills(book) == [fill(1, 10, 101.0), fill(3, -10, level * 0.99, "trailing_stop")]
    short = [order(side="sell")]
    book = run(short, CALM, CALM, (90, 95, 80, 82), (82, 84, 81, 83), profile=profile)
    assert fills(book)[1] == fill(3, 10, 80 * exp(0.04) * 1.01, "trailing_stop")


def test_a_trailing_stop_does_not_know_the_high_before_its_entry():
    """Bought at 95 within the bar that had 125 before: the close of 97 is the best known."""
    profile = replace(BARE, trailing_stop=1.0)
    book = run([limit(95)], CALM, (100, 125, 94.5, 97), (96, 96, 95, 95.5), profile=profile)
    assert fills(book) == [fill(1, 10, 95.0)], "97 × e^-0.04 = 93.2 is below"
    book = run([limit(95)], CALM, (100, 125, 94.5, 97), (96, 96, 93, 95.5), profile=profile)
    assert fills(book)[1] == fill(2, -10, 97 * exp(-0.04) * 0.99, "trailing_stop")


def test_impact_of_a_stop_is_measured_in_the_volatility_at_entry():
    costs = replace(FREE, impact=1.0)
    sigma = np.array([[0.04], [0.5], [0.5]])
    asked = order(quantity=100, stop_loss=90)
    book = run(
        [asked], CALM, CALM, (95, 95, 85, 90), costs=costs, volume=[10_000] * 3, volatility=sigma
    )
    assert fills(book)[1] == fill(2, -100, 90 * (1 - 0.04 * 0.1), "stop_loss")


def test_all_fills_of_a_bar_share_its_volume():
    """A tenth of 120 is 12: ten bought at the open leave two for the stop; the rest goes next."""
    costs = replace(FREE, participation=0.1)
    bars = (CALM, (100, 101, 85, 88), (87, 99, 86, 95), CALM)
    asked = order(stop_loss=90)
    book = run([asked], *bars, costs=costs, volume=[1e6, 120, 50, 1e6])
    assert fills(book) == [
        fill(1, 10, 100.0),
        fill(1, -2, 90.0, "stop_loss"),
        fill(2, -5, 87.0, "stop_loss"),  # the open, though it is no longer the level
        fill(3, -3, 100.0, "stop_loss"),  # and though the price is back above it
    ]


def test_a_take_profit_short_of_volume_stays_at_its_price():
    costs = replace(FREE, participation=0.1)
    bars = (CALM, CALM, (100, 125, 95, 110), (110, 115, 105, 110), (110, 121, 109, 112))
    book = run([order(take_profit=120)], *bars, costs=costs, volume=[1e6, 1e6, 40, 1e6, 1e6])
    assert fills(book)[1:] == [fill(2, -4, 120, "take_profit"), fill(4, -6, 120, "take_profit")]


def test_a_fill_keeps_its_name_when_the_volume_is_gone():
    """Four taken at the open exhaust the volume; the stop that the bar also touches gets none."""
    costs = replace(FREE, participation=0.1)
    asked = order(stop_loss=90, take_profit=120)
    bars = (CALM, CALM, (121, 122, 80, 85), CALM)
    book = run([asked], *bars, costs=costs, volume=[1e6, 1e6, 40, 1e6])
    assert fills(book)[1:] == [fill(2, -4, 121, "take_profit"), fill(3, -6, 100, "stop_loss")]
    assert book.fills("s")["reasons"][1] == "participation|take_profit"


def test_a_stop_waits_out_a_halt_and_fills_at_the_open_after_it():
    close = np.full((6, 2), 100.0)
    close[2:4, 0], close[4:, 0] = np.nan, 60.0
    book = traded(panel_of(close), [order(stop_loss=90)], FREE)
    assert fills(book)[1] == fill(4, -10, 60, "stop_loss")


def test_a_position_that_lives_on_pays_no_tribute_to_an_order_that_lapsed():
    """An order cancelled by a stop of the same bar does not come back."""
    profile = replace(BARE, stop_loss=2.5)  # 10 % below 101
    bars = (CALM, CALM, (80, 81, 79, 80), (80, 81, 79, 80))
    book = run([order(), limit(60, day=1, bars=9)], *bars, profile=profile)
    assert fills(book) == [fill(1, 10, 101), fill(2, -10, 80 * 0.99, "stop_loss")]
    assert list(book.lapsed("s")["lapsed_at"]) == [book.timestamps[2]]


def test_the_horizon_scales_the_barriers_of_a_profile():
    """1 × 4 % × √9 = 12 %: 101 × e^-0.12 = 89.6."""
    profile = replace(BARE, stop_loss=1.0)
    panel = panel_of([100.0, 100, 92, 89], open_=[100.0, 100, 100, 92])
    book = traded(panel, [order()], profile=profile, horizon=9)
    assert fills(book)[1] == fill(3, -10, 101 * exp(-0.04 * sqrt(9)) * 0.99, "stop_loss")


def test_a_dividend_lowers_the_levels_of_a_bracket_as_it_lowers_the_price():
    """40 paid on 100: the stop of 90 lies at 50, the take-profit of 120 at 80."""
    asked = order(stop_loss=90, take_profit=120)
    paid = {"costs": FREE, "dividend": {(2, 0): 40.0}}
    book = run([asked], CALM, CALM, (60, 61, 51, 60), (60, 61, 49, 60), **paid)
    assert fills(book)[1] == fill(3, -10, 50.0, "stop_loss")
    book = run([asked], CALM, CALM, (60, 79, 51, 60), (60, 81, 51, 60), **paid)
    assert fills(book)[1] == fill(3, -10, 80.0, "take_profit")


def test_a_split_of_the_night_halves_both_levels_of_a_waiting_bracket():
    bars = (CALM, (50, 51, 49, 50), (50, 61, 49, 50))
    asked = order(stop_loss=90, take_profit=120)
    book = run([asked], *bars, costs=FREE, split={(1, 0): 2.0})
    assert fills(book) == [fill(1, 20, 50.0), fill(2, -20, 60.0, "take_profit")]


def test_a_trailing_stop_follows_the_high_of_a_bar_in_which_a_limit_order_added():
    """The first ten were held all along, so the bar's high of 120 counts: 120 × e^-0.04."""
    profile = replace(BARE, trailing_stop=1.0)
    bars = (CALM, CALM, (100, 120, 98, 118), (118, 118, 114, 115))
    orders = [order(), limit(98.5, day=1)]
    book = run(orders, *bars, profile=profile)
    assert fills(book)[1] == fill(2, 10, 98.5)
    assert fills(book)[2] == fill(3, -20, 120 * exp(-0.04) * 0.99, "trailing_stop")
