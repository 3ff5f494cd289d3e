"""Windows that start afresh at every bar: the arithmetic under every indicator.

The value at bar t is computed from the last `window` bars and from nothing else. There are no
running sums, so it is bit for bit the same wherever the history starts and whatever comes later,
and a flat or wild stretch leaves no residue once it has left the window.

The loop over the lags of the window is the outer one; the inner one runs over bars, on contiguous
memory, so the compiler makes vector instructions of it without reordering a single sum.

Everywhere: input float64 (T,), oldest first; output float64 (T,), NaN until the window is full.
A NaN in the window makes the output NaN, except in `highest`, `lowest` and `age_of_highest`,
which are for prices and expect none.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
kernel = njit(cache=True, nogil=True, error_model="numpy")


@kernel
def total(x: Array, window: int) -> Array:
    """Sum of the last `window` values."""
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    sums = out[window - 1 :]
    sums[:] = 0.0
    for lag in range(window):
        part = x[lag : lag + n]
        for j in range(n):
            sums[j] += part[j]
    return out


@kernel
def mean(x: Array, window: int) -> Array:
    """Simple moving average of the last `window` values."""
    return total(x, window) / window


@kernel
def deviation(x: Array, window: int, ddof: int) -> Array:
    """Standard deviation of the last `window` values, around their own mean (two passes)."""
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    middle = total(x, window)[window - 1 :] / window
    squares = out[window - 1 :]
    squares[:] = 0.0
    for lag in range(window):
        part = x[lag : lag + n]
        for j in range(n):
            away = part[j] - middle[j]
            squares[j] += away * away
    return np.sqrt(out / (window - ddof))


@kernel
def mean_deviation(x: Array, window: int) -> Array:
    """Mean absolute distance of the last `window` values from their mean."""
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    middle = total(x, window)[window - 1 :] / window
    away = out[window - 1 :]
    away[:] = 0.0
    for lag in range(window):
        part = x[lag : lag + n]
        for j in range(n):
            away[j] += abs(part[j] - middle[j])
    return out / window


@kernel
def skewness(x: Array, window: int, flat: float) -> Array:
    """Third standardised moment of the last `window` values; 0 where they deviate less than `flat`.

    The population (biased) form, so its absolute value is at most (n - 2) / sqrt(n - 1).
    """
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    middle = total(x, window)[window - 1 :] / window
    squares, cubes = np.zeros(n), np.zeros(n)
    for lag in range(window):
        part = x[lag : lag + n]
        for j in range(n):
            away = part[j] - middle[j]
            squares[j] += away * away
            cubes[j] += away * away * away
    for j in range(n):
        spread = np.sqrt(squares[j] / window)
        skew = cubes[j] / window / spread**3
        out[window - 1 + j] = 0.0 if spread < flat else skew
    return out


@kernel
def highest(x: Array, window: int) -> Array:
    """Largest of the last `window` values."""
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    top = out[window - 1 :]
    top[:] = x[:n]
    for lag in range(1, window):
        part = x[lag : lag + n]
        for j in range(n):
            top[j] = max(top[j], part[j])
    return out


@kernel
def lowest(x: Array, window: int) -> Array:
    """Smallest of the last `window` values."""
    return -highest(-x, window)


@kernel
def age_of_highest(x: Array, window: int) -> Array:
    """Bars since the largest of the last `window` values, the newest one if it repeats."""
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    top = x[:n].copy()
    age = out[window - 1 :]
    age[:] = window - 1.0
    for lag in range(1, window):
        part = x[lag : lag + n]
        for j in range(n):
            newer = part[j] >= top[j]
            top[j] = part[j] if newer else top[j]
            age[j] = window - 1.0 - lag if newer else age[j]
    return out


@kernel
def smoothed(x: Array, alpha: float, seed: int, window: int) -> Array:
    """Exponential average, restarted on the last `window` values.

    Seeded by the mean of the window's first `seed` values, as TA-Lib does; each later value then
    moves it by `alpha` of the distance. Wilder's smoothing of length n is alpha = 1/n, seed = n.
    """
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    level = out[window - 1 :]
    level[:] = 0.0
    for lag in range(seed):
        part = x[lag : lag + n]
        for j in range(n):
            level[j] += part[j]
    level /= seed
    for lag in range(seed, window):
        part = x[lag : lag + n]
        for j in range(n):
            level[j] += alpha * (part[j] - level[j])
    return out


@kernel
def ema(x: Array, span: int, window: int) -> Array:
    """Exponential moving average of `span` bars, restarted on the last `window` values."""
    return smoothed(x, 2.0 / (span + 1.0), span, window)


@kernel
def wilder(x: Array, span: int, window: int) -> Array:
    """Wilder's average of `span` bars, restarted on the last `window` values."""
    return smoothed(x, 1.0 / span, span, window)


@kernel
def change(x: Array) -> Array:
    """x[t] - x[t-1]; the first is NaN."""
    out = np.full(x.size, np.nan)
    for t in range(1, x.size):
        out[t] = x[t] - x[t - 1]
    return out


@kernel
def log_change(x: Array, bars: int) -> Array:
    """log(x[t] / x[t-bars]); the first `bars` are NaN.

    A scalar loop on purpose: a vectorised logarithm may round differently in the last few elements
    of an array, and then a longer history would change an old value.
    """
    out = np.full(x.size, np.nan)
    for t in range(bars, x.size):
        out[t] = np.log(x[t] / x[t - bars])
    return out


@kernel
def relative_change(x: Array, bars: int) -> Array:
    """x[t] / x[t-bars] - 1; the first `bars` are NaN."""
    out = np.full(x.size, np.nan)
    for t in range(bars, x.size):
        out[t] = x[t] / x[t - bars] - 1.0
    return out


@kernel
def log_ratio(above: Array, below: Array) -> Array:
    """log(above / below) of two non-negative series; 0 / 0 is NaN, and one zero is infinite."""
    out = np.empty(above.size)
    for t in range(above.size):
        out[t] = np.log(above[t] / below[t])
    return out
