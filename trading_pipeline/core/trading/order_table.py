"""Orders that somebody else decided on: a table of them, checked, as the kernels take it."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import abbreviated
from trading_pipeline.core.trading.engine.dtypes import KINDS, LIMIT, STOP, Array, Order
from trading_pipeline.errors import TradingError

_LEVELS = {LIMIT: "limit_price", STOP: "stop_price"}
_NEEDED = ("decided_at", "symbol", "side", "quantity")
_PRICES = ("limit_price", "stop_price", "stop_loss", "take_profit")
COLUMNS = (*_NEEDED, "type", "bars", *_PRICES)


def orders_from(table: pd.DataFrame, panel: Panel) -> Array[Order]:
    """(M,) by rising bar.

    Args:
        table: `decided_at` (a bar of the panel: the order is placed at its close), `symbol`,
            `side` (buy, sell), `quantity` (units, >= 0; 0 cancels the one that rests), and where
            they apply `type` (market, limit, stop; market if there is no such column),
            `limit_price`, `stop_price`, `bars` (that it is good for, 1 if there is no such
            column), and `stop_loss` and `take_profit`: the price levels of a bracket. The table of
            `BacktestResult.orders` is one. One order per symbol and bar. A row is named in errors
            by its label, and by the name of the index ('line') if it has one.

    Raises:
        TradingError: the first row that breaks a rule, and the rule.
    """
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise TradingError(f"orders lack the columns {', '.join(missing)}")
    bar = _rows(table["decided_at"], panel.timestamps)
    symbol = _codes(table["symbol"], panel.symbols)
    side = _codes(table["side"], ("buy", "sell"))
    kind = _codes(table["type"], KINDS) if "type" in table else np.zeros(len(table), np.int64)
    bars = _numbers(table, "bars") if "bars" in table else np.ones(len(table))
    quantity = _numbers(table, "quantity")
    prices = {name: _numbers(table, name) for name in _PRICES}
    first, last = panel.timestamps[0], panel.timestamps[-1]
    span = f"{len(panel.timestamps):,} bars from {first} to {last}"
    _refuse(table, bar < 0, "decided_at", f"is not a bar of the panel, which has {span}")
    _refuse(
        table, symbol < 0, "symbol", f"is not in the panel, which has {abbreviated(panel.symbols)}"
    )
    _refuse(table, side < 0, "side", "is not buy or sell")
    _refuse(table, kind < 0, "type", f"is not one of {', '.join(KINDS)}")
    _refuse(table, ~((quantity >= 0) & np.isfinite(quantity)), "quantity", "is not >= 0")
    _refuse(table, ~((bars >= 1) & (bars == np.floor(bars))), "bars", "is not a whole number >= 1")
    for code, name in _LEVELS.items():
        lacking = (kind == code) & np.isnan(prices[name])
        _refuse(table, lacking, name, f"is missing in a {KINDS[code]} order")
    for name, price in prices.items():
        _refuse(table, (price <= 0) | np.isinf(price), name, "is not a positive price")
    orders = Order.zeros(len(table))
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


def _rows(stamps: pd.Series, timestamps: pd.DatetimeIndex) -> np.ndarray:
    """(M,) row of each stamp; -1 for others, and for what is no stamp with a time zone."""
    if getattr(stamps.dtype, "tz", None) is None:
        stamps = pd.to_datetime(stamps, errors="coerce", utc=True).where(stamps.map(_has_zone))
    rows: np.ndarray = timestamps.get_indexer(pd.DatetimeIndex(stamps))
    return rows


def _has_zone(stamp: object) -> bool:
    return getattr(stamp, "tzinfo", None) is not None


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """(M,) float64, NaN where there is none."""
    if name not in table:
        return np.full(len(table), np.nan)
    values: np.ndarray = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    _refuse(table, np.isnan(values) & table[name].notna().to_numpy(), name, "is not a number")
    return values


def _refuse(table: pd.DataFrame, wrong: np.ndarray, column: str, rule: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = table[column].iloc[row] if column in table else None
        value = value.item() if isinstance(value, np.generic) else value
        text = str(value) if isinstance(value, pd.Timestamp) else repr(value)
        place = f"{table.index.name or 'order'} {table.index[row]}"
        raise TradingError(f"{place}: {column} {text} {rule}")
