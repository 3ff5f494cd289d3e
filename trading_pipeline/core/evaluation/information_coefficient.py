"""Information coefficients: do scores say the returns to come, by size and by order?

The information coefficient is the correlation of scores and returns across symbols, the rank
information coefficient that of their ranks. A few large moves count in the first as much as they
earn; in the second they count as one place each.

Returns over the next h bars overlap from date to date, so neighbouring coefficients are nearly
the same number. A naive interval covers the truth 30-46 % of the time; this one does 90-97 %.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.long_run import mean_and_reach
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION

_ROUNDING = 1e-12  # of the largest value


def correlations(score: Floats, target: Floats) -> Floats:
    """Correlation of score and target across symbols, per date: (T, N), (T, N) -> (T,).

    In [-1, 1]. NaN entries are left out; a date with fewer than 8 symbols, or whose scores are
    all equal, is NaN. Source: Pearson (1895); Grinold and Kahn, Active Portfolio Management.
    """
    known = np.isfinite(score) & np.isfinite(target)
    return _correlated(known, _scaled(score, known), _scaled(target, known))


def rank_correlations(score: Floats, target: Floats) -> Floats:
    """Rank correlation, as `correlations`. Source: Spearman (1904)."""
    known = np.isfinite(score) & np.isfinite(target)
    ranks = (_ranks(np.where(known, values, np.nan)) for values in (score, target))
    return _correlated(known, *(_scaled(values, known) for values in ranks))


# The metric that a mean of each is.
COEFFICIENTS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "information_coefficient": correlations,
    "rank_information_coefficient": rank_correlations,
}


def _correlated(known: NDArray[np.bool_], first: Floats, second: Floats) -> Floats:
    """Of rows (T, N) that are centred, and 0 where not known."""
    scale = np.sqrt(np.square(first).sum(axis=1) * np.square(second).sum(axis=1))
    defined = (known.sum(axis=1) >= MIN_CROSS_SECTION) & (scale > 0)
    cross = (first * second).sum(axis=1) / np.where(defined, scale, 1.0)
    return np.where(defined, np.clip(cross, -1.0, 1.0), np.nan)


def centred(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Each row less its mean over what is known, (T, N); 0 elsewhere."""
    kept = np.where(known, values, 0.0)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, kept - kept.sum(axis=1, keepdims=True) / count, 0.0)


def _scaled(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Each row centred, over its largest deviation; 0 where it differs by rounding alone."""
    left, size = centred(values, known), np.abs(np.where(known, values, 0.0))
    reach = np.abs(left).max(axis=1, keepdims=True)
    moves = reach > _ROUNDING * size.max(axis=1, keepdims=True)
    return np.where(moves, left / np.where(moves, reach, 1.0), 0.0)


def _ranks(values: Floats) -> Floats:
    """Average ranks of each row; NaN stays NaN."""
    ranks: Floats = pd.DataFrame(values).rank(axis=1).to_numpy(np.float64)
    return ranks


def without(score: Floats, others: Sequence[Floats]) -> Floats:
    """What is left of the scores after regressing them on `others`, at each date; all as normal
    scores of their ranks, so that no bent copy of one of them is left.

    All (T, N). NaN where one of them is unknown, and at dates where fewer than 8 symbols have all;
    0 throughout a date where nothing is left. Source: van der Waerden (1952).
    """
    known = np.all([np.isfinite(each) for each in (score, *others)], axis=0)
    known &= known.sum(axis=1, keepdims=True) >= MIN_CROSS_SECTION
    normal = [_normal_scores(np.where(known, each, np.nan)) for each in (score, *others)]
    left = np.full(score.shape, np.nan)
    for t in np.flatnonzero(known.any(axis=1)):
        own, *columns = (each[t, known[t]] for each in normal)
        explained = np.stack([np.ones_like(own), *columns], axis=1)
        rest = own - explained @ np.linalg.lstsq(explained, own)[0]
        # What is smaller than rounding is nothing, and has no order.
        left[t, known[t]] = np.where(np.abs(rest).max() > 1e-9, rest, 0.0)
    return left


def _normal_scores(values: Floats) -> Floats:
    """The normal quantiles of each row's ranks; NaN stays NaN."""
    quantiles: Floats = ndtri(_ranks(values) / (np.isfinite(values).sum(axis=1, keepdims=True) + 1))
    return quantiles


def years_to_tell(coefficient: float, symbols: int, horizons_a_year: float) -> float:
    """Years of independent horizons until a mean coefficient is 1.96 of its standard errors.

    Independent returns without their mean: a date's coefficient of no skill varies by 1 / (N - 1).
    """
    return (1.96 / coefficient) ** 2 / ((symbols - 1) * horizons_a_year)


def mean_information_coefficient(coefficients: Floats, horizon: int) -> Estimate:
    """Mean over dates with an interval that knows of the overlap.

    Args:
        coefficients: (T,), one per date, oldest first; NaN dates are left out.
        horizon: bars that one return looks ahead, >= 1.

    Returns:
        NaN throughout when fewer than 20 dates have a coefficient ('not available').

    The interval is that of `mean_and_reach`.
    """
    mean, reach = mean_and_reach(coefficients, horizon)
    return Estimate(mean, *np.clip([mean - reach, mean + reach], -1.0, 1.0).tolist())
