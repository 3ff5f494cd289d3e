"""Calibrated scores mean what they say: the return to come in units of σ√h, and 0 for noise."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.learning.calibration import (
    PRIOR_YEARS,
    Calibration,
    demeaned,
    fit_slope,
    forecasts_better,
    half_life,
    market_score,
)
from trading_pipeline.core.market.market import LONG_RUN_SHARPE, Market

HORIZON, VALIDATION, SYMBOLS, HALF_LIFE = 5, 250, 60, 21
SHARES = Market(name="m", source="sample", symbols=("X",), start=date(2020, 1, 1), horizon=21)
COINS = replace(SHARES, calendar="24/7", horizon=10)
CALIBRATION = Calibration(0.5, 2.0, slope=0.5, slope_error=0.1, market=0.2, half_life=9.0)


def persistent(rng, dates, symbols=SYMBOLS):
    """An autoregression of variance 1 whose memory halves in `HALF_LIFE` bars."""
    keep = 0.5 ** (1 / HALF_LIFE)
    values = rng.normal(size=(dates, symbols))
    for date_ in range(1, dates):
        values[date_] = keep * values[date_ - 1] + np.sqrt(1 - keep**2) * values[date_]
    return values


def planted(seed, strength, unit=1.0, dates=VALIDATION + 800):
    """A blend, and overlapping targets whose correlation with its signal is about `strength`."""
    rng = np.random.default_rng(seed)
    signal = persistent(rng, dates)
    shocks = strength / np.sqrt(HORIZON) * signal + rng.normal(size=signal.shape)
    sums = np.cumsum(np.vstack([np.zeros((1, SYMBOLS)), shocks]), axis=0)
    target = np.full(signal.shape, np.nan)
    target[: dates - HORIZON + 1] = (sums[HORIZON:] - sums[:-HORIZON]) / np.sqrt(HORIZON)
    return unit * (signal + 0.5 * rng.normal(size=signal.shape)), target


def out_of_sample(blend, target):
    """Demeaned score and target after validation, both known."""
    slope, _ = fit_slope(blend[:VALIDATION], target[:VALIDATION], HORIZON)
    rows = slice(VALIDATION + HORIZON, len(target) - HORIZON)
    scores = slope * demeaned(blend[rows], np.isfinite(blend[rows]))
    return scores, target[rows] - target[rows].mean(axis=1, keepdims=True)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 40.0])
def test_what_comes_true_is_what_the_score_said(unit):
    pairs = [out_of_sample(*planted(seed, 0.08, unit)) for seed in range(12)]
    explained = sum((score * truth).sum() for score, truth in pairs)
    slope = explained / sum((score**2).sum() for score, _ in pairs)
    assert 0.7 <= slope <= 1.3


def test_scores_of_noise_are_near_zero():
    spreads = [out_of_sample(*planted(seed, 0.0))[0].std() for seed in range(12)]
    assert np.mean(spreads) <= 0.02


@pytest.mark.slow
def test_the_standard_error_is_how_far_slopes_of_noise_scatter():
    """A naive error takes every target for independent, and is far too small."""
    found = [fit_slope(*_validation(planted(seed, 0.0)), HORIZON) for seed in range(60)]
    raw = [_raw_slope(*_validation(planted(seed, 0.0))) for seed in range(60)]
    assert np.mean([error for _, error in found]) == pytest.approx(np.std(raw), rel=0.25)
    naive = 1 / np.sqrt(1.25 * VALIDATION * SYMBOLS)  # 1.25 is the variance of the blend
    assert np.std(raw) > 1.5 * naive


def _validation(market):
    return market[0][:VALIDATION], market[1][:VALIDATION]


def _raw_slope(blend, target):
    blend = blend - blend.mean(axis=1, keepdims=True)
    return (blend * target).sum() / (blend**2).sum()


def test_a_blend_that_is_wrong_on_validation_is_not_turned_round():
    blend, target = _validation(planted(0, 0.3))
    assert fit_slope(blend, target, HORIZON)[0] > 0
    slope, error = fit_slope(-blend, target, HORIZON)
    assert slope == 0
    assert error > 0


@given(seed=st.integers(0, 50), height=st.floats(0.1, 100))
def test_what_all_symbols_share_at_a_date_changes_nothing(seed, height):
    """Of the blend, the target and the score: an accidental timing of the market."""
    rng = np.random.default_rng(seed)
    blend, target = planted(seed, 0.3, dates=120)
    blend, target = blend[:100], target[:100]
    shifts = height * rng.normal(size=(2, 100, 1))
    got = fit_slope(blend + shifts[0], target + shifts[1], HORIZON)
    assert got == pytest.approx(fit_slope(blend, target, HORIZON), rel=1e-6, abs=1e-9)
    able = np.ones(SYMBOLS, dtype=bool)
    plain = CALIBRATION.score(blend[0], blend[1], able)
    np.testing.assert_allclose(CALIBRATION.score(blend[0] + height, blend[1], able), plain)
    assert plain.mean() == pytest.approx(CALIBRATION.market)


def test_the_slope_of_a_small_market_by_hand():
    """Eight symbols: the blend is ±1, the target ±2 for ten dates and ±1 for ten; slope 1.5."""
    sign = np.tile([1.0, -1.0], 4)
    blend, target = np.tile(sign, (20, 1)), np.outer([2.0] * 10 + [1.0] * 10, sign)
    slope, error = fit_slope(blend, target, horizon=1)
    share = 2 / 20  # of lags: two of the twenty dates
    wider = (1.96 + 2.9694 * share + 0.416 * share**2 - 0.5324 * share**3) / 1.96
    # Moments 4 and then -4: covariances 16, 16 × 17 / 20, 16 × 14 / 20; weights 1, 4/3, 2/3.
    variance = 16 + 4 / 3 * 13.6 + 2 / 3 * 11.2
    assert error == pytest.approx(wider * np.sqrt(20 * variance) / 160)
    assert slope == pytest.approx(1.5 * (1 - (error / 1.5) ** 2))


def test_few_dates_show_no_slope():
    """Their moments sum to 0, which many lags would take for certainty."""
    sign = np.tile([1.0, -1.0], 4)
    assert fit_slope(sign[None], 2 * sign[None], horizon=5) == (0.0, 0.0)
    blend, target = np.random.default_rng(0).normal(size=(2, 19, 9))
    assert fit_slope(blend, blend + target, horizon=21) == (0.0, 0.0)


def test_an_error_is_never_below_that_of_independent_dates():
    """By hand: moments 4, -4, 4, ... would cancel."""
    sign = np.tile([1.0, -1.0], 4)
    blend, target = np.tile(sign, (20, 1)), np.outer([2.0, 1.0] * 10, sign)
    assert fit_slope(blend, target, horizon=1)[1] > np.sqrt(20 * 16) / 160


def test_below_eight_symbols_there_is_only_the_market():
    able = np.arange(10) < 7
    np.testing.assert_array_equal(
        CALIBRATION.score(np.arange(10.0), np.zeros(10), able), np.full(10, 0.2)
    )
    few = np.random.default_rng(0).normal(size=(2, 50, 7))
    assert fit_slope(*few, HORIZON) == (0.0, 0.0)
    assert fit_slope(np.full((50, 9), 0.1), np.ones((50, 9)), HORIZON) == (0.0, 0.0)


def test_a_symbol_that_is_not_eligible_is_not_part_of_the_mean():
    values, able = np.append(np.arange(8.0), 1e6), np.arange(9) < 8
    np.testing.assert_array_equal(demeaned(values, able), [*(np.arange(8) - 3.5), 0])


def test_the_half_life_of_a_planted_autoregression_is_found():
    blend = persistent(np.random.default_rng(0), 3000) + np.arange(3000)[:, None]
    assert half_life(blend, np.ones(blend.shape, bool), 21) == pytest.approx(HALF_LIFE, rel=0.1)


def test_the_half_life_stays_within_a_bar_and_ten_horizons():
    rng = np.random.default_rng(0)
    noise, able = rng.normal(size=(400, 10)), np.ones((400, 10), bool)
    assert 1 <= half_life(noise, able, 8) < 2
    assert half_life(np.tile(noise[0], (400, 1)), able, 8) == 80
    assert half_life(np.full((400, 10), 3.0), able, 8) == 8
    assert half_life(noise[:1], able[:1], 8) == 8
    turning = noise[0] * np.tile([[1.0], [-1.0]], (200, 1))
    assert half_life(turning, able, 4) == 1  # a bar later it says the opposite


def test_the_market_is_the_long_run_where_nothing_else_is_known():
    """A market that went nowhere for 25 years halves the prior."""
    wave = 0.05 * np.tile([1.0, -1.0], 252 * PRIOR_YEARS // 2)
    sigma = np.full((len(wave), 2), 0.02)
    units = 0.05 / (0.02 * np.sqrt(21))  # the market's, in a symbol's σ√h
    got = market_score(wave, sigma, SHARES)
    assert got == pytest.approx(LONG_RUN_SHARPE / 2 * np.sqrt(21 / 252) * units)
    assert market_score(wave, sigma, COINS) == pytest.approx(0, abs=1e-12)


def test_the_market_is_never_expected_to_fall():
    falling = np.random.default_rng(0).normal(-0.1, 0.05, 5000)
    assert market_score(falling, np.full((5000, 1), 0.02), SHARES) == 0
    assert market_score(np.full(9, np.nan), np.full((9, 1), 0.02), SHARES) == 0


def clustered(seed, dates=250, symbols=40, horizon=10):
    """A market whose volatility comes in spells: realised volatility and its best forecast, both as
    multiples of what the last 63 bars had. GARCH(1, 1), 0.08 and 0.9, of variance 1."""
    rng = np.random.default_rng(seed)
    warm, total = 200, 200 + dates + horizon
    variance, returns = np.ones((total + 1, symbols)), np.empty((total, symbols))
    for t in range(total):
        returns[t] = np.sqrt(variance[t]) * rng.normal(size=symbols)
        variance[t + 1] = 0.02 + 0.08 * returns[t] ** 2 + 0.9 * variance[t]
    windows = np.lib.stride_tricks.sliding_window_view
    rows = np.arange(warm, warm + dates)
    sigma = windows(returns, 63, axis=0).std(axis=-1, ddof=1)[rows - 62]
    realised = np.sqrt((windows(returns, horizon, axis=0) ** 2).mean(axis=-1))[rows + 1]
    kept = (1 - 0.98**horizon) / (horizon * 0.02)  # of what the next variance is above 1
    return np.sqrt(1 + kept * (variance[rows + 1] - 1)) / sigma, realised / sigma


def test_a_forecast_of_volatility_is_taken_where_it_is_surely_better():
    """Also one that errs by a tenth; not one that errs by more than σ does, or knows nothing."""
    for seed in range(5):
        forecast, realised = clustered(seed)
        errors = np.random.default_rng(seed).normal(size=forecast.shape)
        assert forecasts_better(forecast, realised, 10)
        assert forecasts_better(forecast * np.exp(0.1 * errors), realised, 10)
        assert not forecasts_better(forecast * np.exp(0.4 * errors), realised, 10)
        assert not forecasts_better(np.exp(0.1 * errors), realised, 10)


def test_a_level_that_is_off_is_no_reason_to_forecast():
    """Of σ a tenth too low, the head that says so alone knows nothing of one symbol or date."""
    realised = 1.1 * np.exp(0.1 * np.random.default_rng(0).normal(size=(250, 40)))
    assert not forecasts_better(np.full(realised.shape, 1.1), realised, 1)
    told = realised.mean(axis=1, keepdims=True) * np.ones_like(realised)
    assert forecasts_better(told, realised, 1)


def test_a_volatility_without_outcomes_is_not_taken():
    nothing = np.full((50, 4), np.nan)
    assert not forecasts_better(np.ones((50, 4)), nothing, 5)
    assert not forecasts_better(np.ones((10, 4)), np.ones((10, 4)), 5)


def test_the_volatility_is_that_of_the_head_or_sigma_itself():
    multiple, sigma = np.array([2.0, 0.5]), np.array([0.01, 0.03])
    assert CALIBRATION.volatility(multiple, sigma) is sigma, "an older calibration says nothing"
    chosen = CALIBRATION._replace(volatility_weight=1.0)
    np.testing.assert_allclose(chosen.volatility(multiple, sigma), [0.02, 0.015])
