"""The band that a backtest expects: by hand, and against accounts that were drawn."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.portfolio.expected import expected_band


def test_the_band_is_the_one_worked_by_hand():
    """m = 0.01, s = 0.02 of two returns; after 2 bars 1.96 * 0.02 * sqrt(2 + 4/2) = 0.0784."""
    spread = 0.02 / np.sqrt(2)
    band = expected_band(np.array([0.01 - spread, 0.01 + spread]), np.array([0.0, 2.0]))
    assert [each[0] for each in band] == [1.0, 1.0, 1.0]
    found = [np.log(each[1]) for each in band]
    assert found == pytest.approx([0.02 - 0.0784, 0.02, 0.02 + 0.0784])


def test_nineteen_of_twenty_accounts_are_inside_although_the_mean_is_only_estimated():
    rng = np.random.default_rng(5)
    history, future = rng.normal(0.001, 0.01, (4000, 250)), rng.normal(0.001, 0.01, (4000, 250))
    ends = np.exp(future.sum(axis=1))
    bars = np.array([250.0])
    bands = [expected_band(each, bars) for each in history]
    inside = [band.low[0] < end < band.high[0] for band, end in zip(bands, ends, strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


def test_one_return_is_too_few():
    with pytest.raises(ValueError, match="at least two returns, was given 1"):
        expected_band(np.array([0.01]), np.array([1.0]))
