"""Distances between what a model was trained on and what it sees now."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from trading_pipeline.core.evaluation.features.drift import LEAST, SHIFTED, STABLE, drift

LEVELS = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-5, 5, width=32))
SAMPLES = hnp.arrays(np.float32, st.integers(LEAST, 80), elements=LEVELS)


@given(SAMPLES, SAMPLES)
def test_the_distance_equals_scipy_with_ties_and_without(training, live):
    expected = stats.ks_2samp(training, live, method="asymp").statistic
    np.testing.assert_allclose(drift(training, live).ks, expected, atol=1e-12)


@given(SAMPLES, SAMPLES, st.randoms())
def test_distances_are_of_distributions_not_of_orders(training, live, random):
    shuffled = live.copy()
    random.shuffle(shuffled)
    found = drift(training, live)
    assert drift(training, shuffled) == found
    assert found.psi >= 0
    assert 0 <= found.ks <= 1
    assert drift(training, training) == (0.0, 0.0)


def test_an_index_worked_by_hand():
    """Half of the live values fall below the lowest decile, the rest keep to the other nine.

    Shares: 0.1 against 0.5, and nine times 0.1 against 0.5 / 9.
    """
    training = np.arange(1000.0)
    live = np.concatenate([np.full(450, 5.0), np.repeat(np.arange(9), 50) * 100 + 150.0])
    psi = 0.4 * np.log(5) + 9 * (0.5 / 9 - 0.1) * np.log(0.5 / 0.9)
    np.testing.assert_allclose(drift(training, live).psi, psi, rtol=1e-9)


def test_the_same_distribution_is_stable_and_a_shift_by_one_deviation_is_not():
    noise = np.random.default_rng(0)
    training = noise.normal(size=20_000)
    assert drift(training, noise.normal(size=5_000)).psi < STABLE / 10
    assert drift(training, noise.normal(0.2, 1, 5_000)).psi < STABLE
    assert drift(training, noise.normal(1.0, 1, 5_000)).psi > SHIFTED


def test_values_that_were_constant_in_training_are_seen_to_move():
    """No decile could tell: a constant gets a bin of its own, with one on each side."""
    still = np.zeros(100)
    for live in (np.full(100, 0.5), np.full(100, -0.5)):
        assert drift(still, live).psi > SHIFTED
        assert drift(still, live).ks == 1.0
    assert drift(still, still) == (0.0, 0.0)


def test_a_mask_that_is_set_more_often_has_drifted():
    """Two values: the deciles alone are a single number."""
    training = np.repeat([0.0, 1.0], [95, 5])
    assert drift(training, np.repeat([0.0, 1.0], [50, 50])).psi > SHIFTED


def test_more_missing_values_are_drift_to_the_index_and_nothing_to_the_distance():
    noise = np.random.default_rng(1)
    training, live = noise.normal(size=2_000), noise.normal(size=2_000)
    gappy = np.where(noise.random(2_000) < 0.4, np.nan, live)
    assert drift(training, gappy).psi > SHIFTED
    assert drift(training, gappy).ks < 0.08
    assert drift(gappy, gappy).psi == 0


@pytest.mark.parametrize("known", [0, LEAST - 1])
def test_too_few_values_have_no_distance(known):
    few = np.r_[np.arange(float(known)), np.full(100, np.nan)]
    for pair in ((few, np.arange(100.0)), (np.arange(100.0), few)):
        assert np.isnan(drift(*pair)).all()
