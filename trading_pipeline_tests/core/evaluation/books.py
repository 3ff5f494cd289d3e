"""Made-up books for the tests of the evaluation and of the report."""

from datetime import date

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES
from trading_pipeline.core.backtest.paths import Paths
from trading_pipeline.core.backtest.variants import Variants
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.heads import Comparison
from trading_pipeline.core.evaluation.performance import AccountView
from trading_pipeline.core.evaluation.summary import EvaluationInputs
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.engine.dtypes import Account
from trading_pipeline.core.trading.engine.many import Path


def book(rng, n_bars=400, mean=0.0003, deviation=0.01, trades=60):
    """A random walk with closed trades; a deviation of 0 is cash."""
    returns = mean + deviation * rng.standard_normal(n_bars)
    returns[0] = 0
    still = deviation == 0
    return AccountView(
        equity=100_000 * np.cumprod(1 + (0 if still else 1) * returns),
        trades=None if still else closed_trades(rng.normal(20, 300, trades), n_bars),
        turnover=np.zeros(n_bars) if still else rng.uniform(0, 0.05, n_bars),
        exposure=np.zeros(n_bars) if still else rng.uniform(0.5, 1, n_bars),
    )


def closed_trades(profits, n_bars=400):
    """Trades that closed one after the other, evenly over the bars."""
    days = pd.bdate_range("2010-01-04", periods=n_bars, tz="UTC")
    at = np.linspace(0, n_bars - 1, len(profits)).astype(int)
    return pd.DataFrame({"closed_at": days[at], "pnl": profits})


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
        "trials": Trials(count=3),
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


def paths(*equity):
    """Accounts of that equity (K,), which trade a hundredth of it a bar."""
    log = Path.zeros(len(equity), len(equity[0]))
    log["equity"] = equity
    log["traded"] = log["equity"] / 100
    return Paths(log=log, accounts=Account.zeros(len(equity)))


def variants(given):
    """Of a report's inputs: itself at its own costs and capital, and less of it elsewhere."""
    own, rival = given.strategy.equity, given.baselines["buy_and_hold"].equity
    return Variants(
        one_bar_late=paths(own**0.9),
        multiples=(0.0, 1.0, 2.0),
        at_costs=paths(own**1.1, own, own**0.9),
        benchmark_at_costs=paths(rival, rival, rival),
        capitals=(100_000.0, 1_000_000.0),
        at_capitals=paths(own, own**0.9),
        cut_from=5e7,
        impact=1.0,
    )


def seeds(given):
    """Two networks, of which the second earned less."""
    return {0: paths(given.strategy.equity), 5: paths(given.strategy.equity**0.8)}


def variants_at(own, rival, capitals=(), **changes):
    """Equity at 0, 1, 2 ... times the costs, of the strategy and of its benchmark."""
    known = {
        "one_bar_late": paths(own[0]),
        "multiples": tuple(float(k) for k in range(len(own))),
        "at_costs": paths(*own),
        "benchmark_at_costs": paths(*rival),
        "capitals": tuple(1000 * 10.0**k for k in range(len(capitals))),
        "at_capitals": paths(*(capitals or own[:1])),
        "cut_from": 5e4,
        "impact": 1.0,
    }
    return Variants(**known | changes)
