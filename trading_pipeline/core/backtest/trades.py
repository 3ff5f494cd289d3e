"""Round trips of one symbol from flat to flat, and what is held of those that have not ended.

Cost is the moving average of prices paid, slippage included and fees not: a purchase averages it,
a sale takes units out at it and realises the difference. Of a short, a sale averages and a purchase
realises. A split divides it and a dividend leaves it alone, as the engine's `entry` plus the
`dividends` since do; `explain` shows the same number.
"""

from collections.abc import Iterator

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
    "quantity": "float64",
    "mean_entry": "float64",
    "mean_exit": "float64",
    "last_exit": "float64",
    "invested": "float64",
    "pnl": "float64",
    "return": "float64",
    "fees": "float64",
    "exit": "str",
}
_OF_POSITIONS = {
    "symbol": "str",
    "side": "str",
    "opened": "int64",
    "quantity": "float64",
    "average_cost": "float64",
    "price": "float64",
    "value": "float64",
    "unrealised_pnl": "float64",
    "unrealised_return": "float64",
    "realised_pnl": "float64",
    "fees": "float64",
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
        symbol, side (long, short), opened_at, closed_at, bars between the two, quantity (all units
        that ever opened and raised it, > 0: more than were held at once where some were closed and
        opened again), mean_entry and mean_exit (prices, means over all those units), last_exit
        (price of the fill that left nothing; all four in units of the day it closed, after splits),
        invested (money that opened and raised it, > 0), pnl (money, after fees, with dividends,
        borrow and funding), return (that over the money invested), fees, exit (of the last fill, as
        its `kind`).
    """
    rows = [row for n, part, flowed, shares in _by_symbol(symbols, fills, flows, split)
            for row in _round_trips(part, flowed, shares, symbols[n])[0]]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)
    table = table.sort_values(["closed", "opened"], kind="stable", ignore_index=True)
    opened, closed = table.pop("opened"), table.pop("closed")
    table.insert(2, "opened_at", timestamps[opened])
    table.insert(3, "closed_at", timestamps[closed])
    table.insert(4, "bars", closed - opened)
    return table


def positions_of(
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    fills: Array[Fill],
    flows: Array[CashFlow],
    split: np.ndarray,
    price: np.ndarray,
) -> pd.DataFrame:
    """Round trips that have not ended: what is held at the last bar, in the order of the symbols.

    Args:
        fills: (F,); flows: (P,); split: (K, N); price: (K, N) that holdings are marked at.

    Returns:
        symbol, side, opened_at, bars since then, quantity held (> 0), average_cost (price, > 0, of
        what is held), price and value now (negative: short), unrealised_pnl (money: price against
        average cost, closed without costs), unrealised_return (that over the cost of what is held,
        a fraction), realised_pnl (money since it was opened: what units that were closed made over
        their average cost, with dividends, borrow and funding, after all fees so far), fees; all in
        units of the last bar. Both kinds of profit together are what the position did to equity.
    """
    rows, last = [], len(timestamps) - 1
    for n, part, flowed, shares in _by_symbol(symbols, fills, flows, split):
        _, trip, held = _round_trips(part, flowed, shares, symbols[n])
        if trip is not None:
            earned = float(flowed[last] - flowed[trip.bar])
            rows.append(trip.held(held, float(price[last, n]), earned, float(shares[last])))
    table = pd.DataFrame(rows, columns=list(_OF_POSITIONS)).astype(_OF_POSITIONS)
    opened = table.pop("opened")
    table.insert(2, "opened_at", timestamps[opened])
    table.insert(3, "bars", last - opened)
    return table


def _by_symbol(
    symbols: tuple[str, ...], fills: Array[Fill], flows: Array[CashFlow], split: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Of each symbol that was ever filled: its column, fills, cash that flowed and shares, (K,)."""
    filled = fills[fills["quantity"] != 0]
    filled = filled[np.argsort(filled["symbol"], kind="stable")]  # by time, as they were written
    money = paid_in(flows)
    for part in np.split(filled, np.flatnonzero(np.diff(filled["symbol"])) + 1):
        if len(part):
            n = int(part["symbol"][0])
            own = flows["symbol"] == n
            flowed = np.bincount(flows["bar"][own], weights=money[own], minlength=len(split))
            yield n, part, flowed.cumsum(), np.cumprod(split[:, n])


class _Open:
    """A round trip under way; `shares` turns units of a bar into those before any split."""

    def __init__(self, symbol: str, bar: int, side: float) -> None:
        self.symbol, self.bar, self.side = symbol, bar, side
        self.invested = self.returned = self.cash = self.fees = 0.0
        self.entered = self.left = 0.0  # units before any split
        self.units = self.cost = 0.0  # held now, before any split, and the money it cost

    def trade(self, quantity: float, price: float, fee: float, shares: float) -> None:
        """A fill, or the part of it that is of this round trip: signed units of its bar."""
        units, money = abs(quantity) / shares, abs(quantity) * price
        self.cash -= quantity * price + fee
        self.fees += fee
        if quantity * self.side > 0:
            self.invested += money
            self.entered += units
            self.units += units
            self.cost += money
        else:
            self.returned += money
            self.left += units
            self.cost *= 1 - units / self.units
            self.units -= units

    def _known(self) -> dict[str, object]:
        return {
            "symbol": self.symbol,
            "side": "long" if self.side > 0 else "short",
            "opened": self.bar,
            "fees": self.fees,
        }

    def closed(
        self, bar: int, flowed: float, price: float, exit_kind: str, shares: float
    ) -> dict[str, object]:
        """The row of `trades_of`, its stamps as bars.

        Args:
            flowed: cash of dividends, borrow and funding. price, exit_kind: of the last fill.
        """
        pnl = self.cash + flowed
        return {
            **self._known(),
            "closed": bar,
            "quantity": self.entered * shares,
            "mean_entry": self.invested / (self.entered * shares),
            "mean_exit": self.returned / (self.left * shares),
            "last_exit": price,
            "invested": self.invested,
            "pnl": pnl,
            "return": pnl / self.invested,
            "exit": exit_kind,
        }

    def held(self, held: float, price: float, flowed: float, shares: float) -> dict[str, object]:
        """The row of `positions_of`, its stamp as a bar; `held`: signed units of the last bar."""
        average = self.cost / (self.units * shares)
        return {
            **self._known(),
            "quantity": abs(held),
            "average_cost": average,
            "price": price,
            "value": held * price,
            "unrealised_pnl": held * (price - average),
            "unrealised_return": self.side * (price / average - 1),
            "realised_pnl": self.cash + flowed + held * average,
        }


def _round_trips(
    fills: np.ndarray, flowed: np.ndarray, shares: np.ndarray, symbol: str
) -> tuple[list[dict[str, object]], _Open | None, float]:
    """The closed round trips of one symbol, the one under way, and what it holds at the end.

    Args:
        fills: of the symbol; flowed: cash so far (K,); shares: of one before any split (K,).
    """
    done: list[dict[str, object]] = []
    trip: _Open | None = None
    held, last = 0.0, 0
    for fill in fills:
        k = int(fill["bar"])
        quantity, price, fee = (float(fill[name]) for name in ("quantity", "price", "fee"))
        held *= shares[k] / shares[last]
        if trip is not None and quantity * trip.side < 0 and abs(quantity) >= abs(held) * _ALL:
            part = min(abs(held / quantity), 1.0)
            trip.trade(-held, price, fee * part, float(shares[k]))
            # Cash flows come before the open, so those of its first bar are not its own.
            earned = float(flowed[k] - flowed[trip.bar])
            ended = kind_of(fill["reasons"])
            done.append(trip.closed(k, earned, price, ended, float(shares[k])))
            quantity, fee, trip = quantity + held, fee * (1 - part), None
            held = 0.0
            if abs(quantity) <= (1 - _ALL) * abs(float(fill["quantity"])):
                quantity = 0.0
        if quantity != 0:
            trip = trip or _Open(symbol, k, float(np.sign(quantity)))
            trip.trade(quantity, price, fee, float(shares[k]))
            held += quantity
        last = k
    return done, trip, float(held * shares[-1] / shares[last])
