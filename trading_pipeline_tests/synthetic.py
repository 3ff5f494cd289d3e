"""Panels of a seeded random walk, for tests of what happens around the numbers."""

import numpy as np
import pandas as pd


def panel(count: int = 60, symbols: tuple[str, ...] = ("AAA", "BBB"), days: str = "B"):
    """Canonical daily bars from 2020 on; `days` is pandas' name for the days that have one."""
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2020-01-01", periods=count, freq=days, tz="UTC").as_unit("us")
    parts = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        opened = close * np.exp(rng.normal(0, 0.003, count))
        parts.append(
            pd.DataFrame(
                {
                    "timestamp": stamps,
                    "symbol": symbol,
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.01,
                    "low": np.minimum(opened, close) * 0.99,
                    "close": close,
                    "volume": rng.uniform(1e6, 2e6, count),
                }
            )
        )
    return pd.concat(parts).sort_values(["timestamp", "symbol"], ignore_index=True)
