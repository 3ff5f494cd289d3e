"""Orders that somebody else decided on: a table of them, checked, as the kernels take it."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.state import KINDS, LIMIT, ORDER, STOP
from trading_pipeline.errors import TradingError

_LEVELS = {LIMIT: "limit_price", STOP: "stop_price"}
_OPTIONAL = ("limit_price", "stop_price", "stop_loss", "take_profit")


def orders_from(table: pd.DataFrame, panel: Panel) -> np.ndarray:
    """(M,) ORDER by rising bar.

    Args:
        table: `decided_at` (a bar of the panel: the order is placed at its close), `symbol`,
            `side` (buy, sell), `quantity` (units, >= 0; 0 cancels the one that rests), and where
            they apply `type` (market, limit, stop; market if there is no such column),
            `limit_price`, `stop_price`, `bars` (that it is good for, 1 if there is no such
            column), and `stop_loss` and `take_profit`: the price levels of a bracket. The table of
            `Book.orders` is one. One order per symbol and bar.

    Raises:
        TradingError: the first row that breaks a rule, and the rule.
    """
    missing = [name for name in ("decided_at", "symbol", "side", "quantity") if name not in table]
    if missing:
        raise TradingError(f"orders lack the columns {', '.join(missing)}")
    bar = panel.timestamps.get_indexer(pd.DatetimeIndex(table["decided_at"]))
    symbol = _codes(table["symbol"], panel.symbols)
    side = _codes(table["side"], ("buy", "sell"))
    kind = _codes(table["type"], KINDS) if "type" in table else np.zeros(len(table), np.int64)
    bars = table["bars"].to_numpy(float) if "bars" in table else np.ones(len(table))
    quantity = table["quantity"].to_numpy(float)
    prices = {name: _prices(table, name) for name in _OPTIONAL}
    _refuse(table, bar < 0, "decided_at", "is not a bar of the panel")
    _refuse(table, symbol < 0, "symbol", "is not in the panel")
    _refuse(table, side < 0, "side", "is not buy or sell")
    _refuse(table, kind < 0, "type", f"is not one of {', '.join(KINDS)}")
    _refuse(table, ~((quantity >= 0) & np.isfinite(quantity)), "quantity", "is not >= 0")
    _refuse(table, ~(bars >= 1), "bars", "is not >= 1")
    for code, name in _LEVELS.items():
        lacking = (kind == code) & np.isnan(prices[name])
        _refuse(table, lacking, name, f"is missing in a {KINDS[code]} order")
    for name, price in prices.items():
        _refuse(table, (price <= 0) | np.isinf(price), name, "is not a positive price")
    orders = np.zeros(len(table), ORDER)
    orders["bar"], orders["symbol"], orders["kind"] = bar, symbol, kind
    orders["quantity"] = np.where(side == 0, quantity, -quantity)
    orders["bars"] = np.minimum(bars, np.iinfo(np.int32).max)
    limit, stop = prices["limit_price"], prices["stop_price"]
    orders["level"] = np.where(kind == LIMIT, limit, np.where(kind == STOP, stop, np.nan))
    orders["stop_loss"], orders["take_profit"] = prices["stop_loss"], prices["take_profit"]
    key = bar * len(panel.symbols) + symbol
    order = np.argsort(key, kind="stable")
    again = np.zeros(len(key), dtype=bool)
    again[order[1:]] = np.diff(key[order]) == 0
    _refuse(table, again, "symbol", "has an order at that bar already")
    return orders[order]


def _codes(values: pd.Series, known: tuple[str, ...]) -> np.ndarray:
    """(M,) int64 place of each value among the known ones; -1 for others."""
    found = values.astype("category").cat
    places = pd.Index(known).get_indexer(found.categories)
    codes: np.ndarray = np.append(places, -1)[found.codes]
    return codes


def _prices(table: pd.DataFrame, name: str) -> np.ndarray:
    """(M,) float64, NaN where there is none."""
    if name not in table:
        return np.full(len(table), np.nan)
    values: np.ndarray = table[name].to_numpy(float)
    return values


def _refuse(table: pd.DataFrame, wrong: np.ndarray, column: str, rule: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = table[column].iloc[row] if column in table else None
        raise TradingError(f"order {row}: {column} {value!r} {rule}")
