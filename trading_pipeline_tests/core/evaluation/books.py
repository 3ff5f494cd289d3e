"""Made-up books for the tests of the evaluation and of the report."""

from datetime import date

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.heads import Comparison
from trading_pipeline.core.evaluation.performance import AccountView
from trading_pipeline.core.evaluation.summary import EvaluationInputs
from trading_pipeline.core.market.market import Market


def book(rng, n_bars=400, mean=0.0003, deviation=0.01, trades=60):
    """A random walk with closed trades; a deviation of 0 is cash."""
    returns = mean + deviation * rng.standard_normal(n_bars)
    returns[0] = 0
    still = deviation == 0
    return AccountView(
        equity=100_000 * np.cumprod(1 + (0 if still else 1) * returns),
        trades=None if still else pd.DataFrame({"pnl": rng.normal(20, 300, trades)}),
        turnover=np.zeros(n_bars) if still else rng.uniform(0, 0.05, n_bars),
        exposure=np.zeros(n_bars) if still else rng.uniform(0.5, 1, n_bars),
    )


def compared(head, gain, measure="log score", rival="class frequencies"):
    """A head that is better by `gain`, (value, low, high), than its rival."""
    return Comparison(head, measure, rival, 1.0, 1.0 + gain[0], Estimate(*gain), 500)


def inputs(n_bars=400, mean=0.0003, seed=0, **changes):
    """Everything that a report is made from; the strategy earns `mean` a day."""
    rng = np.random.default_rng(seed)
    strategy = book(rng, n_bars, mean)
    baselines = {name: book(rng, n_bars, deviation=0.012) for name in BASELINE_NAMES}
    baselines["cash"] = book(rng, n_bars, deviation=0)
    random = 0.0003 + 0.012 * rng.standard_normal((50, n_bars))
    known = {
        "market": Market(
            name="sample", source="sample", symbols=("AAPL", "IBM"), start=date(2000, 1, 3)
        ),
        "timestamps": pd.bdate_range("2010-01-04", periods=n_bars, tz="UTC"),
        "strategy": strategy,
        "baselines": baselines,
        "random_equity": 100_000 * np.cumprod(1 + random, axis=1),
        "ic": None,
        "trials": 3,
        "trial_sharpes": [0.2, 0.5, 0.9],
        "capital": 100_000.0,
        "warnings": ["survivorship-biased"],
        "heads": [
            compared("direction", (0.002, 0.001, 0.003)),
            compared("risk", (-0.01, -0.02, -0.001), rival="normal <tail>"),
            compared("risk", (0.0, -0.001, 0.001), rival="frequency"),
            compared("volatility", (float("nan"),), "QLIKE", "deviation"),
        ],
        "hashes": {"data_hash": "d1", "code_version": "c1", "config_hash": "k1", "folds": "3"},
        "replications": 200,
    }
    return EvaluationInputs(**known | changes)
