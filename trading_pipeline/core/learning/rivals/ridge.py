"""Ridge regression (Hoerl and Kennard, 1970), across symbols, on today's features and older ones.

In closed form from sums over dates, since the rows of a large market with lags would not fit into
memory as one table. Letters: N symbols, S steps of a window, F features, K = lags × F.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve
from torch import Tensor

from trading_pipeline.core.learning.rivals.cross_section import (
    centred,
    targets_by_date,
)
from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.validation import pearson_information_coefficient
from trading_pipeline.core.learning.walkforward import Fold

LAGS = (0, 1, 2, 5, 10, 20, 40)  # bars
PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)  # × rows learned from × a feature's mean square

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear score; without an intercept, as a score counts by its distance from the others."""

    lags: tuple[int, ...]  # bars before the newest
    weights: Array  # (K,), those of the first lag first
    penalty: float  # of `PENALTIES`

    @classmethod
    def fit(cls, samples: Samples, fold: Fold, steps: int) -> Self:
        """On the newest bar alone."""
        return cls.with_lags(samples, fold, (0,))

    @classmethod
    def with_lags(cls, samples: Samples, fold: Fold, lags: tuple[int, ...]) -> Self:
        """Features and target are demeaned at each date; the penalty is what does best on
        validation, by its information coefficient."""
        products, moments = _sums(samples, fold, lags)
        size = float(products.trace()) / len(products)
        fitted = [cls(lags, _solution(products, moments, each * size), each) for each in PENALTIES]
        dates = range(fold.validation.first, fold.validation.last + 1)
        seen = torch.stack([_inputs(samples.grid, date, lags) for date in dates]).double().numpy()
        target = samples.targets_on(fold.validation)
        said = [pearson_information_coefficient(seen @ each.weights, target) for each in fitted]
        return fitted[int(np.argmax(said))]

    def score(self, windows: Tensor) -> Array:
        """(N, S, F) -> (N,)."""
        seen = torch.cat([windows[:, windows.shape[1] - 1 - lag] for lag in self.lags], dim=1)
        scores: Array = seen.double().numpy() @ self.weights
        return scores

    def to_dict(self) -> dict[str, Any]:
        """Plain types and a tensor."""
        return {
            "lags": list(self.lags),
            "weights": torch.from_numpy(self.weights),
            "penalty": self.penalty,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError for weights that do not fit."""
        lags, weights = tuple(plain["lags"]), plain["weights"]
        if weights.dim() != 1 or not len(lags) or len(weights) % len(lags):
            raise ValueError(f"{tuple(weights.shape)} weights do not fit {len(lags)} lags")
        if not torch.isfinite(weights).all():
            raise ValueError("a weight is not finite")
        return cls(lags, weights.numpy(), plain["penalty"])


class LaggedRidge(Ridge):
    """The same on the newest bar and those that are `LAGS` before it."""

    @classmethod
    def fit(cls, samples: Samples, fold: Fold, steps: int) -> Self:
        """On the lags that a window of `steps` bars has."""
        return cls.with_lags(samples, fold, tuple(lag for lag in LAGS if lag < steps))


def _inputs(grid: Tensor, date: int, lags: tuple[int, ...]) -> Tensor:
    """What is looked at on a date, (N, K)."""
    return torch.cat([grid[date - lag] for lag in lags], dim=1)


def _sums(samples: Samples, fold: Fold, lags: tuple[int, ...]) -> tuple[Array, Array]:
    """Sums over the training rows: inputs × inputs, (K, K), and inputs × target, (K,)."""
    size = len(lags) * samples.grid.shape[2]
    products, moments = np.zeros((size, size)), np.zeros(size)
    for date, known, target in targets_by_date(samples, fold.train):
        inputs = centred(_inputs(samples.grid, date, lags).double().numpy()[known])
        products += inputs.T @ inputs
        moments += inputs.T @ target
    return products, moments


def _solution(products: Array, moments: Array, penalty: float) -> Array:
    # Features that never move have a product of 0: the penalty keeps the matrix definite.
    whole = products + max(penalty, 1e-12) * np.eye(len(products))
    weights: Array = solve(whole, moments, assume_a="pos")
    return weights
