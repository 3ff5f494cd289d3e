"""A market of nine symbols whose next return is told by a feature: ridge learns it in a moment."""

from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.market.market import Market, WalkForward
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.train import Host

SYMBOLS = tuple(f"S{n}" for n in range(9))
MARKET = Market(
    name="learnable",
    source="parquet",
    symbols=SYMBOLS,
    start=date(2015, 1, 1),
    horizon=3,
    walk_forward=WalkForward(first_train=12, test=1, window=60),
)
PLAN = Plan(MARKET, model="ridge", preset="tiny")
TONIGHT, LONGEST = 600, 850  # bars


@cache
def _whole() -> tuple[Panel, np.ndarray]:
    rng, rows = np.random.default_rng(0), LONGEST
    grid = rng.normal(size=(rows, len(SYMBOLS), len(NAMES))).astype(np.float32)
    moves = 0.01 * rng.normal(size=(rows, len(SYMBOLS)))
    moves[1:] += 0.01 * grid[:-1, :, 0]
    closes = 100 * np.exp(np.cumsum(moves, axis=0))
    opens = np.vstack([closes[:1], closes[:-1]])
    stamps = pd.bdate_range("2015-01-01", periods=rows, tz="UTC").as_unit("us")
    table = pd.MultiIndex.from_product([stamps, SYMBOLS]).to_frame(index=False)
    table.columns = ["timestamp", "symbol"]
    table["symbol"] = table["symbol"].astype("str")
    prices = {
        "open": opens,
        "high": np.maximum(opens, closes) * 1.001,
        "low": np.minimum(opens, closes) * 0.999,
        "close": closes,
        "volume": np.full(closes.shape, 1e6),
    }
    bars = table.assign(**{name: each.ravel() for name, each in prices.items()})
    return Panel.of(bars, None, SYMBOLS), grid


@cache
def dataset(bars: int = TONIGHT) -> Dataset:
    """The market as it is known after so many bars."""
    panel, grid = _whole()
    return Dataset.of(panel.until(bars), grid[:bars], PLAN.recipe.model.n_steps)


def host(said: list[str] | None = None) -> Host:
    """Nobody watches; warnings go to `said`."""
    heard = [] if said is None else said

    def refuse(command: list[str]) -> Any:
        raise AssertionError(f"one process is enough: {command}")

    return Host(lambda label: lambda done, total, note="": None, heard.append, refuse)
