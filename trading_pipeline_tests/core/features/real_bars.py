"""Real bars that every machine has: the ones bokeh-sampledata ships."""

from functools import cache

import numpy as np
import pandas as pd

from trading_pipeline.core.features.series import BarSeries, SymbolSeries

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


@cache
def adjusted_bars(symbols: tuple[str, ...] = SYMBOLS) -> pd.DataFrame:
    """BarSeries with all prices scaled by adj_close / close, in the data format."""
    from bokeh_sampledata import stocks

    tables = []
    for symbol in symbols:
        table = pd.DataFrame(getattr(stocks, symbol)).astype({"volume": float})
        table["timestamp"] = pd.to_datetime(table["date"], utc=True).dt.as_unit("us")
        factor = table["adj_close"] / table["close"]
        prices = ["open", "high", "low", "close"]
        table[prices] = table[prices].mul(factor, axis=0)
        table["high"] = table[prices].max(axis=1)
        table["low"] = table[prices].min(axis=1)
        tables.append(table.assign(symbol=symbol))
    columns = ["timestamp", "symbol", "open", "high", "low", "close", "volume"]
    return pd.concat(tables)[columns].sort_values(["timestamp", "symbol"], ignore_index=True)


def symbol_series(symbol: str, last: int = 0) -> SymbolSeries:
    """One symbol's adjusted bars without ties; all of them, or the `last` ones.

    Prices in cents tie often (two sums of three prices, a rise as large as a fall). TA-Lib follows
    the rounding of the last bit there and ours calls them equal, so an oracle needs bars without
    ties: each price is moved by up to a millionth, lows down and highs up.
    """
    bars = adjusted_bars()
    mine = bars[bars["symbol"] == symbol].iloc[-last:]
    noise = 1e-6 * np.random.default_rng(7).random((4, len(mine)))
    open_, high, low, close, volume = (
        mine[name].to_numpy(np.float64) for name in BarSeries._fields
    )
    high, low = high * (1 + noise[0]), low * (1 - noise[1])
    open_, close = open_ * (1 - noise[2] / 2), close * (1 - noise[3] / 2)
    low = np.minimum(low, np.minimum(open_, close))
    return SymbolSeries(BarSeries(open_, high, low, close, volume))
