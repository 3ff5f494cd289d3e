"""Samples whose truth is known, small enough for a test."""

import numpy as np
import pandas as pd
import torch

from trading_pipeline.core.learning.samples import Samples
from trading_pipeline.core.learning.walkforward import fold_rows

DATES, SYMBOLS, FEATURES = 420, 20, 3
FOLD = fold_rows("f", 45, 340, DATES - 3, 1)


def samples(seed: int = 0, lag: int = 0, strength: float = 0.3, gaps: float = 0.1) -> Samples:
    """The target correlates by `strength` with the first feature `lag` bars ago.

    `gaps` is the share of symbols and dates that are not usable.
    """
    rng = np.random.default_rng(seed)
    grid = rng.normal(size=(DATES, SYMBOLS, FEATURES))
    seen = np.roll(grid[:, :, 0], lag, axis=0)
    price = strength * seen + np.sqrt(1 - strength**2) * rng.normal(size=seen.shape)
    usable = rng.random(seen.shape) >= gaps

    def tensor(values):
        return torch.from_numpy(np.where(usable, values, np.nan).astype(np.float32))

    return Samples(
        grid=torch.from_numpy(grid.astype(np.float32)),
        usable=usable,
        price=tensor(price),
        direction=torch.from_numpy(np.where(usable, 1 + (price > 0) - (price < -1), -1)),
        next_return=tensor(price),
        next_residual=tensor(price),
        volatility=tensor(np.abs(price)),
        risk=tensor((price < -2).astype(float)),
        overnight=tensor(0 * price),
        intraday=tensor(0 * price),
        sigma=tensor(1 + 0 * price),
        timestamps=pd.bdate_range("2020-01-01", periods=DATES, tz="UTC"),
        symbols=tuple(f"S{n}" for n in range(SYMBOLS)),
        features=tuple("abc"),
    )
