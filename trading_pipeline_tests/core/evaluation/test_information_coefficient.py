"""Information coefficients: rank correlations per date, and an interval that knows of overlap."""

import numpy as np
import pytest
from scipy import stats

from trading_pipeline.core.evaluation.information_coefficient import (
    correlations,
    mean_information_coefficient,
    rank_correlations,
    without,
    years_to_tell,
)
from trading_pipeline.core.long_run import long_run_variance


def overlapping(rng, n_dates, horizon):
    """Coefficients of a score that knows nothing, as overlapping returns make them."""
    shocks = rng.normal(0, 0.2, n_dates + horizon - 1)
    return np.convolve(shocks, np.ones(horizon), "valid") / np.sqrt(horizon)


@pytest.mark.parametrize(
    ("n_dates", "horizon"),
    [
        (250, 21),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [(1000, 21), (1800, 5), (500, 1)]
        ),
    ],
)
def test_intervals_cover_zero_90_to_97_percent_of_the_time(n_dates, horizon):
    rng, held = np.random.default_rng(17), 0
    for _ in range(600):
        found = mean_information_coefficient(overlapping(rng, n_dates, horizon), horizon)
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / 600 <= 0.97


@pytest.mark.parametrize(("horizon", "covered"), [(21, 0.30), (10, 0.46)])
def test_naive_intervals_do_not_cover(horizon, covered):
    """Why the overlap matters: with single dates taken as independent 30-46 % are covered."""
    rng, held = np.random.default_rng(17), 0
    for _ in range(300):
        values = overlapping(rng, 500, horizon)
        held += abs(values.mean()) <= 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert held / 300 == pytest.approx(covered, abs=0.05)


@pytest.mark.parametrize(("symbols", "years"), [(4, 270), (100, 8)])
def test_years_until_a_skill_at_choosing_shows(symbols, years):
    """An information coefficient of 0.02 over 21 of 252 days."""
    assert years_to_tell(0.02, symbols, 12) == pytest.approx(years, rel=0.02)


def test_coefficients_are_spearman_over_the_symbols_that_are_there():
    rng = np.random.default_rng(0)
    score, target = rng.normal(size=(2, 30, 12))
    score[:, 3] = np.round(score[:, 3])
    score[5, :3] = np.nan
    target[6, 4] = np.nan
    found = rank_correlations(score, target)
    for date in range(30):
        known = np.isfinite(score[date]) & np.isfinite(target[date])
        expected = stats.spearmanr(score[date, known], target[date, known]).statistic
        assert found[date] == pytest.approx(expected)


def test_the_information_coefficient_is_pearsons():
    """Over the symbols that are there, whatever the unit of the scores."""
    rng = np.random.default_rng(0)
    score, target = rng.standard_t(3, size=(2, 30, 12))
    score[5, :3] = np.nan
    target[6, 4] = np.nan
    found = correlations(score, target)
    for date in range(30):
        known = np.isfinite(score[date]) & np.isfinite(target[date])
        expected = np.corrcoef(score[date, known], target[date, known])[0, 1]
        assert found[date] == pytest.approx(expected)
    np.testing.assert_allclose(correlations(1e-200 * score + 0, target), found)


def test_one_large_move_counts_in_one_and_not_in_the_other():
    """Eight symbols of which the last is far off: by hand, deviations -1 and 7 in both."""
    far = np.array([[0.0, 0, 0, 0, 0, 0, 0, 8]])
    order = np.array([[7.0, 6, 5, 4, 3, 2, 1, 80]])
    # centred: own -1 * 7 and 7; other sums to 108, mean 13.5
    # cross: 7 * 66.5 + (108 - 80 - 7 * 13.5) * -1 = 465.5 + 66.5 = 532
    # squares: 56; 6.5^2 + 7.5^2 + ... + 12.5^2 + 66.5^2 = 659.75 + 4422.25 = 5082
    assert correlations(far, order) == pytest.approx([532 / (56 * 5082) ** 0.5])
    # ranks of the first: seven of 4 and one of 8; of the second 7, 6, ..., 1, 8
    # deviations -0.5 * 7 and 3.5; 8 - 4.5 = 3.5: cross 12.25 + 0.5 * 3.5 = 14; squares 14 and 42
    assert rank_correlations(far, order) == pytest.approx([14 / (14 * 42) ** 0.5])


def test_a_perfect_and_a_reversed_order_read_plus_and_minus_one():
    order = np.arange(8.0)[None, :]
    assert rank_correlations(order, order**3) == pytest.approx([1.0])
    assert rank_correlations(order, -order) == pytest.approx([-1.0])


@pytest.mark.parametrize("coefficients", [correlations, rank_correlations])
def test_fewer_than_eight_symbols_or_equal_scores_have_none(coefficients):
    """Nor have scores that only rounding tells apart, or that nobody knows."""
    order = np.arange(8.0)[None, :]
    assert np.isnan(coefficients(order[:, :7], order[:, :7]))
    assert np.isnan(coefficients(np.ones((1, 8)), order))
    assert np.isnan(coefficients(np.full((1, 8), np.nan), order))
    assert np.isnan(correlations(0.1 + 1e-17 * order, order))


def test_dates_without_a_coefficient_are_left_out():
    values = np.random.default_rng(1).normal(0.1, 0.1, 100)
    gaps = np.insert(values, [10, 50], np.nan)
    assert mean_information_coefficient(gaps, 1) == mean_information_coefficient(values, 1)


def test_too_few_dates_are_not_available():
    assert np.isnan(mean_information_coefficient(np.full(19, 0.1), 1).value)


def test_long_run_variance_matches_the_hand_worked_example():
    # 1, -1, 1, -1: covariances 1, -3/4, 2/4; Bartlett weights with 2 lags 1, 2/3, 1/3
    series = np.array([1.0, -1.0, 1.0, -1.0])
    assert long_run_variance(series, 0) == 1.0
    assert long_run_variance(series, 1) == pytest.approx(1 + 2 * 0.5 * -0.75)
    assert long_run_variance(series, 2) == pytest.approx(1 + 2 * (2 / 3 * -0.75 + 1 / 3 * 0.5))


def test_scores_that_are_a_bent_copy_of_another_know_nothing_beyond_it():
    rng = np.random.default_rng(0)
    other, truth = rng.normal(size=(2, 30, 12))
    left = without(np.exp(other), [other, rng.normal(size=other.shape)])
    assert (left == 0).all()
    assert np.isnan(rank_correlations(left, truth)).all()


def test_what_is_left_is_unrelated_to_what_was_taken_out_and_keeps_the_rest():
    """A score of two parts of which one is common knowledge."""
    rng = np.random.default_rng(0)
    common, own, more = rng.normal(size=(3, 400, 50))
    left = without(common + own, [common, more])
    assert np.abs(np.nanmean(rank_correlations(left, common))) < 0.02
    assert np.nanmean(rank_correlations(left, own)) > 0.9
    assert np.nanmean(rank_correlations(common + own, own)) < 0.75


def test_a_symbol_that_lacks_one_of_the_others_is_left_out():
    rng = np.random.default_rng(0)
    score, other = rng.normal(size=(2, 3, 9))
    other[0, 4] = np.nan  # eight are left
    other[1, :2] = np.nan  # seven
    left = without(score, [other])
    assert np.isnan(left[0]).tolist() == [n == 4 for n in range(9)]
    assert np.isnan(left[1]).all()
    assert np.isfinite(left[2]).all()
