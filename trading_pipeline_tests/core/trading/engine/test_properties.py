"""What must hold on any market, however rough, under any costs and limits."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.engine.dtypes import FLAT, FULL
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.backtest.accounting import accounting_error
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    random_scores,
    rough_panel,
    simulated,
    simulated_orders,
    stamps,
)
from trading_pipeline_tests.core.trading.orders import CALM, fills, limit, order, random_orders, run
from trading_pipeline_tests.strategies import COSTS, STOPS

T = 90
SEEDS = st.integers(0, 10**6)
TIGHT = replace(
    PROFILES["moderate"],
    daily_loss=0.01,
    weekly_loss=0.02,
    monthly_loss=0.04,
    halve=0.05,
    flat=0.1,
    drawdown_limit=0.15,
    stop_loss=3.0,
    take_profit=5.0,
)
BARE = replace(
    TIGHT,
    **dict.fromkeys(
        ("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat", "drawdown_limit"), inf
    ),
    **dict.fromkeys(STOPS, inf),
)


def scored(seed, costs, profile=TIGHT, panel=None, capital=1e5, start=20):
    panel = rough_panel(seed, T) if panel is None else panel
    sigma = np.random.default_rng(seed).uniform(0.005, 0.05, panel.close.shape)
    return simulated(
        panel, start=start, stop=T, score=random_scores(seed, panel), profile=profile,
        volatility=sigma, capital=capital, costs=costs, bars_per_year=252, horizon=3,
        mandate="neutral", shortable=True,
    )  # fmt: skip


def ordered(seed, costs, profile=TIGHT, table=None, panel=None, capital=1e5):
    panel = rough_panel(seed, T) if panel is None else panel
    table = random_orders(seed, panel) if table is None else table
    sigma = np.random.default_rng(seed).uniform(0.005, 0.05, panel.close.shape)
    return simulated_orders(
        panel, table, start=0, stop=T, capital=capital, costs=costs, bars_per_year=252,
        shortable=True, profile=profile, volatility=sigma,
    )  # fmt: skip


@given(SEEDS, COSTS)
@pytest.mark.slow
def test_cash_and_positions_are_the_equity_after_every_event(seed, costs):
    """Money moves by fills, fees and cash flows only, units by fills and splits only."""
    for book in (scored(seed, costs), ordered(seed, costs)):
        assert accounting_error(book) < 1e-9
        assert np.isfinite(book.equity).all()


@given(SEEDS, COSTS)
@pytest.mark.slow
def test_nothing_opens_while_a_rule_forbids_it(seed, costs):
    """After a close at which a rule refuses, exposure falls or stays, symbol by symbol."""
    panel = rough_panel(seed, T)
    table = random_orders(seed, panel).assign(bars=1)
    for book in (scored(seed, costs, panel=panel), ordered(seed, costs, table=table, panel=panel)):
        log = book.log
        breached = log["day_breached"] | log["week_breached"] | log["month_breached"]
        forbidden = (breached > 0) | (log["size"] == FLAT) | (log["bankrupt"] > 0)
        before = book.quantity[:-1] * book.split[1:]
        opened = np.abs(book.quantity[1:]) > np.abs(before) * (1 + 1e-12)
        turned = book.quantity[1:] * before < 0
        assert not (opened | turned)[forbidden[:-1]].any()


def test_an_order_that_rests_opens_nothing_in_a_period_that_is_over():
    """400 lose 2.4 % of 50,000 on a day; the limit order of the day before must not buy on it."""
    profile = replace(BARE, daily_loss=0.02)
    fall, dip = (97, 97, 97, 97), (97, 97, 89, 97)
    orders = [order(quantity=400), limit(90, day=1, quantity=10, bars=9)]
    book = run(orders, CALM, CALM, fall, dip, CALM, costs=FREE, profile=profile, capital=5e4)
    assert len(fills(book)) == 1


@given(SEEDS, COSTS)
@pytest.mark.slow
def test_limits_trip_where_their_figures_say(seed, costs):
    """At every decision: beyond a limit its rule holds, and beyond `flat` nothing less does."""
    book = scored(seed, costs)
    log = book.log[:-1]
    for period, name in (("day", "daily_loss"), ("week", "weekly_loss"), ("month", "monthly_loss")):
        beyond = log[f"{period}_loss"] >= getattr(TIGHT, name)
        breached = log[f"{period}_breached"] == 1
        assert breached[beyond].all()
        began = breached & ~np.concatenate([[False], breached[:-1]])
        assert beyond[began].all(), "no rule trips without its figure"
    assert (log["size"][log["rule_drawdown"] >= TIGHT.flat] == FLAT).all()
    assert (log["size"][log["rule_drawdown"] >= TIGHT.halve] != FULL).all()
    assert (log["size"][: np.argmax(log["rule_drawdown"] >= TIGHT.halve)] == FULL).all()


CHEAP = Costs(
    fee=0.001, slippage=0.001, borrow=0.01, debit=0.01, fee_per_share=0.01, minimum_fee=5.0,
    impact=0.1, leverage=9, participation=inf, funding=0.05,
)  # fmt: skip
DEARER = ("fee", "slippage", "borrow", "fee_per_share", "minimum_fee", "impact", "funding")


@given(SEEDS, st.floats(1.1, 4.0), st.sampled_from(DEARER))
@pytest.mark.slow
def test_the_same_orders_earn_less_where_any_cost_is_higher(seed, times, name):
    """Market orders alone, so that the fills are the same; longs pay funding, shorts borrow."""
    panel = rough_panel(seed, T)
    prices = dict.fromkeys(("limit_price", "stop_price", "stop_loss", "take_profit"), np.nan)
    table = random_orders(seed, panel).assign(type="market", **prices)
    table["quantity"] = np.minimum(table["quantity"], 3)
    if name in ("funding", "borrow"):
        table["side"] = "buy" if name == "funding" else "sell"
    base = CHEAP if name == "minimum_fee" else replace(CHEAP, minimum_fee=0)
    dear = replace(base, **{name: getattr(base, name) * times})
    rich = 1e9  # far from any limit of money, also where reverse splits have made prices high
    cheap, costly = (ordered(seed, c, None, table, panel, rich) for c in (base, dear))
    assert len(cheap.fills("s")) > 5
    assert costly.equity[-1] < cheap.equity[-1]


@given(SEEDS, COSTS, st.sampled_from([2.0, 4.0, 0.5]))
@pytest.mark.slow
def test_twice_of_everything_is_twice_to_the_last_bit(seed, costs, k):
    """Capital, volume, lots and what is counted in money: powers of two round nothing.

    Of lots below a share: a split leaves whole shares of larger ones, whatever the capital.
    """
    panel, costs = rough_panel(seed, T), replace(costs, lot=min(costs.lot, 0.1))
    more = replace(panel, volume=panel.volume * k)
    scaled = {name: getattr(costs, name) * k for name in ("lot", "min_notional", "minimum_fee")}
    many = replace(costs, **scaled)
    table = random_orders(seed, panel)
    larger = table.assign(quantity=table["quantity"] * k)
    one, two = scored(seed, costs, panel=panel), scored(seed, many, panel=more, capital=1e5 * k)
    assert (two.equity == k * one.equity).all()
    assert (two.quantity == k * one.quantity).all()
    one = ordered(seed, costs, table=table, panel=panel)
    two = ordered(seed, many, table=larger, panel=more, capital=1e5 * k)
    assert (two.equity == k * one.equity).all()
    assert (two.quantity == k * one.quantity).all()


@given(SEEDS, st.sampled_from([0.1, 1.0, 10.0]))
@pytest.mark.slow
def test_capital_doubled_doubles_the_first_orders_within_a_lot(seed, lot):
    costs = replace(FREE, lot=lot)
    panel = rough_panel(seed, T)
    one = scored(seed, costs, panel=panel).decisions
    two = scored(seed, costs, panel=panel, capital=2e5).decisions
    first, again = one[one["bar"] == 0], two[two["bar"] == 0]
    orders = pd.Series(first["order"], first["symbol"]), pd.Series(again["order"], again["symbol"])
    difference = orders[1].sub(2 * orders[0], fill_value=0.0).abs()
    assert (difference <= 2 * lot + 1e-9).all()


@given(SEEDS, COSTS, st.integers(1, 3000))
@pytest.mark.slow
def test_time_shifted_shifts_everything(seed, costs, days):
    """Only the periods of the loss limits know the date."""
    panel = rough_panel(seed, T)
    at = stamps(T) + pd.Timedelta(days=days)
    later = replace(panel, timestamps=at)
    table = random_orders(seed, panel)
    moved = table.assign(decided_at=table["decided_at"] + pd.Timedelta(days=days))
    one, two = scored(seed, costs, BARE, panel), scored(seed, costs, BARE, later)
    assert two.events.tobytes() == one.events.tobytes()
    assert (two.equity == one.equity).all()
    one, two = ordered(seed, costs, BARE, table, panel), ordered(seed, costs, BARE, moved, later)
    assert two.events.tobytes() == one.events.tobytes()
    assert (two.equity == one.equity).all()
