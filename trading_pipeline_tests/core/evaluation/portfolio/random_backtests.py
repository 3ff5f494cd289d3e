"""Random backtests, and random earnings without one, for tests of what explains a result."""

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.performance import Resampling
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import random_panel, random_scores, simulated

TERMS = {
    "capital": 1e5,
    "bars_per_year": 252,
    "horizon": 10,
    "mandate": "neutral",
    "shortable": True,
}
DEAR = Costs(fee=0.004, slippage=0.003, borrow=0.2, debit=0.3, leverage=2.0)


def of_weights(seed):
    """Longs and shorts that flip, through splits, dividends and missing bars."""
    panel = random_panel(seed)
    rng = np.random.default_rng(seed + 7)
    weights = rng.normal(0, 0.3, panel.close.shape)
    weights[rng.random(len(weights)) < 0.8] = np.nan
    weights[140:] = 0.0
    return simulated(panel, start=0, stop=160, weights=weights, costs=DEAR, **TERMS)


def of_scores(seed, profile="aggressive"):
    """A guarded book: stops, take-profits and loss limits."""
    panel = random_panel(seed)
    scores = random_scores(seed, panel)
    profile = PROFILES[profile]
    return simulated(panel, start=64, stop=160, score=scores, profile=profile, costs=DEAR, **TERMS)


def resampling(n_days, replications=200):
    return Resampling(
        dates=resampled_dates(n_days, 5, replications, 0), block=5, days_per_year=252, seed=0
    )


def earned(n_days=300, symbols=("AAA", "BBB", "CCC"), seed=0, **changes):
    """Random money: BBB was never short, and CCC never traded."""
    rng = np.random.default_rng(seed)
    money = rng.normal(5, 100, (3, 2, n_days, len(symbols)))
    money[:, 1, :, 1] = 0.0
    money[..., 2] = 0.0
    given = {
        "days": pd.bdate_range("2020-01-02", periods=n_days, tz="UTC"),
        "symbols": symbols,
        "kinds": ("price", "slippage", "fees"),
        "money": money,
        "interest": rng.normal(-1, 1, n_days),
        "equity": np.full(n_days, 50_000.0),
        "unexplained": np.zeros(n_days),
    }
    return Earnings(**given | changes)
