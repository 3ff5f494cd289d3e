"""Proper scores: losses that are least, on average, for whoever says what he believes.

All arrays are of one shape, or broadcast to it; a NaN gives a NaN.
Source: Gneiting and Raftery, Strictly Proper Scoring Rules, JASA 102 (2007).
"""

import numpy as np
from numpy.typing import NDArray

VOLATILITY_FLOOR = 0.01  # realised multiple of σ below which a symbol hardly traded
_LEAST = 1e-9  # probability: a certainty that fails costs 20 nats, and is not infinite

Array = NDArray[np.float64]


def log_loss(probability: Array) -> Array:
    """Minus the log of the probability that was given to what happened, nats."""
    loss: Array = -np.log(np.clip(probability, _LEAST, 1.0))
    return loss


def ranked_probability(probabilities: Array, happened: NDArray[np.int64]) -> Array:
    """(..., K) probabilities of ordered classes, and which one (...) came: in [0, K - 1].

    Source: Epstein (1969).
    """
    reached = np.arange(probabilities.shape[-1]) >= happened[..., None]
    loss: Array = ((np.cumsum(probabilities, axis=-1) - reached) ** 2).sum(axis=-1)
    return loss


def qlike(forecast: Array, realised: Array) -> Array:
    """QLIKE of a forecast of volatility, both > 0 and in one unit; >= 0, 0 where they are equal.

    It ranks forecasts alike whichever unbiased proxy of the variance is taken as the realised one.
    Source: Patton, Volatility Forecast Comparison Using Imperfect Volatility Proxies (2011).
    """
    ratio = (realised / forecast) ** 2
    loss: Array = ratio - np.log(ratio) - 1
    return loss
