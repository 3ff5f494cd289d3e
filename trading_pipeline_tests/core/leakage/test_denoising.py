"""A series denoised as a whole predicts what it has already seen; the leakage check refuses it.

Ten lags of the S&P 500's denoised log returns, least squares on the next return, fitted on the
first 80 % of the days of 1999-2018; its sign on the others, one of which was unchanged.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from arch.data import sp500
from scipy import ndimage, signal

from trading_pipeline.core.leakage.experiment import find_leaks

LAGS = 10
PAST = np.exp(-0.5 * np.arange(5) ** 2)  # one side of a Gaussian with σ = 1 bar


def whole_gaussian(returns):
    return ndimage.gaussian_filter1d(returns, sigma=1)


def whole_filtfilt(returns):
    return signal.filtfilt(*signal.butter(3, 0.2), returns) if len(returns) > 20 else returns


def wavelet(returns):
    """Haar wavelets, the finest scale left out: pairs of bars share their mean."""
    paired = returns[: len(returns) // 2 * 2].reshape(-1, 2).mean(axis=1).repeat(2)
    return np.concatenate([paired, returns[len(paired) :]])


def causal_gaussian(returns):
    return np.convolve(returns, PAST / PAST.sum())[: len(returns)]


@cache
def closes() -> pd.Series:
    return sp500.load()["Adj Close"]


def accuracy(denoise) -> tuple[float, int]:
    """Share of the test days whose direction was right, and how many they are."""
    returns = np.diff(np.log(closes().to_numpy()))
    known = denoise(returns)
    lagged = np.column_stack([known[LAGS - 1 - lag : -1 - lag] for lag in range(LAGS)])
    inputs, following = np.column_stack([np.ones(len(lagged)), lagged]), returns[LAGS:]
    split = int(0.8 * len(inputs))
    weights, *_ = np.linalg.lstsq(inputs[:split], following[:split])
    said, came = np.sign(inputs[split:] @ weights), np.sign(following[split:])
    moved = came != 0
    return float((said == came)[moved].mean()), int(moved.sum())


def checks_that_refuse(denoise) -> set[str]:
    close = closes()[:700]
    stamps = close.index.tz_localize("UTC").as_unit("us")
    prices = dict.fromkeys(("open", "high", "low", "close"), close.to_numpy())
    bars = pd.DataFrame({"timestamp": stamps, "symbol": "^GSPC"} | prices | {"volume": 1.0})

    def feature(some):
        returns = np.diff(np.log(some["close"].to_numpy()), prepend=np.nan)
        if len(some) > 1:
            returns[1:] = denoise(returns[1:])
        return some[["timestamp", "symbol"]].assign(denoised=returns)

    return {leak.check for leak in find_leaks(feature, bars, {})}


@pytest.mark.parametrize(
    ("denoise", "right"),
    [(whole_gaussian, 0.74), (whole_filtfilt, 0.68), (causal_gaussian, 0.51), (np.copy, 0.51)],
)
def test_how_often_the_direction_is_right(denoise, right):
    share, days = accuracy(denoise)
    assert days == 1003
    assert share == pytest.approx(right, abs=0.006)


def test_the_causal_one_is_no_better_than_a_coin():
    assert 0.47 <= accuracy(causal_gaussian)[0] <= 0.55


@pytest.mark.parametrize("denoise", [whole_gaussian, whole_filtfilt, wavelet])
def test_a_series_denoised_as_a_whole_is_refused(denoise):
    assert checks_that_refuse(denoise) == {"truncation", "scrambling"}


@pytest.mark.parametrize("denoise", [causal_gaussian, np.copy])
def test_a_causal_one_is_let_through(denoise):
    assert checks_that_refuse(denoise) == set()
