"""Orders of every kind, on rough markets: the engine fills them as the reference does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import rough_panel, simulated_orders
from trading_pipeline_tests.core.trading.orders import random_orders
from trading_pipeline_tests.reference.runs import assert_agrees, run_orders
from trading_pipeline_tests.strategies import COSTS, LOOSE, STOPS

T = 80
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
    stops = {name: draw(choice) for name, choice in STOPS.items()}
    return replace(PROFILES["moderate"], **stops, **draw(LIMITS))


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
    book = simulated_orders(panel, table, **terms)
    assert_agrees(book, run_orders(panel, table, **terms))
    return book


@pytest.mark.slow
@given(st.integers(0, 10**6), COSTS, profiles(), st.booleans())
def test_the_engine_fills_orders_as_the_reference_does(seed, costs, profile, shortable):
    """Every kind of order and stop, all costs, volume, lots, money, limits of losses, ruin."""
    check(seed, costs, profile, shortable)


@pytest.mark.slow
@settings(max_examples=80)
@given(st.integers(0, 10**6), COSTS, profiles(), st.booleans())
@pytest.mark.long
def test_the_engine_fills_orders_as_the_reference_does_at_length(seed, costs, profile, shortable):
    """The same, for longer."""
    check(seed, costs, profile, shortable)
