"""Orders that somebody else decided on: a table of them, checked, as the kernels take it."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import abbreviated
from trading_pipeline.core.trading.cells import codes_of, numbers_of, refuse, rows_of
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
            `limit_price` and `stop_price` (of such an order alone), `bars` (that it is good for, 1
            if there is no such column), and `stop_loss` and `take_profit`: the price levels of a
            bracket, each on its side. The table of `BacktestResult.orders` is one. One order per
            symbol and bar. A row is named in errors by its label, and by the name of the index
            ('line') if it has one.

    Raises:
        TradingError: the first row that breaks a rule, and the rule.
    """
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise TradingError(f"orders lack the columns {', '.join(missing)}")
    bar = rows_of(table["decided_at"], panel.timestamps)
    symbol = codes_of(table["symbol"], panel.symbols)
    side = codes_of(table["side"], ("buy", "sell"))
    kind = codes_of(table["type"], KINDS) if "type" in table else np.zeros(len(table), np.int64)
    bars = numbers_of(table, "bars") if "bars" in table else np.ones(len(table))
    quantity = numbers_of(table, "quantity")
    prices = {name: numbers_of(table, name) for name in _PRICES}
    first, last = panel.timestamps[0], panel.timestamps[-1]
    span = f"{len(panel.timestamps):,} bars from {first} to {last}"
    refuse(table, bar < 0, "decided_at", f"is not a bar of the panel, which has {span}")
    refuse(
        table, symbol < 0, "symbol", f"is not in the panel, which has {abbreviated(panel.symbols)}"
    )
    refuse(table, side < 0, "side", "is not buy or sell")
    refuse(table, kind < 0, "type", f"is not one of {', '.join(KINDS)}")
    unfit = ~((quantity >= 0) & np.isfinite(quantity))
    refuse(table, unfit, "quantity", "is not a finite number >= 0")
    refuse(table, ~((bars >= 1) & (bars == np.floor(bars))), "bars", "is not a whole number >= 1")
    for code, name in _LEVELS.items():
        lacking = (kind == code) & np.isnan(prices[name])
        refuse(table, lacking, name, f"is missing in a {KINDS[code]} order")
        useless = (kind != code) & ~np.isnan(prices[name])
        refuse(table, useless, name, f"is given, and the type is not {KINDS[code]}")
    for name, price in prices.items():
        refuse(table, (price <= 0) | np.isinf(price), name, "is not a positive price")
    beyond = np.where(side == 0, 1, -1) * (prices["stop_loss"] - prices["take_profit"]) >= 0
    refuse(table, beyond, "stop_loss", "is on the side of take_profit: it would end at once")
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
    refuse(table, again, "symbol", "has an order at that bar already")
    return orders[order]
