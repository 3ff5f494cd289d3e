"""The tilt: what scores say beyond mean, β and σ, at the tracking error that they deserve."""

from dataclasses import replace
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.trading.engine.reasons import names_of
from trading_pipeline_tests.core.trading.one_close import (
    NEUTRAL,
    OPEN,
    YEAR,
    close_of,
    neutral,
    returns_of,
)

SEEDS = st.integers(0, 10**6)
N = 12
WIDE = replace(OPEN, tracking_error=0.02)


def cross_section(seed, n=N):
    """Scores, volatilities and betas of a date."""
    rng = np.random.default_rng(seed)
    score, sigma = rng.normal(0, 1, n), rng.uniform(0.005, 0.05, n)
    return {"score": score, "sigma": sigma, "beta": rng.uniform(0.4, 1.8, n)}


@pytest.mark.parametrize("score", [0.0, 0.7, nan], ids=["zero", "equal", "unknown"])
@pytest.mark.parametrize("weights", [nan, np.arange(N)], ids=["equal weight", "configured"])
def test_without_a_difference_of_scores_the_account_holds_its_benchmark(score, weights):
    """Exactly: a score that is the same for all says nothing about any of them."""
    given = cross_section(3) | {"score": score}
    got = close_of(N, OPEN, weights=weights, **given)
    benchmark = np.full(N, 1 / N) if np.isnan(weights).all() else weights / weights.sum()
    np.testing.assert_allclose(got.target, benchmark, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.aim, benchmark, rtol=1e-9, atol=1e-12)
    assert np.abs(got.stages["active"]).max() < 1e-12


def test_a_neutral_account_without_a_difference_of_scores_holds_nothing():
    for score in (0.0, 0.7, nan):
        got = neutral(N, **cross_section(3) | {"score": score})
        assert np.abs(got.target).max() < 1e-12


@given(SEEDS)
def test_a_long_only_tilt_has_no_money_and_no_beta(seed):
    known = cross_section(seed)
    active = close_of(N, **known).stages["active"]
    size = np.abs(active).sum()
    assert size > 0
    assert abs(active.sum()) < 1e-9 * size
    assert abs(active @ known["beta"]) < 1e-9 * size


@given(SEEDS)
def test_a_neutral_tilt_has_no_beta_and_balances_in_units_of_sigma(seed):
    known = cross_section(seed)
    active = neutral(N, **known).stages["active"]
    assert abs(active @ known["beta"]) < 1e-9 * np.abs(active).sum()
    assert abs(active @ known["sigma"]) < 1e-9 * np.abs(active * known["sigma"]).sum()


@given(SEEDS, st.sampled_from(["long_only", "neutral"]))
def test_the_tilt_is_what_a_regression_leaves(seed, mandate):
    """Of the scores on 1, β/σ and, where there is a benchmark, 1/σ; divided by σ."""
    known = cross_section(seed)
    score, sigma, beta = (known[name] for name in ("score", "sigma", "beta"))
    columns = [np.ones(N), beta / sigma, 1 / sigma][: 3 if mandate == "long_only" else 2]
    regressors = np.column_stack(columns)
    rest = score - regressors @ np.linalg.lstsq(regressors, score)[0]
    profile = OPEN if mandate == "long_only" else NEUTRAL
    stages = close_of(N, profile, mandate=mandate, **known).stages
    np.testing.assert_allclose(stages["tilt"], rest, rtol=1e-7, atol=1e-9)
    unit = rest / sigma
    factor = stages["active"] @ unit / (unit @ unit)
    np.testing.assert_allclose(stages["active"], factor * unit, rtol=1e-7, atol=1e-12)


@given(SEEDS, st.floats(-3, 3), st.sampled_from(["long_only", "neutral"]))
def test_a_constant_added_to_all_scores_changes_nothing(seed, constant, mandate):
    """The market's expected return, which every score contains, is no opinion on a symbol."""
    known = cross_section(seed)
    shifted = known | {"score": known["score"] + constant}
    one, other = (close_of(N, NEUTRAL, mandate=mandate, **each) for each in (known, shifted))
    np.testing.assert_allclose(other.target, one.target, rtol=1e-6, atol=1e-9)


