"""Panels of a seeded random walk, for tests of what happens around the numbers."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.calendar import trading_calendar


def panel(count: int = 60, symbols: tuple[str, ...] = ("AAA", "BBB"), days: str = "B"):
    """Canonical bars from 2020 on; `days` is a frequency of pandas, or XNYS for its sessions."""
    rng = np.random.default_rng(0)
    first = pd.Timestamp("2020-01-01", tz="UTC")
    if days == "XNYS":
        until = first + pd.Timedelta(days=2 * count + 7)
        stamps = trading_calendar(days, "1d").sessions(first, until)[:count]
    else:
        stamps = pd.date_range(first, periods=count, freq=days, unit="us")
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
