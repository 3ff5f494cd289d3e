"""Shape and tails of daily returns: golden numbers, other people's formulas, and empty books."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from trading_pipeline.core.evaluation.performance import DailyAccount, estimates
from trading_pipeline.core.evaluation.portfolio.distribution import (
    SHAPES,
    excess_kurtosis,
    expected_shortfall,
    histogram,
    quantile,
    shape_of,
    skew,
)
from trading_pipeline_tests.core.evaluation.portfolio.random_backtests import resampling


@pytest.fixture(scope="module")
def returns():
    return np.random.default_rng(0).standard_t(4, 1000) * 0.01


def test_moments_are_those_of_scipy(returns):
    assert float(skew(returns)) == pytest.approx(stats.skew(returns))
    assert float(excess_kurtosis(returns)) == pytest.approx(stats.kurtosis(returns))


def test_tails_worked_by_hand():
    """One to a hundred: the worst five are 1 to 5."""
    days = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    assert float(expected_shortfall(days, 0.05)) == 3.0
    assert float(expected_shortfall(days, 0.01)) == 1.0
    assert float(expected_shortfall(days, 0.025)) == 2.0  # 2.5 days are three
    assert float(quantile(days, 0.05)) == pytest.approx(5.95)
    assert np.isnan(quantile(days[:99], 0.01))
    assert np.isnan(expected_shortfall(days[:99], 0.01))


def test_shortfall_is_no_better_than_the_quantile(returns):
    for share in (0.01, 0.05):
        assert expected_shortfall(returns, share) <= quantile(returns, share)


def test_every_number_lies_in_its_interval(returns):
    """But for those of which a thousand days say too little."""
    found = shape_of(returns, resampling(1000))
    assert tuple(found) == tuple(SHAPES)
    unsure = {name for name, each in found.items() if np.isnan(each.low)}
    assert unsure == {"excess_kurtosis", "shortfall_1"}
    for name in ("mean", "deviation", "quantile_5", "shortfall_5"):
        assert found[name].low < found[name].value < found[name].high


def test_the_deviation_has_the_interval_of_the_volatility(returns):
    """One quantity, in two units, on one page."""
    draws = resampling(1000)
    account = DailyAccount(returns=returns, turnover=returns, exposure=returns, trades=None)
    a_year = estimates(account, {}, draws)["annual_volatility"]
    a_day = shape_of(returns, draws)["deviation"]
    np.testing.assert_allclose(a_year, np.array(a_day) * draws.days_per_year**0.5)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("days", [500, 1000])
def test_intervals_of_fat_tails_cover_the_truth_90_to_97_percent_of_the_time(days):
    """Of 300 histories; the binomial error is 1.5 %."""
    rng, held = np.random.default_rng(2), Counter()
    truth = {name: float(of(rng.standard_t(5, 2_000_000))) for name, of in SHAPES.items()}
    draws = resampling(days)
    for _ in range(300):
        for name, each in shape_of(rng.standard_t(5, days), draws).items():
            held[name] += each.low <= truth[name] <= each.high or np.isnan(each.low)
    known = {name: count / 300 for name, count in held.items() if count < 300}
    assert len(known) >= 4
    assert all(0.885 <= share <= 0.975 for share in known.values()), known


def test_a_histogram_holds_every_day_and_the_normal_beside_it(returns):
    found = histogram(returns)
    assert found.days.sum() == 1000
    assert 15 <= len(found.days) <= 60
    assert len(found.edges) == len(found.days) + 1
    assert found.normal.sum() == pytest.approx(1000, rel=0.01)
    centre = np.searchsorted(found.edges, 0.0) - 1
    assert found.days[centre] > found.normal[centre]  # fat tails have a high middle


def test_a_book_that_never_moved_has_no_shape():
    still = np.zeros(300)
    assert histogram(still) is None
    found = shape_of(still, resampling(300))
    assert found["deviation"].value == 0
    assert np.isnan(found["skew"].value)
    assert found["skew"].to_dict() == {"value": None, "low": None, "high": None}
