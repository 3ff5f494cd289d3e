"""Small markets for the tests of trading: panels from a few numbers, and random ones."""

from math import inf
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.market.actions import ACTION_COLUMNS, check_actions, empty_actions
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel

FREE = Costs(fee=0, slippage=0, borrow=0, debit=0, min_notional=0, participation=inf)
SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")


def stamps(T: int, start: str = "2024-01-01", step: str = "1D") -> pd.DatetimeIndex:
    """2024-01-01 is a Monday, and the first day of a month."""
    return pd.date_range(start, periods=T, freq=step, tz="UTC").as_unit("us")


def panel_of(
    close: Any,
    open_: Any = None,
    high: Any = None,
    low: Any = None,
    split: dict[tuple[int, int], float] | None = None,
    dividend: dict[tuple[int, int], float] | None = None,
    start: str = "2024-01-01",
) -> Panel:
    """A panel of (T,) or (T, N) closes; other prices span open and close unless given."""
    close = np.array(close, dtype=float).reshape(len(close), -1)
    shape = close.shape
    open_ = close if open_ is None else np.array(open_, dtype=float).reshape(shape)
    high = np.fmax(open_, close) if high is None else np.array(high, dtype=float).reshape(shape)
    low = np.fmin(open_, close) if low is None else np.array(low, dtype=float).reshape(shape)
    grids = {"open": open_, "high": high, "low": low, "close": close}
    grids["volume"] = np.where(np.isnan(close), np.nan, 1e6)
    t, n = np.nonzero(~np.isnan(close))
    at = stamps(len(close), start)
    names = np.array(SYMBOLS, dtype=object)[n]
    bars = pd.DataFrame({"timestamp": at[t], "symbol": pd.Series(names, dtype="str")})
    bars = bars.assign(**{name: grid[t, n] for name, grid in grids.items()})
    events = [(at[t], SYMBOLS[n], "split", value) for (t, n), value in (split or {}).items()]
    events += [(at[t], SYMBOLS[n], "dividend", cash) for (t, n), cash in (dividend or {}).items()]
    actions = empty_actions()
    if events:
        actions = check_actions(pd.DataFrame(events, columns=list(ACTION_COLUMNS)))
    return Panel.of(bars, actions, symbols=SYMBOLS[: shape[1]])


def random_panel(
    seed: int, T: int = 160, N: int = 4, missing: float = 0.03, actions: bool = True
) -> Panel:
    """A market with gaps, ranges, missing bars, a late listing, splits and dividends."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0.0003, 0.02, (T, N)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.01, (T, N)))
    high = np.fmax(open_, close) * np.exp(np.abs(rng.normal(0, 0.01, (T, N))))
    low = np.fmin(open_, close) * np.exp(-np.abs(rng.normal(0, 0.01, (T, N))))
    gone = rng.random((T, N)) < missing
    gone[: T // 3, N - 1] = True
    gone[:, 0] = False  # so that every row has a bar
    for grid in (close, open_, high, low):
        grid[gone] = np.nan
    splits: dict[tuple[int, int], float] = {}
    dividends: dict[tuple[int, int], float] = {}
    if actions:
        for n in range(N):
            days = np.flatnonzero(~gone[:, n])[1:]
            splits[int(rng.choice(days)), n] = 2.0
            for day in rng.choice(days, 3, replace=False):
                dividends[int(day), n] = 0.4
        for (t, n), ratio in splits.items():
            for grid in (close, open_, high, low):
                grid[t:, n] /= ratio
    return panel_of(close, open_, high, low, splits, dividends)


def random_scores(seed: int, panel: Panel, missing: float = 0.05) -> np.ndarray:
    """(T, N) scores that persist, with some missing."""
    rng = np.random.default_rng(seed + 1000)
    noise = rng.normal(size=panel.close.shape)
    scores = np.zeros_like(noise)
    for t in range(1, len(scores)):
        scores[t] = 0.9 * scores[t - 1] + noise[t]
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores
