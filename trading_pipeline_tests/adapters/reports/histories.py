"""Made-up series for the tests of the report."""

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.series import ReportSeries
from trading_pipeline.core.evaluation.summary import EvaluationInputs
from trading_pipeline.core.features.diagnostics import Diagnostics, History, diagnose
from trading_pipeline.core.features.feature import Feature

SYMBOLS = ("AAPL", "IBM", "MSFT")


def series(given: EvaluationInputs, symbols=SYMBOLS, **changes) -> ReportSeries:
    """What is drawn of a run: three positions, one order, one stop, one loss limit."""
    at, n_bars = given.timestamps, len(given.timestamps)
    weights = np.random.default_rng(0).uniform(0, 0.3, (n_bars, len(symbols)))
    row = {"client_order_id": ["a-1"], "symbol": [symbols[0]], "quantity": [3.0]}
    known = {
        "timestamps": at,
        "equity": given.strategy.equity,
        "baselines": {name: book.equity for name, book in given.baselines.items()},
        "random_equity": given.random_equity,
        "weights": weights,
        "symbols": symbols,
        "orders": pd.DataFrame({**row, "decided_at": at[[5]], "reasons": "symbol_cap"}),
        "fills": pd.DataFrame({**row, "filled_at": at[[6]], "reasons": "stop_loss"}),
        "vetoes": pd.DataFrame(
            {
                "decided_at": at[[8, 8]],
                "symbol": [symbols[0], symbols[-1]],
                "rule": "weekly_loss",
                "figure": -0.06,
                "limit": -0.05,
            }
        ),
        "cash_flows": pd.DataFrame(
            {"at": at[[9]], "symbol": "IBM", "kind": "dividend", "amount": 1.0}
        ),
        "cash": given.strategy.equity * (1 - weights.sum(axis=1)),
        "predictions": pd.DataFrame({"timestamp": at[:3], "symbol": symbols[0], "score": 0.125}),
    }
    return ReportSeries(**known | changes)


def catalog(names=("early", "late", "shared", "never")) -> list[Feature]:
    """Made-up features; the third is the same for all symbols."""
    row = {"formula": "x", "lookback": 1, "unit": "x", "low": -2, "high": 2, "source": "x"}
    return [
        Feature(name=name, family="market" if place == 2 else "price", of=lambda s: s, **row)
        for place, name in enumerate(names)
    ]


def diagnostics(features=None, **changes) -> Diagnostics:
    """Of two years and ten symbols: the second feature drifts, the fourth is never known."""
    noise = np.random.default_rng(3)
    dates, symbols = 500, 10
    grid = noise.normal(size=(dates, symbols, 4)).clip(-2, 2).astype(np.float32)
    grid[260:, :, 1] += 1.0
    grid[..., 2] = grid[:, :1, 2]
    grid[..., 3] = np.nan
    everywhere = np.ones((dates, symbols), bool)
    given = {
        "timestamps": pd.date_range("2019-01-01", periods=dates, freq="B", tz="UTC"),
        "grid": grid,
        "present": everywhere,
        "eligible": everywhere,
        "target": noise.normal(size=(dates, symbols)),
        "market_target": noise.normal(size=dates),
        "horizon": 5,
        "folds": {"2020-01-01": (slice(0, 250), slice(262, dates))},
    }
    return diagnose(History(**given | changes), features or catalog())
