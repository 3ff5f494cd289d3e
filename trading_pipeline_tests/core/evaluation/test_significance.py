"""Probabilistic and deflated Sharpe ratios against the papers and three independent libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kurtosis, skew

from trading_pipeline.core.evaluation.confidence import Sampled, interval, resampled_dates
from trading_pipeline.core.evaluation.metrics import sharpe
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    active_returns,
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


def test_active_returns_do_not_reward_or_punish_leverage():
    rng = np.random.default_rng(1)
    strategy, baseline = rng.normal(0.0005, 0.01, (2, 500))
    active = active_returns(strategy, baseline)
    np.testing.assert_allclose(active_returns(strategy, 3 * baseline), active, atol=1e-15)
    np.testing.assert_array_equal(active_returns(strategy, np.zeros(500)), strategy)


@pytest.mark.slow
def test_skfolio_agrees():
    from skfolio import measures

    draws, trials = returns(), np.array([0.01, 0.05, -0.02, 0.08])
    moments = SharpeMoments.of(draws)
    assert expected_maximum_sharpe(4, trials.var(ddof=1)) == pytest.approx(
        measures.expected_max_sharpe_ratio(4, trials.std(ddof=1)), rel=1e-9
    )
    assert probabilistic_sharpe(moments, 0.01) == pytest.approx(
        measures.probabilistic_sharpe_ratio(draws, 0.01), rel=1e-9
    )
    assert deflated_sharpe(moments, 4, trials.var(ddof=1)) == pytest.approx(
        measures.deflated_sharpe_ratio(draws, trials), rel=1e-9
    )


def test_purgedcv_agrees():
    """By its own moments, which are of the sample: ours are of the population, as in the paper."""
    import purgedcv

    draws = returns()
    moments = SharpeMoments(
        sharpe=draws.mean() / draws.std(),
        skew=skew(draws, bias=False),
        kurtosis=kurtosis(draws, fisher=False, bias=False),
        n_days=len(draws),
    )
    assert deflated_sharpe(moments, 20, 0.002) == pytest.approx(
        purgedcv.deflated_sharpe_ratio(draws, n_trials=20, var_sharpe=0.002), rel=1e-9
    )
    assert np.ceil(minimum_track_record(PAPER, 0.02)) == purgedcv.min_track_record_length(
        PAPER.sharpe, 0.02, alpha=0.05, skew=-3, kurtosis=10
    )


@pytest.mark.slow
def test_vectorbt_agrees():
    """Moments of the population, as ours."""
    from vectorbt.returns.metrics import deflated_sharpe_ratio

    draws, moments = returns(), SharpeMoments.of(returns())
    assert deflated_sharpe(moments, 20, 0.002) == pytest.approx(
        deflated_sharpe_ratio(
            est_sharpe=moments.sharpe,
            var_sharpe=0.002,
            nb_trials=20,
            backtest_horizon=len(draws),
            skew=skew(draws),
            kurtosis=kurtosis(draws, fisher=False),
        ),
        rel=1e-9,
    )


def test_arch_agrees_on_the_interval_of_a_paired_difference():
    """The same days of both books in every replication."""
    from arch.bootstrap import StationaryBootstrap

    books = np.stack([returns(1), returns(2) + 0.3 * returns(1)], axis=1)

    def difference(both):
        one, other = sharpe(both.T, 252)
        return one - other

    theirs = StationaryBootstrap(20, books, seed=np.random.default_rng(3)).conf_int(
        difference, reps=200, method="percentile"
    )
    dates = resampled_dates(len(books), 20, 200, seed=3)
    own, other = (Sampled.of(sharpe, b, b[dates], 252) for b in books.T)
    assert interval(own.minus(other))[1:] == pytest.approx(theirs[:, 0], rel=1e-9)
