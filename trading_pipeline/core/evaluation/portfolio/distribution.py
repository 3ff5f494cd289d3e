"""How daily returns are distributed: their shape, their tails, and how sure these numbers are.

Returns are (..., D), the last axis is time. Undefined is NaN: an account that never moved
has no shape.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.evaluation.confidence import Estimate, Sampled, interval, persistent
from trading_pipeline.core.evaluation.metrics import STILL, Floats, of_volatility
from trading_pipeline.core.evaluation.performance import Resampling

_FEWEST, _MOST = 15, 60  # bars of the histogram


def skew(returns: Floats) -> Floats:
    """Third standardised moment; 0 for a normal, below 0 when large losses outweigh: -> (...,)."""
    return np.asarray((standardised(returns) ** 3).mean(axis=-1))


def excess_kurtosis(returns: Floats) -> Floats:
    """Fourth standardised moment less 3, >= -2; 0 for a normal, above 0 for fat tails."""
    return np.asarray((standardised(returns) ** 4).mean(axis=-1) - 3)


def standardised(returns: Floats) -> Floats:
    """Less their mean, over their deviation (ddof 0), along the last axis; NaN: never moved."""
    deviation = returns.std(axis=-1, keepdims=True)
    moved = deviation > STILL
    centred = returns - returns.mean(axis=-1, keepdims=True)
    return np.asarray(np.where(moved, centred / np.where(moved, deviation, 1.0), np.nan))


def quantile(returns: Floats, share: float) -> Floats:
    """The return that a `share` of days, in (0, 1), fell below; NaN below one day of them."""
    if share * returns.shape[-1] < 1:
        return np.full(returns.shape[:-1], np.nan)
    return np.asarray(np.quantile(returns, share, axis=-1))


def expected_shortfall(returns: Floats, share: float) -> Floats:
    """Mean return of the worst `share` of days, in (0, 1), rounded up to whole days.

    NaN when the share is less than a day. Source: Acerbi and Tasche, On the coherence of expected
    shortfall (2002).
    """
    count = int(np.ceil(share * returns.shape[-1] - 1e-9))
    if share * returns.shape[-1] < 1:
        return np.full(returns.shape[:-1], np.nan)
    return np.asarray(np.partition(returns, count - 1, axis=-1)[..., :count].mean(axis=-1))


SHAPES: dict[str, Callable[[Floats], Floats]] = {
    "mean": lambda returns: np.asarray(returns.mean(axis=-1)),
    "deviation": lambda returns: np.asarray(returns.std(axis=-1, ddof=1)),
    "skew": skew,
    "excess_kurtosis": excess_kurtosis,
    "quantile_5": lambda returns: quantile(returns, 0.05),
    "quantile_1": lambda returns: quantile(returns, 0.01),
    "shortfall_5": lambda returns: expected_shortfall(returns, 0.05),
    "shortfall_1": lambda returns: expected_shortfall(returns, 0.01),
}


# Days from which on an interval covers 90 % of Student's t with five degrees of freedom, at the
# least. Fewer hold too few days of the tail; a fourth moment is one or two days, however many.
_FEWEST_DAYS = {
    "quantile_5": 200,
    "quantile_1": 1_000,
    "shortfall_5": 1_000,
    "shortfall_1": 5_000,
    "excess_kurtosis": np.inf,
}


def shape_of(returns: Floats, resampling: Resampling) -> dict[str, Estimate]:
    """Every number of SHAPES of daily returns (D,) with its interval, on the dates of the report.

    All are of one day, fractions, but for skew and kurtosis, which have no unit. What too few days
    say has no interval, and a kurtosis never has one. That of the deviation is as of the metric.
    """
    again = returns[resampling.dates]
    found = {}
    for name, of in SHAPES.items():
        value = float(of(returns))
        known = len(returns) >= _FEWEST_DAYS.get(name, 0)
        samples = of(again) if known else np.empty(0)
        found[name] = interval(Sampled(value, samples), resampling.widening)
    of_days = of_volatility(returns, 1.0)
    found["deviation"] = persistent(found["deviation"].value, of_days, (0.0, np.inf))
    return found


class Histogram(NamedTuple):
    """Days by their return: B bars."""

    edges: Floats  # (B + 1,), fractions
    days: Floats  # (B,), how many
    normal: Floats  # (B,), how many a normal of the same mean and deviation would have


def histogram(returns: Floats) -> Histogram | None:
    """Of daily returns (D,); None when they never moved.

    The width of a bar follows Freedman and Diaconis (1981), but there are 15 to 60 of them.
    """
    from scipy.special import ndtr

    deviation = returns.std(ddof=1) if len(returns) > 1 else 0.0
    if not deviation > STILL:
        return None
    low, high = float(returns.min()), float(returns.max())
    quarters = np.quantile(returns, [0.25, 0.75])
    width = 2 * float(np.diff(quarters)[0]) / len(returns) ** (1 / 3)
    bars = int(np.clip((high - low) / width if width > 0 else _MOST, _FEWEST, _MOST))
    days, edges = np.histogram(returns, bins=bars, range=(low, high))
    below = ndtr((edges - returns.mean()) / deviation)
    return Histogram(edges, days.astype(np.float64), len(returns) * np.diff(below))
