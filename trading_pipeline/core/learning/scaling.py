"""Scaling: what the training window says about the size of each feature, and nothing later."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLIP = 5.0  # standard deviations


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of every feature, both (F,), fitted on training rows only."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, grid: NDArray[np.float32]) -> "Scaler":
        """From the features of the training window, (T, N, F), NaN where missing.

        A feature that is missing or constant throughout gets mean 0 or its constant and scale 1,
        so that it is 0 after scaling and carries no information.
        """
        rows = grid.reshape(-1, grid.shape[-1]).astype(np.float64)
        known = np.isfinite(rows)
        count = np.maximum(known.sum(axis=0), 1)
        center = np.where(known, rows, 0.0).sum(axis=0) / count
        deviation = np.where(known, rows - center, 0.0)
        scale = np.sqrt((deviation**2).sum(axis=0) / count)
        return cls(center, np.where(scale > 1e-8 * (1 + np.abs(center)), scale, 1.0))

    def apply(self, grid: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., F) in standard deviations, clipped to ±5; missing becomes 0, the mean."""
        scaled = (grid - self.center.astype(np.float32)) / self.scale.astype(np.float32)
        return np.nan_to_num(np.clip(scaled, -CLIP, CLIP), nan=0.0).astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """As a checkpoint carries it."""
        return {"center": self.center.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Scaler":
        """What `to_dict` wrote."""
        return cls(np.asarray(plain["center"], float), np.asarray(plain["scale"], float))
