"""The reference's tilt against numpy's regression, an optimiser, and numbers worked by hand."""

from math import inf, nan, sqrt
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline_tests.reference.optimum import optimum
from trading_pipeline_tests.reference.tilt import (
    Close,
    benchmark_of,
    cap_groups,
    invest,
    plan_of_scores,
    plan_of_weights,
    residual,
    unit_tilt,
)

SEEDS = st.integers(0, 10**6)


def close_of(seed, N, bars=300):
    """A market of symbols 0 to N - 1."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.005, 0.05, N)
    moves = rng.normal(0, sigma, (bars, N)) + rng.normal(0, 0.01, (bars, 1))
    return Close(
        sigma=dict(enumerate(sigma)),
        beta=dict(enumerate(rng.uniform(0.4, 1.8, N))),
        group=dict(enumerate(rng.choice([None, 0, 1, 2], N))),
        benchmark=None,
        half_life=10.0,
        returns={n: moves[:, n].tolist() for n in range(N)},
    )


def profile_of(**changes):
    """The limits that sizing reads, loose unless told otherwise."""
    loose = {"tracking_error": 0.04, "volatility_target": inf, "gross_cap": 1.5}
    return SimpleNamespace(**(loose | {"symbol_cap": 1.0, "group_cap": inf} | changes))


def signals_of(seed, N):
    return dict(enumerate(np.random.default_rng(seed + 1).normal(0, 0.2, N).tolist()))


@given(SEEDS, st.integers(4, 30), st.integers(1, 3), st.booleans())
def test_a_residual_is_what_least_squares_leaves(seed, N, K, twice):
    """Also where one regressor says the same as another."""
    rng = np.random.default_rng(seed)
    regressors, values = rng.normal(1, 1, (K, N)), rng.normal(size=N)
    if twice:
        regressors = np.vstack([regressors, 3 * regressors[:1]])
    fit = np.linalg.lstsq(regressors.T, values, rcond=None)[0] @ regressors
    got = residual(values.tolist(), regressors.tolist())
    np.testing.assert_allclose(got, values - fit, atol=1e-10)
    np.testing.assert_allclose(regressors @ got, 0, atol=1e-10)


@given(SEEDS, st.integers(8, 30), st.booleans())
def test_a_unit_tilt_carries_nothing_of_the_market(seed, N, long_only):
    """No β; and no money in it where longs pay, no σ where shorts do."""
    close = close_of(seed, N)
    x, tilt = unit_tilt(signals_of(seed, N), close, long_only=long_only)
    gross = sum(abs(a) for a in tilt.values())
    other = 1.0 if long_only else 0.02
    paid = {n: other if long_only else close.sigma[n] for n in tilt}
    assert abs(sum(a * close.beta[n] for n, a in tilt.items())) < 1e-10 * gross
    assert abs(sum(a * paid[n] for n, a in tilt.items())) < 1e-10 * gross
    assert abs(sum(x.values())) < 1e-10 * N


def test_few_symbols_are_only_demeaned():
    close = close_of(1, 3)
    x, tilt = unit_tilt({0: 0.3, 1: 0.0, 2: 0.0}, close, long_only=True)
    np.testing.assert_allclose(list(x.values()), [0.2, -0.1, -0.1])
    assert tilt[0] == pytest.approx(0.2 / close.sigma[0])


@pytest.mark.parametrize("N", [1, 5, 12])
def test_equal_scores_are_no_tilt(N):
    """What rounding leaves of them must not be scaled up."""
    for long_only in (False, True):
        assert unit_tilt(dict.fromkeys(range(N), 0.1), close_of(1, N), long_only=long_only) == (
            {},
            {},
        )


def test_deviations_are_those_of_the_last_bars():
    close = close_of(3, 4)
    weights = {0: 0.5, 2: -0.3}
    earned = 0.5 * np.array(close.returns[0]) - 0.3 * np.array(close.returns[2])
    for bars in (63, 252):
        assert close.deviation(weights, bars) == pytest.approx(earned[-bars:].std(ddof=1))


def test_a_short_history_moves_as_if_all_moved_together():
    close = close_of(3, 4, bars=62)
    bound = 0.5 * close.sigma[0] + 0.3 * close.sigma[2]
    assert close.deviation({0: 0.5, 2: -0.3}, 63) == pytest.approx(bound)
    longer = close_of(3, 4, bars=63)
    assert longer.deviation({0: 0.5, 2: -0.3}, 252) < 0.9 * bound


def test_the_size_of_a_tilt_by_hand():
    """x = ±0.1, σ = 1 %, a = ±10: few bars, so it deviates by 0.2; IR = 0.02 / (2 × 0.2) = 0.05.

    That is more than 0.5 / √256 = 1/32. τ = 0.032 / 16 = 0.002, half of it is 0.001: a = ±0.05.
    """
    close = close_of(1, 2, bars=5)
    close.sigma = {0: 0.01, 1: 0.01}
    terms = {"long_only": True, "horizon": 4, "bars_per_year": 256}
    profile = profile_of(tracking_error=0.032)
    plan = plan_of_scores({0: 0.2, 1: 0.0}, [0, 1], close, profile, 0.5, **terms)
    assert plan.ratio == pytest.approx(0.05)
    np.testing.assert_allclose([plan.invested[0], plan.invested[1]], [0.55, 0.45])
    assert plan.spread == pytest.approx(0.0005)


def test_calm_symbols_pay_for_the_others():
    """By their precision: 1 and 1/4."""
    close = close_of(1, 2, bars=5)
    close.sigma = {0: 0.01, 1: 0.02}
    terms = {"long_only": True, "horizon": 4, "bars_per_year": 256}
    scored = plan_of_scores({}, [0, 1], close, profile_of(), 0.5, **terms)
    del terms["horizon"]
    asked = plan_of_weights({}, [0, 1], close, profile_of(), **terms)
    assert scored.shares == asked.shares == pytest.approx({0: 0.8, 1: 0.2})


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([12, 25]), st.floats(0.2, 1.0), st.floats(0.001, 3.0))
def test_a_tilt_moves_as_much_as_its_share_of_the_tracking_error(seed, N, share, strength):
    """And less where the scores expect less than half a unit a year."""
    close = close_of(seed, N)
    terms = {"long_only": True, "horizon": 10, "bars_per_year": 252}
    signals = {n: strength * signal for n, signal in signals_of(seed, N).items()}
    plan = plan_of_scores(signals, list(signals), close, profile_of(), share, **terms)
    if min(plan.aims.values()) > 0:  # or λ is in the aims
        tilt = {n: plan.aims[n] - 1 / N for n in signals}
        expected = share * min(1, plan.ratio / (0.5 / sqrt(252))) * 0.04 / sqrt(252)
        assert close.deviation(tilt, 252) == pytest.approx(expected)


def test_weak_scores_make_a_small_tilt_in_proportion_to_their_square():
    close, terms = close_of(5, 12), {"long_only": True, "horizon": 10, "bars_per_year": 252}
    sizes = []
    for strength in (1e-4, 2e-4):
        signals = {n: strength * signal for n, signal in signals_of(5, 12).items()}
        plan = plan_of_scores(signals, list(signals), close, profile_of(), 1.0, **terms)
        sizes.append(plan.aims[0] - 1 / 12)
    assert sizes[1] / sizes[0] == pytest.approx(2)


def test_a_neutral_tilt_has_the_volatility_target_or_the_gross_cap():
    close, signals = close_of(5, 12), signals_of(5, 12)
    terms = {"long_only": False, "horizon": 10, "bars_per_year": 252}
    signals = {n: 10 * signal for n, signal in signals.items()}
    for target in (0.1, inf):
        profile = profile_of(volatility_target=target)
        plan = plan_of_scores(signals, list(signals), close, profile, 1.0, **terms)
        if target == inf:
            assert sum(map(abs, plan.invested.values())) == pytest.approx(1.5)
        else:
            assert close.deviation(plan.invested, 252) == pytest.approx(target / sqrt(252))
        assert close.deviation(plan.invested, 252) == pytest.approx(plan.tracking)


def test_groups_are_capped_by_hand():
    """Of 10 in all group 0 has 6; there are 3 groups, so the cap is a half at least."""
    tilt = {"A": 4.0, "B": -2.0, "C": 1.0, "D": -3.0}
    group = {"A": 0, "B": 0, "C": 1, "D": None}
    assert cap_groups(tilt, group, 0.57, "ABCD") == pytest.approx(
        {"A": 3.8, "B": -1.9, "C": 1.0, "D": -3.0}
    )
    assert cap_groups(tilt, group, 0.1, "ABCD") == pytest.approx(
        {"A": 4 * 5 / 6, "B": -2 * 5 / 6, "C": 1.0, "D": -3.0}
    )
    assert cap_groups(tilt, group, inf, "ABCD") == tilt


def test_a_benchmark_sums_to_1_over_those_that_may_be_held():
    weights = {"A": 0.2, "B": 0.3, "C": nan, "D": 0.5}
    assert benchmark_of(weights, "ABC") == pytest.approx({"A": 0.4, "B": 0.6, "C": 0.0})
    assert benchmark_of(None, "ABCD") == dict.fromkeys("ABCD", 0.25)
    assert benchmark_of(weights, "C") == {"C": 1.0}


@given(SEEDS, st.integers(2, 30), st.floats(0.0, 3.0))
def test_invested_weights_are_the_mean_variance_answer(seed, N, size):
    """No optimiser finds better ones with the same limits."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0.005, 0.05, N)
    aims = 1 / N + rng.normal(0, size / N, N)
    caps = rng.uniform(1.2, 4, N) / N
    shares = sigma**-2 / (sigma**-2).sum()
    whole = [dict(enumerate(values.tolist())) for values in (aims, shares, caps)]
    unlimited, got = invest(*whole)
    assert sum(got.values()) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(list(got.values()), optimum(aims, sigma, caps, 1), atol=1e-6)
    cut = np.clip(list(unlimited.values()), 0, caps)
    np.testing.assert_allclose(cut, list(got.values()), atol=1e-12)


@given(SEEDS, st.integers(1, 30))
def test_no_scores_hold_the_benchmark(seed, N):
    close = close_of(seed, N)
    given_weights = np.random.default_rng(seed).dirichlet(np.ones(N)).tolist()
    terms = {"long_only": True, "horizon": 10, "bars_per_year": 252}
    for weights in (None, dict(enumerate(given_weights))):
        close.benchmark = weights
        plan = plan_of_scores({}, list(range(N)), close, profile_of(symbol_cap=0.01), 1.0, **terms)
        expected = [1 / N] * N if weights is None else given_weights
        np.testing.assert_allclose(list(plan.invested.values()), expected, atol=1e-12)
