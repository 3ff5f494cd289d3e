"""The reference's trading against brute force, an optimiser, and numbers worked by hand."""

from math import log, nan
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline_tests.reference.optimum import optimum
from trading_pipeline_tests.reference.regions import (
    aversion,
    balance,
    drifting,
    fading,
    half_width,
    place,
    settle_long_only,
    settle_neutral,
    tilting,
)
from trading_pipeline_tests.reference.tilt import Plan

SEEDS = st.integers(0, 10**6)
WEIGHTS = st.floats(-2, 2)
WIDTHS = st.floats(0, 1)


def problem(seed, N, width):
    """Weights, aims, widths, shares, caps and deviations, each (N,); weights and aims sum to 1."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.005, 0.05, N)
    weights, aims = rng.dirichlet(np.ones(N)), rng.dirichlet(np.ones(N))
    widths = width * rng.uniform(0.2, 2, N) / N
    caps = np.fmax(aims, rng.uniform(1.5, 4, N) / N)
    return weights, aims, widths, sigma**-2 / (sigma**-2).sum(), caps, sigma


def by_number(*arrays):
    return [dict(enumerate(array.tolist())) for array in arrays]


def widest_region(kappa, step=0.1, reach=3.5):
    """Half-width of the best no-trade region at an aim of 0, by dynamic programming.

    The aim fades at a rate of 1 and has a deviation of 1; holding w costs (w - aim)² / 2 a unit of
    time, and trading κ a unit of weight. The aim walks on a grid: up or down by a step, so that
    its drift and variance are right.
    """
    aims = np.linspace(-reach, reach, round(2 * reach / step) + 1)
    weights = np.linspace(-2.5, 2.5, 201)
    up, time = np.clip((1 - aims * step / 2) / 2, 0, 1)[:, None], step**2 / 2
    holding = time * (weights - aims[:, None]) ** 2 / 2
    above, below = np.minimum(np.arange(len(aims)) + 1, len(aims) - 1), np.arange(len(aims)) - 1
    below[0] = 0
    value = np.zeros(holding.shape)
    for _ in range(1500):  # to where a start no longer matters
        stay = holding + up * value[above] + (1 - up) * value[below]
        bought = np.minimum.accumulate((stay + kappa * weights)[:, ::-1], axis=1)[:, ::-1]
        sold = np.minimum.accumulate(stay - kappa * weights, axis=1)
        value = np.minimum(bought - kappa * weights, sold + kappa * weights)
        value = value - value.min()
    middle = len(aims) // 2
    kept = weights[np.abs(value[middle] - (stay - stay.min())[middle]) < 1e-12]
    return (kept.max() - kept.min()) / 2


@pytest.mark.slow
@pytest.mark.parametrize(("kappa", "part"), [(0.02, 0.85), (0.05, 0.85), (0.1, 0.82), (0.3, 0.73)])
def test_a_region_is_nearly_the_best_one(kappa, part):
    """For one symbol whose aim fades, dynamic programming finds a region of about that width.

    With γσ² = θ = ρ/σ = 1 and a weight of nothing, Γ² = 2 and D = (3κ)^⅓: the first term for small
    costs, and the more too wide the larger they are. (A tenth of the difference is the grid's.)
    """
    width = half_width(1.0, kappa, tilting(1.0, 1.0, 1.0, 1.0, 1.0))
    assert width == pytest.approx(0.75 * (3 * kappa) ** (1 / 3))
    assert 0.75 * widest_region(kappa) / width == pytest.approx(part, abs=0.04)


def test_a_half_width_by_hand():
    """1.5 × 0.002 × 0.03² / (10 × 0.03²) = 0.0003, and its cube root 0.0669."""
    moved = (0.03, 10, 0.03)
    assert half_width(1.0, 0.002, moved) == pytest.approx(0.0669433)
    assert half_width(0.5, 0.002, moved) == pytest.approx(0.0669433 / 2)
    assert half_width(1.0, 0.0, moved) == 0
    assert half_width(1.0, 0.001, moved, moved) == pytest.approx(0.0669433)
    assert drifting(0.1, 2.5, 0.02) == pytest.approx((0.002, 2.5, 0.02))  # what is held, alone


def test_aversion_by_hand():
    """A half-life of h: g = ln 2 / (1 - ½). The ratio a bar is at least 0.5 a year's."""
    plan, close = SimpleNamespace(ratio=0.05, tracking=0.002), SimpleNamespace(half_life=21.0)
    assert aversion(plan, close, 21, 256) == pytest.approx(2 * log(2) * 25)
    plan.ratio = 0.0
    assert aversion(plan, close, 21, 256) == pytest.approx(2 * log(2) / 32 / 0.002)
    assert fading(nan, 21) == fading(21.0, 21) == pytest.approx(log(2) / 21)


def test_lasting_scores_are_worth_as_much_later():
    """Where they never fade, g is 1: the ratio over h bars is the ratio now."""
    plan, close = SimpleNamespace(ratio=0.05, tracking=0.002), SimpleNamespace(half_life=1e7)
    assert aversion(plan, close, 21, 256) == pytest.approx(25, rel=1e-4)


def test_places_by_hand():
    assert place(0.50, 0.40, 0.10) == 0.50
    assert place(0.60, 0.40, 0.10) == pytest.approx(0.47)
    assert place(0.20, 0.40, 0.10) == pytest.approx(0.33)
    assert place(0.20, 0.40, 0.0) == 0.40


@given(WEIGHTS, WEIGHTS, WEIGHTS, WIDTHS)
def test_a_place_rises_with_its_aim(weight, low, high, width):
    low, high = min(low, high), max(low, high)
    assert place(weight, low, width) <= place(weight, high, width) + 1e-12


@given(WEIGHTS, WEIGHTS, WIDTHS)
def test_a_place_is_kept(weight, aim, width):
    """It lies within the region, between weight and aim; going there twice is going once."""
    placed = place(weight, aim, width)
    assert abs(placed - aim) <= width * (1 + 1e-12)
    assert min(weight, aim) - 1e-12 <= placed <= max(weight, aim) + 1e-12
    assert place(placed, aim, width) == placed


@given(SEEDS, st.integers(1, 30), st.floats(0, 2), st.sampled_from([0.3, 1.0]))
def test_what_is_bought_is_paid_for(seed, N, width, total):
    """Weights sum to the total, and none leaves its limits."""
    weights, aims, widths, shares, caps, _ = problem(seed, N, width)
    parts = by_number(total * weights, total * aims, total * widths, shares, total * caps)
    got = balance(*parts, total)
    assert sum(got.values()) == pytest.approx(total, abs=1e-12)
    assert all(-1e-15 <= got[n] <= total * caps[n] * (1 + 1e-12) for n in got)


@given(SEEDS, st.integers(2, 30))
def test_without_regions_the_balance_is_the_mean_variance_answer(seed, N):
    weights, aims, _, shares, caps, sigma = problem(seed, N, 0)
    aims = aims + np.random.default_rng(seed).normal(0, 1 / N, N)
    got = balance(*by_number(weights, aims, 0 * aims, shares, caps), 1.0)
    np.testing.assert_allclose(list(got.values()), optimum(aims, sigma, caps, 1), atol=1e-6)


@given(SEEDS, st.integers(1, 30))
def test_nothing_moves_while_all_are_in_their_regions(seed, N):
    _, aims, widths, shares, caps, _ = problem(seed, N, 1)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, N)
    drift = (noise - noise.mean()) * min(widths.min(), aims.min())
    weights = np.minimum(aims + drift, caps)
    parts = by_number(weights, aims, widths, shares, caps)
    assert balance(*parts, sum(parts[0].values())) == parts[0]


