"""A market where all that can go wrong with bars does."""

from dataclasses import replace

import numpy as np

from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests.core.trading.markets import panel_of


def wild_panel(seed: int, T: int = 620, N: int = 9) -> Panel:
    """Gaps, halts of weeks, late listings, ends, other companies, other units, splits, doubts."""
    rng = np.random.default_rng(seed)
    close = 30 * np.exp(np.cumsum(rng.normal(0, 0.02, (T, N)), axis=0))
    volume = 10 ** rng.uniform(4, 5, (T, N))
    gone = rng.random((T, N)) < np.array([0, 0, 0.002, 0.01, 0.05, 0.2, 0, 0, 0, *[0] * N])[:N]
    gone[:150, 6], gone[500:, 7], gone[200:240, 2] = True, True, True
    gone[110:490, 4] = True  # for more than a year
    for n in range(1, N):  # breaks of price and of volume
        close[int(rng.integers(60, T)) :, n] *= rng.choice([0.002, 20.0, 1.0])
        volume[int(rng.integers(60, T)) :, n] *= rng.choice([1.0, 100.0])
    volume[rng.random((T, N)) < 0.03] = 0.0
    volume[300:320, 3] = 0.0
    close[gone] = np.nan
    split = {(int(t), 1): 2.0 for t in rng.choice(np.arange(1, T), 3, replace=False)}
    panel = panel_of(
        close, close * np.exp(rng.normal(0, 0.004, (T, N))), split=split, volume=volume
    )
    doubts = np.zeros((T, N), dtype=bool)
    doubts[420:480, 8] = True
    return replace(panel, in_doubt=doubts)
