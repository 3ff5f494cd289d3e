"""Scores and weights: the engine sizes, guards and trades them as the reference does."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.beta import market_beta
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading import kelly
from trading_pipeline.core.trading.inputs import Inputs, prepare
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import random_scores, rough_panel, simulated
from trading_pipeline_tests.reference import evidence as evidence_reference
from trading_pipeline_tests.reference.evidence import active_returns, shares
from trading_pipeline_tests.reference.runs import assert_agrees, run_signals
from trading_pipeline_tests.strategies import COSTS, LOOSE, STOPS

T = 95
YEAR = 330  # bars, for what looks back a year
# No number is a round share of another: what ties at a limit may be rounded to either side.
SETTINGS = STOPS | {
    "volatility_target": st.sampled_from([0.05, 0.3, inf]),
    "gross_cap": st.sampled_from([0.4, 1.5]),
    "net_cap": st.sampled_from([0.103, 1.0]),
    "symbol_cap": st.sampled_from([0.0211, 0.5]),
    "starting_cap": st.sampled_from([0.3, 1.0]),
    "group_cap": st.sampled_from([inf, 0.3]),
    "breaker": st.sampled_from([inf, 1.1, 1.5]),
    "limit_entry": st.sampled_from([0.0, 0.3]),
    "tracking_error": st.sampled_from([0.021, 0.2]),
    "drawdown_limit": st.sampled_from([inf, 0.207]),
    "band": st.sampled_from([0.0, 1.0]),
}
LIMITS = st.sampled_from(
    [
        {},
        LOOSE,
        LOOSE | {"daily_loss": 0.01, "weekly_loss": 0.02, "monthly_loss": 0.05},
        LOOSE | {"halve": 0.03, "flat": 0.06, "flat_days": 5, "half_days": 8},
    ]
)


@st.composite
def profiles(draw):
    """Any limits, under any name."""
    name = draw(st.sampled_from(sorted(PROFILES)))
    chosen = {field: draw(choice) for field, choice in SETTINGS.items()}
    return replace(PROFILES[name], **chosen, **draw(LIMITS))


def check(seed, costs, profile, inputs, T=T, N=4):
    """`inputs`: scores, weights, or bare weights without a profile."""
    panel = rough_panel(seed, T, N)
    rng = np.random.default_rng(seed + 9)
    scores = random_scores(seed, panel, missing=0.2) * rng.choice([0.01, 1.0])
    volatility = rng.uniform(0.005, 0.05, panel.close.shape)
    volatility[rng.random(volatility.shape) < 0.05] = np.nan
    known = {
        "volatility": volatility,
        "eligible": panel.traded & (rng.random(volatility.shape) < 0.9),
        "groups": rng.integers(-1, 3, volatility.shape),
        "kelly": rng.choice([np.nan, 0.1, 0.6, 1.0], T),
        "half_life": rng.choice([np.nan, 2.0, 30.0], T),
    }
    if inputs == "scores":
        known |= {"score": scores, "weights": benchmark(rng, volatility.shape)}
    else:
        known |= {"weights": scores / 5}
    if inputs == "bare":
        profile = None
    both = bool(rng.random() < 0.5) and (profile is None or not profile.long_only)
    terms = {
        "start": int(rng.integers(0, 45)),
        "stop": T,
        "capital": 1e5,
        "costs": costs,
        "bars_per_year": 252,
        "horizon": int(rng.choice([1, 5])),
        "profile": profile,
        "mandate": "neutral" if both else "long_only",
        "shortable": True,
    }
    book = simulated(panel, **terms, **known)
    known["beta"] = market_beta(panel)
    # Both find λ by halving, and an order is a small difference of weights.
    result = run_signals(panel, known=known, **terms)
    assert_agrees(book, result, tolerance=1e-8, rounding=1e-5)
    return book


def benchmark(rng, shape):
    """(T, N) weights of a market, with rows that are not known."""
    weights = rng.dirichlet(np.ones(shape[1]), shape[0])
    weights[rng.random(shape[0]) < 0.3] = np.nan
    return weights


INPUTS = st.sampled_from(["scores", "scores", "weights", "bare"])


@given(st.integers(0, 10**6), COSTS, profiles(), INPUTS)
@pytest.mark.slow
def test_the_engine_equals_the_reference(seed, costs, profile, inputs):
    """Tilt, volatility, caps, regions, loss limits, drawdown, turbulence, blocks, ruin."""
    check(seed, costs, profile, inputs)


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=10)
@given(st.integers(0, 10**6), COSTS, profiles(), INPUTS)
def test_the_engine_equals_the_reference_across_symbols(seed, costs, profile, inputs):
    """With enough of them for tilts without β and money."""
    check(seed, costs, profile, inputs, N=10)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, 10**6), COSTS, profiles(), INPUTS)
@pytest.mark.long
def test_the_engine_equals_the_reference_at_length(seed, costs, profile, inputs):
    """The same, for longer, and through more than a year."""
    check(seed, costs, profile, inputs)
    check(seed, costs, profile, inputs, T=YEAR, N=10)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("mandate", ["long_only", "neutral"])
@pytest.mark.sampled(2)
def test_the_evidence_is_the_reference_s(mandate, monkeypatch):
    """Active returns of a book without an account, and the shares of the tilt that they allow."""
    monkeypatch.setattr(kelly, "MINIMUM_SYMBOLS", 8)  # for most of these vanish
    monkeypatch.setattr(evidence_reference, "SYMBOLS", 8)
    bars = rough_panel(4, YEAR, 22)
    rng = np.random.default_rng(5)
    shape = bars.close.shape
    inputs = {
        "score": random_scores(4, bars, missing=0.2),
        "volatility": rng.uniform(0.005, 0.05, shape),
        "eligible": bars.traded & (rng.random(shape) < 0.98),
        "groups": rng.integers(-1, 3, shape),
        "half_life": rng.choice([np.nan, 2.0, 30.0], YEAR),
        "weights": benchmark(rng, shape),
    }
    costs = Costs(fee=0.0002, slippage=0.0003, leverage=1.5)
    years = {"horizon": 5, "bars_per_year": 252, "costs": costs}
    profile = replace(PROFILES["moderate"], kelly_fraction=0.01)
    terms = Terms(capital=1.0, mandate=mandate, shortable=True, profile=profile, **years)
    evidence = kelly.kelly_evidence(bars, prepare(bars), Inputs(**inputs), terms)
    known = inputs | {"beta": market_beta(bars)}
    sound = SimpleNamespace(profile=profile, long_only=mandate == "long_only", **years)
    active = active_returns(bars, known, sound)
    rows = list(active)
    np.testing.assert_allclose(evidence.active[rows], list(active.values()), rtol=1e-6, atol=1e-9)
    assert np.isnan(np.delete(evidence.active, rows)).all()
    wanted = shares(bars, known, sound)
    np.testing.assert_allclose(evidence.share, wanted, rtol=1e-6)
    assert np.isfinite(wanted).sum() > 20
