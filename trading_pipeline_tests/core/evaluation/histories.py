"""Markets whose truth is known, for the tests of what intervals cover."""

from datetime import date

from scipy.signal import lfilter

from trading_pipeline.core.market.market import Market

A_YEAR, BLOCK = 252, 22
MARKET = Market(name="m", source="parquet", symbols=("A", "B"), start=date(2015, 1, 1), horizon=3)


def fat_tails(rng, shape):
    return rng.standard_t(5, shape)


def neighbours_that_correlate(rng, shape):
    return lfilter([1.0], [1.0, -0.15], rng.standard_t(5, shape))
