"""An account that lives from executions is the one of the engine, to the last bit."""

from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.trading.broker import Execution, Order
from trading_pipeline.core.trading.inputs import Inputs, prepare
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.trader import Bar, Signals
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.trading.bar_by_bar import through_json
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    new_trader,
    panel_of,
    random_panel,
    random_scores,
    rough_panel,
)

COSTS = Costs(leverage=1.5, lot=0.01, fee_per_share=0.001)
TERMS = {
    "capital": 1e5,
    "costs": COSTS,
    "bars_per_year": 252,
    "horizon": 5,
    "mandate": "neutral",
    "shortable": True,
    "profile": replace(PROFILES["moderate"], stop_loss=1.0, take_profit=1.5, trailing_stop=2.0),
}
EXITS = {"stop_loss", "trailing_stop", "take_profit"}
# What lives for one bar only, or is the simulation's own.
SCRATCH = {"mark", "capacity", "due", "slip", "noted", "order_prepaid", "exit_prepaid"}


def executions_of(filled, held, trader, bar):
    """The fills of the engine as a broker tells them: each trade of its own, in their order.

    Args:
        held: (N,) quantities after the night. trader: the one that filled, after the bar.
    """
    costs, trades = COSTS, []
    columns = {name: n for n, name in enumerate(trader.symbols)}
    ordered = set(filled.fills.loc[filled.fills["kind"] == "order", "symbol"])
    for row in filled.fills.to_dict("records"):
        n, quantity, price = columns[row["symbol"]], row["quantity"], row["price"]
        if row["kind"] in EXITS:
            slip = 0.0 if row["kind"] == "take_profit" else costs.slippage
            first = price == bar.open[n] * (1 + np.copysign(slip, quantity))
            at_open = held[n] != 0 and row["symbol"] not in ordered and first
            trades.append((0 if at_open else 2, n, quantity, row))
        elif row["kind"] == "order" and held[n] * quantity < 0 and abs(quantity) > abs(held[n]):
            exits = [
                each["quantity"]
                for each in filled.fills.to_dict("records")
                if each["symbol"] == row["symbol"] and each["kind"] in EXITS
            ]
            opened = -exits[0] if exits else trader.positions["quantity"][n]
            parts = [-held[n], opened]
            fees = [abs(q) * price * costs.fee + abs(q) * costs.fee_per_share for q in parts]
            assert sum(fees) == row["fee"]
            trades += [
                (phase, n, q, row | {"fee": fee})
                for phase, (q, fee) in enumerate(zip(parts, fees, strict=True))
            ]
        elif row["kind"] == "order":
            trades.append((0 if held[n] * quantity < 0 else 1, n, quantity, row))
    trades.sort(key=lambda each: each[:2])
    return [
        Execution(
            execution_id=f"{bar.timestamp:%Y%m%d}-{number}",
            client_order_id=row["client_order_id"],
            symbol=row["symbol"],
            filled_at=(bar.timestamp + timedelta(minutes=number)).to_pydatetime(),
            quantity=float(quantity),
            price=row["price"],
            fee=row["fee"],
        )
        for number, (_, _, quantity, row) in enumerate(trades)
    ]


def both(panel, scores, start, **terms):
    """Two traders through a panel: one fills, the other books what the first one filled."""
    sigma, seen = volatility(panel), prepare(panel)
    terms = TERMS | terms
    filler, booker = (new_trader(panel.symbols, session="s", **terms) for _ in range(2))
    inputs = Inputs(score=scores, volatility=sigma)
    for row in range(start, len(panel.timestamps)):
        bar = Bar.of(panel, row)
        night = through_json(booker)
        night.book(bar, [])
        filled = filler.fill(bar)
        told = executions_of(filled, night.positions["quantity"], filler, bar)
        booker = through_json(booker)
        booked = booker.book(bar, told)
        yield filler, booker, filled, booked
        signals = Signals.of(seen, inputs, row)
        ours, theirs = filler.decide(signals), booker.decide(signals)
        assert ours.decisions.tobytes() == theirs.decisions.tobytes()
        pd.testing.assert_frame_equal(ours.orders, theirs.orders, check_exact=True)


def kept(records, without):
    return records[[name for name in records.dtype.names if name not in without]].tolist()


def same(ours, theirs, without):
    """Field by field to the last bit; NaN is NaN."""
    for one, other in zip(kept(ours, without), kept(theirs, without), strict=True):
        np.testing.assert_array_equal(one, other)


