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
VOLATILITY_WINDOW = 63  # bars of returns that a decision looks back on
MARKET, LIMIT, STOP = 0, 1, 2  # kinds of orders
KINDS = ("market", "limit", "stop")
OPENED, ENLARGED = 1, 2
NO_PERIOD = -1  # before the first bar

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("equity", "f8"),  # cash + quantity × last price, at the last close
        ("gross", "f8"),  # value of longs and shorts at that close
        ("net", "f8"),
        ("open_gross", "f8"),  # the same two at the open, after orders that lower exposure
        ("open_net", "f8"),
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
        ("turbulence", "f8"),  # of the last days, in units of the usual volatility
        ("turbulent", "i8"),  # 1: above the circuit breaker's limit
        ("breaks", "i8"),  # times that the circuit breaker tripped
        ("kelly_cap", "f8"),  # gross weight allowed by evidence, or by the lack of it
        ("eligible", "i8"),  # symbols
        ("forecast", "f8"),  # volatility per bar of the target book, 63 bars ago to now
        ("interest", "f8"),  # paid before the last open, <= 0
        ("fees", "f8"),  # of the last bar
        ("traded", "f8"),  # notional of the last bar
    ]
)
# Fields that every bar looks at come first: they share two lines of a processor's cache.
POSITION = np.dtype(
    [
        ("quantity", "f8"),  # negative is short
        ("order", "f8"),  # pending quantity
        ("last", "f8"),  # last price seen while it was held; NaN before
        ("stop", "f8"),  # price levels; NaN: none
        ("take", "f8"),
        ("seen", "i8"),  # day of the last bar while it was held, since 1970
        ("mark", "f8"),  # the open, or the last price without one
        ("capacity", "f8"),  # units that the bar's volume still allows
        ("order_left", "f8"),  # part of the order that the volume does not allow
        ("noted", "i8"),  # 1: this bar did something to the symbol
        ("within", "i8"),  # what a limit order did after the bar's high or low: OPENED, ENLARGED
        ("triggered", "i8"),  # 1: a stop that could fill only in part goes on at the next open
        ("kind", "i8"),  # of the order: MARKET, LIMIT or STOP
        ("due", "f8"),  # within a bar: the price at which the order executes now; NaN: not now
        ("slip", "f8"),  # and what is lost to slippage and impact, a fraction
        ("level", "f8"),  # price of a limit or stop order
        ("age", "i8"),  # bars since the order was decided
        ("bars", "i8"),  # that the order is good for
        ("order_stop", "f8"),  # levels that the position gets when the order opens it
        ("order_take", "f8"),
        ("order_sigma", "f8"),
        ("order_prepaid", "f8"),  # fees of its next fills that its minimum has paid; NaN: no fill
        ("exit_prepaid", "f8"),  # the same of the stop or take-profit that is worked off
        ("entry", "f8"),  # average price, less dividends since
        ("dividends", "f8"),  # a unit, since entry: levels compare the price with them added
        ("sigma", "f8"),  # per bar, frozen at entry; NaN: no stops
        ("best", "f8"),  # most favourable price since entry, less dividends since
        ("trailed", "i8"),  # 1: the stop is the trailing one
        ("own_stop", "f8"),  # levels that came with the order; NaN: the profile's
        ("own_take", "f8"),
        ("signal", "f8"),  # smoothed score, or the weight last asked for
        ("unscored", "i8"),  # bars since the last score
        ("cooling", "i8"),  # bars for which the symbol stays blocked after a stop
        ("cooling_side", "f8"),  # sign of the signal that was stopped out
    ]
)
# What was decided on a symbol at a close, and what was held then.
DECISION = np.dtype(
    [
        ("bar", "i4"),  # row of the history
        ("symbol", "i4"),  # column
        ("signal", "f8"),  # smoothed score, or the weight last asked for
        ("wish", "f8"),  # weight before caps, scaled to the volatility target
        ("target", "f8"),  # weight, after all caps
        ("weight", "f8"),  # weight held at the close
        ("order", "f8"),  # quantity
        ("kind", "i4"),  # MARKET, LIMIT or STOP
        ("cooling", "i4"),
        ("level", "f8"),  # price of a limit or stop order; NaN: none
        ("quantity", "f8"),  # held at the close
        ("price", "f8"),  # it is marked at
        ("notional", "f8"),  # of the order that was wanted before any was refused
        ("reasons", "u4"),
    ]
)
# What happened to a symbol within a bar: slot 0 is the order, slot 1 a barrier or a settlement,
# slot 2 cash in lieu of a fraction.
SLOTS = (2, 0, 1)  # in the order of time
FILL = np.dtype(
    [
        ("bar", "i4"),
        ("symbol", "i4"),
        ("slot", "i4"),
        ("age", "i4"),  # bars since the order was decided
        ("quantity", "f8"),  # 0: nothing filled, and the reasons say why
        ("price", "f8"),  # slippage included
        ("fee", "f8"),
        ("slippage", "f8"),  # money lost to it and to impact
        ("reasons", "u4"),
    ]
)
# Cash that moved without an order.
FLOW = np.dtype(
    [("bar", "i4"), ("symbol", "i4"), ("dividend", "f8"), ("borrow", "f8"), ("funding", "f8")]
)
FLOWS = ("dividend", "borrow", "funding")
# What somebody else decided, for `place_bar`.
ORDER = np.dtype(
    [
        ("bar", "i4"),
        ("symbol", "i4"),
        ("quantity", "f8"),  # signed; 0 cancels the one that rests
        ("kind", "i4"),
        ("bars", "i4"),
        ("level", "f8"),
        ("stop_loss", "f8"),  # price levels of a bracket; NaN: none
        ("take_profit", "f8"),
    ]
)


_UNKNOWN = (
    *("last", "entry", "sigma", "stop", "take", "best", "own_stop", "own_take", "level"),
    *("order_stop", "order_take", "order_sigma", "due", "signal"),
    *("order_prepaid", "exit_prepaid"),
)


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
    for name in _UNKNOWN:
        positions[name] = np.nan
    return positions


def paid_in(flows: np.ndarray) -> np.ndarray:
    """Cash of each FLOW record, all kinds together; negative is paid out."""
    return np.asarray(sum(flows[kind] for kind in FLOWS))


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
