"""Closed trades: round trips of one symbol from flat to flat."""

import numpy as np
import pandas as pd

from trading_pipeline.core.trading.engine.dtypes import Array, CashFlow, Fill, paid_in
from trading_pipeline.core.trading.engine.reasons import kind_of

_ALL = 1 - 1e-9  # of a position: less than this left is rounding
_DTYPES = {  # of a round trip, by the bars that opened and closed it
    "symbol": "str",
    "side": "str",
    "opened": "int64",
    "closed": "int64",
    "invested": "float64",
    "pnl": "float64",
    "fees": "float64",
    "exit": "str",
}


def trades_of(
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    fills: Array[Fill],
    flows: Array[CashFlow],
    split: np.ndarray,
) -> pd.DataFrame:
    """Round trips that have ended, by the bar that ended them.

    A position that changes sign in one fill ends one round trip and begins the next; the fill's
    cash is divided by quantity.

    Args:
        fills: (F,); flows: (P,); split: (K, N).

    Returns:
        symbol, side (long, short), opened_at, closed_at, bars between the two, invested (money
        that opened and raised it, > 0), pnl (money, after fees, with dividends and borrow), fees,
        exit (as `kind` of a fill).
    """
    rows, K = [], len(timestamps)
    filled = fills[fills["quantity"] != 0]
    filled = filled[np.argsort(filled["symbol"], kind="stable")]  # by time, as they were written
    money = paid_in(flows)
    for part in np.split(filled, np.flatnonzero(np.diff(filled["symbol"])) + 1):
        if len(part):
            n = int(part["symbol"][0])
            own = flows["symbol"] == n
            flowed = np.bincount(flows["bar"][own], weights=money[own], minlength=K).cumsum()
            rows += _round_trips(part, flowed, np.cumprod(split[:, n]), symbols[n])
    table = pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)
    table = table.sort_values(["closed", "opened"], kind="stable", ignore_index=True)
    opened, closed = table.pop("opened"), table.pop("closed")
    table.insert(2, "opened_at", timestamps[opened])
    table.insert(3, "closed_at", timestamps[closed])
    table.insert(4, "bars", closed - opened)
    return table


class _Open:
    """A round trip under way."""

    def __init__(self, symbol: str, bar: int, side: float) -> None:
        self.symbol, self.bar, self.side = symbol, bar, side
        self.invested = self.cash = self.fees = 0.0

    def trade(self, quantity: float, price: float, fee: float) -> None:
        self.cash -= quantity * price + fee
        self.fees += fee
        if quantity * self.side > 0:
            self.invested += abs(quantity) * price

    def closed(self, bar: int, flowed: float, exit_kind: str) -> dict[str, object]:
        return {
            "symbol": self.symbol,
            "side": "long" if self.side > 0 else "short",
            "opened": self.bar,
            "closed": bar,
            "invested": self.invested,
            "pnl": self.cash + flowed,
            "fees": self.fees,
            "exit": exit_kind,
        }


def _round_trips(
    fills: np.ndarray, flowed: np.ndarray, shares: np.ndarray, symbol: str
) -> list[dict[str, object]]:
    """The closed round trips of one symbol: its fills, cash that flowed and shares so far (K,)."""
    done: list[dict[str, object]] = []
    trip: _Open | None = None
    held, last = 0.0, 0
    for fill in fills:
        k = int(fill["bar"])
        quantity, price, fee = (float(fill[name]) for name in ("quantity", "price", "fee"))
        held *= shares[k] / shares[last]
        if trip is not None and quantity * trip.side < 0 and abs(quantity) >= abs(held) * _ALL:
            part = min(abs(held / quantity), 1.0)
            trip.trade(-held, price, fee * part)
            # Cash flows come before the open, so those of its first bar are not its own.
            earned = float(flowed[k] - flowed[trip.bar])
            done.append(trip.closed(k, earned, kind_of(fill["reasons"])))
            quantity, fee, trip = quantity + held, fee * (1 - part), None
            held = 0.0
            if abs(quantity) <= (1 - _ALL) * abs(float(fill["quantity"])):
                quantity = 0.0
        if quantity != 0:
            trip = trip or _Open(symbol, k, float(np.sign(quantity)))
            trip.trade(quantity, price, fee)
            held += quantity
        last = k
    return done
