"""Strategies on random scores, run again as their explanation needs them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline_tests.core.trading.markets import SYMBOLS, random_panel, random_scores

LONG_ONLY = Market(
    name="test",
    source="sample",
    symbols=SYMBOLS,
    start=pd.Timestamp("2024-01-01").date(),
    calendar="24/7",
    horizon=5,
    costs=Costs(lot=1, min_notional=300, participation=0.0002),
    limits={"starting_cap": 0.25},
)
# Tight limits, so that every rule has something to do.
NEUTRAL = replace(
    LONG_ONLY,
    mandate="neutral",
    shortable=True,
    costs=Costs(leverage=1.5, lot=0.01),
    limits={"daily_loss": 0.004, "weekly_loss": 0.01, "monthly_loss": 0.02, "halve": 0.03,
            "flat": 0.05, "breaker": 1.3, "symbol_cap": 0.05, "net_cap": 0.1, "stop_loss": 0.8,
            "limit_entry": 0.5, "starting_cap": 0.25},
    sectors={"AAA": "one", "BBB": "one", "CCC": "two", "DDD": "two"},
)  # fmt: skip


def rerun_of(market, seed=3, T=130, level=1.0, **said):
    """A strategy on random scores; `level` scales all prices, and volumes inversely.

    `said`: more columns of the predictions.
    """
    panel = random_panel(seed, T=T, N=len(SYMBOLS))
    prices = {name: level * getattr(panel, name) for name in ("open", "high", "low", "close")}
    panel = replace(panel, **prices, dividend=level * panel.dividend, volume=panel.volume / level)
    scores = random_scores(seed, panel)
    t, n = np.nonzero(np.isfinite(scores) & (np.arange(T)[:, None] >= 70))
    names = np.array(SYMBOLS, dtype=object)[n]
    table = pd.DataFrame({"timestamp": panel.timestamps[t], "symbol": names})
    able = panel.traded & (np.random.default_rng(1).random(panel.close.shape) < 0.97)
    return Rerun.of(panel, table.assign(score=scores[t, n], **said), able, market, 1e5)
