"""Beta: how much of the market each symbol carries, as known at every close."""

import numpy as np

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import hold_over_gaps, trailing_sum

WINDOW = 252  # bars of returns
ROUNDING = 1e-9  # of squares, that a market which does not move may leave
SHRINKAGE = 0.5  # of the way to 1, which is where betas drift to


def market_beta(panel: Panel) -> np.ndarray:
    """Slope of a symbol's log return on the equal-weight market's, shrunk half way to 1.

    Source: shrinkage as in Vasicek (1973) and Blume (1975); the half is the rule of thumb of both.

    Returns:
        (T, N), over the symbol's own last 252 bars and what the market did between them, adjusted;
        1 where it has fewer, or the market did not move. Later bars change nothing.
    """
    close = np.log(panel.adjusted_close)
    market = np.cumsum(equal_weight_returns(panel))
    beta = np.full(close.shape, np.nan)
    for n in range(len(panel.symbols)):
        rows = np.flatnonzero(~np.isnan(close[:, n]))
        for part in np.split(rows, np.flatnonzero(panel.discontinuities[rows, n])):
            beta[part, n] = slopes_of(close[part, n], market[part])
    return shrunk(hold_over_gaps(beta, panel.discontinuities))


def shrunk(slopes: np.ndarray) -> np.ndarray:
    """Half way to 1; 1 where there is none."""
    return 1.0 + (1 - SHRINKAGE) * (np.where(np.isfinite(slopes), slopes, 1.0) - 1.0)


def slopes_of(close: np.ndarray, market: np.ndarray) -> np.ndarray:
    """(K, ...) slope of the last 252 changes of each row of log closes on those of the market's
    log level; 1 where there are fewer, or it did not move."""
    own, common = np.diff(close, axis=0), np.diff(market, axis=0)
    slopes = np.ones(close.shape)
    moments = (own * common, own, common**2, common)
    both, mine, squares, theirs = (trailing_sum(each, WINDOW)[WINDOW - 1 :] for each in moments)
    spread = squares - theirs**2 / WINDOW
    moved = spread > ROUNDING * squares
    slopes[WINDOW:][moved] = ((both - mine * theirs / WINDOW)[moved]) / spread[moved]
    return slopes


def equal_weight_returns(panel: Panel) -> np.ndarray:
    """(T,) mean log return of the symbols that have this bar and the one before; 0 without any."""
    moves = np.diff(np.log(panel.adjusted_close), axis=0, prepend=np.nan)
    moves[panel.discontinuities] = np.nan
    return mean_of_moves(moves)


def mean_of_moves(moves: np.ndarray) -> np.ndarray:
    """(T,) mean of the numbers of each row of (T, N); 0 without any."""
    known = np.isfinite(moves)
    total = np.where(known, moves, 0.0).sum(axis=1)
    mean: np.ndarray = total / np.maximum(known.sum(axis=1), 1)
    return mean
