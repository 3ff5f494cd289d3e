"""Each planted cause is found in its own part, and all parts add up."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.backtest.divergence import PARTS
from trading_pipeline.core.backtest.tolerance import Tolerance
from trading_pipeline.errors import EvaluationError
from trading_pipeline_tests.core.backtest.paper_sessions import (
    CAPITAL,
    FIRST,
    LAST,
    MARKET,
    market_of,
    session,
    split,
    without,
)

EXACT = 1e-9 * CAPITAL


@pytest.fixture(scope="module")
def market():
    return market_of(3)


def parts_of(found):
    """The parts that are not zero on some day; and that all of it is explained."""
    assert (found.days["unexplained"].abs() <= EXACT).all()
    added = found.days[list(PARTS)].sum(axis=1)
    assert ((found.difference - added).abs() <= EXACT).all()
    return {name for name in PARTS if (found.days[name].abs() > EXACT).any()}


def revised(panel, row, name="close", by=1.01):
    grid = getattr(panel, name).copy()
    grid[row] *= by
    return replace(
        panel,
        **{name: grid},
        **(
            {"high": np.fmax(panel.high, grid), "low": np.fmin(panel.low, grid)}
            if name in ("open", "close")
            else {}
        ),
    )


def worse(k, trades):
    """Ten basis points beyond the engine's prices, and the fee on what was paid."""
    return [
        each._replace(
            price=(price := each.price * (1 + 0.001 * np.sign(each.quantity))),
            fee=abs(each.quantity) * price * MARKET.costs.fee,
        )
        for each in trades
    ]


def dearer(k, trades):
    return [each._replace(fee=3 * each.fee) for each in trades]


def halves(k, trades):
    """Every other order fills in half."""
    return [
        each._replace(quantity=each.quantity / 2, fee=each.fee / 2) if n % 2 else each
        for n, each in enumerate(trades)
    ]


def rejects(k, trades):
    return [each for n, each in enumerate(trades) if n % 3]


def late(bar):
    """What is due in a bar comes with the next one, at its engine's open, in one execution."""
    held = []

    def broker(k, trades):
        if k == bar:
            held.extend(trades[:3])
            return trades[3:]
        if k == bar + 1:
            return [*trades, *held]
        return trades

    return broker


@pytest.mark.slow
def test_without_a_cause_nothing_differs(market):
    """Not by a cent: the chain ends where it began."""
    found = split(session(*market), *market)
    assert parts_of(found) == set()
    assert (found.difference == 0).all()
    assert len(found.days) == len(market[0].timestamps) - FIRST
    assert found.days["paper"].sum() == pytest.approx(found.days["equity"].iloc[-1] - CAPITAL)
    assert len(session(*market).fills) > 100


@pytest.mark.parametrize("row", [FIRST - 5, FIRST + 20], ids=["before", "within"])
@pytest.mark.slow
def test_a_revised_bar_is_data(market, row):
    panel, scores = market
    assert parts_of(split(session(panel, scores), revised(panel, row), scores)) == {"data"}


@pytest.mark.slow
def test_other_predictions_are_signal(market):
    panel, scores = market
    other = scores.copy()
    other[FIRST + 10] += np.random.default_rng(0).normal(size=other.shape[1])
    assert parts_of(split(session(panel, scores), panel, other)) == {"signal"}


@pytest.mark.parametrize("broker", [worse, halves, rejects])
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_other_executions_are_fill(market, broker):
    assert parts_of(split(session(*market, broker), *market)) == {"fill"}


@pytest.mark.long
@pytest.mark.slow
def test_worse_prices_cost_what_they_are_worse_by(market):
    """On the first day that trades, when no later decision depends on it yet."""
    paper = session(*market, worse)
    found = split(paper, *market)
    fills = paper.fills[paper.fills["filled_at"] == paper.fills["filled_at"].iloc[0]]
    paid = fills["quantity"].abs() * fills["price"] / (1 + 0.001 * np.sign(fills["quantity"]))
    day = found.days.loc[fills["filled_at"].iloc[0].normalize()]
    assert day["fill"] == pytest.approx(-0.001 * (1 + MARKET.costs.fee) * paid.sum(), rel=5e-3)
    assert found.days["fill"].sum() < 0


