"""An account and its broker: what differs is told, and halts where it is worth too much."""

from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.trading.broker import Execution
from trading_pipeline.core.trading.trader import Bar
from trading_pipeline.steps.reconcile import CASH, reconcile
from trading_pipeline_tests.core.trading.markets import FREE, new_trader, panel_of


def holding(*quantities, closes=None):
    """An account of 10,000 that holds so much of AAA, BBB, ... at 100."""
    prices = np.full((2, len(quantities)), 100.0)
    prices[1] = prices[1] if closes is None else closes
    panel = panel_of(prices)
    trader = new_trader(
        panel.symbols, session="s", capital=10_000.0, costs=FREE, bars_per_year=252,
        mandate="neutral", shortable=True, scored=False,
    )  # fmt: skip
    told = [
        Execution(
            execution_id=symbol, client_order_id=symbol, symbol=symbol, quantity=quantity,
            filled_at=pd.Timestamp("2024-01-01 15:00", tz="UTC").to_pydatetime(),
            price=100.0, fee=0.0,
        )
        for symbol, quantity in zip(panel.symbols, quantities, strict=True)
        if quantity
    ]  # fmt: skip
    trader.book(Bar.of(panel, 0), told)
    trader.book(Bar.of(panel, 1), [])
    return trader


def test_an_account_that_agrees_has_no_differences():
    found = reconcile(holding(10.0, -5.0), {"AAA": 10.0, "BBB": -5.0}, 9_500.0)
    assert found.differences.columns.tolist() == ["symbol", "ours", "theirs", "share"]
    assert (len(found.differences), found.largest, found.halts) == (0, 0.0, False)


def test_what_differs_is_told_with_its_share_of_equity():
    """A fill that was never told: position and cash differ by as much."""
    found = reconcile(holding(10.0, -5.0), {"AAA": 13.0, "BBB": -5.0}, 9_200.0)
    assert found.differences.to_dict("records") == [
        {"symbol": "AAA", "ours": 10.0, "theirs": 13.0, "share": 0.03},
        {"symbol": CASH, "ours": 9_500.0, "theirs": 9_200.0, "share": 0.03},
    ]
    assert found.halts
    assert "AAA: 10 here, 13 at the broker (3.00% of equity)" in found.told()


@pytest.mark.parametrize(("theirs", "halts"), [(11.0, False), (11.01, True), (8.99, True)])
def test_trading_halts_above_the_threshold(theirs, halts):
    found = reconcile(holding(10.0, -5.0), {"AAA": theirs, "BBB": -5.0}, 9_500.0, threshold=0.01)
    assert found.halts == halts


@pytest.mark.parametrize("positions", [{"ZZZ": 1.0}, {"AAA": nan}])
def test_what_nobody_can_price_halts(positions):
    """A symbol of another market, and a broker that says no number."""
    found = reconcile(holding(10.0), {"AAA": 10.0} | positions, 9_000.0)
    assert found.largest == inf
    assert found.halts


def test_a_symbol_without_a_bar_counts_at_its_last_price():
    found = reconcile(holding(10.0, 1.0, closes=[nan, 100.0]), {"BBB": 1.0}, 8_900.0)
    assert found.differences["share"].tolist() == [0.1]


def test_a_ruined_account_halts_at_any_difference():
    found = reconcile(holding(-200.0, closes=[200.0]), {"AAA": -199.0}, 30_000.0)
    assert found.largest == inf


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2), st.floats(-50, 50), st.floats(0, 0.1))
def test_a_difference_is_found_whatever_is_held(held, off, threshold):
    """And its share is what it is worth; less than what the wire rounds away is none."""
    theirs = {"AAA": held[0] + off, "BBB": held[1]}
    trader = holding(*held)
    cash = float(trader.account["cash"][0])
    found = reconcile(trader, theirs, cash, threshold=threshold)
    if abs(off) > 1e-6:
        assert found.differences["symbol"].tolist() == ["AAA"]
        assert found.largest == pytest.approx(abs(off) * 100 / trader.equity, rel=1e-6)
        assert found.halts == (found.largest > threshold)
    else:
        assert found.largest < 1e-6
