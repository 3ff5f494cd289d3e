"""From weights that would be best to weights that are worth trading for: the no-trade region.

Proportional costs leave a region around the aim in which it is best to wait. Its half-width is the
cube root of cost × movement / curvature: Davis and Norman, Portfolio Selection with Transaction
Costs (1990); for signals that fade, Martin and Schöneborn, Mean Reversion Pays, but Costs (2011).
"""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.dtypes import Account, Array, Decision, Parameters

_INWARD = 0.7  # of the half-width from the aim is where a trade ends: fewer orders than at the edge
_NARROWER = 0.75  # than the expansion's first term, which is too wide where costs are not tiny
_STEPS = 60  # of the bisection
_CLOSE = 1e-10  # of the whole account: no more than a rounding of it
_NOTHING = 1e-9  # a weight below is none


@kernel
def fading(half_life: float, horizon: int) -> tuple[float, float]:
    """θ = ln 2 / half-life, and g: a forecast's first bar in units of its mean over the horizon."""
    theta = math.log(2.0) / half_life
    through = theta * horizon
    return theta, through / -math.expm1(-through)


@kernel
def half_widths(
    rules: Parameters,
    account: Account,
    theta: float,
    held: np.ndarray,
    volatility: np.ndarray,
    widths: np.ndarray,
) -> None:
    """Distance from the aim at which each symbol begins to be traded, in weights."""
    spread = account.exposure * account.spread
    for n in range(len(widths)):
        sigma = volatility[n]
        moved = held[n] * held[n] / rules.market_aversion  # movement / σ², over aversion
        if sigma > 0:
            # E times the tilt that is best at γ is what is best at γ / E.
            tilted = 2 * theta * (spread / (sigma * sigma)) ** 2
            moved += _NARROWER**3 * tilted * account.exposure / account.aversion
        widths[n] = rules.band * _cube_root(1.5 * rules.cost * moved)


@kernel
def exposure_band(rules: Parameters, gross: float) -> float:
    """Change of the gross weight that is not worth its cost: all holdings as one position."""
    return rules.band * _cube_root(1.5 * rules.cost * gross * gross / rules.market_aversion)


@kernel
def _cube_root(value: float) -> float:
    return float(np.cbrt(value))


@kernel
def place(held: float, aim: float, width: float) -> float:
    """The weight that a trade leads to: what is held, within the region around the aim."""
    if held > aim + width:
        return aim + _INWARD * width
    if held < aim - width:
        return aim - _INWARD * width
    return held


@kernel
def _cut(held: float, aim: float, width: float, cap: float) -> float:
    return min(max(place(held, aim, width), 0.0), cap)


@kernel
def _summed(
    held: np.ndarray,
    wanted: np.ndarray,
    precision: np.ndarray,
    widths: np.ndarray,
    cap: np.ndarray,
    factor: float,
    multiplier: float,
) -> float:
    """Σ of the weights that trades lead to when all aims move down by λ × precision."""
    total = 0.0
    for n in range(len(held)):
        if precision[n] > 0:
            aim = factor * wanted[n] - multiplier * precision[n]
            total += _cut(held[n], aim, widths[n], factor * cap[n])
    return total


@kernel
def place_all(
    held: np.ndarray,
    wanted: np.ndarray,
    precision: np.ndarray,
    widths: np.ndarray,
    cap: np.ndarray,
    factor: float,
    total: float,
    rows: Array[Decision],
) -> None:
    """Aims and targets of long weights that sum to `total`, into `rows`.

    What is bought, other symbols pay for: all aims move by λ × precision until that is so. The sum
    falls with λ, with a jump where a symbol enters or leaves its region; there it stops between.
    Symbols without a precision are left alone.

    Args:
        held: (N,) weights. wanted, cap: (N,) of a whole of 1, that `factor` brings to weights.
    """
    low, high = 0.0, 0.0
    above = _summed(held, wanted, precision, widths, cap, factor, 0.0)
    below = above
    if abs(above - total) > _CLOSE:
        step = math.copysign(1e-4, above - total)
        while (above - total) * (below - total) > 0 and abs(step) < 1e6:
            step *= 8
            if step > 0:
                low, high = high, step
                above, below = below, _summed(held, wanted, precision, widths, cap, factor, step)
            else:
                low, high = step, low
                above, below = _summed(held, wanted, precision, widths, cap, factor, step), above
        for _ in range(_STEPS):
            if above - below <= _CLOSE or high - low <= _CLOSE:
                break
            middle = (low + high) / 2
            found = _summed(held, wanted, precision, widths, cap, factor, middle)
            if found >= total:
                low, above = middle, found
            else:
                high, below = middle, found
    share = (total - below) / (above - below) if above > below else 0.0
    share = min(max(share, 0.0), 1.0)
    for n in range(len(held)):
        if precision[n] > 0:
            best = factor * wanted[n]
            fewer = _cut(held[n], best - high * precision[n], widths[n], factor * cap[n])
            more = _cut(held[n], best - low * precision[n], widths[n], factor * cap[n])
            target = fewer + share * (more - fewer)
            rows[n].target = target if target > _NOTHING or target == held[n] else 0.0
            aim = best - (high + share * (low - high)) * precision[n]
            rows[n].aim = min(max(aim, 0.0), factor * cap[n])
            rows[n].band = widths[n]
