"""Probabilistic and deflated Sharpe ratios against the papers and two independent libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    trial_variance,
)

# Bailey and Lopez de Prado, The Deflated Sharpe Ratio (2014), their numerical example.
PAPER = SharpeMoments(sharpe=2.5 / np.sqrt(250), skew=-3, kurtosis=10, n_days=1250)


def returns(seed=3, mean=0.0006, n_days=900):
    return mean + 0.01 * np.random.default_rng(seed).standard_t(4, n_days)


def test_deflated_sharpe_is_that_of_the_paper():
    assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, 0.5 / 250) == pytest.approx(0.9004, abs=5e-5)


def test_one_trial_is_the_probabilistic_sharpe_ratio():
    assert expected_maximum_sharpe(1, 0.5 / 250) == 0
    assert deflated_sharpe(PAPER, 1, 0.5 / 250) == probabilistic_sharpe(PAPER)


def test_no_trial_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1, was 0"):
        expected_maximum_sharpe(0, 0.1)


@pytest.mark.parametrize("known", [[], [0.1], [0.1, 0.1, 0.1], [np.nan, 0.1]])
def test_the_variance_of_trials_has_a_floor(known):
    assert trial_variance(np.array(known), n_days=500) == 1 / 500


def test_the_variance_of_trials_is_their_own_above_the_floor():
    assert trial_variance(np.array([-0.1, 0.1]), n_days=500) == pytest.approx(0.02)


@given(st.integers(2, 500), st.floats(1e-5, 0.1))
def test_more_trials_raise_the_hurdle(trials, variance):
    assert expected_maximum_sharpe(trials + 1, variance) > expected_maximum_sharpe(trials, variance)


def test_track_record_ends_where_the_ratio_becomes_significant():
    needed = minimum_track_record(PAPER, confidence=0.95)
    enough = SharpeMoments(sharpe=PAPER.sharpe, skew=-3, kurtosis=10, n_days=int(needed) + 1)
    short = SharpeMoments(sharpe=PAPER.sharpe, skew=-3, kurtosis=10, n_days=int(needed) - 1)
    assert probabilistic_sharpe(short) < 0.95 <= probabilistic_sharpe(enough)


def test_no_history_proves_a_ratio_below_the_hurdle():
    assert minimum_track_record(PAPER, threshold=PAPER.sharpe) == float("inf")


@pytest.mark.parametrize("still", [np.zeros(50), np.full(50, 0.01), np.array([0.1, 0.2])])
def test_a_book_that_never_moves_has_no_moments(still):
    assert SharpeMoments.of(still) is None


def test_moments_of_a_hand_worked_series():
    found = SharpeMoments.of(np.array([-1.0, -1.0, 2.0]))  # mean 0, variance 2 (population)
    assert found.sharpe == 0
    assert found.skew == pytest.approx((-1 - 1 + 8) / 3 / 2**1.5)
    assert found.kurtosis == pytest.approx((1 + 1 + 16) / 3 / 4)


@pytest.mark.slow
def test_skfolio_agrees():
    from skfolio import measures

    draws = returns()
    moments = SharpeMoments.of(draws)
    trials = np.array([0.01, 0.05, -0.02, 0.08])
    assert expected_maximum_sharpe(4, trials.var(ddof=1)) == pytest.approx(
        measures.expected_max_sharpe_ratio(4, trials.std(ddof=1)), rel=1e-9
    )
    # Its skew and kurtosis are of the sample, ours of the population: they differ by 1 / D.
    assert probabilistic_sharpe(moments) == pytest.approx(
        measures.probabilistic_sharpe_ratio(draws), rel=1e-3
    )
    assert deflated_sharpe(moments, 4, trials.var(ddof=1)) == pytest.approx(
        measures.deflated_sharpe_ratio(draws, trials), rel=5e-3
    )


@pytest.mark.slow
def test_purgedcv_agrees():
    import purgedcv

    draws = returns()
    moments = SharpeMoments.of(draws)
    assert deflated_sharpe(moments, 20, 0.002) == pytest.approx(
        purgedcv.deflated_sharpe_ratio(draws, n_trials=20, var_sharpe=0.002), rel=5e-3
    )
    assert np.ceil(minimum_track_record(PAPER, 0.02)) == purgedcv.min_track_record_length(
        PAPER.sharpe, 0.02, alpha=0.05, skew=-3, kurtosis=10
    )