def test_scores_twice_as_large_tilt_twice_as_much_until_the_tracking_error_binds():
    known = cross_section(5) | {"score": 0.001 * cross_section(5)["score"]}
    whole = WIDE.tracking_error / sqrt(YEAR)
    errors = []
    for doublings in range(12):
        got = close_of(N, WIDE, **known | {"score": 2**doublings * known["score"]})
        errors.append(got.account["tracking"])
    small = [error for error in errors if error < whole / 2]
    assert len(small) >= 2
    np.testing.assert_allclose(np.diff(np.log2(small)), 1.0, rtol=1e-9)
    np.testing.assert_allclose(errors[-2:], whole, rtol=1e-9)


def test_the_tracking_error_is_the_deviation_of_the_tilts_returns_over_a_year():
    """And the expected information ratio Σ x² / (√h d(x/σ)) decides how much of it is deserved."""
    known, recent = cross_section(5), returns_of(N, 0.02, T=300)[-YEAR:]
    for times in (0.002, 1.0):
        got = close_of(N, recent=recent, **known | {"score": times * known["score"]})
        unit = got.stages["tilt"] / known["sigma"]
        error = np.std(recent @ unit, ddof=1)
        ratio = (got.stages["tilt"] ** 2).sum() / sqrt(10) / error
        assert got.account["information"] == pytest.approx(ratio, rel=1e-9)
        deserved = min(1.0, ratio * sqrt(YEAR) / 0.5)
        assert (deserved < 1) == (times < 1)
        expected = deserved * 0.04 / sqrt(YEAR)
        assert np.std(recent @ got.stages["active"], ddof=1) == pytest.approx(expected, rel=1e-9)


def test_a_tilt_of_two_symbols_worked_by_hand():
    """Scores 0.3 and 0.1 at σ 1 % and 2 %, five bars of history: x = ±0.1, x/σ = 10 and -5.

    With so few bars d = Σ |a| σ = 0.2, so that the tilt at τ = 0.04/√252 a bar is τ/0.2 times as
    much: 50 τ and -25 τ. IR = 0.02 / (√10 × 0.2) = 0.0316 a bar is more than 0.5/√252 = 0.0315.
    """
    got = close_of(2, score=[0.3, 0.1], sigma=[0.01, 0.02], recent=np.zeros((5, 2)))
    np.testing.assert_allclose(got.stages["tilt"], [0.1, -0.1], rtol=1e-12)
    tau = 0.04 / sqrt(252)
    np.testing.assert_allclose(got.stages["active"], [50 * tau, -25 * tau], rtol=1e-12)
    assert got.account["information"] == pytest.approx(0.0316227766, rel=1e-8)


@pytest.mark.parametrize(("kelly", "share"), [(nan, 0.3), (0.5, 0.5), (1.0, 1.0)])
def test_evidence_scales_the_tilt_and_never_the_market(kelly, share):
    profile, known = replace(WIDE, starting_cap=0.3), cross_section(5)
    whole, got = (close_of(N, profile, kelly=k, **known) for k in (1.0, kelly))
    np.testing.assert_allclose(got.stages["active"], share * whole.stages["active"], rtol=1e-12)
    assert got.target.sum() == pytest.approx(1.0, rel=1e-9)
    assert all(("kelly_cap" in names_of(bits)) == (share < 1) for bits in got.rows["reasons"])


def test_a_neutral_account_takes_its_volatility_target_for_tracking_error():
    recent = returns_of(N)
    got = neutral(N, recent=recent, **cross_section(5))
    assert np.std(recent @ got.target, ddof=1) == pytest.approx(0.12 / sqrt(YEAR), rel=1e-9)


def test_a_neutral_account_without_a_volatility_target_is_scaled_to_its_gross_cap():
    profile = replace(NEUTRAL, volatility_target=inf, gross_cap=0.8)
    for recent in (None, np.zeros((63, N))):
        got = neutral(N, profile, recent=recent, **cross_section(5))
        assert np.abs(got.stages["active"]).sum() <= 0.8 * (1 + 1e-12)
    got = neutral(N, profile, **cross_section(5))
    assert np.abs(got.target).sum() == pytest.approx(0.8)


def test_symbols_without_a_score_have_no_tilt_and_no_part_in_it():
    """The others are tilted as if they were alone."""
    known = cross_section(5)
    known["score"][:2] = nan
    got = close_of(N, **known)
    assert (got.stages["tilt"][:2] == 0).all()
    recent = returns_of(N, known["sigma"])[:, 2:]
    alone = close_of(N - 2, recent=recent, **{name: row[2:] for name, row in known.items()})
    np.testing.assert_allclose(got.stages["active"][2:], alone.stages["active"], rtol=1e-9)


