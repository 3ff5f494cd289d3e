"""Which features say the same: rank correlations, and an order that puts relatives side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

ROWS = 20_000  # bars that are looked at, evenly spaced: the map does not sharpen with more
LEAST = 30  # bars at which two features must both be known


@dataclass(frozen=True)
class Correlations:
    """Spearman's rank correlation of each pair of F features, NaN where it is undefined."""

    matrix: NDArray[np.float64]  # (F, F), symmetric, in [-1, 1]
    order: NDArray[np.int64]  # (F,), neighbours are alike


def correlations(grid: NDArray[np.float32], present: NDArray[np.bool_]) -> Correlations:
    """Over the bars of all symbols together, each pair over the bars at which both are known.

    Args:
        grid: (T, N, F), NaN where missing.
        present: (T, N), the symbol has a bar.
    """
    rows = np.flatnonzero(present)
    rows = rows[:: max(1, -(-rows.size // ROWS))]
    values = grid.reshape(-1, grid.shape[-1])[rows].astype(np.float64)
    ranks = rankdata(values, axis=0, nan_policy="omit") if rows.size else values
    matrix = _pairwise(ranks)
    return Correlations(matrix, _clustered(matrix))


def _pairwise(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of the columns of (R, F), each pair over the rows that both have."""
    known = (~np.isnan(ranks)).astype(np.float64)
    filled = np.where(known > 0, ranks, 0.0)
    filled -= filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1.0) * known  # for precision
    count = known.T @ known
    safe = np.maximum(count, 1.0)
    one = filled.T @ known  # sum of i where j is known too
    squares = (filled**2).T @ known - one**2 / safe
    cross = filled.T @ filled - one * one.T / safe
    scale = np.sqrt(np.maximum(squares, 0.0) * np.maximum(squares.T, 0.0))
    defined = (count >= LEAST) & (scale > 1e-6 * count)  # ranks that differ at all differ by 1/2
    matrix: NDArray[np.float64] = np.where(defined, cross / np.where(defined, scale, 1.0), np.nan)
    return np.clip(matrix, -1.0, 1.0)


def _clustered(matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Leaves of average linkage over 1 - |correlation|, ordered so that neighbours are alike.

    Source: Bar-Joseph, Gifford and Jaakkola (2001). Undefined pairs are as far as can be.
    """
    if len(matrix) < 3:
        return np.arange(len(matrix))
    away = 1.0 - np.abs(np.nan_to_num(matrix, nan=0.0))
    np.fill_diagonal(away, 0.0)
    tree = linkage(squareform(away, checks=False), method="average", optimal_ordering=True)
    order: NDArray[np.int64] = leaves_list(tree).astype(np.int64)
    return order
