"""What choosing the best of many is worth: against an independent library, and on known panels."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.overfitting import (
    overfitting_probability,
    superiority_p_value,
)


def trials(count=8, seed=0, skilled=0.0, days=400):
    """Daily returns (D, K), of which the first earns `skilled` a day more."""
    returns = np.random.default_rng(seed).normal(0, 0.01, (days, count))
    returns[:, 0] += skilled
    return returns


@pytest.mark.parametrize("given", [trials(), trials(7, 1, 0.001, 403), trials(3, 2, -0.002)])
def test_purgedcv_agrees(given):
    import purgedcv

    theirs = purgedcv.probability_of_backtest_overfitting(given.T, n_splits=8).pbo
    assert overfitting_probability(given, blocks=8) == pytest.approx(theirs, abs=1e-12)


def test_purgedcv_agrees_on_books_that_are_equal_or_never_move():
    import purgedcv

    given = trials(4)
    given[:, 1], given[:, 2] = given[:, 0], 0.0
    theirs = purgedcv.probability_of_backtest_overfitting(given.T, n_splits=6).pbo
    assert overfitting_probability(given, blocks=6) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.slow
def test_a_skill_that_lasts_is_not_overfitted():
    assert overfitting_probability(trials(skilled=0.004)) < 0.01


def test_choosing_by_what_reverts_is():
    """What won in one half has to lose in the other, if all sums are the same."""
    given = trials(6)
    assert overfitting_probability(given - given.mean(axis=0)) > 0.9


@pytest.mark.parametrize(
    ("given", "blocks", "says"),
    [(trials(1), 16, "at least 2 trials"), (trials(), 7, "even"), (trials(days=9), 10, "9 days")],
)
def test_what_cannot_be_shared_out_is_refused(given, blocks, says):
    with pytest.raises(ValueError, match=says):
        overfitting_probability(given, blocks)


def test_the_best_of_worthless_trials_is_no_surprise_and_a_skill_is():
    assert superiority_p_value(trials(skilled=-0.001), 5, 300) > 0.05
    assert superiority_p_value(trials(skilled=0.002), 5, 300) < 0.02


def test_a_trial_counts_at_unit_volatility():
    """Leverage is no skill: a hundred times the bets are the same evidence."""
    given = trials(skilled=0.0005)
    large = given * np.r_[100.0, np.ones(7)]
    assert superiority_p_value(large, 5, 300) == superiority_p_value(given, 5, 300)


def test_trials_that_never_move_say_nothing():
    assert superiority_p_value(np.zeros((400, 3)), 5, 300) is None
