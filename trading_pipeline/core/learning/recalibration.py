"""Scores of any unit, calibrated bar by bar on what had come true of earlier ones.

Letters: T rows, N symbols; h is the horizon in bars.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.learning.calibration import (
    Calibration,
    demeaned,
    fit_slope,
    half_life,
    market_score,
)
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.errors import EvaluationError

Array = NDArray[np.float64]


class Recalibrated(NamedTuple):
    """Scores in units of σ√h, and what they were fitted by."""

    score: Array  # (T, N), NaN before the first fit
    half_life: Array  # (T,) bars
    fits: dict[int, Calibration]  # by the row from whose close on it holds


def recalibrated(
    score: Array, targets: Targets, sigma: Array, eligible: NDArray[np.bool_], market: Market
) -> Recalibrated:
    """Every score times the slope of what came true on the scores before it.

    Fitted anew every h bars, at a row r on rows s with s + 1 + h <= r: their outcomes end at an
    open that is known at the close of r. The first fit has a year of them, which is not judged. A
    value is the same when later rows are cut off.

    Args:
        score: (T, N), in any unit, NaN where there is none.
        sigma: (T, N), volatility of a bar.

    Raises:
        EvaluationError: fewer than eight symbols at all dates, or too short a history of scores.
    """
    known = np.isfinite(score) & eligible
    wide = known.sum(axis=1) >= MIN_CROSS_SECTION
    if not wide.any():
        raise EvaluationError(
            f"scores of fewer than {MIN_CROSS_SECTION} symbols at a date cannot be calibrated, for "
            "their order among the others is what is fitted; give scores in units of σ√h"
        )
    first, horizon = int(np.argmax(wide)), market.horizon
    start = first + market.bars_per_year + horizon + 1
    if start >= len(score):
        raise EvaluationError(
            f"calibration takes {market.bars_per_year} bars of scores and {horizon + 1} more for "
            f"what comes true of them, and there are {len(score) - first} from the first of eight "
            "symbols on; give more of them, or scores in units of σ√h"
        )
    values, lasting = np.full(score.shape, np.nan), np.full(len(score), np.nan)
    fits = {}
    for row in range(start, len(score), horizon):
        past, until = slice(first, row - horizon), slice(row, row + horizon)
        fits[row] = fit = _fit(score, targets, sigma, known, past, market)
        shown = demeaned(score[until], known[until])
        values[until] = np.where(known[until], fit.slope * shown + fit.market, np.nan)
        lasting[until] = fit.half_life
    return Recalibrated(values, lasting, fits)


def _fit(
    score: Array,
    targets: Targets,
    sigma: Array,
    known: NDArray[np.bool_],
    past: slice,
    market: Market,
) -> Calibration:
    """As a network's heads are calibrated on validation."""
    seen = np.where(known[past], score[past], np.nan)
    slope, error = fit_slope(seen, targets.price[past], market.horizon)
    return Calibration(
        weight=1.0,
        position_scale=0.0,
        slope=slope,
        slope_error=error,
        market=market_score(
            targets.market[: past.stop], np.where(known[past], sigma[past], np.nan), market
        ),
        half_life=half_life(seen, known[past], market.horizon),
    )
