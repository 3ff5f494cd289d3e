"""Every metric against a number worked by hand, and against quantstats."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trading_pipeline.core.evaluation import metrics

# +10 %, -10 %, +20 %, -5 %: growth 1.1 * 0.9 * 1.2 * 0.95 = 1.1286 over four days.
FOUR_DAYS = np.array([0.10, -0.10, 0.20, -0.05])
DAILY = hnp.arrays(float, st.integers(3, 60), elements=st.floats(-0.5, 0.5))


def test_annual_return_compounds_over_the_year():
    assert metrics.annual_return(FOUR_DAYS, 4) == pytest.approx(0.1286)
    assert metrics.annual_return(FOUR_DAYS, 8) == pytest.approx(1.1286**2 - 1)


def test_annual_volatility_matches_the_hand_worked_example():
    # mean 0.0375; squares .00390625 .01890625 .02640625 .00765625 add up to 0.056875
    assert metrics.annual_volatility(FOUR_DAYS, 4) == pytest.approx((0.056875 / 3 * 4) ** 0.5)


def test_sharpe_matches_the_hand_worked_example():
    assert metrics.sharpe(FOUR_DAYS, 4) == pytest.approx(0.0375 / (0.056875 / 3) ** 0.5 * 2)


def test_sortino_counts_all_days_in_its_downside():
    # downside: sqrt((0.01 + 0.0025) / 4)
    assert metrics.sortino(FOUR_DAYS, 4) == pytest.approx(0.0375 / (0.0125 / 4) ** 0.5 * 2)


def test_max_drawdown_is_measured_from_the_true_peak_and_the_start():
    assert metrics.max_drawdown(FOUR_DAYS) == pytest.approx(-0.10)
    assert metrics.max_drawdown(np.array([-0.2, 0.1, -0.5])) == pytest.approx(0.8 * 1.1 * 0.5 - 1)
    assert metrics.max_drawdown(np.array([0.1, 0.2])) == 0


def test_calmar_is_return_over_depth():
    assert metrics.calmar(FOUR_DAYS, 4) == pytest.approx(0.1286 / 0.10)


def test_beta_is_the_slope_on_the_benchmark():
    # benchmark 0.02, -0.01, 0.03, 0: mean 0.01, deviations 1, -2, 2, -1 hundredths
    # own mean 0.0375, deviations 6.25, -13.75, 16.25, -8.75: products add up to 75, squares to 10
    benchmark = np.array([0.02, -0.01, 0.03, 0.0])
    assert metrics.beta(FOUR_DAYS, benchmark) == pytest.approx(7.5)
    assert metrics.beta(benchmark / 2 + 7, benchmark) == pytest.approx(0.5)


def test_alpha_is_what_beta_leaves_of_the_mean_return():
    # 0.0375 - 7.5 * 0.01 a day, four days a year
    benchmark = np.array([0.02, -0.01, 0.03, 0.0])
    assert metrics.alpha(FOUR_DAYS, benchmark, 4) == pytest.approx(-0.0375 * 4)
    assert metrics.alpha(benchmark / 2 + 0.001, benchmark, 252) == pytest.approx(0.252)


def test_correlation_and_tracking_error_match_the_hand_worked_example():
    # as above: products add up to 75, squares to 568.75 and 10
    benchmark = np.array([0.02, -0.01, 0.03, 0.0])
    assert metrics.correlation(FOUR_DAYS, benchmark) == pytest.approx(75 / (568.75 * 10) ** 0.5)
    assert metrics.correlation(-2 * benchmark + 7, benchmark) == pytest.approx(-1)
    # differences 8, -9, 17, -5 hundredths: mean 2.75, squares of deviations add up to 428.75
    expected = (0.042875 / 3 * 4) ** 0.5
    assert metrics.tracking_error(FOUR_DAYS, benchmark, 4) == pytest.approx(expected)
    assert metrics.tracking_error(benchmark, benchmark, 4) == 0


def test_against_a_benchmark_that_never_moves_nothing_is_defined():
    still = np.full(4, 0.1)  # its mean rounds
    assert np.isnan(metrics.beta(FOUR_DAYS, still))
    assert np.isnan(metrics.alpha(FOUR_DAYS, still, 252))
    assert np.isnan(metrics.correlation(FOUR_DAYS, still))
    assert metrics.beta(np.zeros(4), FOUR_DAYS) == metrics.alpha(np.zeros(4), FOUR_DAYS, 4) == 0


def test_trades_are_counted_and_weighed():
    sums = metrics.tally(np.array([30.0, -10.0, 0.0, -5.0])).sum(axis=0)
    assert sums.tolist() == [4, 1, 30, 15]
    assert metrics.win_rate(sums) == 0.25
    assert metrics.profit_factor(sums) == 2.0
    assert metrics.expectancy(sums) == 15 / 4


def test_turnover_and_exposure_are_means():
    assert metrics.turnover(np.array([0.5, 0.0, 0.1, 0.0]), 252) == pytest.approx(0.15 * 252)
    assert metrics.exposure(np.array([1.0, 0.5])) == 0.75


@pytest.mark.parametrize("metric", ["sharpe", "sortino", "calmar"])
@pytest.mark.parametrize("returns", [np.zeros(5), np.full(5, 0.01)])
def test_a_ratio_without_risk_is_undefined_and_never_infinite(metric, returns):
    assert np.isnan(metrics.formulas("returns")[metric](returns, 252))


def test_no_closed_trade_and_no_losing_trade_are_undefined():
    nothing, won = (metrics.tally(np.array(each)).sum(axis=0) for each in ([], [1.0, 2.0]))
    assert np.isnan(metrics.win_rate(nothing))
    assert np.isnan(metrics.profit_factor(nothing))
    assert np.isnan(metrics.profit_factor(won))


@pytest.mark.parametrize("name", ["annual_volatility", "turnover", "exposure"])
def test_an_influence_is_the_derivative_by_the_weight_of_a_day(name):
    """A day that counts a little more moves the metric by its influence over the days."""
    metric, step = metrics.METRICS[name], 1e-6
    series = np.abs(FOUR_DAYS)
    heavier = series[np.r_[np.tile(np.arange(4), round(1 / step / 4)), 1]]
    moved = float(metric.formula(heavier, 252) - metric.formula(heavier[:-1], 252))
    # The deviation divides by one day less; over as many copies that is nothing.
    expected = metric.influence(heavier[:-1], 252)[1] * step
    assert moved == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["correlation", "tracking_error"])
def test_an_influence_of_two_books_is_the_derivative_by_the_weight_of_a_day(name):
    metric, step = metrics.METRICS[name], 1e-5
    days = np.r_[np.tile(np.arange(4), round(1 / step / 4)), 1]
    own, other = FOUR_DAYS[days], np.array([0.02, -0.01, 0.03, 0.0])[days]
    moved = float(metric.formula(own, other, 252) - metric.formula(own[:-1], other[:-1], 252))
    expected = metric.influence(own[:-1], other[:-1], 252)[1] * step
    assert moved == pytest.approx(expected, rel=1e-3)


def test_a_ruined_account_reads_minus_one():
    ruined = np.array([0.1, -1.0, 0.0, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.annual_return(ruined, 252) == -1
        assert metrics.max_drawdown(ruined) == -1
        assert metrics.calmar(ruined, 252) == -1


@given(DAILY)
def test_metrics_stay_in_their_ranges(returns):
    for name, metric in metrics.formulas("returns").items():
        low, high = metrics.METRICS[name].limits
        value = metric(returns, 252)
        assert np.isnan(value) or (low <= value <= high and np.isfinite(value))


@given(hnp.arrays(float, (5, 12), elements=st.floats(-0.5, 0.5)))
def test_many_histories_at_once_are_the_same_as_one_by_one(returns):
    for metric in metrics.formulas("returns").values():
        one_by_one = [float(metric(row, 252)) for row in returns]
        np.testing.assert_allclose(metric(returns, 252), one_by_one, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_quantstats_agrees():
    import pandas as pd
    import quantstats.stats as oracle

    draws = np.random.default_rng(5).normal(0.0005, 0.01, 750)
    returns = pd.Series(draws, index=pd.bdate_range("2010-01-04", periods=750))
    expected = {
        "annual_volatility": oracle.volatility(returns, periods=252),
        "sharpe": oracle.sharpe(returns, periods=252),
        "sortino": oracle.sortino(returns, periods=252),
        "max_drawdown": oracle.max_drawdown(returns),
        "annual_return": float((1 + returns).prod() ** (252 / 750) - 1),
    }
    for name, value in expected.items():
        assert metrics.formulas("returns")[name](draws, 252) == pytest.approx(
            float(value), rel=1e-9
        ), name
    sums = metrics.tally(draws).sum(axis=0)
    assert metrics.profit_factor(sums) == pytest.approx(oracle.profit_factor(returns))
    assert metrics.win_rate(sums) == pytest.approx(oracle.win_rate(returns))
    other = returns.sample(frac=1, random_state=0).set_axis(returns.index) + returns
    greeks = oracle.greeks(returns, other, periods=252)
    assert metrics.beta(draws, other.to_numpy()) == pytest.approx(greeks["beta"])
    assert metrics.alpha(draws, other.to_numpy(), 252) == pytest.approx(greeks["alpha"])