def test_one_score_alone_is_no_difference():
    score = np.where(np.arange(N) == 4, 2.0, nan)
    got = close_of(N, **cross_section(5) | {"score": score})
    np.testing.assert_allclose(got.target, 1 / N, rtol=1e-9)


def capped(groups, share=0.3, seed=5):
    """Tilts before and after the cap per group, and the close."""
    profile = replace(WIDE, group_cap=share)
    got = close_of(N, profile, groups=groups, **cross_section(seed))
    return np.abs(got.stages["active"]), np.abs(got.stages["capped"]), got


def test_a_group_is_scaled_to_its_share_of_the_tilt():
    """Of six symbols in one group, beside six that are groups by themselves."""
    groups = np.array([0] * 6 + [1, 2, 3, 4, 5, 6])
    before, after, got = capped(groups)
    assert before[:6].sum() > 0.3 * before.sum(), "the scores are made for this"
    assert after[:6].sum() == pytest.approx(0.3 * before.sum(), rel=1e-12)
    np.testing.assert_allclose(after[:6] / before[:6], after[0] / before[0], rtol=1e-12)
    for n in range(N):
        cut = (after[n] < before[n]) or n < 6
        assert ("group_cap" in names_of(got.rows["reasons"][n])) == cut


def test_few_groups_may_have_one_and_a_half_equal_shares():
    """Three groups: a cap of a tenth would be silly, so each may have half."""
    groups = np.repeat([0, 1, 2], 4)
    before, after, got = capped(groups, share=0.1)
    assert got.account["group_cap"] == pytest.approx(0.5)
    for group in range(3):
        of = groups == group
        expected = min(before[of].sum(), 0.5 * before.sum())
        assert after[of].sum() == pytest.approx(expected, rel=1e-12)


def test_symbols_of_no_group_are_never_cut():
    before, after, _ = capped(-1, share=0.01)
    np.testing.assert_array_equal(after, before)


def test_twice_the_volatility_ahead_halves_every_active_weight():
    """All that is expected in units of it is the same, and so is the tracking error meant."""
    known = cross_section(5) | {"beta": 1.0}
    usual = returns_of(N, known["sigma"]).std(axis=0)
    calm = close_of(N, **known, forecast=usual)
    wild = close_of(N, **known, forecast=2 * usual)
    np.testing.assert_allclose(wild.stages["active"], calm.stages["active"] / 2, rtol=1e-9)
    assert wild.account["tracking"] == pytest.approx(calm.account["tracking"])
    assert wild.account["information"] == pytest.approx(calm.account["information"])


@given(SEEDS)
def test_the_tracking_error_is_of_past_correlations_and_forecast_volatilities(seed):
    """Tilt over forecast, whatever σ is; where none is forecast, σ and the past as it was."""
    known = cross_section(seed)
    forecast = np.random.default_rng(seed).uniform(0.005, 0.05, N)
    forecast[:3] = nan
    recent = returns_of(N, known["sigma"])
    got = close_of(N, **known, forecast=forecast)
    usual = np.where(np.isnan(forecast), known["sigma"], forecast)
    tilt, active = got.stages["tilt"], got.stages["active"]
    np.testing.assert_allclose(active * usual / tilt, (active * usual / tilt)[0], rtol=1e-6)
    scale = np.where(np.isnan(forecast), 1.0, forecast / recent.std(axis=0))
    assert (recent * scale @ active).std(ddof=1) == pytest.approx(got.account["tracking"])


def test_few_bars_take_the_forecast_for_what_any_correlation_allows():
    known = cross_section(5)
    got = close_of(N, **known, forecast=2 * known["sigma"], recent=returns_of(N, 0.01, T=40))
    bound = np.abs(got.stages["active"]) @ (2 * known["sigma"])
    assert got.account["tracking"] == pytest.approx(bound)


def test_a_stop_is_in_sigma_whatever_is_forecast():
    known = cross_section(5)
    got = [close_of(N, **known, forecast=each) for each in (nan, 0.5 * known["sigma"])]
    assert not np.allclose(got[0].stages["active"], got[1].stages["active"])
    for each in got:
        np.testing.assert_array_equal(each.order_sigma, known["sigma"])
