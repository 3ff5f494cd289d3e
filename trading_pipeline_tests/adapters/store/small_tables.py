"""Small tables to store: bars of one price, and rows of two features."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import check_bars

NOW = pd.Timestamp("2025-01-01", tz="UTC")
FIRST = pd.Timestamp("2020-01-06", tz="UTC")
HASH = "a" * 64


def utc(text):
    return pd.Timestamp(text, tz="UTC")


def days(start, count, price=10.0, symbol="AAA", **columns):
    stamps = pd.date_range(start, periods=count, tz="UTC", unit="us")
    table = pd.DataFrame({"timestamp": stamps, "symbol": symbol, "volume": 5.0})
    return check_bars(table.assign(open=price, high=price, low=price, close=price, **columns))


def features(days=5, symbols=("AAA", "BBB"), value=0.0, first=FIRST):
    """Rows of two features; the first value of the second one is missing."""
    stamps = pd.date_range(first, periods=days, unit="us")
    keys = pd.MultiIndex.from_product([stamps, symbols], names=["timestamp", "symbol"])
    table = keys.to_frame(index=False).astype({"symbol": "str"})
    number = np.arange(len(table), dtype=np.float32)
    return table.assign(
        one=number + np.float32(value), two=np.where(number, number, np.nan)
    ).astype({"one": np.float32, "two": np.float32})
