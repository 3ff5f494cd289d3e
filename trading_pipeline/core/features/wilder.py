"""Wilder's path-dependent systems, restarted on a rolling window: directional index and SAR.

Both follow decisions (which move was larger, was the stop touched), so moves and touches that are
equal up to rounding are treated as equal: otherwise the unit of price would decide.

Source: Wilder, New Concepts in Technical Trading Systems (1978), chapters 2 and 4.
"""

import numpy as np

from trading_pipeline.core.features.windows import Array, kernel


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
    n = up.size - memory + 1
    if n <= 0:
        return adx, spread
    plus, minus, reach, index = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for lag in range(1, memory):
        rise, fall, width = up[lag : lag + n], down[lag : lag + n], span[lag : lag + n]
        keep = 1.0 if lag < window else 1.0 - 1.0 / window
        stay = 1.0 if lag < 2 * window else 1.0 - 1.0 / window
        weight = 0.0 if lag < window else 1.0 / window
        for j in range(n):
            plus[j] = plus[j] * keep + rise[j]
            minus[j] = minus[j] * keep + fall[j]
            reach[j] = reach[j] * keep + width[j]
            both = plus[j] + minus[j]
            moved = both > 0.0
            dx = abs(plus[j] - minus[j]) / (both if moved else 1.0)
            index[j] = index[j] * stay + weight * dx if moved else index[j]
    adx[memory - 1 :] = index
    spread[memory - 1 :] = (plus - minus) / np.where(reach > 0.0, reach, 1.0)
    return adx, spread


@kernel
def parabolic_sar(high: Array, low: Array, step: float, limit: float, memory: int) -> Array:
    """Parabolic stop-and-reverse, in price, restarted on the last `memory` bars; (T,).

    Prices that touch the stop up to rounding touch it.

    Source: Wilder (1978), ch. 2, with TA-Lib's choice of the first direction.
    """
    out = np.full(high.size, np.nan)
    for t in range(memory - 1, high.size):
        first = t - memory + 1
        out[t] = _sar_of_window(high[first : t + 1], low[first : t + 1], step, limit)
    return out


@kernel
def _sar_of_window(high: Array, low: Array, step: float, limit: float) -> float:
    rise, fall = high[1] - high[0], low[0] - low[1]
    rounding = 1e-12 * high[1]
    long = not (fall > rounding and fall > rise + rounding)
    extreme, stop = (high[1], low[0]) if long else (low[1], high[0])
    pace, shown = step, stop
    for t in range(1, high.size):
        before = max(t - 1, 1)  # the first bar has no earlier one to keep clear of
        ceiling, floor = max(high[before], high[t]), min(low[before], low[t])
        slack = 1e-12 * stop
        hit = low[t] <= stop + slack if long else high[t] >= stop - slack
        if hit:
            stop = max(extreme, ceiling) if long else min(extreme, floor)
            long, pace = not long, step
            extreme, shown = high[t] if long else low[t], stop
        else:
            shown = stop
            further = high[t] > extreme if long else low[t] < extreme
            if further:
                extreme, pace = high[t] if long else low[t], min(pace + step, limit)
        stop += pace * (extreme - stop)
        stop = min(stop, floor) if long else max(stop, ceiling)
    return float(shown)