@pytest.mark.slow
def test_other_fees_are_cost(market):
    paper = session(*market, dearer)
    found = split(paper, *market)
    assert parts_of(found) == {"cost"}
    fills = paper.fills[paper.fills["filled_at"] == paper.fills["filled_at"].iloc[0]]
    day = found.days.loc[fills["filled_at"].iloc[0].normalize()]
    assert day["cost"] == pytest.approx(-fills["fee"].sum() * 2 / 3, abs=EXACT)


@pytest.mark.slow
def test_other_payments_are_cost(market):
    """Borrow, and dividends: three times what the model says."""
    assert parts_of(split(session(*market, paid=3.0), *market)) == {"cost"}


@pytest.mark.parametrize("with_action", [False, True], ids=["plain", "split or dividend"])
@pytest.mark.slow
def test_a_bar_that_was_missed_is_timing(market, with_action):
    """It was never seen, and so not decided on; orders fill in the bar after it, and its splits and
    dividends come with that one: they are booked once."""
    panel = market[0]
    acts = ((panel.split != 1) | (panel.dividend != 0)).any(axis=1)
    row = next(t for t in range(FIRST + 5, LAST) if acts[t] == with_action)
    found = split(session(*without(*market, row)), *market)
    assert parts_of(found) == {"timing"}


@pytest.mark.slow
def test_a_bar_that_was_only_caught_up_with_is_timing(market):
    assert parts_of(split(session(*market, missed=(12, 13)), *market)) == {"timing"}


@pytest.mark.slow
def test_a_halt_is_timing(market):
    assert parts_of(split(session(*market, halted=(20, 21)), *market)) == {"timing"}


@pytest.mark.slow
def test_orders_that_fill_in_a_later_bar_are_timing_and_their_price_is_fill(market):
    """They fill at the prices of the bar before, which no engine would give them."""
    found = split(session(*market, late(14)), *market)
    assert parts_of(found) == {"timing", "fill"}


@pytest.mark.slow
def test_what_was_traded_by_hand_is_fill(market):
    def by_hand(k, trades):
        if k != 9:
            return trades
        bought = trades[0]._replace(client_order_id="mine", symbol="AAA", quantity=100.0)
        fee = 100 * bought.price * MARKET.costs.fee
        return [*trades, bought._replace(fee=fee, kind="order")]

    assert parts_of(split(session(*market, by_hand), *market)) == {"fill"}


@pytest.mark.slow
def test_the_newest_days_wait_for_their_predictions(market):
    """A night's predictions come after its bars: what is not there yet is no difference."""
    panel, scores = market
    known = scores.copy()
    known[-10:] = np.nan
    found = split(session(panel, scores), panel, known)
    assert parts_of(found) == set()
    assert found.days.index[-1] == panel.timestamps[-10]
    stored = split(session(panel, scores), panel.until(FIRST + 20), scores[: FIRST + 20])
    assert stored.days.index[-1] == panel.timestamps[FIRST + 19]
    known[FIRST:] = np.nan
    with pytest.raises(EvaluationError, match="predictions of 0"):
        split(session(panel, scores), panel, known)


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=8)
@given(
    seed=st.integers(0, 5),
    row=st.integers(FIRST + 2, FIRST + 30),
    broker=st.sampled_from([None, worse, dearer, halves, rejects]),
    caught_up=st.sets(st.integers(1, 40), max_size=3),
    causes=st.sets(st.sampled_from(["bars", "scores", "missed"])),
)
def test_the_parts_add_up_whatever_happened(seed, row, broker, caught_up, causes):
    """To 1e-9 of the capital, with every cause at once; and the last run is the session itself."""
    panel, scores = market_of(seed)
    seen = without(panel, scores, row) if "missed" in causes else (panel, scores)
    paper = session(*seen, broker, missed=tuple(caught_up))
    stored = revised(panel, row + 3) if "bars" in causes else panel
    said = -scores if "scores" in causes else scores
    found = split(paper, stored, said)
    parts_of(found)
    assert found.days["equity"].iloc[-1] == paper.equity[-1]


@pytest.mark.slow
def test_shares_are_of_the_equity_before_the_day(market):
    found = split(session(*market, worse), *market)
    before = found.days["equity"].shift(fill_value=CAPITAL)
    pd.testing.assert_series_equal(found.share, found.difference / before, check_names=False)
    ended = CAPITAL + found.days["backtest"].sum()
    assert found.total == pytest.approx(found.days["equity"].iloc[-1] / ended - 1)


def test_a_tolerance_is_above_zero():
    with pytest.raises(ValueError, match="must be > 0"):
        Tolerance(day=0.0)
