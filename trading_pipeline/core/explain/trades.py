"""Why trades were opened: the sentence of an explanation of the day, and its reasons."""

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.explain.answer import ordered
from trading_pipeline.core.explain.order import told
from trading_pipeline.core.trading.engine.reasons import Facts


def why_opened(result: BacktestResult, trades: pd.DataFrame) -> list[str]:
    """Of each trade or open position, why it was opened.

    Args:
        trades: columns symbol and opened_at, the bar whose open filled the order.
    """
    orders = result.decisions[result.decisions["order"] != 0]
    place = {key: row for row, key in enumerate(zip(orders["bar"], orders["symbol"], strict=True))}
    column = {symbol: n for n, symbol in enumerate(result.symbols)}
    opened = result.timestamps.get_indexer(pd.DatetimeIndex(trades["opened_at"]))
    keys = zip(opened - 1, trades["symbol"].map(column), strict=True)
    return [_sentence(result, orders, place.get((int(k), int(n)))) for k, n in keys]


def _sentence(result: BacktestResult, orders: np.ndarray, row: int | None) -> str:
    """The order and the reasons for its size; empty where no decision is on record."""
    if row is None:
        return ""
    order = orders[row]
    facts = Facts(result.rules[0], result.log[order["bar"]], order)
    reasons = "; ".join(reason.text for reason in told(order["reasons"], facts))
    why = [f"{reasons[0].upper()}{reasons[1:]}."] if reasons else []
    return " ".join([ordered(order), *why])
