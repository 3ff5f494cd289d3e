"""A market of 21 symbols with four folds of a month, and a home that has their checkpoints.

Wide enough for evidence to size by (20 symbols, 250 days), and short: evidence of 230 days from
before the first fold is stored, so that it is a session's own predictions which complete it.
"""

from datetime import date
from functools import cache

import numpy as np
import pandas as pd

from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, folds
from trading_pipeline.core.market.market import Costs, Market, WalkForward
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.core.learning.checkpoints import untrained

SYMBOLS = tuple(f"S{n:02d}" for n in range(21))
MARKET = Market(
    name="wide",
    source="parquet",
    symbols=SYMBOLS,
    start=date(2015, 1, 1),
    horizon=3,
    costs=Costs(fee=0.0, slippage=0.00005, min_notional=500.0),
    walk_forward=WalkForward(first_train=27, test=1, window=60),
    limits={"band": 0.0, "kelly_fraction": 0.1},
)
PLAN = Plan(MARKET, preset="tiny")
ROWS, FIRST = 673, 587  # bars, and the first fold's first decision
EVIDENCE = range(FIRST - 230, FIRST)


@cache
def panel() -> Panel:
    """Weekdays of 2015 to 2017-07; each symbol drifts for weeks, so that choosing can pay."""
    rng, shape = np.random.default_rng(3), (ROWS, len(SYMBOLS))
    drift = np.repeat(rng.normal(0, 0.002, (ROWS // 20 + 1, shape[1])), 20, axis=0)[:ROWS]
    market = rng.normal(0, 0.006, (ROWS, 1))
    close = 80 * np.exp(np.cumsum(drift + market + rng.normal(0, 0.012, shape), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.002, shape))
    spread = 1 + np.abs(rng.normal(0, 0.004, shape))
    stamps = pd.bdate_range("2015-01-01", periods=ROWS, tz="UTC").as_unit("us")
    bars = pd.MultiIndex.from_product([stamps, SYMBOLS], names=["timestamp", "symbol"])
    prices = {
        "open": opened,
        "high": np.maximum(opened, close) * spread,
        "low": np.minimum(opened, close) / spread,
        "close": close,
        "volume": rng.uniform(1e6, 2e6, shape),
    }
    table = bars.to_frame(index=False).assign(
        **{name: each.ravel() for name, each in prices.items()}
    )
    return Panel.of(table.astype({"symbol": "str"}), None, SYMBOLS)


@cache
def dataset() -> Dataset:
    return Dataset.of(panel(), features_of(panel(), MARKET.calendar), recipe().model.n_steps)


def recipe() -> Recipe:
    return PLAN.recipe


@cache
def known_folds() -> dict[str, Fold]:
    return folds(panel().timestamps, MARKET.walk_forward, MARKET.horizon, burn_in(60))


def furnish(home: Home) -> None:
    """Checkpoints of all folds, never trained, and the evidence from before the first."""
    for fold in known_folds().values():
        home.checkpoints(MARKET).write(fold.key, untrained(dataset(), fold, recipe()))
    home.predictions(MARKET).write("2016-01-01", evidence(), "f" * 64)


def evidence() -> pd.DataFrame:
    """Predictions with some skill, of the days before the first fold."""
    rng, close = np.random.default_rng(4), panel().close
    t = np.repeat(EVIDENCE, len(SYMBOLS))
    n = np.tile(np.arange(len(SYMBOLS)), len(EVIDENCE))
    sigma = dataset().sigma[t, n]
    ahead = np.log(close[t + 4, n] / close[t + 1, n]) / (sigma * np.sqrt(3))
    table = pd.DataFrame(
        {
            "timestamp": panel().timestamps[t],
            "symbol": np.array(SYMBOLS, dtype=object)[n],
            "model": "xlstm_transformer",
            "fold": "2016-01-01",
            "score": 0.5 * ahead + rng.normal(0, 0.3, len(t)),
            "position": 0.0,
            "volatility": sigma,
            "half_life": 6.0,
        }
    )
    return table.assign(p_down=0.3, p_flat=0.4, p_up=0.3, risk=0.1)
