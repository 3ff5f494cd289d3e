"""Orders in bad times: losses, ruin, halts, delistings, and what an account may not do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline_tests.core.trading.markets import FREE, panel_of, simulated_orders
from trading_pipeline_tests.core.trading.orders import (
    BARE,
    CALM,
    fill,
    fills,
    order,
    run,
    traded,
)


def halted(kind, delisted_after):
    """AAA is held at 100 when its bars end after row 1; BBB goes on."""
    close = np.full((6, 2), 100.0)
    close[2:, 0] = np.nan
    costs = replace(FREE, delisted_after=delisted_after, delisting_loss=0.3)
    return traded(panel_of(close), [order(side=kind)], costs)


@pytest.mark.parametrize(("side", "price", "equity"), [("buy", 70, 99_700), ("sell", 100, 1e5)])
def test_a_delisted_long_loses_a_share_and_a_short_gains_nothing(side, price, equity):
    """Last seen on day 1, gone for three days on day 4: 10 × 100 × 30 % is lost."""
    book = halted(side, 3)
    quantity = 10 if side == "buy" else -10
    assert fills(book) == [fill(1, quantity, 100), fill(4, -quantity, price, "delisted")]
    assert book.equity.tolist() == pytest.approx([1e5] * 4 + [equity] * 2)
    assert fills(halted(side, 30)) == [fill(1, quantity, 100)], "a halt is no end"


def test_nothing_trades_in_a_halt_and_orders_wait_if_they_are_good():
    close = np.full((6, 2), 100.0)
    close[2:4, 0] = np.nan
    panel = panel_of(close)
    asked = order(day=1, bars=3, stop_loss=50)
    book = traded(panel, [asked], FREE)
    assert fills(book) == [fill(4, 10, 100)]
    assert fills(traded(panel, [asked | {"bars": 2}], FREE)) == []
    refused = traded(panel, [asked | {"decided_at": panel.timestamps[2]}], FREE)
    assert refused.vetoes()["rule"].tolist() == ["no_bar"]


def test_a_short_squeezed_into_ruin_is_closed_and_nothing_is_bought_again():
    """1,000 short at 100 with 100,000; at 310 equity is 200,000 - 310,000 = -110,000."""
    high = (310, 310, 310, 310)
    orders = [order(side="sell", quantity=1000), *(order(day=day) for day in range(2, 6))]
    book = run(orders, CALM, CALM, high, high, CALM, CALM, CALM, costs=replace(FREE, debit=0.252))
    assert book.equity[2] == pytest.approx(-110_000)
    assert (book.quantity[3:] == 0).all()
    assert (book.equity[3:] == book.equity[3]).all(), "a closed account's debt does not grow"
    assert "bankrupt" in set(book.vetoes()["rule"])


def test_a_gap_with_leverage_ends_below_zero_and_is_charged_until_it_is_closed():
    """3,000 held with 100,000: a gap to 50 leaves 150,000 - 200,000."""
    low = (50, 50, 50, 50)
    book = run([order(quantity=3000)], CALM, CALM, low, low, low, costs=replace(FREE, leverage=4))
    assert book.equity.tolist() == pytest.approx([1e5, 1e5, -5e4, -5e4, -5e4])
    assert book.quantity[:, 0].tolist() == [0, 3000, 3000, 0, 0]


DRAWN = replace(BARE, halve=0.05, flat=0.05)


def test_a_drawdown_closes_everything_and_refuses_what_comes():
    """900 held with 100,000: 900 × (94 - 101) is 6.3 % down, beyond 5 %. All is sold at 94."""
    fall = (94, 94, 94, 94)
    orders = [order(quantity=900), order(day=2), order(day=3)]
    book = run(orders, CALM, CALM, fall, fall, fall, fall, profile=DRAWN)
    assert fills(book) == [fill(1, 900, 101.0), fill(3, -900, 94 * 0.99)]
    assert "drawdown_flat" in set(book.vetoes()["rule"])


def test_a_loss_limit_refuses_what_rises_and_serves_what_falls():
    """A daily loss of 3 % beyond 2 %: that close may sell, and may not buy."""
    profile = replace(BARE, daily_loss=0.02)
    fall = (97, 97, 97, 97)
    for side, count in (("buy", 1), ("sell", 2)):
        orders = [order(quantity=500), order(day=2, side=side)]
        book = run(orders, CALM, CALM, fall, fall, costs=FREE, profile=profile, capital=5e4)
        assert len(fills(book)) == count
        assert ("daily_loss" in set(book.vetoes()["rule"])) == (side == "buy")


def test_an_order_that_a_closed_book_refuses_leaves_a_veto():
    fall = (94, 94, 94, 94)
    orders = [order(quantity=900), order(day=3)]
    book = run(orders, CALM, CALM, fall, fall, fall, fall, costs=FREE, profile=DRAWN)
    assert book.timestamps[3] in set(book.vetoes()["decided_at"])


def test_closing_a_book_has_the_impact_of_the_volatility_known_then():
    """σ is 4 % when 900 are bought and 8 % when they are sold: 0.08 × √(900 / 10,000) = 2.4 %."""
    fall = (94, 94, 94, 94)
    sigma = np.array([[0.04], [0.04], [0.08], [0.08]])
    costs = replace(FREE, impact=1.0)
    book = run(
        [order(quantity=900)], CALM, CALM, fall, fall, costs=costs, profile=DRAWN,
        volatility=sigma, volume=[10_000] * 4,
    )  # fmt: skip
    assert fills(book)[1][3] == pytest.approx(94 * (1 - 0.08 * 0.3))


def test_an_order_to_go_short_where_none_may_leaves_a_veto():
    panel = panel_of(np.full((3, 1), 100.0))
    book = simulated_orders(
        panel, pd.DataFrame([order(side="sell")]), start=0, stop=3, capital=1e5, costs=FREE,
        bars_per_year=252, shortable=False,
    )  # fmt: skip
    assert len(book.vetoes()) == 1


def test_a_sale_that_may_not_go_short_ends_at_nothing():
    panel = panel_of(np.full((4, 1), 100.0))
    orders = [order(), order(day=1, side="sell", quantity=25)]
    book = simulated_orders(
        panel, pd.DataFrame(orders), start=0, stop=4, capital=1e5, costs=FREE,
        bars_per_year=252, shortable=False,
    )  # fmt: skip
    assert book.quantity[:, 0].tolist() == [0, 10, 0, 0]
    assert book.orders("s")["reasons"].tolist() == ["", "long_only"]
