"""How much of the best of many trials is the choosing: PBO, and a test of superior ability."""

from itertools import combinations

import numpy as np

from trading_pipeline.core.evaluation.metrics import STILL, Floats

BLOCKS = 16  # of the history, as in the paper: 12,870 ways to choose half of them
DAYS_TO_CUT = 10 * BLOCKS  # for blocks in which a Sharpe ratio means something
_AT_ONCE = 500  # ways in memory at once


def overfitting_probability(returns: Floats, blocks: int = BLOCKS) -> float:
    """How often the best of the trials on one half of the history is below the median on the other.

    Combinatorially symmetric cross-validation: blocks of days are shared out to the two halves in
    every possible way. Choosing among K worthless trials comes to about (K // 2) / K.

    Args:
        returns: (D, K) daily returns of K trials, finite.
        blocks: an even number, at most D.

    Returns:
        A probability, in [0, 1].

    Raises:
        ValueError: fewer than two trials, or blocks that D cannot be cut into.

    Source: Bailey, Borwein, Lopez de Prado and Zhu, The Probability of Backtest Overfitting,
    Journal of Computational Finance 20 (2017); performance is the Sharpe ratio.
    """
    days, trials = returns.shape
    if trials < 2:
        raise ValueError(f"choosing takes at least 2 trials, there are {trials}")
    if blocks < 2 or blocks % 2 or days < blocks:
        raise ValueError(f"blocks must be even, from 2 to the {days} days, were {blocks}")
    parts = np.array_split(returns - returns.mean(axis=0), blocks)
    sizes = np.array([float(len(part)) for part in parts])
    sums = np.stack([part.sum(axis=0) for part in parts])  # (S, K)
    squares = np.stack([np.square(part).sum(axis=0) for part in parts])
    mean = returns.mean(axis=0)
    ways = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(ways), blocks))
    np.put_along_axis(chosen, ways, 1.0, axis=1)
    below = [
        _below_median(part, sizes, sums, squares, mean)
        for part in np.split(chosen, range(_AT_ONCE, len(chosen), _AT_ONCE))
    ]
    return float(np.concatenate(below).mean())


def _below_median(
    chosen: Floats, sizes: Floats, sums: Floats, squares: Floats, mean: Floats
) -> Floats:
    """(C,) whether the best trial on the chosen blocks, (C, S) of 0 and 1, fails on the others."""
    inside = _sharpes(chosen, sizes, sums, squares, mean)
    outside = _sharpes(1 - chosen, sizes, sums, squares, mean)
    best = inside.argmax(axis=1)[:, None]
    own = np.take_along_axis(outside, best, axis=1)
    worse, equal = (outside < own).sum(axis=1), (outside == own).sum(axis=1)
    rank = worse + (equal + 1) / 2  # from 1, ties share the middle of theirs
    return np.asarray(rank / (outside.shape[1] + 1) < 0.5)


def _sharpes(chosen: Floats, sizes: Floats, sums: Floats, squares: Floats, mean: Floats) -> Floats:
    """(C, K) Sharpe ratios a day over the chosen blocks; 0 where nothing moved."""
    # No matrix product: its last digits depend on how many threads there are, and ranks follow.
    days = np.einsum("cs,s->c", chosen, sizes)[:, None]
    centre = np.einsum("cs,sk->ck", chosen, sums) / days
    variance = (np.einsum("cs,sk->ck", chosen, squares) - days * centre**2) / (days - 1)
    deviation = np.sqrt(np.maximum(variance, 0.0))
    moves = deviation > STILL
    return np.asarray(np.where(moves, (centre + mean) / np.where(moves, deviation, 1.0), 0.0))


def superiority_p_value(
    active: Floats, block: int, replications: int = 1000, seed: int = 0
) -> float | None:
    """Probability that the best of K worthless trials would look as good as the best one does.

    Hansen's test of superior predictive ability against the benchmark that active returns are
    over, with his consistent p-value and a stationary bootstrap.

    Args:
        active: (D, K) daily active returns, finite; each is taken at unit volatility.
        block: mean length of the blocks, in days.

    Returns:
        In [0, 1]; None where no trial ever moves.

    Source: Hansen, A Test for Superior Predictive Ability, JBES 23 (2005).
    """
    from arch.bootstrap import SPA

    deviation = active.std(axis=0)
    moving = deviation > STILL
    if not moving.any():
        return None
    scaled = active[:, moving] / deviation[moving]
    test = SPA(np.zeros(len(scaled)), -scaled, block_size=block, reps=replications, seed=seed)
    test.compute()
    return float(test.pvalues["consistent"])
