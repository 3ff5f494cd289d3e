"""The window kernels against pandas and scipy, on any numbers and any lengths."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from trading_pipeline.core.features import windows

NUMBERS = hnp.arrays(float, st.integers(0, 60), elements=st.floats(-1e6, 1e6))
WINDOWS = st.integers(3, 20)
NEAR = {"rtol": 1e-9, "atol": 1e-4}


@given(NUMBERS, WINDOWS)
def test_sums_and_deviations_equal_pandas(x, window):
    rolling = pd.Series(x).rolling(window)
    np.testing.assert_allclose(windows.total(x, window), rolling.sum(), **NEAR)
    np.testing.assert_allclose(windows.mean(x, window), rolling.mean(), **NEAR)
    apart = rolling.apply(lambda w: np.std(w, ddof=1), raw=True)
    np.testing.assert_allclose(windows.deviation(x, window, 1), apart, **NEAR)
    away = rolling.apply(lambda w: np.abs(w - w.mean()).mean(), raw=True)
    np.testing.assert_allclose(windows.mean_deviation(x, window), away, **NEAR)


@given(NUMBERS, WINDOWS)
def test_extremes_equal_pandas(x, window):
    rolling = pd.Series(x).rolling(window)
    np.testing.assert_array_equal(windows.highest(x, window), rolling.max())
    np.testing.assert_array_equal(windows.lowest(x, window), rolling.min())
    age = rolling.apply(lambda w: np.argmax(w[::-1]), raw=True)
    np.testing.assert_array_equal(windows.age_of_highest(x, window), age)


@given(hnp.arrays(float, 40, elements=st.floats(-10, 10).map(lambda v: round(v, 2))), WINDOWS)
def test_skewness_equals_scipy_and_a_constant_has_none(x, window):
    got = windows.skewness(x, window, 1e-9)
    for t in range(window - 1, x.size):
        part = x[t - window + 1 : t + 1]
        expected = stats.skew(part) if np.ptp(part) > 0 else 0.0
        np.testing.assert_allclose(got[t], expected, rtol=1e-6, atol=1e-6)
        assert abs(got[t]) <= (window - 2) / np.sqrt(window - 1) + 1e-9


def test_what_moves_by_its_rounding_alone_has_no_skewness():
    noise = np.random.default_rng(0).normal(0, 1e-12, 100) ** 3
    assert (windows.skewness(0.01 + noise, 63, 1e-9)[62:] == 0.0).all()


@given(NUMBERS, st.integers(2, 5), st.integers(5, 20))
def test_averages_restart_on_their_window(x, span, window):
    for average, alpha in ((windows.ema, 2 / (span + 1)), (windows.wilder, 1 / span)):
        got = average(x, span, window)
        assert np.isnan(got[: window - 1]).all()
        for t in range(window - 1, x.size):
            part = x[t - window + 1 : t + 1]
            level = part[:span].mean()
            for value in part[span:]:
                level += alpha * (value - level)
            np.testing.assert_allclose(got[t], level, **NEAR)


def test_an_average_worked_by_hand():
    """Seed (1 + 2) / 2 = 1.5, then two thirds of the way to 6 is 4.5; the 9 before is forgotten."""
    x = np.array([9.0, 1.0, 2.0, 6.0])
    np.testing.assert_allclose(windows.ema(x, 2, 3), [np.nan, np.nan, 3.0, 4.5])


def test_changes_worked_by_hand():
    x = np.array([1.0, 2.0, 4.0, 2.0])
    np.testing.assert_array_equal(windows.change(x), [np.nan, 1, 2, -2])
    np.testing.assert_array_equal(windows.relative_change(x, 2), [np.nan, np.nan, 3, 0])
    np.testing.assert_allclose(windows.log_change(x, 1) / np.log(2), [np.nan, 1, 1, -1])
    zero, two = np.array([0.0, 2.0, 0.0]), np.array([2.0, 0.0, 0.0])
    np.testing.assert_array_equal(windows.log_ratio(zero, two), [-np.inf, np.inf, np.nan])


@pytest.mark.parametrize("name", ["total", "mean", "highest", "lowest", "age_of_highest"])
def test_fewer_values_than_the_window_are_no_answer(name):
    for size in (0, 1, 4):
        got = getattr(windows, name)(np.ones(size), 5)
        assert got.size == size
        assert np.isnan(got).all()


@given(hnp.arrays(float, 50, elements=st.floats(1, 100)), st.integers(10, 49))
def test_a_longer_array_changes_no_bit_of_a_shorter_one(x, cut):
    """Also where the compiler treats the last elements of an array apart."""
    for kernel in (
        lambda y: windows.total(y, 9),
        lambda y: windows.deviation(y, 9, 1),
        lambda y: windows.skewness(y, 9, 1e-9),
        lambda y: windows.ema(y, 4, 9),
        lambda y: windows.log_change(y, 3),
        lambda y: windows.log_ratio(y, y + 1),
    ):
        assert kernel(x)[:cut].tobytes() == kernel(x[:cut].copy()).tobytes()


@given(NUMBERS, hnp.arrays(float, st.integers(1, 20), elements=st.floats(-3, 3)))
def test_a_weighted_sum_gives_the_newest_the_first_weight(x, weights):
    window = weights.size
    got = windows.weighted(x, weights)
    assert np.isnan(got[: window - 1]).all()
    for t in range(window - 1, x.size):
        expected = weights @ x[t - window + 1 : t + 1][::-1]
        np.testing.assert_allclose(got[t], expected, rtol=1e-9, atol=1e-6)


def test_a_fading_sum_worked_by_hand():
    """4 + 2 / 2 + 8 / 4: the newest counts whole, the one before it half."""
    got = windows.fading_sum(np.array([9.0, 8.0, 2.0, 4.0]), 0.5, 3)
    np.testing.assert_array_equal(got[2:], [2 + 8 / 2 + 9 / 4, 4 + 2 / 2 + 8 / 4])
    np.testing.assert_array_equal(windows.fading_sum(np.ones(3), 0.5, 0), np.zeros(3))


def test_equal_values_deviate_by_nothing_at_all():
    """Not by the rounding of their mean: a market at rest has to read as one."""
    for value in (0.1, 7.3, 1e-10, 12345.678):
        assert (windows.deviation(np.full(70, value), 63, 1)[62:] == 0).all()


def test_windows_longer_than_a_block_of_the_cache():
    x = np.random.default_rng(0).normal(size=2 * windows.BLOCK + 300)
    weights = np.linspace(1, 0, 250)
    expected = np.convolve(x, weights, mode="valid")
    np.testing.assert_allclose(windows.weighted(x, weights)[249:], expected, atol=1e-9)
