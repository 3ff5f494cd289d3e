"""Windows that start afresh at every bar: the arithmetic under every indicator.

The value at bar t is computed from the last `window` bars and from nothing else. There are no
running sums, so it is bit for bit the same wherever the history starts and whatever comes later,
and a flat or wild stretch leaves no residue once it has left the window.

What adds up is added by doubling: sums of 1, 2, 4, 8 … bars, each of two neighbours half as long,
then those that the window is made of. That takes 15 passes for 252 bars instead of 252, rounds
less, and every pass runs over contiguous memory, so the compiler makes vector instructions of it.

Everywhere: input float64 (T,), oldest first; output float64 (T,), NaN until the window is full.
A NaN in the window makes the output NaN, except in `highest`, `lowest` and `age_of_highest`,
which are for prices and expect none.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from trading_pipeline.core.features.logarithm import log_in_place

Array = npt.NDArray[np.float64]
kernel = njit(cache=True, nogil=True, error_model="numpy")
BLOCK = 512  # bars whose running state fits the first cache, where a pass is made for every lag


@kernel
def fading_sum(x: Array, keep: float, window: int) -> Array:
    """Σ keep^k x[t-k] over the last `window` values, k = 0 for the newest; `keep` in (0, 1]."""
    if window == 0:
        return np.zeros(x.size)
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    sums = out[window - 1 :]
    sums[:] = 0.0
    part, span, fade, done = x, 1, keep, 0  # part[i]: the sum of the `span` bars from i on
    while done < window:
        if window & span:
            for i in range(n):
                sums[i] = sums[i] * fade + part[done + i]
            done += span
        if done < window:
            wider = np.empty(part.size - span)
            for i in range(wider.size):
                wider[i] = part[i] * fade + part[i + span]
            part, span, fade = wider, 2 * span, fade * fade
    return out


@kernel
def total(x: Array, window: int) -> Array:
    """Sum of the last `window` values."""
    return fading_sum(x, 1.0, window)


@kernel
def mean(x: Array, window: int) -> Array:
    """Simple moving average of the last `window` values."""
    return total(x, window) / window


@kernel
def deviation(x: Array, window: int, ddof: int) -> Array:
    """Standard deviation of the last `window` values, around their own mean.

    Source: Chan, Golub and LeVeque (1979), pairwise updating of means and sums of squares; equal
    values have none, to the last bit.
    """
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    middle, square = np.zeros(n), out[window - 1 :]
    square[:] = 0.0
    means, squares, span, done = x, np.zeros(x.size), 1, 0  # of the `span` bars from i on
    while done < window:
        if window & span:
            share = span / (done + span)
            for i in range(n):
                apart = means[done + i] - middle[i]
                middle[i] += apart * share
                square[i] += squares[done + i] + apart * apart * (done * share)
            done += span
        if done < window:
            wider, wider_squares = np.empty(means.size - span), np.empty(means.size - span)
            for i in range(wider.size):
                apart = means[i + span] - means[i]
                wider[i] = means[i] + 0.5 * apart
                wider_squares[i] = squares[i] + squares[i + span] + apart * apart * (0.5 * span)
            means, squares, span = wider, wider_squares, 2 * span
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
    for lag in range(window % 2):
        for j in range(n):
            away = x[lag + j] - middle[j]
            squares[j] += away * away
            cubes[j] += away * away * away
    for lag in range(window % 2, window, 2):  # two at a time, to touch the sums half as often
        part = x[lag : lag + n + 1]
        for j in range(n):
            a, b = part[j] - middle[j], part[j + 1] - middle[j]
            squares[j] += a * a + b * b
            cubes[j] += a * a * a + b * b * b
    for j in range(n):
        spread = np.sqrt(squares[j] / window)
        skew = cubes[j] / window / spread**3
        out[window - 1 + j] = 0.0 if spread < flat else skew
    return out


@kernel
def highest(x: Array, window: int) -> Array:
    """Largest of the last `window` values: of two windows of a power of two that cover it."""
    out = np.full(x.size, np.nan)
    n = x.size - window + 1
    if n <= 0:
        return out
    part, span = x, 1
    while 2 * span <= window:
        wider = np.empty(part.size - span)
        for i in range(wider.size):
            wider[i] = max(part[i], part[i + span])
        part, span = wider, 2 * span
    top = out[window - 1 :]
    for i in range(n):
        top[i] = max(part[i], part[i + window - span])
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
    rest = window - seed
    first, later = total(x, seed)[seed - 1 :], fading_sum(x, 1.0 - alpha, rest)[window - 1 :]
    weight, level = (1.0 - alpha) ** rest / seed, out[window - 1 :]
    for i in range(n):
        level[i] = weight * first[i] + alpha * later[i]
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
def weighted(x: Array, weights: Array) -> Array:
    """Σ weights[k] x[t-k], k = 0 for the newest; the window is as long as the weights."""
    window = weights.size
    out = np.full(x.size, np.nan)
    for first in range(window - 1, x.size, BLOCK):
        sums = out[first : first + BLOCK]
        sums[:] = 0.0
        odd, n = window % 4, sums.size
        for k in range(odd):
            part = x[first - k : first - k + n]
            for i in range(n):
                sums[i] += weights[k] * part[i]
        for k in range(odd, window, 4):
            a, b, c, d = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            part = x[first - k - 3 : first - k + n]
            for i in range(n):
                sums[i] += (a * part[i + 3] + b * part[i + 2]) + (c * part[i + 1] + d * part[i])
    return out


@kernel
def change(x: Array) -> Array:
    """x[t] - x[t-1]; the first is NaN."""
    out = np.full(x.size, np.nan)
    for t in range(1, x.size):
        out[t] = x[t] - x[t - 1]
    return out


@kernel
def log_change(x: Array, bars: int) -> Array:
    """log(x[t] / x[t-bars]); the first `bars` are NaN."""
    out = np.full(x.size, np.nan)
    for t in range(bars, x.size):
        out[t] = x[t] / x[t - bars]
    log_in_place(out[bars:])
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
        out[t] = above[t] / below[t]
    log_in_place(out)
    return out
