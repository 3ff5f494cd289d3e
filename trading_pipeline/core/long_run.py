"""The mean of a dependent series, such as one of returns that overlap: how far off may it be?"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

LAGS_PER_HORIZON = 4  # of a mean: twice the overlap and twice again; shorter windows cover less
LEAST_DATES = 20  # of fewer, an error cannot be told


def long_run_variance(series: NDArray[np.float64], lags: int) -> float:
    """Variance of sqrt(T) times the mean of a dependent series (T,), >= 0.

    Bartlett weights 1 - k / (lags + 1). Source: Newey and West, Econometrica 55 (1987).
    """
    centred = series - series.mean()
    covariances = [centred[k:] @ centred[: len(centred) - k] for k in range(lags + 1)]
    weights = 2 * (1 - np.arange(lags + 1) / (lags + 1))
    weights[0] = 1.0
    return max(float(weights @ np.array(covariances)) / len(series), 0.0)


def critical_value(share: float) -> float:
    """How many of these standard errors make a 95 % interval; 1.96 for a `share` of 0.

    `share` is lags / T, for a lag window that is a fixed share of the history. Source: Kiefer and
    Vogelsang, Econometric Theory 21 (2005), table 1, Bartlett, 97.5 %.
    """
    return 1.96 + 2.9694 * share + 0.4160 * share**2 - 0.5324 * share**3


def standard_error(known: NDArray[np.float64], lags: int) -> float:
    """Of the mean of a dependent series (T,)."""
    return sqrt(long_run_variance(known, lags) / len(known))


def mean_and_reach(dates: NDArray[np.float64], horizon: int) -> tuple[float, float]:
    """Mean of what is known of dates (T,), and half the width of its 95 % interval.

    Mean - reach is a one-sided bound at 97.5 %. Newey-West variance with 4 h lags, and the critical
    values of such a lag window.

    Args:
        dates: one number a date, oldest first, of outcomes that reach over `horizon` bars; NaN
            dates are left out.

    Returns:
        NaN both where fewer than 20 dates are known.
    """
    known = dates[np.isfinite(dates)]
    if len(known) < LEAST_DATES:
        return float("nan"), float("nan")
    lags = min(LAGS_PER_HORIZON * horizon, len(known) - 1)
    reach = critical_value(lags / len(known)) * standard_error(known, lags)
    return float(known.mean()), reach
