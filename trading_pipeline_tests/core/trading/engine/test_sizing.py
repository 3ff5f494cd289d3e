"""What is invested, of a whole of 1, and how much of the equity that is."""

from dataclasses import replace
from math import nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from trading_pipeline.core.trading.engine.reasons import names_of
from trading_pipeline_tests.core.trading.one_close import (
    NEUTRAL,
    OPEN,
    ROOMY,
    YEAR,
    close_of,
    neutral,
    returns_of,
)

SEEDS = st.integers(0, 10**6)
BOLD = replace(OPEN, tracking_error=0.5, symbol_cap=0.2)  # so that limits of weights bind
FREE_SIZE = replace(OPEN, gross_cap=9.0, net_cap=9.0, symbol_cap=9.0)


def market(seed, N):
    rng = np.random.default_rng(seed)
    return {"score": rng.normal(0, 1, N), "sigma": rng.uniform(0.005, 0.05, N),
            "beta": rng.uniform(0.4, 1.8, N), "weights": rng.uniform(0, 1, N)}  # fmt: skip


@given(SEEDS, st.integers(2, 30), st.sampled_from([0.02, 0.2, 1.0]))
def test_a_long_only_account_is_invested_once_and_within_its_caps(seed, N, cap):
    known = market(seed, N)
    got = close_of(N, replace(BOLD, symbol_cap=cap), **known)
    caps = np.maximum(max(cap, 1.5 / N), known["weights"] / known["weights"].sum())
    assert got.stages["invested"].sum() == pytest.approx(1.0, abs=1e-9)
    assert (got.stages["invested"] >= 0).all()
    assert (got.stages["invested"] <= caps + 1e-12).all()
    assert got.account["symbol_cap"] == pytest.approx(max(cap, 1.5 / N))
    for bits, weight, most in zip(got.rows["reasons"], got.stages["invested"], caps, strict=True):
        assert ("symbol_cap" in names_of(bits)) <= (weight == pytest.approx(most, abs=1e-9))
        assert ("long_only" in names_of(bits)) <= (weight == 0)


