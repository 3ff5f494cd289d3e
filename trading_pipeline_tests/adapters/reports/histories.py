"""Made-up series for the tests of the report."""

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.series import ReportSeries
from trading_pipeline.core.evaluation.summary import EvaluationInputs

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
