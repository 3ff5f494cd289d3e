"""Wilder's path-dependent systems, restarted on a rolling window: directional index and SAR.

Both follow decisions (which move was larger, was the stop touched), so moves and touches that are
equal up to rounding are treated as equal: otherwise the unit of price would decide.

Source: Wilder, New Concepts in Technical Trading Systems (1978), chapters 2 and 4.
"""

import numpy as np

from trading_pipeline.core.features.windows import BLOCK, Array, fading_sum, kernel

NOTHING = 1e-150  # keeps 0 / 0 at 0, and is far too small to change any sum of movements


@kernel
def directional_movement(high: Array, low: Array) -> tuple[Array, Array]:
    """Up and down movement beyond the previous bar, in price; both (T,), >= 0, the first NaN.

    Only the larger of the two counts; moves that are equal up to rounding cancel.
    """
    up, down = np.full(high.size, np.nan), np.full(high.size, np.nan)
    for t in range(1, high.size):
        rise, fall = high[t] - high[t - 1], low[t - 1] - low[t]
        rounding = 1e-12 * high[t]
        up[t] = rise if rise > rounding and rise > fall + rounding else 0.0
        down[t] = fall if fall > rounding and fall > rise + rounding else 0.0
    return up, down


@kernel
def directional_index(
    up: Array, down: Array, span: Array, window: int, memory: int
) -> tuple[Array, Array]:
    """ADX in [0, 1] and (+DI - -DI) in [-1, 1], restarted on the last `memory` bars; both (T,).

    Args:
        up, down, span: directional movements and true range, in price; (T,), the first NaN.
        window: Wilder's smoothing length.
        memory: bars of history used, at least 2 window.

    Where nothing has moved both are 0.

    Source: Wilder (1978), ch. 4, with TA-Lib's seeds: sums of window - 1 movements, then the mean
    of `window` directional indices.
    """
    adx, spread = np.full(up.size, np.nan), np.full(up.size, np.nan)
    faded = fading_sum(span, 1.0 - 1.0 / window, memory - window)
    seed = fading_sum(span, 1.0, window - 1)
    weight = (1.0 - 1.0 / window) ** (memory - window)
    for first in range(memory - 1, up.size, BLOCK):
        end = min(first + BLOCK, up.size)
        rises, falls = up[first - memory + 2 : end], down[first - memory + 2 : end]
        plus, minus, adx[first:end] = _averages(rises, falls, window, memory - 1)
        for i in range(end - first):
            t = first + i
            width = faded[t] + weight * seed[t - memory + window]
            spread[t] = (plus[i] - minus[i]) / (width if width > 0.0 else 1.0)
    return adx, spread


@kernel
def _averages(up: Array, down: Array, window: int, size: int) -> tuple[Array, Array, Array]:
    """Wilder's sums of both movements and the ADX, of every `size` movements in a row.

    Two movements at a time: a / b + c / d = (a d + c b) / (b d) takes one division instead of two,
    and divisions are what all this costs.
    """
    n = up.size - size + 1
    plus, minus, index = np.zeros(n), np.zeros(n), np.zeros(n)
    seed = window - 1 - (size - window + 1) % 2  # one fewer where the rest is odd
    for lag in range(seed):
        rise, fall = up[lag : lag + n], down[lag : lag + n]
        for j in range(n):
            plus[j] += rise[j]
            minus[j] += fall[j]
    fade, weight = 1.0 - 1.0 / window, 1.0 / window
    for lag in range(seed, size, 2):
        rise, fall = up[lag : lag + n], down[lag : lag + n]
        next_rise, next_fall = up[lag + 1 : lag + 1 + n], down[lag + 1 : lag + 1 + n]
        stay = 1.0 if lag < 2 * window - 1 else fade  # at first the mean of `window` indices
        next_stay = 1.0 if lag + 1 < 2 * window - 1 else fade
        keep, new = (1.0, 0.0) if lag < window - 1 else (fade, weight * next_stay)
        old = stay * next_stay
        for j in range(n):
            p, m = plus[j] * keep + rise[j], minus[j] * keep + fall[j]
            next_p, next_m = p * fade + next_rise[j], m * fade + next_fall[j]
            both, next_both = p + m + NOTHING, next_p + next_m + NOTHING
            apart, next_apart = abs(p - m) * new, abs(next_p - next_m) * weight
            fresh = (apart * next_both + next_apart * both) / (both * next_both)
            plus[j], minus[j], index[j] = next_p, next_m, index[j] * old + fresh
    return plus, minus, index


@kernel
def parabolic_sar(high: Array, low: Array, step: float, limit: float, memory: int) -> Array:
    """Parabolic stop-and-reverse, in price, restarted on the last `memory` bars; (T,).

    Prices that touch the stop up to rounding touch it.

    Source: Wilder (1978), ch. 2, with TA-Lib's choice of the first direction.
    """
    out = np.full(high.size, np.nan)
    for first in range(memory - 1, high.size, BLOCK):
        end = min(first + BLOCK, high.size)
        begin = first - memory + 1
        out[first:end] = _stops(high[begin:end], low[begin:end], step, limit, memory)
    return out


@kernel
def _stops(high: Array, low: Array, step: float, limit: float, memory: int) -> Array:
    """The stop after every `memory` bars in a row, all windows one bar further at a time.

    Both outcomes of every question are computed and one is chosen: without branches, several
    windows go through one instruction.
    """
    n = high.size - memory + 1
    long, extreme, stop, pace, shown = _first_stops(high, low, step, n)
    for lag in range(1, memory):
        before = max(lag - 1, 1)  # the first bar has no earlier one to keep clear of
        highs, lows = high[lag : lag + n], low[lag : lag + n]
        highs_before, lows_before = high[before : before + n], low[before : before + n]
        for j in range(n):
            top, bottom = highs[j], lows[j]
            ceiling, floor = max(highs_before[j], top), min(lows_before[j], bottom)
            at, far, slack = stop[j], extreme[j], 1e-12 * stop[j]
            above, below = max(far, ceiling), min(far, floor)
            touched_low, touched_high = bottom <= at + slack, top >= at - slack
            falling = long[j] == 0.0
            hit = touched_high if falling else touched_low
            turned = below if falling else above
            at = turned if hit else at
            rising = falling == hit
            best = top if rising else bottom
            higher, lower = top > far, bottom < far
            further = higher if rising else lower
            same, faster = pace[j], min(pace[j] + step, limit)
            rate = faster if further else same
            rate = step if hit else rate
            farther = best if further else far
            far = best if hit else farther
            shown[j] = at
            at += rate * (far - at)
            under, over = min(at, floor), max(at, ceiling)
            stop[j] = under if rising else over
            extreme[j], pace[j], long[j] = far, rate, 1.0 if rising else 0.0
    return shown


@kernel
def _first_stops(
    high: Array, low: Array, step: float, n: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Of each window: 1 if it is long, else 0; extreme price, stop, pace, the stop last shown."""
    long, extreme, stop, pace = np.empty(n), np.empty(n), np.empty(n), np.full(n, step)
    for j in range(n):
        rise, fall = high[j + 1] - high[j], low[j] - low[j + 1]
        rounding = 1e-12 * high[j + 1]
        short = fall > rounding and fall > rise + rounding
        long[j] = 0.0 if short else 1.0
        extreme[j] = low[j + 1] if short else high[j + 1]
        stop[j] = high[j] if short else low[j]
    return long, extreme, stop, pace, stop.copy()
