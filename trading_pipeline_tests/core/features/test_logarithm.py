"""The logarithm is right to the last place but one, and does not know where an element stands."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trading_pipeline.core.features.logarithm import log_in_place

ANY = hnp.arrays(float, st.integers(0, 70), elements=st.floats(width=64))


def log(x):
    out = x.copy()
    log_in_place(out)
    return out


@given(ANY)
def test_it_equals_numpy_to_one_unit_in_the_last_place(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(x)
    np.testing.assert_array_max_ulp(log(x), expected, maxulp=1)


def test_it_equals_numpy_over_all_magnitudes_and_around_one():
    noise = np.random.default_rng(0)
    x = np.concatenate(
        [np.exp(noise.uniform(-700, 700, 50_000)), 1 + noise.normal(0, 0.01, 50_000)]
    )
    np.testing.assert_array_max_ulp(log(x), np.log(x), maxulp=1)


def test_what_no_price_ratio_should_be_still_has_its_logarithm():
    x = np.array([0.0, -0.0, np.inf, np.nan, -1.0, 5e-324, 1.0, 1.7976931348623157e308])
    expected = [-np.inf, -np.inf, np.inf, np.nan, np.nan, np.log(5e-324), 0.0, np.log(x[-1])]
    np.testing.assert_array_equal(log(x), expected)


@given(ANY, st.data())
def test_a_number_has_the_same_bits_anywhere(x, data):
    """Vector instructions treat the last elements of an array apart."""
    first = data.draw(st.integers(0, x.size))
    last = data.draw(st.integers(first, x.size))
    assert log(x)[first:last].tobytes() == log(x[first:last]).tobytes()
