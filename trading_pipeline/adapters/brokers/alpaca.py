"""Alpaca's paper account: a broker whose orders of daily bars execute in the opening auction.

What the venue wants otherwise than an order says is changed towards zero, and said in the reason
of its state: whole shares in the auction and for shorts, and no order through zero (a position is
closed first, and the next decision opens the other side).
"""

import math
from collections.abc import Callable
from datetime import datetime, time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import SecretStr

from trading_pipeline.adapters.brokers.alpaca_trading import Record, TradingApi
from trading_pipeline.adapters.brokers.answers import ask_after, number_of, text_of, unknown
from trading_pipeline.adapters.sources.alpaca_api import VENUE, NotFound
from trading_pipeline.adapters.sources.payload import excerpt
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.trading.broker import Execution, Order, OrderState, Status
from trading_pipeline.errors import OutcomeUnknown, Rejected, TooEarly

NEW_YORK = ZoneInfo("America/New_York")
# Orders for the opening auction are refused in between.
_CLOSED_FOR_OPENING, _OPEN_FOR_OPENING = time(9, 28), time(19, 0)
_OLD = 60.0  # seconds: positions are asked for again
_PAGE, _ACTIVITIES = 500, 100  # rows of a page
_LONGEST = 128  # characters of a client order id
_CHAIN = 100  # replacements of one order
_AGAIN = "client_order_id must be unique"
_STATUS: dict[str, Status] = {
    **dict.fromkeys(("new", "accepted", "pending_new", "accepted_for_bidding"), "new"),
    **dict.fromkeys(("held", "stopped", "suspended", "calculated", "done_for_day"), "new"),
    **dict.fromkeys(("pending_cancel", "pending_replace", "pending_review"), "new"),
    "partially_filled": "partially_filled",
    "filled": "filled",
    "canceled": "canceled",
    "rejected": "rejected",
    "expired": "expired",
    "replaced": "replaced",
}
_number, _text = partial(number_of, VENUE), partial(text_of, VENUE)
_unknown = partial(unknown, VENUE)


