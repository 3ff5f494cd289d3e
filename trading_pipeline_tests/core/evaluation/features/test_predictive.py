"""What features had to do with the returns that followed."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from trading_pipeline.core.evaluation.features.predictive import (
    CROSS_SECTION,
    OVER_TIME,
    predictive,
)
from trading_pipeline.core.evaluation.information_coefficient import (
    mean_information_coefficient,
    rank_correlations,
)

HORIZON = 21
YEARS = np.repeat([2001, 2002], 252)


def table(symbols, seed=0, dates=504):
    noise = np.random.default_rng(seed)
    return noise.normal(size=(dates, symbols)), noise.normal(size=(dates, symbols))


def test_ten_symbols_have_information_coefficients_by_year():
    feature, target = table(10)
    found = predictive(feature, target, YEARS, HORIZON, common=False)
    assert found.kind == CROSS_SECTION
    daily = [stats.spearmanr(x, y).statistic for x, y in zip(feature, target, strict=True)]
    np.testing.assert_allclose(found.whole.value, np.mean(daily))
    np.testing.assert_allclose(found.by_year[2002].value, np.mean(daily[252:]))
    daily = rank_correlations(feature, target)
    assert found.by_year[2001] == mean_information_coefficient(daily[:252], HORIZON)
    assert found.by_year[2001].low < found.by_year[2001].value < found.by_year[2001].high


@pytest.mark.parametrize("symbols", [1, 4, 7])
def test_fewer_than_eight_symbols_have_a_correlation_over_time_instead(symbols):
    feature, target = table(symbols)
    found = predictive(feature, target, YEARS, HORIZON, common=False)
    assert found.kind == OVER_TIME
    each = [stats.spearmanr(feature[252:, n], target[252:, n]).statistic for n in range(symbols)]
    np.testing.assert_allclose(found.by_year[2002].value, np.mean(each), atol=1e-12)
    assert found.whole.low < found.whole.value < found.whole.high
    assert np.isnan(found.by_year[2002].low)  # see the next test


def test_within_a_year_a_random_walk_seems_to_revert():
    """Why a year over time has no interval: there is nothing to find, and it leans."""
    noise, found = np.random.default_rng(0), []
    for _ in range(60):
        price = noise.normal(size=(700, 1)).cumsum(axis=0)
        target = price[322:574] - price[301:553]
        past = price[300:552] - price[174:426]
        found.append(predictive(past, target, YEARS[:252], HORIZON, common=False).whole)
    assert np.mean([each.value for each in found]) < -0.15
    assert np.mean([each.high < 0 for each in found]) > 0.1


def test_what_all_symbols_share_has_no_cross_section():
    feature, target = table(1)
    assert predictive(feature, target, YEARS, HORIZON, common=True).kind == OVER_TIME
    many = table(10)[1]
    assert predictive(feature + 0 * many, many, YEARS, HORIZON, common=True).kind == OVER_TIME


def test_missing_values_and_labels_are_left_out():
    feature, target = table(1)
    feature[::5], target[400:] = np.nan, np.nan
    found = predictive(feature, target, YEARS, HORIZON, common=False)
    known = np.isfinite(feature[252:, 0]) & np.isfinite(target[252:, 0])
    expected = stats.spearmanr(feature[252:, 0][known], target[252:, 0][known]).statistic
    np.testing.assert_allclose(found.by_year[2002].value, expected)


def test_nothing_known_or_nothing_moving_is_not_available():
    feature, target = table(3)
    for given in (np.full_like(feature, np.nan), np.zeros_like(feature)):
        found = predictive(given, target, YEARS, HORIZON, common=False)
        assert np.isnan(found.whole.value)
        assert np.isnan(found.by_year[2001].low)
    short = predictive(feature[:15], target[:15], YEARS[:15], HORIZON, common=False)
    assert np.isnan(short.whole.value)


def test_no_dates_have_no_years():
    empty = np.empty((0, 4))
    found = predictive(empty, empty, np.empty(0, int), HORIZON, common=False)
    assert found.by_year == {}
    assert np.isnan(found.whole.value)


def slow_series(noise, memory, shape):
    shocks = 0.7 * noise.normal(size=shape) + 0.7 * noise.normal(size=(shape[0], 1))
    return lfilter([1], [1, -memory], shocks, axis=0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("memory", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("symbols", [1, 4])
@pytest.mark.sampled(3)
def test_unrelated_features_are_called_unrelated_nineteen_times_of_twenty(memory, symbols):
    """One year, targets that overlap by 21 bars, features that move as slowly as ours do."""
    noise = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        moves = slow_series(noise, 0.0, (252 + HORIZON + 1, symbols)).cumsum(axis=0)
        target = (moves[HORIZON:] - moves[:-HORIZON])[:252]
        feature = slow_series(noise, memory, (1252, symbols))[-252:]
        whole = predictive(feature, target, YEARS[:252], HORIZON, common=False).whole
        covered += whole.low <= 0 <= whole.high
    assert 0.88 <= covered / 300 <= 0.98
