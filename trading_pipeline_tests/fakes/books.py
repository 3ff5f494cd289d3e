"""What a venue keeps of one account for itself: cash, positions, orders and trades.

Orders rest until a test fills them, in part or whole, at a price that it names; so the same books
serve a venue of auctions and one that fills at once. The venues say them in their own formats.
"""

import threading
from dataclasses import dataclass, field
from itertools import count

import pandas as pd

_NUMBERS = count(1)


@dataclass
class Booked:
    """An order at the venue."""

    client_id: str
    symbol: str
    side: int  # 1 to buy, -1 to sell
    quantity: float
    kind: str = "market"
    price: float | None = None
    status: str = "new"  # as `OrderState.status` has it
    filled: float = 0.0
    number: int = field(default_factory=lambda: next(_NUMBERS))
    at: pd.Timestamp = field(default_factory=lambda: pd.Timestamp(0, tz="UTC"))
    replaced_by: int | None = None
    replaces: int | None = None
    extra: dict = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.status in ("new", "partially_filled")


@dataclass(frozen=True)
class Trade:
    """A part of an order that was executed."""

    number: int
    order: Booked
    quantity: float  # > 0
    price: float
    fee: float
    at: pd.Timestamp


class Books:
    """One account. `holding`: orders rest; else a market order fills at `prices` when it comes."""

    def __init__(self, cash: float, prices: dict[str, float], fee: float = 0.0) -> None:
        self.cash, self.prices, self.fee = cash, prices, fee
        self.positions: dict[str, float] = {}
        self.orders: dict[int, Booked] = {}
        self.trades: list[Trade] = []
        self.holding = True
        self.now = pd.Timestamp("2024-12-03", tz="UTC")
        self.lock = threading.RLock()

    def named(self, client_id: str) -> Booked | None:
        """The newest order of that name."""
        found = [each for each in self.orders.values() if each.client_id == client_id]
        return found[-1] if found else None

    def accept(self, order: Booked) -> Booked:
        with self.lock:
            order.at = self.now
            self.orders[order.number] = order
            if not self.holding and order.kind == "market":
                self.fill(order)
            return order

    def fill(
        self, order: Booked, quantity: float | None = None, price: float | None = None
    ) -> None:
        """Execute what is left of it, or less; time passes."""
        with self.lock:
            part = order.quantity - order.filled if quantity is None else quantity
            paid = self.prices[order.symbol] if price is None else price
            fee = self.fee * part * paid
            self.cash -= order.side * part * paid + fee
            held = self.positions.get(order.symbol, 0.0) + order.side * part
            self.positions[order.symbol] = held
            if not held:
                del self.positions[order.symbol]
            order.filled += part
            done = order.filled >= order.quantity - 1e-12
            order.status = "filled" if done else "partially_filled"
            self.trades.append(Trade(len(self.trades) + 1, order, part, paid, fee, self.now))
            self.pass_time()

    def replace(self, order: Booked, quantity: float) -> Booked:
        """As the operator may do in the venue's own application: another order in its place."""
        other = Booked(f"by-hand-{next(_NUMBERS)}", order.symbol, order.side, quantity, order.kind)
        other.replaces, order.replaced_by = order.number, other.number
        order.status, other.at = "replaced", self.now
        self.orders[other.number] = other
        return other

    def end(self, order: Booked, status: str) -> None:
        """Canceled, rejected or expired."""
        if order.is_open:
            order.status = status

    def pass_time(self, seconds: float = 5.0) -> None:
        self.now += pd.Timedelta(seconds=seconds)
