"""Binance's spot testnet on this machine: signed orders, trades and balances in its own format.

Error codes are those of https://developers.binance.com/docs/binance-spot-api-docs/errors. Unlike
there, a market order may rest until a test fills it (`books.holding`).
"""

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pandas as pd

from trading_pipeline_tests.fakes.binance import FakeBinance, ms
from trading_pipeline_tests.fakes.books import Booked, Books, Trade
from trading_pipeline_tests.fakes.venue import Answer, Request

KEY, SECRET = "testnetkeytestnetkey", "testnetsecrettestnetsecret"
PRICES = {"BTC/USDT": 40_000.0, "ETH/USDT": 2_500.0}
STATUSES = {"partially_filled": "PARTIALLY_FILLED"}
SIGNED = ("order", "openOrders", "myTrades", "account")
_LEEWAY = 60_000  # ms that a request may be old or ahead; the real venue's is 10 s and 1 s


class FakeBinanceBroker(FakeBinance):
    """One test account; `commission` is what it takes of a trade, in coins of base or quote."""

    def __init__(self, cash: float = 100_000.0, page: int = 1000, **listed: Any) -> None:
        """`listed`: as of `FakeBinance`."""
        self.books = Books(cash, dict(PRICES))
        super().__init__(**listed)
        self.books.now = pd.Timestamp(self.now, tz="UTC")
        self.commission, self.in_base, self.page, self.skew = 0.0, False, page, 0
        self.spare: dict[str, float] = {}  # coins that were there before

    @property
    def now(self) -> str:
        return self.books.now.tz_localize(None).isoformat()

    @now.setter
    def now(self, value: str | pd.Timestamp) -> None:
        self.books.now = pd.to_datetime(value, utc=True)

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        name = request.path.removeprefix("/api/v3/")
        if name == "time":
            return Answer({"serverTime": ms(self.now) + self.skew})
        if name not in SIGNED:
            return super().answer(request, half=half)
        sent = dict(parse_qsl(request.body.decode())) if request.body else dict(request.query)
        with self.books.lock:
            return self._unsigned(request, sent) or self._account(request.method, name, sent)

    def _unsigned(self, request: Request, sent: dict[str, str]) -> Answer | None:
        if {key.lower(): each for key, each in request.headers.items()}.get("x-mbx-apikey") != KEY:
            return _error(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        query = urlencode({key: each for key, each in sent.items() if key != "signature"})
        mac = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        if mac != sent.get("signature"):
            return _error(-1022, "Signature for this request is not valid.")
        if abs(int(sent["timestamp"]) - ms(self.now) - self.skew) > _LEEWAY:
            return _error(-1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    def _account(self, method: str, name: str, sent: dict[str, str]) -> Answer:
        match method, name:
            case "POST", "order":
                return self._new_order(sent)
            case "DELETE", "order":
                order = self._find(sent)
                if order is None or not order.is_open:
                    return _error(-2011, "Unknown order sent.")
                self.books.end(order, "canceled")
                order.client_id = sent.get("newClientOrderId", "a-name-of-its-own")
                return Answer(_written(order))
            case "GET", "order":
                order = self._find(sent)
                return Answer(_written(order)) if order else _error(-2013, "Order does not exist.")
            case "GET", "openOrders":
                rows = [each for each in self.books.orders.values() if each.is_open]
                return Answer([_written(each) for each in rows])
            case "GET", "myTrades":
                return Answer(self._trades(sent))
        return Answer({"accountType": "SPOT", "canTrade": True, "balances": self._balances()})

    def _new_order(self, sent: dict[str, str]) -> Answer:
        symbol = _spelled(sent["symbol"])
        quantity, side = float(sent["quantity"]), 1 if sent["side"] == "BUY" else -1
        price = self.books.prices.get(symbol)
        if price is None:
            return _error(-1121, "Invalid symbol.")
        if len(sent["newClientOrderId"]) > 36:
            return _error(-1100, "Illegal characters found in parameter 'newClientOrderId'")
        if abs(round(quantity * 1e5) - quantity * 1e5) > 1e-6:
            return _error(-1013, "Filter failure: LOT_SIZE")
        if quantity * price < 5:
            return _error(-1013, "Filter failure: NOTIONAL")
        twin = self.books.named(sent["newClientOrderId"])
        if twin and twin.is_open:
            return _error(-2010, "Duplicate order sent.")
        if side < 0 and quantity > self.books.positions.get(symbol, 0.0) + 1e-12:
            return _error(-2010, "Account has insufficient balance for requested action.")
        if side > 0 and quantity * price > self.books.cash:
            return _error(-2010, "Account has insufficient balance for requested action.")
        order = Booked(sent["newClientOrderId"], symbol, side, quantity, sent["type"].lower())
        return Answer(_written(self.books.accept(order)))

    def _find(self, sent: dict[str, str]) -> Booked | None:
        if "orderId" in sent:
            return self.books.orders.get(int(sent["orderId"]))
        found = self.books.named(sent["origClientOrderId"])
        return found if found and found.symbol == _spelled(sent["symbol"]) else None

    def _trades(self, sent: dict[str, str]) -> list[dict[str, Any]]:
        rows = [
            self._trade(each)
            for each in self.books.trades
            if each.order.symbol == _spelled(sent["symbol"])
            and each.number >= int(sent.get("fromId", 0))
            and ms(each.at) >= int(sent.get("startTime", 0))
        ]
        limit = min(int(sent["limit"]), self.page)
        return rows[:limit] if {"fromId", "startTime"} & set(sent) else rows[-limit:]

    def _trade(self, trade: Trade) -> dict[str, Any]:
        order, (base, quote) = trade.order, trade.order.symbol.split("/")
        in_base = self.in_base and order.side > 0
        taken = self.commission * trade.quantity * (1 if in_base else trade.price)
        return {
            "symbol": order.symbol.replace("/", ""),
            "id": trade.number,
            "orderId": order.number,
            "orderListId": -1,
            "price": f"{trade.price:.8f}",
            "qty": f"{trade.quantity:.8f}",
            "quoteQty": f"{trade.quantity * trade.price:.8f}",
            "commission": f"{taken:.8f}",
            "commissionAsset": base if in_base else quote,
            "time": ms(trade.at),
            "isBuyer": order.side > 0,
            "isMaker": False,
            "isBestMatch": True,
        }

    def _balances(self) -> list[dict[str, str]]:
        """Books know of no commission: it is taken off here, as the trades tell it."""
        held = {symbol.split("/")[0]: each for symbol, each in self.books.positions.items()}
        held = {name: held.get(name, 0.0) + self.spare.get(name, 0.0) for name in held | self.spare}
        held["USDT"] = self.books.cash
        for trade in self.books.trades:
            raw = self._trade(trade)
            held[raw["commissionAsset"]] -= float(raw["commission"])
        return [
            {"asset": name, "free": f"{each:.8f}", "locked": "0.00000000"}
            for name, each in held.items()
        ]


def _spelled(market: str) -> str:
    return f"{market.removesuffix('USDT')}/USDT"


def _written(order: Booked) -> dict[str, Any]:
    """An order as the API writes it."""
    return {
        "symbol": order.symbol.replace("/", ""),
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": ms(order.at),
        "price": "0.00000000",
        "origQty": f"{order.quantity:.8f}",
        "executedQty": f"{order.filled:.8f}",
        "cummulativeQuoteQty": "0.00000000",
        "status": STATUSES.get(order.status, order.status.upper()),
        "timeInForce": "GTC",
        "type": order.kind.upper(),
        "side": "BUY" if order.side > 0 else "SELL",
    }


def _error(code: int, text: str, status: int = 400) -> Answer:
    return Answer({"code": code, "msg": text}, status)