@given(SEEDS)
def test_what_the_limits_cut_is_spread_as_an_optimiser_would(seed):
    """Least Σ σ² (w - wanted)² with w in [0, cap] and a sum of 1, by a solver that knows no λ."""
    known = market(seed, 6)
    got = close_of(6, BOLD, **known)
    wanted = got.stages["benchmark"] + got.stages["capped"]
    caps = np.maximum(got.account["symbol_cap"], got.stages["benchmark"])
    precise = (known["sigma"] / known["sigma"].max()) ** 2
    solved = minimize(
        lambda w: (precise * (w - wanted) ** 2).sum(),
        np.full(6, 1 / 6),
        jac=lambda w: 2 * precise * (w - wanted),
        bounds=[(0, cap) for cap in caps],
        constraints=LinearConstraint(np.ones(6), 1, 1),
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    least = (precise * (got.stages["invested"] - wanted) ** 2).sum()
    assert least <= solved.fun * (1 + 1e-6) + 1e-12


def test_a_weight_that_the_limits_cut_worked_by_hand():
    """Three symbols of equal σ, capped at 0.5: a benchmark of 0.5, 0.3, 0.2 for which nothing is
    predicted is itself; without the third, its 0.2 go to the others in proportion."""
    weights = np.array([0.5, 0.3, 0.2])
    got = close_of(3, replace(OPEN, symbol_cap=0.5), weights=weights)
    np.testing.assert_allclose(got.stages["invested"], weights, rtol=1e-12)
    able = np.array([True, True, False])
    got = close_of(3, replace(OPEN, symbol_cap=0.5), weights=weights, eligible=able)
    np.testing.assert_allclose(got.stages["benchmark"], [0.625, 0.375, 0], rtol=1e-12)


def test_a_benchmark_of_which_nothing_may_be_held_becomes_equal_weights():
    got = close_of(4, weights=[1, 0, nan, 0], eligible=np.array([False, True, True, True]))
    np.testing.assert_allclose(got.target, [0, 1 / 3, 1 / 3, 1 / 3], rtol=1e-12)


def test_no_symbol_is_capped_below_its_benchmark():
    weights = np.array([0.7, 0.1, 0.1, 0.1])
    got = close_of(4, replace(OPEN, symbol_cap=0.05), weights=weights)
    np.testing.assert_allclose(got.target, weights, rtol=1e-9)


@pytest.mark.parametrize(("table", "cap"), [(0.08, 1.5 * 1.2 / 8), (0.24, 0.24)])
def test_a_neutral_weight_is_cut_to_a_cap_that_is_wider_in_a_small_universe(table, cap):
    """max(table, 1.5 × gross cap / symbols), on either side."""
    profile = replace(NEUTRAL, symbol_cap=table, gross_cap=1.2, volatility_target=2.0)
    got = neutral(8, profile, **{**market(3, 8), "weights": nan})
    capped = got.stages["capped"]
    np.testing.assert_allclose(got.stages["invested"], np.clip(capped, -cap, cap), rtol=1e-12)
    assert got.account["symbol_cap"] == pytest.approx(cap)
    for bits, weight in zip(got.rows["reasons"], capped, strict=True):
        assert ("symbol_cap" in names_of(bits)) == (abs(weight) > cap)
    assert (np.abs(capped) > cap).any()


def exposed(recent, **limits):
    """A benchmark of four symbols under a volatility target, and its returns in `recent`."""
    got = close_of(4, replace(FREE_SIZE, **{"volatility_target": 0.12} | limits), recent=recent)
    return got, recent @ np.full(4, 0.25)


def test_the_exposure_is_the_volatility_target_over_that_of_63_bars():
    got, earned = exposed(returns_of(4, 0.02, T=120))
    moved = np.std(earned[-63:], ddof=1)
    assert got.account["exposure"] == pytest.approx(0.12 / sqrt(YEAR) / moved, rel=1e-12)
    assert got.account["forecast"] == pytest.approx(0.12 / sqrt(YEAR), rel=1e-12)
    assert got.target.sum() == pytest.approx(got.account["exposure"], rel=1e-9)
    assert {names_of(bits) for bits in got.rows["reasons"]} == {"volatility_target"}


def test_a_short_history_assumes_that_all_moves_together():
    """Below 63 bars: Σ |w| σ is the target."""
    got, _ = exposed(np.zeros((62, 4)))
    assert got.account["exposure"] == pytest.approx(0.12 / sqrt(YEAR) / 0.02, rel=1e-12)


@pytest.mark.parametrize(
    ("limits", "leverage", "most", "rule"),
    [
        ({"gross_cap": 0.6}, 10, 0.6, "gross_cap"),
        ({"gross_cap": 0.6, "net_cap": 0.5}, 10, 0.5, "net_cap"),
        ({"gross_cap": 0.6}, 0.4, 0.4, "leverage_cap"),
    ],
)
def test_the_exposure_is_capped_by_the_tightest_of_three(limits, leverage, most, rule):
    costs = replace(ROOMY, leverage=leverage)
    got = close_of(4, replace(FREE_SIZE, volatility_target=5.0, **limits), costs=costs)
    assert got.account["exposure"] == pytest.approx(most, rel=1e-12)
    assert names_of(got.account["exposure_rule"]) == rule
    assert {names_of(bits) for bits in got.rows["reasons"]} == {rule}
    assert got.target.sum() == pytest.approx(most, rel=1e-9)
    untargeted = close_of(4, replace(FREE_SIZE, **limits), costs=costs)
    assert untargeted.account["exposure"] == got.account["exposure"]


def test_a_market_without_movement_is_held_up_to_the_gross_cap():
    """A constant price has no volatility to scale by; infinity is no weight."""
    got, _ = exposed(np.zeros((63, 4)), gross_cap=0.8)
    assert got.target.sum() == pytest.approx(0.8)


def test_weights_that_are_asked_for_keep_their_proportions_within_the_caps():
    """No cap per symbol or group holds for them; the net cap counts longs less shorts."""
    asked = np.array([0.6, 0.4, -0.1, -0.1])
    tight = replace(OPEN, symbol_cap=0.01, group_cap=0.01, gross_cap=9.0, net_cap=0.4)
    got = close_of(4, tight, weights=asked, scored=False, mandate="neutral", groups=0)
    np.testing.assert_allclose(got.target, asked / 2, rtol=1e-12)
    assert {names_of(bits) for bits in got.rows["reasons"]} == {"net_cap"}
    got = close_of(4, tight, weights=asked, scored=False)
    np.testing.assert_allclose(got.target, [0.24, 0.16, 0, 0], rtol=1e-9)
    assert "long_only" in names_of(got.rows["reasons"][2])


def test_without_a_volatility_target_weights_are_taken_as_they_are_asked_for():
    got = close_of(3, weights=[0.2, 0.3, nan], scored=False)
    np.testing.assert_allclose(got.target, [0.2, 0.3, 0.0], rtol=1e-9)
    assert got.account["exposure_rule"] == 0


def test_zero_or_missing_volatility_means_untradable():
    sigma = np.array([0.02, 0.0, nan, 0.02])
    got = close_of(4, score=1.0, sigma=sigma, recent=np.full((63, 4), 0.01))
    assert (got.target > 0).tolist() == [True, False, False, True]
    assert names_of(got.rows["reasons"][1]) == "ineligible"


def test_the_forecast_is_that_of_the_targets():
    recent = returns_of(4)
    got = close_of(4, replace(FREE_SIZE, gross_cap=0.1), score=[0.5, 1, -0.3, 0.2], recent=recent)
    deviation = np.std(recent[-63:] @ got.target, ddof=1)
    assert got.account["forecast"] == pytest.approx(deviation, rel=1e-9)
