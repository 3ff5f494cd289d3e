"""Alpaca's paper account on this machine: orders, activities and positions in its own format.

Written from the public API reference, as of the messages that its trading API really sends. What
tests may change are `books` and `shortable`.
"""

import json
import uuid
from datetime import datetime, time
from functools import cache
from typing import Any

import pandas as pd

from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.alpaca import ACCOUNT, FakeAlpaca, _may_enter
from trading_pipeline_tests.fakes.books import Booked, Books, Trade
from trading_pipeline_tests.fakes.venue import Answer, Request

_STATUS = {"new": "accepted"}
_OPENING_CLOSED, _OPENING_OPEN = time(9, 28), time(19, 0)
PRICES = {"AAPL": 200.0, "MSFT": 400.0, "BRK.B": 450.0}


class FakeAlpacaBroker(FakeAlpaca):
    """One paper account; its books are kept here, and orders rest until a test fills them."""

    def __init__(self, now: datetime, cash: float = 100_000.0) -> None:
        super().__init__(now)
        self.books = Books(cash, dict(PRICES))
        self.books.now = self.now.tz_convert("UTC")
        self.page = 100

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        if not _may_enter(request):
            return super().answer(request)
        with self.books.lock:
            return self._trading(request) or super().answer(request)

    def _trading(self, request: Request) -> Answer | None:
        path, query = request.path.removeprefix("/v2"), request.query
        match request.method, path:
            case "POST", "/orders":
                return self._new_order(json.loads(request.body))
            case "GET", "/orders":
                return self._orders(query)
            case "GET", "/orders:by_client_order_id":
                return self._found(self.books.named(query["client_order_id"]))
            case "GET", "/positions":
                return Answer([self._position(*each) for each in self.books.positions.items()])
            case "GET", "/account":
                return Answer(ACCOUNT | {"cash": str(self.books.cash)})
            case "GET", "/account/activities/FILL":
                return self._activities(query)
        if path.startswith("/orders/"):
            order = self._by_id(path.rpartition("/")[2])
            return self._cancel(order) if request.method == "DELETE" else self._found(order)
        return None

    def _new_order(self, body: dict[str, Any]) -> Answer:
        quantity, side = float(body["qty"]), 1 if body["side"] == "buy" else -1
        held = self.books.positions.get(body["symbol"], 0.0)
        if complaint := self._complaint_about(body, quantity, side, held):
            status, code, message = complaint
            return Answer({"code": code, "message": message}, status)
        kept = {"time_in_force": body["time_in_force"]}
        price = body.get("limit_price") or body.get("stop_price")
        order = Booked(body["client_order_id"], body["symbol"], side, quantity, body["type"])
        order.extra, order.price = kept, float(price) if price else None
        return Answer(_written(self.books.accept(order)))

    def _complaint_about(
        self, body: dict[str, Any], quantity: float, side: int, held: float
    ) -> tuple[int, int, str] | None:
        local = self.now.tz_convert(stocks.NEW_YORK).time()
        if not isinstance(body["qty"], str) or quantity <= 0:
            return 422, 40010001, "qty must be > 0"
        if len(body["client_order_id"]) > 128:
            return 422, 40010001, "client_order_id must be no more than 128 characters"
        if self.books.named(body["client_order_id"]):
            return 422, 40010001, "client_order_id must be unique"
        if body["symbol"] not in self.books.prices:
            return 422, 42210000, f'asset "{body["symbol"]}" not found'
        if body["time_in_force"] == "opg" and _OPENING_CLOSED <= local < _OPENING_OPEN:
            return 422, 42210000, "opg orders are accepted after 7:00pm and before 9:28am ET"
        if quantity != int(quantity) and body["time_in_force"] != "day":
            return 422, 42210000, "fractional orders must be DAY orders"
        if held > 0 > side * quantity + held or held < 0 < side * quantity + held:
            text = f"insufficient qty available for order (requested: {quantity:g}, available: "
            return 403, 40310000, f"{text}{abs(held):g})"
        if side < 0 and held <= 0 and quantity != int(quantity):
            return 422, 42210000, "fractional orders cannot be sold short"
        if side > 0 and quantity * self.books.prices[body["symbol"]] > 2 * self.books.cash:
            return 403, 40310000, "insufficient buying power"
        return None

    def _orders(self, query: dict[str, str]) -> Answer:
        chosen = [each for each in self.books.orders.values() if each.is_open]
        if after := query.get("after"):
            chosen = [each for each in chosen if f"{each.at:%Y-%m-%dT%H:%M:%S.%f}" > after[:26]]
        return Answer([_written(each) for each in chosen[: int(query["limit"])]])

    def _by_id(self, text: str) -> Booked | None:
        return next((each for each in self.books.orders.values() if _id(each.number) == text), None)

    def _found(self, order: Booked | None) -> Answer:
        if order is None:
            return Answer({"code": 40410000, "message": "order not found"}, 404)
        return Answer(_written(order))

    def _cancel(self, order: Booked | None) -> Answer:
        if order is None:
            return self._found(order)
        if not order.is_open:
            said = f'order is already in "{order.status}" state'
            return Answer({"code": 42210000, "message": said}, 422)
        self.books.end(order, "canceled")
        return Answer(b"", 204)

    def _activities(self, query: dict[str, str]) -> Answer:
        token = query.get("page_token", "")
        rows = [each for each in self.books.trades if _activity_id(each.number, each.at) > token]
        return Answer([_activity(each) for each in rows[: min(int(query["page_size"]), self.page)]])

    def _position(self, symbol: str, quantity: float) -> dict[str, Any]:
        return {
            "asset_id": str(uuid.uuid5(uuid.NAMESPACE_URL, symbol)),
            "symbol": symbol,
            "asset_class": "us_equity",
            "qty": f"{quantity:.9f}",
            "side": "long" if quantity > 0 else "short",
            "current_price": str(self.books.prices[symbol]),
        }


