"""Whether a result adds up: what moved cash and quantities, and nothing else."""

import numpy as np

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.trading.engine.dtypes import paid_in


def accounting_error(result: BacktestResult) -> float:
    """How far a result is from adding up: the largest discrepancy, as a fraction of capital.

    Checks, at every bar, that cash moved by fills, fees and cash flows and nothing else, that
    quantities moved by fills and splits, and that equity is cash plus quantity × price.
    """
    fills, K = result.events, len(result.timestamps)
    spent = fills["quantity"] * fills["price"] + fills["fee"]
    paid = np.bincount(fills["bar"], weights=spent, minlength=K)
    flowed = np.bincount(result.payments["bar"], weights=paid_in(result.payments), minlength=K)
    flowed = flowed + result.log["interest"]
    cash = np.diff(result.cash) - (flowed - paid)[1:]
    held, price = result.quantity, np.nan_to_num(result.price)
    traded = np.zeros(held.shape)
    np.add.at(traded, (fills["bar"], fills["symbol"]), fills["quantity"])
    moved = held[1:] - held[:-1] * result.split[1:] - traded[1:]
    equity = result.equity - result.cash - (held * price).sum(axis=1)
    worst = [np.abs(part).max(initial=0.0) for part in (cash, moved * price[1:], equity)]
    return float(max(worst) / result.equity[0])
