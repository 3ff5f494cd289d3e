"""The bootstrap: reproducible, paired, and as wide as it claims."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from trading_pipeline.core.evaluation.confidence import (
    Estimate,
    Sampled,
    block_length,
    interval,
    persistent,
    range_of,
    resampled_dates,
    widening,
)
from trading_pipeline.core.evaluation.metrics import sharpe


def test_the_same_seed_draws_the_same_dates():
    first, again = (resampled_dates(300, 10, 50, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, resampled_dates(300, 10, 50, seed=5))
    assert first.shape == (50, 300)
    assert first.min() >= 0
    assert first.max() <= 299


def test_blocks_have_the_mean_length_asked_for():
    dates = resampled_dates(2000, 22, 100, seed=0)
    new_block = (np.diff(dates, axis=1) % 2000) != 1
    assert 1 / new_block.mean() == pytest.approx(22, rel=0.03)


def test_blocks_are_longer_than_the_horizon_and_shorter_than_a_quarter():
    noise = np.random.default_rng(0).normal(size=(1000, 3))
    assert block_length(noise, horizon=21) >= 22
    assert block_length(noise[:40], horizon=21) == 10
    assert block_length(np.zeros((1000, 2)), horizon=21) == 22  # nothing moves, nothing is fitted


def test_a_dependent_series_gets_longer_blocks():
    noise = np.random.default_rng(0).normal(size=1050)
    smooth = np.convolve(noise, np.ones(50), "valid")
    assert block_length(smooth[:, None], 1) > 2 * block_length(noise[:, None], 1)


def test_a_difference_of_a_book_with_itself_is_exactly_zero():
    """Only so are two books resampled on the same dates."""
    returns = np.random.default_rng(1).normal(size=400)
    dates = resampled_dates(400, 22, 200, seed=0)
    book = Sampled.of(sharpe, returns, returns[dates], 252)
    assert interval(book.minus(book)) == Estimate(0.0, 0.0, 0.0)


def test_a_p_value_is_that_of_the_bound_it_belongs_to():
    """The error of a normal estimate is (value - bound) / 1.96; what is unknown has none."""
    known = Estimate(0.5, 0.5 - 1.959964 * 0.2, 0.9)
    assert known.p_value == pytest.approx(norm.sf(0.5 / 0.2), rel=1e-5)
    assert Estimate(-0.5, -0.5 - 1.959964 * 0.2).p_value == pytest.approx(norm.cdf(2.5), rel=1e-5)
    assert np.isnan(Estimate(0.5).p_value)
    assert (Estimate(0.0, 0.0, 0.0).p_value, Estimate(0.1, 0.1, 0.1).p_value) == (1.0, 0.0)


@given(st.floats(-2, 2), st.floats(-2, 2) | st.just(0.0))
def test_a_p_value_is_at_most_its_level_exactly_where_the_bound_is_above_zero(value, low):
    """Also where replications are so skewed that the bound lies above the value."""
    p = Estimate(value, low).p_value
    assert (p <= 0.025) == (low > 0)
    assert 0 <= p <= 1


def test_interval_is_the_percentiles_stretched_and_cut():
    samples = np.linspace(-1, 1, 2001)
    assert interval(Sampled(0.0, samples)) == pytest.approx((0.0, -0.95, 0.95))
    assert interval(Sampled(0.0, samples), 2.0) == pytest.approx((0.0, -1.9, 1.9))
    assert interval(Sampled(0.0, samples), 2.0, (-1, 0.5)) == pytest.approx((0.0, -1.0, 0.5))


def test_an_undefined_value_or_too_few_replications_have_no_interval():
    samples = np.linspace(-1, 1, 101)
    assert np.isnan(interval(Sampled(float("nan"), samples)).low)
    samples[:10] = np.nan
    found = interval(Sampled(0.0, samples))
    assert found.value == 0.0
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_undefined_and_infinite_become_null():
    assert Estimate(0.5, float("-inf"), float("nan")).to_dict() == {
        "value": 0.5,
        "low": None,
        "high": None,
    }


def test_widening_is_nothing_for_single_days_and_grows_with_the_block():
    # critical values 1.96 + 2.9694 s + ... at s = 1.5 * 21 / 250 and 1.5 * 9 / 40
    assert widening(1000, 1) == 1.0
    assert widening(250, 22) == pytest.approx(2.3397 / 1.96, rel=1e-3)
    assert widening(40, 10) == pytest.approx(2.9892 / 1.96, rel=1e-3)


def test_the_range_of_replications_holds_the_value():
    samples = np.linspace(-1, 1, 2001)
    assert range_of(Sampled(0.0, samples)) == pytest.approx((0.0, -0.95, 0.95))
    assert range_of(Sampled(-3.0, samples)) == pytest.approx((-3.0, -3.0, 0.95))
    assert np.isnan(range_of(Sampled(float("nan"), samples)).low)


def test_a_persistent_mean_matches_the_hand_worked_example():
    # 2, 0 again and again: half of 20 days are lags, covariances (-1)^k (20 - k) / 20, weights
    # 1 - k / 11; their sum is 1 + 2 (-0.4545...) from k = 1 to 10
    series = np.tile([2.0, 0.0], 10)
    weights = 2 * (1 - np.arange(11) / 11)
    weights[0] = 1
    covariances = [(-1) ** k * (20 - k) / 20 for k in range(11)]
    error = (weights @ covariances / 20) ** 0.5
    reach = (1.96 + 2.9694 / 2 + 0.4160 / 4 - 0.5324 / 8) * error
    found = persistent(1.0, series - 1.0)
    assert found == pytest.approx((1.0, 1 - reach, 1 + reach))
    ratio = persistent(1.0, series - 1.0, (0.0, np.inf))
    assert ratio == pytest.approx((1.0, np.exp(-reach), np.exp(reach)))
    assert persistent(1.0, series - 1.0, (0.0, 1.01)).high == 1.01


def test_what_never_moves_or_lasts_a_few_days_has_no_width():
    assert persistent(0.0, np.zeros(50), (0.0, np.inf)) == (0.0, 0.0, 0.0)
    assert np.isnan(persistent(1.0, np.ones(19)).low)
    assert np.isnan(persistent(float("nan"), np.ones(50)).low)
