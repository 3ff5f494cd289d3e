"""Drift: do the values that a model now sees come from where it was trained?

Two distances between the training window and the live one. Both describe, neither is a test:
neighbouring bars resemble each other, so a slow feature drifts far though nothing is broken.

Letters: n values of the training window, m of the live one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

BINS = 10  # deciles of the training window
LEAST = 20  # values that each window needs
# Below the first the population is stable, above the second it has shifted.
# Source: Siddiqi, Credit Risk Scorecards (2006), ch. 9; they are conventions, not critical values.
STABLE, SHIFTED = 0.10, 0.25
_EMPTY = 1e-4  # share that an empty bin counts as, so that the logarithm exists


class Drift(NamedTuple):
    """How far the live window is from the training window; NaN where either is too small."""

    psi: float = float("nan")  # population stability index, >= 0
    ks: float = float("nan")  # Kolmogorov-Smirnov distance, in [0, 1]


def drift(training: Values, live: Values) -> Drift:
    """Both distances.

    Args:
        training, live: (n,) and (m,); NaN is a missing value, which the index counts as a bin of
            its own and the distance leaves out.

    Returns:
        NaN where fewer than 20 values are known in either window.
    """
    known = [np.sort(values[~np.isnan(values)]) for values in (training, live)]
    if min(map(len, known)) < LEAST:
        return Drift()
    gone = [len(values) - len(rest) for values, rest in zip((training, live), known, strict=True)]
    return Drift(_stability(known, gone), _distance(*known))


def _stability(known: list[Values], gone: list[int]) -> float:
    """Σ (live - training) × log(live / training) over the shares of bins.

    Source: Kullback and Leibler (1951), the symmetric divergence; Siddiqi (2006) for the bins.
    """
    edges = _edges(known[0])
    shares = []
    for values, missing in zip(known, gone, strict=True):
        below = np.searchsorted(values, edges, side="right")
        counts = np.diff(below, prepend=0, append=len(values))
        shares.append(np.append(counts, missing) / (len(values) + missing))
    training, live = (np.maximum(share, _EMPTY) for share in shares)
    return float(np.sum((live - training) * np.log(live / training)))


def _edges(training: Values) -> Values:
    """Deciles of sorted values; a value that holds a whole decile gets a bin of its own."""
    places = np.arange(1, BINS) * len(training) // BINS - 1
    deciles = training[places]
    massive = deciles[1:][deciles[1:] == deciles[:-1]]
    edges: Values = np.unique(np.append(deciles, np.nextafter(massive, -np.inf)))
    return edges


def _distance(training: Values, live: Values) -> float:
    """Largest gap between the two cumulative distributions: Kolmogorov (1933), Smirnov (1939).

    The gap is largest at a live value or just below one, for between them only one of the two
    curves moves, and it moves towards or away from a level.
    """
    gap = 0.0
    for side in ("left", "right"):
        ours = np.searchsorted(live, live, side=side) / len(live)
        theirs = np.searchsorted(training, live, side=side) / len(training)
        gap = max(gap, float(np.abs(ours - theirs).max()))
    return gap