# A stop that the volume of its bar does not let fill at all leaves no execution to book.
UNBOUND = replace(COSTS, participation=inf)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("market", "costs", "seed"),
    [(random_panel, COSTS, 3), (rough_panel, UNBOUND, 10)],
    ids=["calm", "rough"],
)
@pytest.mark.sampled(2)
def test_booking_the_fills_of_the_engine_gives_its_account(market, costs, seed):
    """Through stops, dividends, splits, shorts and settlements, with a restart at every bar."""
    panel = market(seed, T=300)
    count, kinds, flows = 0, set(), set()
    for filler, booker, filled, booked in both(panel, random_scores(seed, panel), 70, costs=costs):
        same(filler.account, booker.account, {"open_gross", "open_net"})
        same(filler.positions, booker.positions, SCRATCH)
        pd.testing.assert_frame_equal(filled.cash_flows, booked.cash_flows, check_exact=True)
        count, kinds = count + len(booked.fills), kinds | set(booked.fills["kind"])
        flows |= set(filled.cash_flows["kind"])
        ours, theirs = (
            each.fills.groupby(["kind", "symbol"])[["quantity", "fee"]].sum().sort_index()
            for each in (filled, booked)
        )
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-12)
    assert count > 200
    assert kinds >= {"order", "stop_loss", "take_profit"}
    assert kinds >= {"cash_in_lieu", "delisted"} or market is random_panel
    assert flows >= {"dividend", "borrow"}


PLAIN = {
    "capital": 10_000.0,
    "costs": FREE,
    "bars_per_year": 252,
    "horizon": 3,
    "mandate": "neutral",
    "shortable": True,
    "profile": None,
    "scored": False,
}


def execution(symbol, quantity, price, *, at, name="1", order="by hand", fee=0.0):
    return Execution(
        execution_id=name,
        client_order_id=order,
        symbol=symbol,
        filled_at=pd.Timestamp(at, tz="UTC").to_pydatetime(),
        quantity=quantity,
        price=price,
        fee=fee,
    )


def wanting(panel, *weights):
    """Signals that ask for these weights at any bar."""
    N = len(panel.symbols)
    return Signals(
        eligible=np.ones(N, dtype=bool),
        volatility=np.full(N, 0.02),
        recent=np.zeros((1, N)),
        weights=np.array(weights, dtype=float),
    )


def test_what_is_partly_filled_is_held_and_the_rest_lapses():
    panel = panel_of([100.0, 100.0, 110.0])
    trader = new_trader(panel.symbols, session="s", **PLAIN)
    trader.fill(Bar.of(panel, 0))
    (order,) = Order.each(trader.decide(wanting(panel, 0.5)).orders)
    assert (order.signed, order.limit_price) == (50.0, None)
    parts = [
        execution("AAA", 10.0, 101.0, at="2024-01-02 14:30", order=order.client_order_id, fee=1.0),
        execution("AAA", 20.0, 102.0, at="2024-01-02 14:31", order=order.client_order_id, name="2"),
    ]
    booked = trader.book(Bar.of(panel, 1), parts)
    assert booked.fills["slippage"].tolist() == [10.0, 40.0]
    assert booked.lapsed["client_order_id"].tolist() == [order.client_order_id]
    assert trader.account["cash"][0] == 10_000 - 1010 - 1 - 2040
    assert trader.positions["entry"][0] == pytest.approx((1010 + 2040) / 30)
    trader.book(Bar.of(panel, 2), [])
    assert trader.equity == trader.account["cash"][0] + 30 * 110
    assert trader.last_execution == through_json(trader).last_execution == "2"


def test_what_filled_before_a_split_is_split():
    """An execution that is told late, of the evening before: 10 shares have become 20."""
    panel = panel_of([100.0, 50.0], split={(1, 0): 2.0}, dividend={(1, 0): 0.5})
    trader = new_trader(panel.symbols, session="s", **PLAIN)
    trader.book(Bar.of(panel, 0), [])
    booked = trader.book(
        Bar.of(panel, 1),
        [
            execution("AAA", 10.0, 100.0, at="2024-01-01 21:00"),
            execution("AAA", 1.0, 50.0, at="2024-01-02 15:00", name="2"),
        ],
    )
    assert trader.positions["quantity"][0] == 21
    assert booked.cash_flows["amount"].tolist() == [20 * 0.5]
    assert trader.account["cash"][0] == 10_000 - 1000 - 50 + 10
    assert trader.account["traded"][0] == 1050


