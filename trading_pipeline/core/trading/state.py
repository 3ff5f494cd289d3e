"""What a book remembers from bar to bar, and what it writes down: arrays of records.

The backtest and the paper session hold the same records and hand them to the same kernels.
Money is quote currency, prices and quantities are raw, weights are fractions of equity.
"""

from typing import Any, TypeAlias

import numpy as np
import pandas as pd

# One element of a record array, as the kernels see it: its fields are attributes.
Record: TypeAlias = Any

FULL, HALF, FLAT = 0, 1, 2  # size allowed by the drawdown rule
NO_PERIOD = -1  # before the first bar

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("equity", "f8"),  # cash + quantity × last price, at the last close
        ("gross", "f8"),  # value of longs and shorts at that close
        ("net", "f8"),
        ("day", "i8"),  # days since 1970, ISO weeks, months: the period of the last bar
        ("week", "i8"),
        ("month", "i8"),
        ("day_mark", "f8"),  # equity at the close of the previous period
        ("week_mark", "f8"),
        ("month_mark", "f8"),
        ("day_breached", "i8"),  # 1 for the rest of the period
        ("week_breached", "i8"),
        ("month_breached", "i8"),
        ("peak", "f8"),  # highest equity ever
        ("rule_peak", "f8"),  # what the drawdown rule measures from; reset on re-entry
        ("size", "i8"),  # FULL, HALF or FLAT
        ("days_in_size", "i8"),
        ("halvings", "i8"),
        ("flattenings", "i8"),
        ("killed", "i8"),  # 1: the operator's kill switch
        ("bankrupt", "i8"),
        ("day_loss", "f8"),  # figures of the last decision
        ("week_loss", "f8"),
        ("month_loss", "f8"),
        ("drawdown", "f8"),  # from rule_peak
        ("eligible", "i8"),  # symbols
        ("forecast", "f8"),  # volatility per bar of the target book, 63 bars ago to now
        ("interest", "f8"),  # paid at the last fill, <= 0
        ("fees", "f8"),  # of the last bar
        ("traded", "f8"),  # notional of the last bar
    ]
)
POSITION = np.dtype(
    [
        ("quantity", "f8"),  # negative is short
        ("last", "f8"),  # last price seen; NaN before the first bar
        ("entry", "f8"),  # average price, less dividends since: what stops refer to
        ("sigma", "f8"),  # per bar, frozen at entry; NaN: no stops
        ("stop", "f8"),  # price levels; NaN: none
        ("take", "f8"),
        ("order", "f8"),  # pending quantity, filled at the next open
        ("order_sigma", "f8"),
        ("signal", "f8"),  # smoothed score, or the weight last asked for
        ("unscored", "i8"),  # bars since the last score
        ("cooling", "i8"),  # bars for which the symbol stays blocked after a stop
        ("cooling_side", "f8"),  # sign of the signal that was stopped out
    ]
)
# One row per bar and symbol: what was decided at the close, and what was held then.
DECISION = np.dtype(
    [
        ("target", "f8"),  # weight, after all caps
        ("weight", "f8"),  # weight held at the close
        ("order", "f8"),  # quantity
        ("quantity", "f8"),  # held at the close
        ("price", "f8"),  # it is marked at
        ("notional", "f8"),  # of the order that was wanted before any was refused
        ("cooling", "i8"),
        ("reasons", "u4"),
    ]
)
# Two rows per bar and symbol: the order at the open, and a stop or take-profit.
FILL = np.dtype(
    [
        ("quantity", "f8"),
        ("price", "f8"),  # slippage included
        ("fee", "f8"),
        ("slippage", "f8"),  # money lost to it
        ("reasons", "u4"),
    ]
)
# One row per bar and symbol: cash that moved without an order.
FLOW = np.dtype([("dividend", "f8"), ("borrow", "f8")])


def new_account(capital: float) -> np.ndarray:
    """(1,) ACCOUNT that has never traded."""
    if not 0 < capital < float("inf"):
        raise ValueError(f"capital must be positive and finite, was {capital}")
    account = np.zeros(1, ACCOUNT)
    for name in ("cash", "equity", "day_mark", "week_mark", "month_mark", "peak", "rule_peak"):
        account[name] = capital
    for name in ("day", "week", "month"):
        account[name] = NO_PERIOD
    return account


def new_positions(n: int) -> np.ndarray:
    """(n,) POSITION, all empty."""
    positions = np.zeros(n, POSITION)
    for name in ("last", "entry", "sigma", "stop", "take", "order_sigma", "signal"):
        positions[name] = np.nan
    return positions


def periods_of(timestamps: pd.DatetimeIndex) -> np.ndarray:
    """(T, 3) int64: day, ISO week and month of each bar, as numbers that only ever grow.

    The UTC date of a bar's opening is its session on exchanges whose session lies within one UTC
    date, as New York's does.
    """
    utc = timestamps.tz_convert("UTC")
    day = utc.as_unit("s").asi8 // 86_400
    week = (day + 3) // 7  # 1970-01-01 was a Thursday, weeks begin on Monday
    month = utc.year.to_numpy() * 12 + utc.month.to_numpy() - 1
    return np.column_stack([day, week, month]).astype(np.int64)