@given(SEEDS, st.integers(2, 30), st.floats(0, 2))
def test_at_most_one_symbol_stops_on_the_way(seed, N, width):
    """All others stay, end 0.7 of a half-width from the aim they pay for, or are at a limit."""
    weights, aims, widths, shares, caps, _ = problem(seed, N, width)
    got = np.array(list(balance(*by_number(weights, aims, widths, shares, caps), 1.0).values()))
    free = (got != weights) & (got > 0) & (got < caps)
    side = np.sign(weights - got)
    prices = (aims + side * 0.7 * widths - got)[free] / shares[free]
    if len(prices) > 1:
        agreed = np.abs(prices - np.median(prices[:, None], axis=0)) < 1e-7
        close = np.abs(prices[:, None] - prices[None, :]) < 1e-7
        assert agreed.sum() >= len(prices) - 1 or close.sum(axis=1).max() >= len(prices) - 1


def plan_of(invested, shares):
    """A plan without caps that aims at what it invests."""
    none = {"ratio": 0.0, "tracking": 1.0, "spread": 0.0}
    return Plan(invested, invested, dict.fromkeys(invested, 9.0), shares, **none)


def test_exposure_moves_first_and_by_one_factor():
    """W = 0.8; the region of the whole is (1.5 × 0.002 × 0.64 / 15)^⅓ = 0.0504."""
    plan, held = plan_of({"A": 0.5, "B": 0.5}, {"A": 0.5, "B": 0.5}), {"A": 0.48, "B": 0.32}
    terms = {"stuck": 0.0, "band": 1.0, "cost": 0.002, "gamma": 15.0}

    def wide(weights):
        return dict.fromkeys(weights, 1.0)

    assert settle_long_only(plan, held, wide, exposure=0.85, **terms) == held
    moved = settle_long_only(plan, held, wide, exposure=0.851, **terms)
    assert moved == pytest.approx({"A": 0.6 * 0.851, "B": 0.4 * 0.851})
    moved = settle_long_only(plan, held, wide, exposure=0.9, **terms)
    assert moved == pytest.approx({"A": 0.54, "B": 0.36})
    stuck = settle_long_only(plan, held, wide, exposure=0.9, **(terms | {"stuck": 0.1}))
    assert stuck == held
    assert settle_long_only(plan, held, wide, exposure=0.0, **terms) == {"A": 0.0, "B": 0.0}


def test_a_neutral_account_shrinks_as_a_whole_and_grows_by_symbol():
    plan, held = plan_of({"A": 0.5, "B": -0.5}, {}), {"A": 0.6, "B": -0.6}
    terms = {"band": 1.0, "cost": 0.002, "gamma": 15.0}

    def wide(weights):
        return dict.fromkeys(weights, 1.0)

    half = settle_neutral(plan, held, wide, exposure=0.5, **terms)
    assert half == pytest.approx({"A": 0.25, "B": -0.25})
    assert settle_neutral(plan, held, wide, exposure=1.5, **terms) == held
    small = {"A": 0.1, "B": 0.0}
    grown = settle_neutral(plan, small, lambda w: dict.fromkeys(w, 0.1), exposure=1.0, **terms)
    assert grown == pytest.approx({"A": 0.43, "B": -0.43})
