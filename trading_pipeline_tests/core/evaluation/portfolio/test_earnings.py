"""Attribution adds up, whatever was traded, and every part is on the side that earned it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.evaluation.portfolio.earnings import earnings_of
from trading_pipeline.core.market.market import Costs
from trading_pipeline_tests.core.evaluation.portfolio.random_backtests import (
    DEAR,
    TERMS,
    of_scores,
    of_weights,
)
from trading_pipeline_tests.core.trading.markets import panel_of, simulated

SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.sampled_from([of_weights, of_scores]))
@pytest.mark.slow
def test_symbols_sides_and_interest_add_up_to_the_change_of_equity(seed, make):
    book = make(seed)
    earned = earnings_of(book)
    parts = earned.money.sum() + earned.interest.sum()
    assert parts == pytest.approx(book.equity[-1] - book.equity[0], abs=1e-9 * 1e5)
    assert np.abs(earned.unexplained).max() < 1e-9 * 1e5
    assert earned.total == pytest.approx(book.equity[-1] - book.equity[0], abs=1e-9 * 1e5)


@given(SEEDS)
@pytest.mark.slow
def test_each_kind_is_what_the_tables_of_the_book_say(seed):
    book = of_weights(seed)
    earned = earnings_of(book)
    kinds = dict(zip(earned.kinds, earned.money.sum(axis=(1, 2, 3)), strict=True))
    fills, flows = book.fills("s"), book.cash_flows()
    assert kinds["fees"] == pytest.approx(-fills["fee"].sum())
    assert kinds["slippage"] == pytest.approx(-fills["slippage"].sum())
    for kind in ("dividend", "borrow"):
        assert kinds[kind] == pytest.approx(flows.loc[flows["kind"] == kind, "amount"].sum())
    assert earned.interest.sum() == pytest.approx(
        flows.loc[flows["kind"] == "interest", "amount"].sum()
    )


@given(SEEDS, st.sampled_from([of_weights, of_scores]))
@pytest.mark.slow
def test_a_side_earns_what_its_closed_trades_earned(seed, make):
    """Of symbols that are flat in the end, so that all of their trades are closed."""
    book = make(seed)
    pnl = earnings_of(book).money.sum(axis=(0, 2))
    trades = book.trades()
    for n in np.flatnonzero(book.quantity[-1] == 0):
        of_symbol = trades[trades["symbol"] == book.symbols[n]]
        for side, name in enumerate(("long", "short")):
            made = of_symbol.loc[of_symbol["side"] == name, "pnl"].sum()
            assert pnl[side, n] == pytest.approx(made, abs=1e-6)


def test_a_flip_worked_by_hand():
    """10 bought at 10, turned at 12 into 5 short, bought back at 11; the fee is 1 %."""
    close = [10.0, 10.0, 12.0, 11.0, 11.0]
    panel = panel_of(close, open_=[10.0, 10.0, 12.0, 11.0, 11.0])
    weights = np.array([0.1, -0.0592, 0.0, np.nan, np.nan])[:, None]
    costs = Costs(fee=0.01, slippage=0.0, borrow=0.0, debit=0.0, leverage=2.0, min_notional=0)
    book = simulated(
        panel, start=0, stop=5, weights=weights, costs=costs, **(TERMS | {"capital": 1000.0})
    )
    long, short = (quantity for quantity in (book.quantity[1, 0], -book.quantity[2, 0]))
    assert long > 0
    assert short > 0
    earned = earnings_of(book)
    price, _, fees = (earned.money[kind].sum(axis=(1, 2)) for kind in range(3))
    assert price == pytest.approx([long * 2, short * 1])
    assert fees == pytest.approx([-0.01 * long * (10 + 12), -0.01 * short * (12 + 11)])


def altered(book, log, **grids):
    """The book with another log, and with grids that its events do not say."""
    other = replace(book, log=log)
    vars(other).update(grids)
    return other


def test_a_position_stopped_on_its_first_bar_was_long():
    """Bought at 100 and stopped at 95 within one bar."""
    panel = panel_of([100.0, 96.0, 96.0])
    held = np.zeros((3, 1))
    book = simulated(panel, start=0, stop=3, weights=held, costs=DEAR, **TERMS)
    fills, log = book.fills_made.copy(), book.log.copy()
    fills["quantity"][1, 0, :2] = [10.0, -10.0]
    fills["price"][1, 0, :2] = [100.0, 95.0]
    log["equity"][1:] -= 50.0
    earned = earnings_of(altered(book, log, fills_made=fills))
    assert earned.money[0].sum(axis=(1, 2)).tolist() == [-50.0, 0.0]
    assert earned.unexplained.tolist() == [0.0, 0.0]


def test_a_cash_flow_of_a_new_kind_is_a_part_of_its_own():
    book = of_weights(3)
    kinds = [*book.flows.dtype.descr, ("gift", "f8")]
    flows = np.zeros(book.flows.shape, kinds)
    for name in book.flows.dtype.names:
        flows[name] = book.flows[name]
    k = int(np.flatnonzero(book.quantity[:-1, 1] < 0)[0]) + 1
    flows["gift"][k, 1] = 100.0
    log = book.log.copy()
    log["equity"][k:] += 100.0
    earned = earnings_of(altered(book, log, flows=flows))
    assert earned.kinds[-1] == "gift"
    assert earned.money[-1].sum(axis=(1, 2)).tolist() == [0.0, 100.0]  # it was short
    assert np.abs(earned.unexplained).max() < 1e-4


def test_what_is_not_accounted_for_is_said():
    book = of_weights(3)
    log = book.log.copy()
    log["equity"][100:] += 5.0
    earned = earnings_of(replace(book, log=log))
    assert earned.unexplained[99] == pytest.approx(5.0)
    assert earned.total == pytest.approx(log["equity"][-1] - log["equity"][0])
