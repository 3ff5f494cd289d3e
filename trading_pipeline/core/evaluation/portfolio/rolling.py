"""Sharpe ratio, volatility and beta of the last year, day by day, and how sure the first can be."""

from typing import NamedTuple

import numpy as np

from trading_pipeline.core.evaluation.metrics import Floats, annual_volatility, beta, sharpe
from trading_pipeline.core.evaluation.portfolio.distribution import standardised

_NORMAL = 1.96  # 95 %, two-sided
_SHORTEST = 21  # days that are called a window at all


class Rolling(NamedTuple):
    """Sharpe ratio a year of the window that ends on each day, (D,); NaN until one is full."""

    value: Floats
    low: Floats
    high: Floats


def rolling_window(n_days: int, days_per_year: float) -> int | None:
    """A year of days, or half or a quarter of one where the history is short; None: too short."""
    spans = (round(days_per_year / part) for part in (1, 2, 4))
    return next((span for span in spans if span >= _SHORTEST and n_days >= 2 * span), None)


def rolling_sharpe(returns: Floats, window: int, days_per_year: float) -> Rolling:
    """Sharpe ratio of the last `window` daily returns with its 95 % band.

    The band is that of one window of independent days: it says how far the number of a single year
    is from meaning anything, not how the years differ. NaN where a window never moved.

    Source: Mertens, Comments on variance of the IID estimator in Lo (2002): the variance of a
    Sharpe ratio is (1 - skew × s + (kurtosis - 1) / 4 × s^2) / (n - 1).
    """
    ends = np.full((3, len(returns)), np.nan)
    if len(returns) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(returns, window)
        value = sharpe(windows, days_per_year)
        error = _error(windows, value / np.sqrt(days_per_year)) * np.sqrt(days_per_year)
        ends[:, window - 1 :] = value, value - _NORMAL * error, value + _NORMAL * error
    return Rolling(*ends)


def rolling_volatility(returns: Floats, window: int, days_per_year: float) -> Floats:
    """Volatility a year of the last `window` daily returns, (D,); NaN until one is full."""
    found = np.full(len(returns), np.nan)
    if len(returns) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(returns, window)
        found[window - 1 :] = annual_volatility(windows, days_per_year)
    return found


def rolling_beta(returns: Floats, benchmark: Floats, window: int) -> Floats:
    """Beta of the last `window` daily returns to the benchmark's, (D,); NaN until one is full."""
    found = np.full(len(returns), np.nan)
    if len(returns) >= window:
        own, other = (
            np.lib.stride_tricks.sliding_window_view(each, window) for each in (returns, benchmark)
        )
        found[window - 1 :] = beta(own, other)
    return found


def _error(windows: Floats, per_day: Floats) -> Floats:
    """Standard error of the Sharpe ratio a day of each window, (W, n) -> (W,)."""
    z = standardised(windows)
    variance = 1 - (z**3).mean(axis=1) * per_day + ((z**4).mean(axis=1) - 1) / 4 * per_day**2
    return np.asarray(np.sqrt(np.maximum(variance, 0) / (windows.shape[1] - 1)))
