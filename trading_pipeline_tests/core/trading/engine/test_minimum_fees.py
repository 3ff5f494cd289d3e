"""The minimum fee is one order's, however many bars it takes: golden numbers and a law."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline_tests.core.trading.bar_by_bar import walk
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    new_trader,
    panel_of,
    rough_panel,
    simulated_orders,
)
from trading_pipeline_tests.core.trading.orders import (
    BARE,
    CALM,
    limit,
    order,
    random_orders,
    run,
    traded,
)
from trading_pipeline_tests.strategies import COSTS

THIN = replace(FREE, participation=0.1, minimum_fee=1.0)


def fees(book):
    return book.fills("s")["fee"].tolist()


def test_an_order_over_ten_bars_pays_its_minimum_once():
    """One unit a bar; the first pays 1.00 and the nine that follow nothing."""
    book = run([order(bars=10)], *[CALM] * 11, costs=THIN, volume=[1e6] + [10] * 10)
    assert fees(book) == [1.0] + [0.0] * 9
    assert book.equity[-1] == 1e5 - 1


def test_what_is_above_the_minimum_is_paid_as_it_comes():
    """Three of 100 at 10 bp are 0.30 a bar: 1.00, and from 1.20 on what exceeds it."""
    costs = replace(THIN, fee=0.001)
    book = run([order(bars=10, quantity=30)], *[CALM] * 11, costs=costs, volume=[1e6] + [30] * 10)
    assert fees(book) == pytest.approx([1.0, 0, 0, 0.2] + [0.3] * 6)
    assert sum(fees(book)) == pytest.approx(3.0)


def test_a_limit_order_that_takes_and_then_makes_has_one_minimum():
    """Four at the open of 94 as a taker (0.376), four at 95 as a maker (0.19): the minimum."""
    costs = replace(THIN, fee=0.001, maker_fee=0.0005)
    bars = (CALM, (94, 96, 94, 96), (97, 98, 94, 96))
    book = run([limit(95, bars=5, quantity=8)], *bars, costs=costs, volume=[1e6, 40, 40])
    assert fees(book) == [1.0, 0.0]
    dear = run(
        [limit(95, bars=5, quantity=8)],
        *bars,
        costs=replace(costs, minimum_fee=0.5),
        volume=[1e6, 40, 40],
    )
    assert fees(dear) == pytest.approx([0.5, 4 * 94 * 0.001 + 4 * 95 * 0.0005 - 0.5])


def test_an_order_that_turns_a_position_over_bars_pays_once():
    """Ten sold that closed, then ten that opened a short, five a bar."""
    orders = [order(), order(day=1, side="sell", quantity=20, bars=9)]
    book = run(orders, *[CALM] * 6, costs=THIN, volume=[1e6, 1e6] + [50] * 4)
    assert book.quantity[-1, 0] == -10
    assert fees(book) == [1.0, 1.0, 0, 0, 0]


@pytest.mark.parametrize("asked", [order(stop_loss=90), order()])
def test_a_stop_over_several_bars_pays_its_minimum_once(asked):
    """Of a bracket, and of the profile (2.5 × 4 % below 100)."""
    profile = None if np.isfinite(asked["stop_loss"]) else replace(BARE, stop_loss=2.5)
    bars = (CALM, CALM, (80, 80, 80, 80), (80, 80, 80, 80), (80, 80, 80, 80))
    volume = [1e6, 1e6, 40, 40, 1e6]
    book = run([asked], *bars, costs=THIN, volume=volume, profile=profile)
    assert book.quantity[:, 0].tolist() == [0, 10, 6, 2, 0]
    assert fees(book) == [1.0, 1.0, 0, 0]


def test_take_profit_and_stop_are_two_orders():
    """Four and three taken at 120 pay one minimum; the last three, stopped, another."""
    bars = (CALM, CALM, (110, 121, 105, 110), (110, 121, 105, 110), (80, 81, 79, 80), CALM, CALM)
    volume = [1e6, 1e6, 40, 30, 20, 1e6, 1e6]
    asked = [order(stop_loss=90, take_profit=120)]
    book = run(asked, *bars, costs=THIN, volume=volume)
    assert book.fills("s")["kind"].tolist() == ["order", *["take_profit"] * 2, *["stop_loss"] * 2]
    assert fees(book) == [1.0, 1.0, 0, 1.0, 0]


def test_the_next_position_has_exits_of_its_own():
    bars = (CALM, CALM, (80, 80, 80, 80), CALM, (80, 80, 80, 80))
    again = [order(stop_loss=90), order(day=2, stop_loss=90)]
    assert fees(run(again, *bars, costs=THIN)) == [1.0] * 4


def test_a_new_decision_is_a_new_order():
    """What replaces an order that is half done pays for itself, as a new ticket does."""
    orders = [order(bars=9), order(day=2, quantity=6, bars=9)]
    book = run(orders, *[CALM] * 6, costs=THIN, volume=[1e6, 20, 20, 30, 30, 30])
    assert book.fills("s")["quantity"].tolist() == [2, 2, 3, 3]
    assert fees(book) == [1.0, 0, 1.0, 0]


def test_a_liquidation_is_an_order_at_each_close():
    """2 % lost on a limit of 1 %: every close sends an order for all that is left."""
    profile = replace(BARE, halve=0.005, flat=0.01)
    bars = (CALM, CALM, (98, 98, 98, 98), *[(98, 98, 98, 98)] * 3)
    volume = [1e6, 1e6, 1e6, 4000, 4000, 1e6]
    book = run(
        [order(quantity=1000)], *bars, costs=THIN, volume=volume, profile=profile, capital=1.01e5
    )
    assert book.quantity[:, 0].tolist() == [0, 1000, 1000, 600, 200, 0]
    assert fees(book) == [1.0] * 4


def test_a_settlement_of_a_delisted_symbol_pays_no_fee():
    close = np.full((6, 2), 100.0)
    close[2:, 0] = np.nan
    book = traded(panel_of(close), [order()], replace(THIN, delisted_after=2))
    assert book.fills("s")["kind"].tolist() == ["order", "delisted"]
    assert fees(book) == [1.0, 0.0]


def test_money_for_the_rest_of_an_order_is_not_kept_for_a_minimum_that_is_paid():
    """1,001 buy ten of 100 in two bars and their minimum of 1, and not a unit less."""
    book = run([order(bars=9)], *[CALM] * 3, costs=THIN, volume=[1e6, 50, 50], capital=1001)
    assert book.quantity[-1, 0] == 10
    assert book.cash[-1] == pytest.approx(0, abs=1e-9)


def test_a_stop_that_goes_on_after_a_restart_pays_its_minimum_once():
    """Killed after every call: what an order has paid is part of the state."""
    prices = [100.0, 100, 60, 60, 60, 60]
    panel = panel_of(prices, volume=[1e6, 1e6, 2000, 2000, 2000, 1e6])
    profile = replace(BARE, stop_loss=2.5, volatility_target=np.inf, starting_cap=1.0)
    terms = {"capital": 1e5, "costs": THIN, "bars_per_year": 252, "horizon": 9, "profile": profile}
    paid = []
    for restart in (False, True):
        trader = new_trader(
            panel.symbols, session="s", mandate="long_only", shortable=False, scored=False, **terms
        )
        inputs = {"volatility": np.full((6, 1), 0.04), "weights": np.full((6, 1), 0.5)}
        _, filled, _ = walk(panel, trader, start=0, stop=6, restart=restart, **inputs)
        exits = [row for part in filled for row in part.fills.itertuples() if row.kind != "order"]
        assert len(exits) >= 3
        paid.append([row.fee for row in exits])
    assert paid[0] == paid[1] == [1.0] + [0.0] * (len(paid[0]) - 1)


@given(st.integers(0, 10**6), COSTS, st.sampled_from([0.01, 0.001]), st.sampled_from([1.0, 25.0]))
@pytest.mark.slow
def test_every_order_pays_the_larger_of_its_minimum_and_its_fees(seed, costs, part, minimum):
    """Whatever the market: the sum over the fills of one order is what one ticket would show."""
    costs = replace(costs, participation=part, minimum_fee=minimum, maker_fee=None)
    panel = rough_panel(seed, 60)
    book = simulated_orders(
        panel, random_orders(seed, panel), start=0, stop=60, capital=1e5, costs=costs,
        bars_per_year=252, shortable=True, volatility=np.full(panel.close.shape, 0.02),
    )  # fmt: skip
    table = book.fills("s")
    own = table[table["kind"] == "order"]
    each = own["quantity"].abs() * (own["price"] * costs.fee + costs.fee_per_share)
    due = each.groupby(own["client_order_id"]).sum().clip(lower=minimum)
    paid = own["fee"].groupby(own["client_order_id"]).sum()
    np.testing.assert_allclose(paid, due, rtol=1e-9)
    assert (own["fee"] >= 0).all()
