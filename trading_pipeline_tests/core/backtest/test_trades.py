"""Closed trades: round trips from flat to flat, with all that they earned and paid."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.market import Costs
from trading_pipeline_tests.core.trading.markets import FREE, panel_of, random_panel, simulated
from trading_pipeline_tests.core.trading.orders import CALM, order, run

TERMS = {
    "start": 0,
    "capital": 1000.0,
    "bars_per_year": 252,
    "horizon": 10,
    "mandate": "neutral",
    "shortable": True,
}


def book_of(weights, close, costs=FREE, **options):
    panel = panel_of(close, **options)
    weights = np.array(weights, dtype=float).reshape(len(close), -1)
    return simulated(panel, stop=len(close), weights=weights, costs=costs, **TERMS)


HOLD = np.nan


def flat(price):
    return (price, price, price, price)


def test_a_round_trip_by_hand():
    """20 bought at 50, a split, a dividend, 40 sold at 26: fees of 1 % throughout."""
    book = book_of(
        [1.0, HOLD, HOLD, HOLD, 0.0, HOLD],
        [50.0, 50, 50, 25, 26, 26],
        costs=Costs(fee=0.01, slippage=0, debit=0, min_notional=0, leverage=2),
        split={(3, 0): 2.0},
        dividend={(4, 0): 0.5},
    )
    (trade,) = book.trades().itertuples()
    assert (trade.symbol, trade.side, trade.exit) == ("AAA", "long", "order")
    assert (trade.opened_at, trade.closed_at) == (book.timestamps[1], book.timestamps[5])
    assert trade.bars == 4
    assert trade.invested == pytest.approx(1000)
    assert trade.fees == pytest.approx(10 + 40 * 26 * 0.01)
    assert trade.pnl == pytest.approx(40 * 26 - 1000 + 40 * 0.5 - trade.fees)
    assert trade.pnl == pytest.approx(book.equity[-1] - 1000)


def test_a_flip_ends_one_trade_and_begins_the_next():
    """Long 10 at 100, then short 5 at 120 in one order, covered at 90."""
    book = book_of(
        [1.0, HOLD, -0.5, HOLD, 0.0, HOLD],
        [100.0, 100, 120, 120, 90, 90],
        costs=Costs(fee=0.01, slippage=0, borrow=0, debit=0, min_notional=0, leverage=2),
    )
    long, short = book.trades().itertuples()
    sold = -book.fills_made["quantity"][3, 0, 0]
    kept = sold - 10
    assert (long.side, short.side) == ("long", "short")
    assert long.closed_at == short.opened_at == book.timestamps[3]
    assert long.pnl == pytest.approx(200 - 10 - 12)
    assert short.pnl == pytest.approx(kept * 30 - kept * 1.2 - kept * 0.9)
    assert long.pnl + short.pnl == pytest.approx(book.equity[-1] - 1000)


def test_an_open_position_is_no_trade():
    book = book_of([1.0, HOLD, HOLD], [100.0, 100, 120])
    trades = book.trades()
    assert trades.empty
    assert list(trades) == list(book_of([1.0, 0.0, HOLD], [100.0, 100, 120]).trades())


@given(st.integers(0, 10**6))
@pytest.mark.slow
def test_once_all_is_closed_the_trades_are_the_profit(seed):
    """Nothing is counted twice or lost, through flips, splits, dividends and borrow."""
    panel = random_panel(seed, missing=0)
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.15, panel.close.shape)
    weights[rng.random(len(weights)) < 0.7] = np.nan
    weights[rng.random(weights.shape) < 0.2] = 0.0
    weights[-10:] = 0.0
    costs = Costs(leverage=5, borrow=0.2)
    book = simulated(panel, stop=160, weights=weights, costs=costs, **TERMS)
    profit = book.equity[-1] - 1000 - book.log["interest"].sum()
    assert book.trades()["pnl"].sum() == pytest.approx(profit, abs=1e-7)
    assert (book.trades()["invested"] > 0).all()


@given(st.integers(0, 10**6))
@pytest.mark.slow
def test_prices_and_quantities_account_for_the_money(seed):
    """Price differences less fees, and cash that flowed, are the profit: of closed trades and of
    open ones, through flips and splits."""
    panel = random_panel(seed, missing=0)
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.15, panel.close.shape)
    weights[rng.random(len(weights)) < 0.7] = np.nan
    weights[rng.random(weights.shape) < 0.2] = 0.0
    book = simulated(panel, stop=160, weights=weights, costs=Costs(leverage=5, borrow=0.2), **TERMS)
    closed, held = book.trades(), book.positions()
    side = closed["side"].map({"long": 1, "short": -1})
    moved = side * (closed["mean_exit"] - closed["mean_entry"]) * closed["quantity"]
    of_held = (held["unrealised_pnl"] + held["realised_pnl"]).sum()
    of_positions = of_held + closed["pnl"].sum()
    profit = book.equity[-1] - 1000 - book.log["interest"].sum()
    assert of_positions == pytest.approx(profit, abs=1e-7)
    assert closed["mean_entry"].to_numpy() * closed["quantity"].to_numpy() == pytest.approx(
        closed["invested"].to_numpy()
    )
    flowed = (closed["pnl"] - moved + closed["fees"]).sum()
    paid = sum(book.flows[kind].sum() for kind in book.flows.dtype.names)
    if held.empty:
        assert flowed == pytest.approx(paid, abs=1e-7)
    assert (closed["return"] * closed["invested"]).to_numpy() == pytest.approx(
        closed["pnl"].to_numpy()
    )


def test_a_trade_by_hand_has_its_prices_in_the_units_of_the_day_it_closed():
    """20 bought at 50 are 40 of 25 after a split, sold at 26."""
    book = book_of(
        [1.0, HOLD, HOLD, HOLD, 0.0, HOLD],
        [50.0, 50, 50, 25, 26, 26],
        split={(3, 0): 2.0},
    )
    (trade,) = book.trades().to_dict("records")
    assert (trade["quantity"], trade["mean_entry"], trade["mean_exit"]) == (40, 25, 26)
    assert trade["last_exit"] == 26
    assert trade["return"] == pytest.approx(0.04)
    assert book.positions().empty


def test_an_open_position_says_what_it_would_make():
    book = book_of([1.0, HOLD, HOLD, HOLD], [100.0, 100, 60, 63], split={(2, 0): 2.0})
    (held,) = book.positions().to_dict("records")
    assert (held["symbol"], held["side"], held["bars"]) == ("AAA", "long", 2)
    assert (held["quantity"], held["average_cost"], held["price"]) == (20, 50, 63)
    assert held["value"] == 20 * 63
    assert held["unrealised_pnl"] == pytest.approx(20 * 13)
    assert held["unrealised_return"] == pytest.approx(0.26)
    assert held["realised_pnl"] == pytest.approx(0)


def in_parts(side, opens, last):
    """10 opened and 5 of them closed; after a split of two for one, 10 more and 4 closed; then a
    dividend of one comes before the last of these fills. Fees of 1 %; the last close is `last`."""
    other = "sell" if side == "buy" else "buy"
    asked = ((side, 10), (other, 5), (side, 5), (other, 4))  # 5 ordered before the split are 10
    orders = [order(day=k, side=to, quantity=each) for k, (to, each) in enumerate(asked)]
    costs = replace(FREE, fee=0.01)
    bars = [CALM, *(flat(price) for price in opens), flat(last)]
    return run(orders, *bars, costs=costs, split={(3, 0): 2.0}, dividend={(4, 0): 1.0})


def test_a_long_that_was_sold_in_part_and_raised_by_hand():
    """10 at 100, 5 sold at 120; the rest are 10 of 50; 10 more at 60 make 20 of 55, which get 20
    of dividends; 4 sold at 70. The mean of all purchases, 53.33, is what nothing held cost."""
    book = in_parts("buy", (100, 120, 60, 70), 65)
    (held,) = book.positions().to_dict("records")
    fees = 0.01 * (1000 + 600 + 600 + 280)
    assert (held["quantity"], held["average_cost"]) == (16, pytest.approx(55))
    assert held["unrealised_pnl"] == pytest.approx(16 * 10)
    assert held["unrealised_return"] == pytest.approx(10 / 55)
    assert held["realised_pnl"] == pytest.approx(5 * 20 + 4 * 15 + 20 - fees)
    assert held["fees"] == pytest.approx(fees)
    made = held["unrealised_pnl"] + held["realised_pnl"]
    assert book.equity[-1] - book.equity[0] == pytest.approx(made)


def test_a_short_that_was_covered_in_part_and_raised_by_hand():
    """10 at 100, 5 covered at 80; the rest are 10 of 50; 10 more at 40 make 20 of 45, which pay 20
    of dividends; 4 covered at 35."""
    book = in_parts("sell", (100, 80, 40, 35), 40)
    (held,) = book.positions().to_dict("records")
    fees = 0.01 * (1000 + 400 + 400 + 140)
    assert (held["side"], held["quantity"], held["value"]) == ("short", 16, -640)
    assert held["average_cost"] == pytest.approx(45)
    assert held["unrealised_pnl"] == pytest.approx(16 * 5)
    assert held["unrealised_return"] == pytest.approx(5 / 45)
    assert held["realised_pnl"] == pytest.approx(5 * 20 + 4 * 10 - 20 - fees)
    made = held["unrealised_pnl"] + held["realised_pnl"]
    assert book.equity[-1] - book.equity[0] == pytest.approx(made)


def test_the_last_exit_is_the_fill_that_ended_a_trade():
    """5 sold at 120 and 15 by a stop at 80: the mean exit, 90, is where nothing was stopped."""
    orders = [
        order(quantity=20, stop_loss=80.0),
        order(day=1, side="sell", quantity=5),
    ]
    bars = (CALM, CALM, flat(120), (90, 90, 75, 78))
    (trade,) = run(orders, *bars, costs=FREE).trades().to_dict("records")
    assert (trade["exit"], trade["last_exit"]) == ("stop_loss", 80)
    assert (trade["mean_entry"], trade["mean_exit"]) == (100, pytest.approx(90))
    assert trade["pnl"] == pytest.approx(5 * 20 - 15 * 20)
