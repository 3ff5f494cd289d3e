"""Effective trials: near copies are one, strangers are many, and what is unknown counts in full."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.significance import active_returns, expected_maximum_sharpe
from trading_pipeline.core.evaluation.trials import Trials, active_trials, effective_trials

DAYS = 750


def alike(correlation, count, seed=0, days=DAYS):
    """Daily returns (D, K) of trials that all correlate so much."""
    rng = np.random.default_rng(seed)
    own, common = rng.standard_normal((days, count)), rng.standard_normal((days, 1))
    return 0.01 * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)


def calendar(days=DAYS):
    return pd.bdate_range("2015-01-01", periods=days, tz="UTC")


@pytest.mark.parametrize(("correlation", "effective"), [(0.985, 1), (0.7, 96), (0.0, 96)])
def test_variants_of_one_book_are_one_trial_and_strangers_are_many(correlation, effective):
    assert effective_trials(alike(correlation, 96), 96).effective == effective


def test_groups_of_near_copies_are_as_many_trials_as_there_are_groups():
    groups = [alike(0.98, 20, seed) for seed in range(3)]
    found = effective_trials(np.hstack(groups), 60)
    assert found.effective == 3
    assert found.streams.shape == (DAYS, 3)


def test_the_variance_is_that_of_the_clusters_sharpe_ratios():
    """Worked by hand: each group is its mean at unit volatility, whatever its size."""
    rng = np.random.default_rng(0)
    one, two = rng.normal([0.004, -0.002], 0.01, (DAYS, 2)).T
    found = effective_trials(np.column_stack([one, 2 * one, 3 * one, two]), 4)
    ratios = [each.mean() / each.std(ddof=1) for each in (one, two)]
    assert found.variance == pytest.approx(np.var(ratios, ddof=1), rel=1e-9)
    assert found.hurdle == pytest.approx(expected_maximum_sharpe(2, found.variance))


def test_the_variance_has_a_floor_of_one_over_the_days():
    assert effective_trials(alike(0.99, 5), 5).variance == 1 / DAYS


def test_trials_without_returns_count_in_full():
    """What nobody recorded may have been anything."""
    found = effective_trials(alike(0.99, 10), 14)
    assert (found.count, found.effective) == (14, 5)
    assert effective_trials(np.empty((DAYS, 0)), 7).effective == 7


def test_the_only_trial_has_no_hurdle():
    assert effective_trials(alike(0.0, 1), 1).hurdle == 0


def test_a_trial_that_never_moved_is_one_of_its_own():
    active = np.column_stack([alike(0.99, 3), np.zeros(DAYS)])
    assert effective_trials(active, 4).effective == 2


def test_a_trial_is_compared_on_the_days_that_it_saw():
    """Of last month's evaluation the newest days are missing; it is still the same book."""
    active = alike(0.99, 6)
    active[-60:, 0] = np.nan
    assert effective_trials(active, 6).effective == 1


def test_days_that_one_alone_saw_do_not_change_how_alike_two_are():
    """The last fifth was wild, and only one of the two copies lived through it."""
    active = alike(0.995, 2)
    active[-150:] *= 5
    active[-150:, 0] = np.nan
    assert effective_trials(active, 2).effective == 1


def test_trials_that_share_too_few_days_are_strangers():
    active = alike(0.99, 2)
    active[:400, 0], active[410:, 1] = np.nan, np.nan
    assert effective_trials(active, 2).effective == 2


def test_active_returns_of_trials_are_those_of_each():
    returns, baseline = alike(0.5, 3), alike(0.0, 1, seed=9)[:, 0]
    returns[:100, 1] = np.nan
    found = active_trials(returns, baseline)
    np.testing.assert_allclose(found[:, 0], active_returns(returns[:, 0], baseline))
    np.testing.assert_allclose(found[100:, 1], active_returns(returns[100:, 1], baseline[100:]))
    assert np.isnan(found[:100, 1]).all()


def test_returns_are_put_on_the_days_of_the_report():
    """A trial that saw less than four fifths of them cannot be compared."""
    days, stored = calendar(), pd.DataFrame(alike(0.0, 2), index=calendar())
    stored.iloc[:200, 1] = np.nan
    found = Trials(count=2, returns=stored).on(days[5:])
    np.testing.assert_array_equal(found, stored.to_numpy()[5:, :1])
    assert Trials(count=2).on(days).shape == (DAYS, 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"count": 0}, "at least 1, was 0"),
        ({"count": 1, "returns": pd.DataFrame(alike(0, 2), calendar())}, "2 have returns, of 1"),
        ({"count": 3, "returns": pd.DataFrame(alike(0, 2))}, "distinct UTC days"),
    ],
)
def test_trials_that_cannot_be_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Trials(**given)
