"""Orders of every kind, on rough markets, as a slow and obvious account trades them."""

from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.backtest.simulate import simulate_orders
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import rough_panel
from trading_pipeline_tests.reference.runs import agree, run_orders

T = 80
LOOSE = {"daily_loss": 0.9, "weekly_loss": 0.9, "monthly_loss": 0.9, "halve": 0.9, "flat": 0.95}
COSTS = st.builds(
    Costs,
    fee=st.sampled_from([0.0, 0.001, 0.02]),
    maker_fee=st.sampled_from([None, 0.0, 0.0005]),
    fee_per_share=st.sampled_from([0.0, 0.01]),
    minimum_fee=st.sampled_from([0.0, 1.0, 25.0]),
    slippage=st.sampled_from([0.0, 0.0005, 0.02]),
    impact=st.sampled_from([0.0, 0.5, 3.0]),
    participation=st.sampled_from([inf, 0.1, 0.01, 1.0]),
    borrow=st.sampled_from([0.0, 0.3]),
    funding=st.sampled_from([0.0, 0.4, -0.4]),
    debit=st.sampled_from([0.0, 0.3]),
    leverage=st.sampled_from([0.5, 1.0, 3.0]),
    lot=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    min_notional=st.sampled_from([0.01, 1.0, 500.0]),
    delisting_loss=st.sampled_from([0.0, 0.3]),
    delisted_after=st.sampled_from([1, 5, 30]),
)
BARRIERS = {
    "stop_loss": st.sampled_from([inf, 0.3, 2.0]),
    "take_profit": st.sampled_from([inf, 0.5, 3.0]),
    "trailing_stop": st.sampled_from([inf, 0.3, 2.0]),
}
LIMITS = st.sampled_from(
    [
        LOOSE,
        LOOSE | {"daily_loss": 0.01, "weekly_loss": 0.02, "monthly_loss": 0.05},
        LOOSE | {"halve": 0.05, "flat": 0.1, "flat_days": 5},
    ]
)


@st.composite
def profiles(draw):
    if draw(st.booleans()):
        return None
    barriers = {name: draw(choice) for name, choice in BARRIERS.items()}
    return replace(PROFILES["moderate"], **barriers, **draw(LIMITS))


def random_orders(seed, panel):
    """A table: every kind, either side, some with brackets, on any bar, of any size."""
    rng = np.random.default_rng(seed + 31)
    t, n = np.nonzero(rng.random(panel.close.shape) < 0.25)
    M = len(t)
    price = pd.DataFrame(panel.close).ffill().bfill().fillna(50.0).to_numpy()[t, n]
    side = rng.choice(["buy", "sell"], M)
    kind = rng.choice(["market", "limit", "stop"], M)
    away = price * np.exp(rng.normal(0, 0.04, M))  # on either side of the price
    up = np.where(side == "buy", 1.0, -1.0)
    width = np.abs(rng.normal(0, 0.06, M))
    bracket = rng.random(M) < 0.4
    half = rng.random(M) < 0.3
    return pd.DataFrame(
        {
            "decided_at": panel.timestamps[t],
            "symbol": pd.Series(np.array(panel.symbols, dtype=object)[n], dtype="str"),
            "side": side,
            "quantity": np.where(rng.random(M) < 0.05, 0, rng.choice([3, 40, 250, 1500], M)),
            "type": kind,
            "limit_price": np.where(kind == "limit", away, np.nan),
            "stop_price": np.where(kind == "stop", away, np.nan),
            "bars": rng.choice([1, 1, 3, 10], M),
            "stop_loss": np.where(bracket, price * np.exp(-up * width), np.nan),
            "take_profit": np.where(bracket & ~half, price * np.exp(up * width), np.nan),
        }
    )


def check(seed, costs, profile, shortable):
    panel = rough_panel(seed, T)
    table = random_orders(seed, panel)
    rng = np.random.default_rng(seed + 5)
    volatility = rng.uniform(0.005, 0.05, panel.close.shape)
    volatility[rng.random(volatility.shape) < 0.05] = np.nan
    if costs.impact:  # orders that close everything measure impact in the σ of the order before
        volatility[:] = volatility[0]
    terms = {
        "start": int(rng.integers(0, 3)),
        "stop": T,
        "capital": 1e5,
        "costs": costs,
        "bars_per_year": 252,
        "horizon": int(rng.choice([1, 5])),
        "profile": profile,
        "shortable": shortable,
        "volatility": volatility,
        "eligible": panel.traded & (rng.random(volatility.shape) < 0.95),
    }
    book = simulate_orders(panel, table, **terms)
    slow = run_orders(panel, table, **terms)
    agree(book, slow)
    return book


@settings(max_examples=60)
@given(st.integers(0, 10**6), COSTS, profiles(), st.booleans())
def test_orders_trade_as_the_obvious_account_does(seed, costs, profile, shortable):
    """Every kind of order and barrier, all costs, volume, lots, money, limits of losses, ruin."""
    check(seed, costs, profile, shortable)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.integers(0, 10**6), COSTS, profiles(), st.booleans())
def test_orders_trade_as_the_obvious_account_does_at_length(seed, costs, profile, shortable):
    """The same, for longer."""
    check(seed, costs, profile, shortable)
