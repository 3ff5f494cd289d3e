"""Scores of any unit, multiplied by what earlier ones were worth."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.learning.recalibration import recalibrated
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import EvaluationError

T, N, H = 420, 12, 4
YEAR = 40  # bars: a short one makes a quick test
MARKET = Market(
    name="m",
    source="parquet",
    symbols=tuple("abcdefghijkl"),
    start=np.datetime64("2020-01-01").item(),
    horizon=H,
    measured_bars_per_year=YEAR,
)
FIRST = YEAR + H + 1  # row of the first fit


def history(seed: int = 0, slope: float = 0.3):
    """Scores of which `slope` comes true, with noise of deviation 1, and all that is known."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(T, N))
    price = slope * (score - score.mean(axis=1, keepdims=True)) + rng.normal(size=(T, N))
    unused = np.full((T, N), np.nan)
    targets = Targets(
        price=price,
        direction=np.zeros((T, N), np.int64),
        next_return=unused,
        next_residual=unused,
        volatility=unused,
        risk=unused,
        market=rng.normal(0.001, 0.01, T),
    )
    return score, targets, np.full((T, N), 0.02), np.ones((T, N), bool)


def test_the_slope_that_was_planted_is_found_in_whatever_unit():
    score, targets, sigma, able = history()
    found = recalibrated(1e4 * score, targets, sigma, able, MARKET)
    assert list(found.fits) == list(range(FIRST, T, H))
    assert found.fits[max(found.fits)].slope == pytest.approx(0.3e-4, rel=0.1)
    assert np.isnan(found.score[:FIRST]).all()
    spread = (found.score - found.score.mean(axis=1, keepdims=True))[-1]
    assert spread == pytest.approx(0.3 * (score[-1] - score[-1].mean()), rel=0.1)


def test_each_fit_is_of_outcomes_that_had_ended():
    """s + 1 + h <= r: an outcome that ends after r changes nothing, one that ended by r does."""
    score, targets, sigma, able = until(FIRST + 1)
    slope = recalibrated(score, targets, sigma, able, MARKET).fits[FIRST].slope

    def with_outcomes_from(row):
        moved = np.where(np.arange(FIRST + 1)[:, None] >= row, -100.0, targets.price)
        again = recalibrated(score, replace(targets, price=moved), sigma, able, MARKET)
        return again.fits[FIRST].slope

    assert with_outcomes_from(FIRST - H) == slope
    assert with_outcomes_from(FIRST - H - 1) != slope


@pytest.mark.parametrize("now", [FIRST + 1, FIRST + H, 97, 110])
def test_cutting_off_the_future_changes_no_bit(now):
    """Outcomes of the last h + 1 rows are unknown then, as they are in the whole history by now."""
    whole = recalibrated(*until(120), MARKET)
    score, targets, sigma, able = until(now)
    price, common = targets.price.copy(), targets.market.copy()
    price[-H - 1 :], common[-H - 1 :] = np.nan, np.nan
    cut = replace(targets, price=price, market=common)
    short = recalibrated(score, cut, sigma, able, MARKET)
    np.testing.assert_array_equal(short.score, whole.score[:now])
    np.testing.assert_array_equal(short.half_life, whole.half_life[:now])


def until(row: int):
    """The history up to a row, without it."""
    score, targets, sigma, able = history()
    cut = replace(targets, price=targets.price[:row], market=targets.market[:row])
    return score[:row], cut, sigma[:row], able[:row]


def test_scores_that_were_wrong_are_not_traded_the_other_way():
    score, targets, sigma, able = history(slope=-0.3)
    found = recalibrated(score, targets, sigma, able, MARKET)
    assert {fit.slope for fit in found.fits.values()} == {0.0}
    assert np.ptp(found.score[FIRST:], axis=1).max() == 0


def test_too_few_symbols_or_bars_are_refused_with_what_is_needed():
    score, targets, sigma, able = history()
    few = able & (np.arange(N) < 7)
    with pytest.raises(
        EvaluationError, match="fewer than 8 symbols at a date cannot be calibrated"
    ):
        recalibrated(score, targets, sigma, few, MARKET)
    late = np.where(np.arange(T)[:, None] >= T - 30, score, np.nan)
    with pytest.raises(
        EvaluationError, match=r"takes 40 bars of scores and 5 more .* there are 30 "
    ):
        recalibrated(late, targets, sigma, able, MARKET)
