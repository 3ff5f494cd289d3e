"""Brokers: what a session asks of one, in plain types. No I/O here; `adapters/brokers` does that.

An order is known by its client order id, which derives from session, decision and symbol: so the
same decision made again, after a crash, is the same order. Money is quote currency, instants are
UTC, quantities are units.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Self

import pandas as pd

Side = Literal["buy", "sell"]
Kind = Literal["market", "limit", "stop"]
Status = Literal["new", "partially_filled", "filled", "canceled", "rejected", "expired", "replaced"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """One order, as it was decided on."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: float  # > 0
    type: Kind = "market"
    limit_price: float | None = None  # of a limit order
    stop_price: float | None = None  # of a stop order
    decided_at: datetime

    def __post_init__(self) -> None:
        price = {"market": 1.0, "limit": self.limit_price, "stop": self.stop_price}[self.type]
        if not 0 < self.quantity < float("inf") or price is None or not 0 < price < float("inf"):
            raise ValueError(f"an order needs a quantity > 0, and its price: {self}")

    @property
    def signed(self) -> float:
        """Quantity, negative for a sale."""
        return self.quantity if self.side == "buy" else -self.quantity

    @classmethod
    def each(cls, orders: pd.DataFrame) -> list[Self]:
        """Those of a table like that of `Decided.orders`."""
        return [
            cls(
                client_order_id=row["client_order_id"],
                symbol=row["symbol"],
                side=row["side"],
                quantity=float(row["quantity"]),
                type=row["type"],
                limit_price=_price(row["limit_price"]),
                stop_price=_price(row["stop_price"]),
                decided_at=pd.Timestamp(row["decided_at"]).to_pydatetime(),
            )
            for row in orders.to_dict("records")
        ]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A part of an order, or all of it, that was traded: what cash and positions follow from."""

    execution_id: str
    client_order_id: str  # the venue's own name for it where the order is none of ours
    symbol: str
    filled_at: datetime
    quantity: float  # signed, not 0
    price: float  # > 0
    fee: float  # >= 0


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """What has become of an order by now."""

    client_order_id: str
    status: Status
    filled_quantity: float  # >= 0
    reason: str = ""  # why the venue refused it, or what it is not as it was asked for


class Broker(Protocol):
    """Where orders go, and where cash and positions are kept in earnest.

    Besides what the methods name, all raise `SourceUnavailable` where the venue does not answer,
    `CredentialsError` where it refuses the keys, `SourceError` where its answer makes no sense.
    """

    def submit(self, order: Order) -> OrderState:
        """Send an order, at most once whatever happens: one that the venue knows is not sent again.

        Raises:
            OutcomeUnknown: nobody knows whether it arrived. Ask `order` until it is known, or
                submit it again, which asks first; anything else may do it twice.
            TooEarly: the venue takes such orders later; nothing was sent.
            Rejected: the venue refused it; nothing will come of it.
        """
        ...

    def order(self, client_order_id: str) -> OrderState | None:
        """What became of it; None: the venue has never heard of it (or not yet)."""
        ...

    def cancel(self, client_order_id: str) -> OrderState:
        """Ask for its end, and say what it is by then: it may have filled before, or just now.

        Raises:
            OutcomeUnknown: as `submit`; to cancel again does no harm.
            Rejected: the venue has no such order.
        """
        ...

    def open_orders(self) -> list[OrderState]:
        """All orders that may still fill, those of others included."""
        ...

    def executions(self, after: str | None) -> list[Execution]:
        """Those that came after the one of that id, each once, oldest first; None: all."""
        ...

    def positions(self) -> dict[str, float]:
        """Signed units by symbol; those that are held, and no others."""
        ...

    def cash(self) -> float:
        """Quote currency; negative: a debit."""
        ...


def _price(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