class AlpacaBroker:
    """A `Broker`. `timeframe`: '1d' goes into the opening auction, others are filled at once."""

    def __init__(
        self,
        key: SecretStr | None,
        secret: SecretStr | None,
        *,
        clock: Callable[[], datetime],
        timeframe: str = "1d",
        trading_url: str | None = None,
        per_minute: float = 200.0,
        patience: Patience | None = None,
    ) -> None:
        """Nothing is asked yet. Raises SettingsError for the address of a live account."""
        self._patience = patience or Patience()
        self._api = TradingApi(key, secret, trading_url, per_minute, self._patience)
        self._clock, self._daily = clock, timeframe == "1d"
        self._held: tuple[float, dict[str, float]] | None = None
        self._names: dict[str, str] = {}  # the venue's order id -> client order id at the origin

    def submit(self, order: Order) -> OrderState:
        """See `Broker.submit`."""
        body, said = self._request(order)
        try:
            raw = self._api.change("post", "/orders", body)
        except Rejected as error:
            if _AGAIN not in str(error) or (known := self.order(order.client_order_id)) is None:
                raise
            return known
        except OutcomeUnknown as error:
            return ask_after(self, order.client_order_id, error)
        finally:
            self._held = self._held if body["time_in_force"] == "opg" else None
        if not isinstance(raw, dict):
            raise OutcomeUnknown(f"{VENUE} answered an order with {excerpt(raw)}")
        self._names[str(raw.get("id"))] = order.client_order_id
        return self._state(raw, said)

    def order(self, client_order_id: str) -> OrderState | None:
        """See `Broker.order`; of an order that was replaced, with all that took its place."""
        try:
            return self._state(self._by_client_id(client_order_id))
        except NotFound:
            return None

    def cancel(self, client_order_id: str) -> OrderState:
        """See `Broker.cancel`; of an order that was replaced, the one that took its place."""
        try:
            newest = self._chain(self._by_client_id(client_order_id))[-1]
            self._api.change("delete", f"/orders/{_text(newest, 'id')}")
        except NotFound as error:
            raise Rejected(f"{VENUE} has no order {client_order_id}") from error
        except Rejected:  # it is over already: the state says how
            pass
        return self._state(self._by_client_id(client_order_id))

    def open_orders(self) -> list[OrderState]:
        """See `Broker.open_orders`."""
        found: dict[str, Record] = {}
        fields: dict[str, Any] = {"status": "open", "limit": _PAGE, "direction": "asc"}
        while True:
            page = self._api.records("/orders", fields)
            news = [each for each in page if _text(each, "id") not in found]
            found |= {each["id"]: each for each in news}
            if len(page) < _PAGE or not news:
                break
            # Orders of the same instant may lie on both sides of a page's end.
            last = pd.Timestamp(_text(page[-1], "submitted_at")) - pd.Timedelta(microseconds=1)
            fields["after"] = last.isoformat()
        return [
            _described(each, self._origin(each["id"], each), [each], "") for each in found.values()
        ]

    def executions(self, after: str | None) -> list[Execution]:
        """See `Broker.executions`: the account's activities of kind FILL, page by page."""
        found: dict[str, Record] = {}
        while True:
            fields: dict[str, Any] = {"direction": "asc", "page_size": _ACTIVITIES}
            page = self._api.records(
                "/account/activities/FILL", fields | ({"page_token": after} if after else {})
            )
            news = [each for each in page if _text(each, "id") not in found]
            found |= {each["id"]: each for each in news}
            if len(page) < _ACTIVITIES or not news:
                return [self._execution(each) for each in found.values()]
            after = page[-1]["id"]

    def positions(self) -> dict[str, float]:
        """See `Broker.positions`."""
        rows = self._api.records("/positions")
        return {
            _text(each, "symbol"): abs(_number(each, "qty"))
            * (-1 if _text(each, "side") == "short" else 1)
            for each in rows
        }

    def cash(self) -> float:
        """See `Broker.cash`."""
        return _number(self._api.record("/account"), "cash")

    def _request(self, order: Order) -> tuple[dict[str, Any], str]:
        """The order as the venue takes it, and what is not as it was asked for."""
        if len(order.client_order_id) > _LONGEST:
            raise Rejected(f"{order.client_order_id} is longer than the {_LONGEST} {VENUE} takes")
        opening = self._daily and order.type == "market"
        if opening:
            self._check_time()
        quantity, said = self._allowed(order, opening)
        body = {
            "symbol": order.symbol,
            "qty": f"{quantity:.9f}".rstrip("0").rstrip("."),
            "side": order.side,
            "type": order.type,
            "time_in_force": "opg" if opening else "day",
            "client_order_id": order.client_order_id,
        }
        prices = {"limit_price": order.limit_price, "stop_price": order.stop_price}
        return body | {name: _tick(each) for name, each in prices.items() if each}, said

    def _check_time(self) -> None:
        now = self._clock().astimezone(NEW_YORK)
        if _CLOSED_FOR_OPENING <= now.time() < _OPEN_FOR_OPENING:
            until = datetime.combine(now.date(), _OPEN_FOR_OPENING, NEW_YORK)
            raise TooEarly(
                f"{VENUE} takes orders for the next opening auction from 19:00 to 9:28 New York "
                f"time, and it is {now:%H:%M}; nothing was sent",
                until,
            )

    def _allowed(self, order: Order, opening: bool) -> tuple[float, str]:
        """Units, and why they are not those asked for."""
        held, quantity, why = self._position(order.symbol), order.quantity, []
        if held * order.signed < 0 and quantity > abs(held):
            quantity = abs(held)
            why.append("no order may go through zero: the position is closed first")
        if opening or (order.side == "sell" and held <= 0):
            whole = float(math.trunc(quantity * (1 + 1e-12)))
            if whole < quantity:
                why.append("whole shares only, in the opening auction and for shorts")
            quantity = whole
        else:
            quantity = math.trunc(quantity * 1e9 * (1 + 1e-15)) / 1e9
        said = f"{quantity:g} of {order.quantity:g}: {'; '.join(why)}" if why else ""
        if quantity == 0:
            raise Rejected(f"{order.symbol}: {said or 'too little'}; nothing was sent")
        return quantity, said

    def _position(self, symbol: str) -> float:
        now = self._patience.clock()
        if self._held is None or now - self._held[0] > _OLD:
            self._held = now, self.positions()
        return self._held[1].get(symbol, 0.0)

    def _by_client_id(self, client_order_id: str) -> Record:
        fields = {"client_order_id": client_order_id}
        return self._api.record("/orders:by_client_order_id", fields)

    def _chain(self, raw: Record) -> list[Record]:
        """An order and those that took its place, one after the other."""
        chain = [raw]
        while (following := chain[-1].get("replaced_by")) and len(chain) < _CHAIN:
            chain.append(self._api.record(f"/orders/{following}"))
        return chain

    def _state(self, raw: Record, said: str = "") -> OrderState:
        chain = self._chain(raw)
        return _described(chain[-1], _text(raw, "client_order_id"), chain, said)

    def _origin(self, order_id: str, raw: Record | None = None) -> str:
        """The client order id of the order that this one is, or has taken the place of."""
        if order_id not in self._names:
            first = raw or self._api.record(f"/orders/{order_id}")
            for _ in range(_CHAIN):
                if not (before := first.get("replaces")):
                    break
                first = self._api.record(f"/orders/{before}")
            self._names[order_id] = _text(first, "client_order_id")
        return self._names[order_id]

    def _execution(self, raw: Record) -> Execution:
        side = {"buy": 1, "sell": -1, "sell_short": -1}.get(str(raw.get("side")))
        at = pd.to_datetime(raw.get("transaction_time"), errors="coerce", utc=True)
        if side is None or pd.isna(at):
            raise _unknown(raw)
        return Execution(
            execution_id=raw["id"],
            client_order_id=self._origin(_text(raw, "order_id")),
            symbol=_text(raw, "symbol"),
            filled_at=at.to_pydatetime(),
            quantity=side * _number(raw, "qty"),
            price=_number(raw, "price"),
            fee=0.0,  # US shares are free of commission there
        )


def _described(newest: Record, client_order_id: str, chain: list[Record], said: str) -> OrderState:
    """The state of an order; one that somebody replaced lives on in what took its place."""
    filled = sum(_number(each, "filled_qty") for each in chain)
    status = _STATUS.get(str(newest.get("status")))
    if status is None:
        raise _unknown(newest)
    if status == "new" and filled:
        status = "partially_filled"
    if len(chain) > 1 or newest.get("replaces"):
        said = f"{VENUE} was told to replace it by {_number(newest, 'qty'):g}: {status}"
        status = "replaced" if status in ("new", "partially_filled") else status
    return OrderState(
        client_order_id=client_order_id, status=status, filled_quantity=filled, reason=said
    )


def _tick(price: float) -> str:
    """Prices from a dollar on have cents, others hundredths of one."""
    return f"{price:.2f}" if price >= 1 else f"{price:.4f}"
