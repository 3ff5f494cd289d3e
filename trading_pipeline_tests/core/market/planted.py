"""Panels of four random walks over business days, to plant faults in."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.panel import Panel

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
CALENDAR = trading_calendar("XNYS", "1d")


def clean_bars(count: int = 300, seed: int = 0, calendar=CALENDAR, start="2015-01-02"):
    """Canonical bars of every session of a calendar; 2 % a day, volumes around a million."""
    rng = np.random.default_rng(seed)
    first = pd.Timestamp(start, tz="UTC")
    stamps = calendar.sessions(first, first + count * 6 * calendar.step + pd.Timedelta(days=9))
    stamps = stamps[:count]
    assert len(stamps) == count
    return check_bars(pd.concat([_walk(rng, name, stamps) for name in SYMBOLS]))


def _walk(rng, name, stamps):
    size = len(stamps)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, size)))
    opened = np.concatenate([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.004, size))
    return pd.DataFrame(
        {
            "timestamp": stamps,
            "symbol": name,
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(rng.uniform(0, 0.01, size)),
            "low": np.minimum(opened, close) * np.exp(-rng.uniform(0, 0.01, size)),
            "close": close,
            "volume": np.round(1e6 * np.exp(rng.normal(0, 0.4, size))),
        }
    )


def scaled(bars, symbol, first, by, columns=("open", "high", "low", "close"), last=None):
    """The bars with some columns of a symbol multiplied from its row `first` to before `last`."""
    changed = bars.copy()
    rows = changed.index[changed["symbol"] == symbol][first:last]
    changed.loc[rows, list(columns)] *= by
    return changed


def without(bars, symbol, first, last):
    """The bars without those of rows `first` to before `last` of a symbol."""
    rows = bars.index[bars["symbol"] == symbol][first:last]
    return bars.drop(rows).reset_index(drop=True)


def panel_of(bars) -> Panel:
    """Adjusted prices, as of a panel whose source has no actions."""
    return Panel.of(bars, None)


def broken_at(bars, symbol="BBB") -> list[int]:
    """Rows of the panel at which a symbol's history restarts."""
    panel = panel_of(bars)
    found = np.argwhere(panel.discontinuities)
    assert all(panel.symbols[n] == symbol for _, n in found), "another symbol was broken as well"
    return [int(t) for t, _ in found]
