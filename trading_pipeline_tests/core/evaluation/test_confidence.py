"""The bootstrap: reproducible, paired, and as wide as it claims."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.confidence import (
    Estimate,
    Sampled,
    block_length,
    interval,
    resampled_dates,
    resampled_statistics,
    widening,
)
from trading_pipeline.core.evaluation.metrics import formulas, sharpe


def coverage(draw, truth, n_days, block, n_histories=400, replications=400):
    """Share of simulated histories whose 95 % interval of a statistic holds the truth."""
    rng, held = np.random.default_rng(11), 0
    for seed in range(n_histories):
        statistic = draw(rng, n_days)
        dates = resampled_dates(n_days, block, replications, seed)
        found = interval(
            Sampled(statistic(np.arange(n_days)), statistic(dates)), widening(n_days, block)
        )
        held += found.low <= truth <= found.high
    return held / n_histories


def one_sharpe(rng, n_days):
    returns = 0.01 * rng.standard_t(5, n_days)
    return lambda dates: sharpe(returns[dates], 252)


def sharpe_difference(rng, n_days):
    common, *own = 0.01 * rng.standard_t(5, (3, n_days))
    first, second = common + own[0], common + own[1]
    return lambda dates: sharpe(first[dates], 252) - sharpe(second[dates], 252)


def persistent_mean(rng, n_days):
    shocks = rng.normal(size=n_days + 50)
    series = np.empty(n_days + 50)
    series[0] = shocks[0]
    for day in range(1, len(series)):
        series[day] = 0.3 * series[day - 1] + shocks[day]
    return lambda dates: series[50:][dates].mean(axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [one_sharpe, sharpe_difference, persistent_mean])
@pytest.mark.parametrize(("n_days", "block"), [(250, 22), (500, 22), (1000, 11)])
def test_intervals_cover_the_truth_90_to_97_percent_of_the_time(draw, n_days, block):
    assert 0.90 <= coverage(draw, 0.0, n_days, block) <= 0.975


@pytest.mark.slow
def test_without_blocks_a_dependent_series_is_not_covered():
    """The test above can fail: days drawn one by one forget that they depend on each other."""

    def overlapping_mean(rng, n_days):
        series = np.convolve(rng.normal(size=n_days + 20), np.ones(21), "valid")
        return lambda dates: series[dates].mean(axis=-1)

    assert coverage(overlapping_mean, 0.0, 500, 1, n_histories=150) < 0.6


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
    book = Sampled(float(sharpe(returns, 252)), sharpe(returns[dates], 252))
    assert interval(book.minus(book)) == Estimate(0.0, 0.0, 0.0)


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


def test_a_few_trades_have_a_win_rate_but_no_interval():
    found = resampled_statistics(np.array([1.0, -1.0, 2.0]), formulas("profits"), 100, seed=0)
    assert found["win_rate"].value == pytest.approx(2 / 3)
    assert np.isnan(interval(found["win_rate"]).low)


def test_many_trades_have_an_interval_around_their_win_rate():
    profits = np.random.default_rng(2).normal(0.2, 1, 400)
    found = interval(resampled_statistics(profits, formulas("profits"), 500, seed=0)["win_rate"])
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.25 / 400) ** 0.5, rel=0.25)


def test_widening_is_nothing_for_single_days_and_grows_with_the_block():
    assert widening(1_000_000, 1) == pytest.approx(1.0, abs=1e-5)
    assert widening(250, 22) == pytest.approx((1 - 43 / 250) ** -0.5)
    assert widening(40, 40) == 2.0
