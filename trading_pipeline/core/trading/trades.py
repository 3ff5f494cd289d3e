"""Closed trades: round trips of one symbol from flat to flat."""

import numpy as np
import pandas as pd

from trading_pipeline.core.trading.reasons import STOP_LOSS, TAKE_PROFIT

_ALL = 1 - 1e-9  # of a position: less than this left is rounding
_COLUMNS = {
    "symbol": "str",
    "side": "str",
    "opened_at": None,
    "closed_at": None,
    "bars": "int64",
    "invested": "float64",
    "pnl": "float64",
    "fees": "float64",
    "exit": "str",
}


def trades_of(
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    fills: np.ndarray,
    flows: np.ndarray,
    split: np.ndarray,
) -> pd.DataFrame:
    """Round trips that have ended, by the bar that ended them.

    A position that changes sign in one fill ends one round trip and begins the next; the fill's
    cash is divided by quantity.

    Args:
        fills: (K, N, 2) FILL; flows: (K, N) FLOW; split: (K, N).

    Returns:
        symbol, side (long, short), opened_at, closed_at, bars between the two, invested (money
        that opened and raised it, > 0), pnl (money, after fees, with dividends and borrow), fees,
        exit (order, stop_loss, take_profit).
    """
    rows = []
    active = np.flatnonzero((fills["quantity"] != 0).any(axis=(0, 2)))
    for n in active:
        rows += _round_trips(fills[:, n], flows[:, n], split[:, n], symbols[n])
    if not rows:
        stamps = {"opened_at": timestamps[:0], "closed_at": timestamps[:0]}
        empty = {name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items() if kind}
        return pd.DataFrame(empty | stamps)[list(_COLUMNS)]
    table = pd.DataFrame(rows).sort_values(["closed", "opened"], kind="stable", ignore_index=True)
    table["bars"] = table["closed"] - table["opened"]
    table["opened_at"] = timestamps[table.pop("opened")]
    table["closed_at"] = timestamps[table.pop("closed")]
    return table[list(_COLUMNS)].astype({key: kind for key, kind in _COLUMNS.items() if kind})


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
    fills: np.ndarray, flows: np.ndarray, split: np.ndarray, symbol: str
) -> list[dict[str, object]]:
    """The closed round trips of one symbol; fills (K, 2), flows (K,), split (K,)."""
    flowed = np.cumsum(flows["dividend"] + flows["borrow"])
    shares = np.cumprod(split)
    done: list[dict[str, object]] = []
    trip: _Open | None = None
    held, last = 0.0, 0
    for k, slot in zip(*np.nonzero(fills["quantity"]), strict=True):
        fill = fills[k, slot]
        quantity, price, fee = (float(fill[name]) for name in ("quantity", "price", "fee"))
        held *= shares[k] / shares[last]
        if trip is not None and quantity * trip.side < 0 and abs(quantity) >= abs(held) * _ALL:
            part = min(abs(held / quantity), 1.0)
            trip.trade(-held, price, fee * part)
            # Cash flows come before the open, so those of its first bar are not its own.
            earned = float(flowed[k] - flowed[trip.bar])
            done.append(trip.closed(int(k), earned, _exit(fill)))
            quantity, fee, trip = quantity + held, fee * (1 - part), None
            held = 0.0
            if abs(quantity) <= (1 - _ALL) * abs(float(fill["quantity"])):
                quantity = 0.0
        if quantity != 0:
            trip = trip or _Open(symbol, int(k), float(np.sign(quantity)))
            trip.trade(quantity, price, fee)
            held += quantity
        last = k
    return done


def _exit(fill: np.void) -> str:
    if fill["reasons"] & STOP_LOSS:
        return "stop_loss"
    return "take_profit" if fill["reasons"] & TAKE_PROFIT else "order"