@cache
def _id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"order {number}"))


def _written(order: Booked) -> dict[str, Any]:
    """An order as the trading API writes it."""
    stamp = f"{order.at:%Y-%m-%dT%H:%M:%S.%fZ}"
    partners = {"replaced_by": order.replaced_by, "replaces": order.replaces}
    return {
        "id": _id(order.number),
        "client_order_id": order.client_id,
        "created_at": stamp,
        "submitted_at": stamp,
        "symbol": order.symbol,
        "asset_class": "us_equity",
        "qty": f"{order.quantity:.9f}",
        "filled_qty": f"{order.filled:.9f}",
        "order_type": order.kind,
        "type": order.kind,
        "side": "buy" if order.side > 0 else "sell",
        "status": _STATUS.get(order.status, order.status),
        "legs": None,
        **{name: each and _id(each) for name, each in partners.items()},
        **order.extra,
    }


@cache
def _activity_id(number: int, at: pd.Timestamp) -> str:
    return f"{at:%Y%m%d%H%M%S%f}::{uuid.uuid5(uuid.NAMESPACE_URL, str(number))}"


def _activity(trade: Trade) -> dict[str, Any]:
    order, short = trade.order, trade.order.extra.get("short")
    return {
        "id": _activity_id(trade.number, trade.at),
        "activity_type": "FILL",
        "transaction_time": f"{trade.at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "type": "fill" if order.status == "filled" else "partial_fill",
        "price": repr(trade.price),
        "qty": f"{trade.quantity:.9f}",
        "side": "buy" if order.side > 0 else "sell_short" if short else "sell",
        "symbol": order.symbol,
        "leaves_qty": f"{order.quantity - order.filled:.9f}",
        "cum_qty": f"{order.filled:.9f}",
        "order_id": _id(order.number),
        "order_status": order.status,
    }
