"""The mean of a dependent series, such as one of returns that overlap: how far off may it be?"""

import numpy as np
from numpy.typing import NDArray


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