def test_what_nobody_ordered_is_booked_and_leaves_the_order_waiting():
    """Somebody traded by hand in the same account: cash and positions stay those of the broker."""
    panel = panel_of([[100.0, 50.0], [100.0, nan], [100.0, 60.0]])
    trader = new_trader(panel.symbols, session="s", **PLAIN)
    trader.fill(Bar.of(panel, 0))
    trader.decide(wanting(panel, 0.5, 0.0))
    by_hand = [
        execution("AAA", -5.0, 100.0, at="2024-01-02 15:00"),
        execution("BBB", 4.0, 55.0, at="2024-01-02 15:00", name="2"),  # which has no bar today
    ]
    booked = trader.book(Bar.of(panel, 1), by_hand)
    assert len(booked.lapsed) == 1
    assert trader.positions["quantity"].tolist() == [-5.0, 4.0]
    assert trader.equity == 10_000
    trader.book(Bar.of(panel, 2), [])
    assert trader.equity == 10_000 + 4 * 5


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("move", "passes"), [(0.9, True), (0.99, False), (1.2, True)])
def test_a_stop_that_the_close_has_passed_is_an_order_for_the_next_open(side, move, passes):
    """And a take-profit; until the broker has executed it the position is held, and asked for."""
    move = move if side > 0 else 2 - move
    closes = np.full((300, 8), 100.0)
    closes[299, 0] *= move
    panel = panel_of(closes)
    profile = replace(PROFILES["moderate"], stop_loss=2.0, take_profit=4.0, long_only=False)
    terms = TERMS | {"profile": profile, "costs": FREE, "horizon": 3}
    trader = new_trader(panel.symbols, session="s", **terms)
    trader.positions["order_sigma"] = 0.02
    trader.book(
        Bar.of(panel, 298),
        [execution("AAA", side * 10.0, 100.0, at=str(panel.timestamps[298])[:19])],
    )
    assert trader.positions["stop"][0] == pytest.approx(100 * np.exp(-side * 2 * 3**0.5 * 0.02))
    trader.book(Bar.of(panel, 299), [])
    assert trader.positions["quantity"][0] == side * 10
    signals = replace(
        wanting(panel, *[nan] * 8),
        recent=np.random.default_rng(1).normal(0, 0.02, (252, 8)),
        score=np.array([side * 3.0, 1, -1, 1, -1, 1, -1, 0]),
        weights=None,
    )
    decided = trader.decide(signals)
    orders = decided.orders.set_index("symbol")
    closing = "AAA" in orders.index and orders.loc["AAA", "quantity"] == 10.0
    closing &= "cooling_off" in set(decided.vetoes.loc[decided.vetoes["symbol"] == "AAA", "rule"])
    assert closing == passes
    if passes:
        assert orders.loc["AAA", "side"] == ("sell" if side > 0 else "buy")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ([execution("ZZZ", 1.0, 1.0, at="2024-01-02")], "the account has no ZZZ"),
        ([execution("AAA", 1.0, 1.0, at="2024-01-02")] * 2, "told twice"),
        ([execution("AAA", 0.0, 1.0, at="2024-01-02")], "no broker can have"),
        ([execution("AAA", nan, 1.0, at="2024-01-02")], "no broker can have"),
        ([execution("AAA", 1.0, 0.0, at="2024-01-02")], "no broker can have"),
        ([execution("AAA", 1.0, 1.0, at="2024-01-02", fee=nan)], "no broker can have"),
    ],
)
def test_executions_that_cannot_be_are_refused_and_change_nothing(wrong, complaint):
    panel = panel_of([100.0, 100.0])
    trader = new_trader(panel.symbols, session="s", **PLAIN)
    trader.book(Bar.of(panel, 0), [])
    before = trader.to_dict()
    with pytest.raises(TradingError, match=complaint):
        trader.book(Bar.of(panel, 1), wrong)
    assert trader.to_dict() == before


@pytest.mark.slow
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 1),
                st.floats(-50, 50).filter(lambda q: abs(q) > 0.01),
                st.floats(1, 500),
                st.floats(0, 5),
                st.booleans(),
            ),
            max_size=5,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_cash_and_positions_are_what_the_executions_add_up_to(days):
    """Whatever they are: through zero, late, several a day."""
    panel = panel_of(np.full((len(days) + 1, 2), 100.0))
    trader = new_trader(panel.symbols, session="s", **PLAIN)
    trader.book(Bar.of(panel, 0), [])
    cash, held = 10_000.0, {"AAA": 0.0, "BBB": 0.0}
    for row, day in enumerate(days, start=1):
        told = []
        for number, (n, quantity, price, fee, late) in enumerate(day):
            at = panel.timestamps[row] + pd.Timedelta(hours=-2 if late else 15)
            told.append(
                execution("AB"[n] * 3, quantity, price, at=str(at)[:19], name=str(number), fee=fee)
            )
            cash, held["AB"[n] * 3] = cash - quantity * price - fee, held["AB"[n] * 3] + quantity
        trader.book(Bar.of(panel, row), told)
        trader = through_json(trader)
        np.testing.assert_allclose(trader.positions["quantity"], list(held.values()), atol=1e-9)
        np.testing.assert_allclose(trader.account["cash"][0], cash, atol=1e-6)
        np.testing.assert_allclose(trader.equity, cash + 100 * sum(held.values()), atol=1e-6)
