"""Binance's spot testnet: a broker whose market orders are filled at once.

A client order id of ours is longer than the venue's 36 characters, so it is written shorter there:
the instant in base 36, and of the symbol the base alone, for all of an account share the quote.
"""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import isclose
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import SecretStr

from trading_pipeline.adapters.brokers.answers import ask_after, number_of, text_of, unknown
from trading_pipeline.adapters.brokers.binance_account import BinanceAccount, NoSuchOrder
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.trading.broker import Execution, Order, OrderState, Status
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline.errors import OutcomeUnknown, Rejected, SettingsError

_LOG = logging.getLogger(__name__)
VENUE = "binance"
_OURS = re.compile(r"([A-Za-z0-9_.-]+)/(\d{8}T\d{6})/(([A-Za-z0-9]+)/\w+)/(\d)")
_THERE = re.compile(r"([A-Za-z0-9_.-]+):([0-9A-Z]{5,7}):([A-Za-z0-9]+):(\d)")
_LONGEST, _PAGE = 36, 1000
# Trades of the last moment wait: of another symbol there may be earlier ones that are not told yet.
_SETTLED = 1000  # ms
_STATUS: dict[str, Status] = {
    **dict.fromkeys(("NEW", "PENDING_NEW", "PENDING_CANCEL"), "new"),
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "canceled",
    "REJECTED": "rejected",
    **dict.fromkeys(("EXPIRED", "EXPIRED_IN_MATCH"), "expired"),
}
_number, _text = partial(number_of, VENUE), partial(text_of, VENUE)
_unknown = partial(unknown, VENUE)


class _Cursor(NamedTuple):
    """Where in the account's history a trade is."""

    at: int  # ms since 1970
    symbol: str  # as the venue writes it
    trade: int

    @classmethod
    def of(cls, text: str) -> "_Cursor":
        at, symbol, trade = text.split(":")
        return cls(int(at), symbol, int(trade))


class CcxtBroker:
    """A `Broker` for symbols of one quote currency, spelled as ccxt does."""

    def __init__(
        self,
        key: SecretStr | None,
        secret: SecretStr | None,
        symbols: Sequence[str],
        *,
        clock: Callable[[], datetime],
        url: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`url`: in place of the testnet's; nothing is asked yet.

        Raises:
            SettingsError: several quote currencies, or an address where real money is traded.
            CredentialsError: a key is missing.
        """
        quotes = {symbol.partition("/")[2] for symbol in symbols}
        if len(quotes) != 1 or "" in quotes:
            raise SettingsError(f"an account needs symbols of one quote currency, not {quotes}")
        self._symbols, self._quote = tuple(symbols), quotes.pop()
        self._api = BinanceAccount(key, secret, url, patience or Patience(), clock)
        self._names: dict[tuple[str, int], str] = {}  # (symbol, the venue's order id) -> ours

    def submit(self, order: Order) -> OrderState:
        """See `Broker.submit`. An id may come twice at this venue, so it is asked for first."""
        known = self.order(order.client_order_id)
        if known is not None:
            return known
        body, said = self._request(order)
        try:
            raw = self._api.change("POST", "order", body)
        except OutcomeUnknown as error:
            return ask_after(self, order.client_order_id, error)
        return self._state(raw, said)

    def order(self, client_order_id: str) -> OrderState | None:
        """See `Broker.order`."""
        try:
            return self._state(self._api.ask("order", self._key(client_order_id)))
        except NoSuchOrder:
            return None

    def cancel(self, client_order_id: str) -> OrderState:
        """See `Broker.cancel`."""
        key = self._key(client_order_id)
        # Under its own name: otherwise a cancel gives the order a new one. One that is over has a
        # state that says how.
        with suppress(NoSuchOrder):
            self._api.change(
                "DELETE", "order", key | {"newClientOrderId": venue_id(client_order_id)}
            )
        state = self.order(client_order_id)
        if state is None:
            raise Rejected(f"binance has no order {client_order_id}")
        return state

    def open_orders(self) -> list[OrderState]:
        """See `Broker.open_orders`."""
        return [self._state(each) for each in self._rows("openOrders", {})]

    def executions(self, after: str | None) -> list[Execution]:
        """See `Broker.executions`: the trades of every symbol, up to the last second."""
        until = self._api.instant() - _SETTLED
        since = None if after is None else _Cursor.of(after)
        found: list[tuple[_Cursor, Execution]] = []
        for symbol in self._symbols:
            for raw in self._trades(self._market(symbol)["id"], since):
                at = _Cursor(
                    int(_number(raw, "time")), _text(raw, "symbol"), int(_number(raw, "id"))
                )
                if at.at < until and (since is None or at > since):
                    found.append((at, self._execution(symbol, at, raw)))
        return [each for _, each in sorted(found, key=lambda pair: pair[0])]

    def positions(self) -> dict[str, float]:
        """See `Broker.positions`: of the symbols that it was opened with."""
        held = self._balances()
        amounts = {symbol: held.get(symbol.partition("/")[0], 0.0) for symbol in self._symbols}
        return {symbol: amount for symbol, amount in amounts.items() if amount}

    def cash(self) -> float:
        """See `Broker.cash`."""
        return self._balances().get(self._quote, 0.0)

    def _market(self, symbol: str) -> dict[str, Any]:
        markets = self._api.markets()
        if symbol not in markets:
            raise Rejected(f"binance does not trade {symbol}")
        market: dict[str, Any] = markets[symbol]
        return market

    def _key(self, client_order_id: str) -> dict[str, Any]:
        """How the venue is asked for an order of ours."""
        symbol = _parts(client_order_id)[2]
        return {
            "symbol": self._market(symbol)["id"],
            "origClientOrderId": venue_id(client_order_id),
        }

    def _request(self, order: Order) -> tuple[dict[str, Any], str]:
        """The order as the venue takes it, and what is not as it was asked for."""
        market = self._market(order.symbol)
        quantity = _floor(order.quantity * (1 + 1e-12), market["precision"]["amount"])
        said = ""
        if not isclose(float(quantity), order.quantity, rel_tol=1e-12):
            said = f"{quantity:f} of {order.quantity:g}: whole lots only"
        if quantity == 0:
            raise Rejected(f"{order.symbol}: {said}; nothing was sent")
        body = {
            "symbol": market["id"],
            "side": order.side.upper(),
            "type": {"market": "MARKET", "limit": "LIMIT", "stop": "STOP_LOSS"}[order.type],
            "quantity": f"{quantity:f}",
            "newClientOrderId": venue_id(order.client_order_id),
            "newOrderRespType": "RESULT",
        }
        tick = market["precision"]["price"]
        if order.limit_price:
            body |= {"price": f"{_floor(order.limit_price, tick):f}", "timeInForce": "GTC"}
        if order.stop_price:
            body |= {"stopPrice": f"{_floor(order.stop_price, tick):f}"}
        return body, said

    def _state(self, raw: Any, said: str = "") -> OrderState:
        status = _STATUS.get(str(raw.get("status"))) if isinstance(raw, dict) else None
        if status is None:
            raise _unknown(raw)
        name = self._named(raw)
        self._names[_text(raw, "symbol"), int(_number(raw, "orderId"))] = name
        return OrderState(
            client_order_id=name,
            status=status,
            filled_quantity=_number(raw, "executedQty"),
            reason=said or (f"binance says {raw['status']}" if status == "expired" else ""),
        )

    def _named(self, raw: dict[str, Any]) -> str:
        """Our id of an order; the venue's where it is none of ours."""
        name = str(raw.get("clientOrderId"))
        if (match := _THERE.fullmatch(name)) is None:
            return name
        session, instant, base, sequence = match.groups()
        at = pd.Timestamp(int(instant, 36), unit="s", tz="UTC")
        return order_id(session, at, f"{base}/{self._quote}", int(sequence))

    def _rows(self, path: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
        rows = self._api.ask(path, fields)
        if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
            raise _unknown(rows)
        return rows

    def _trades(self, market: str, since: _Cursor | None) -> list[dict[str, Any]]:
        """All trades of a symbol from an instant on, page by page."""
        begin = {"fromId": 0} if since is None else {"startTime": since.at}
        found: dict[int, dict[str, Any]] = {}
        while True:
            rows = self._rows("myTrades", {"symbol": market, "limit": _PAGE} | begin)
            news = {int(_number(row, "id")): row for row in rows}
            if len(rows) < _PAGE or not news.keys() - found.keys():
                return list((found | news).values())
            found |= news
            begin = {"fromId": max(news) + 1}

    def _execution(self, symbol: str, at: _Cursor, raw: dict[str, Any]) -> Execution:
        """A trade; what the venue keeps of the coins for itself was never held."""
        quantity, price = _number(raw, "qty"), _number(raw, "price")
        fee, asset = _number(raw, "commission"), raw.get("commissionAsset")
        signed = quantity if raw.get("isBuyer") else -quantity
        if fee and asset == symbol.partition("/")[0]:
            signed, fee = signed - fee, fee * price
        elif fee and asset != self._quote:
            _LOG.warning("binance took %g %s for a trade of %s: not of this account's cash", fee,
                         asset, symbol)  # fmt: skip
            fee = 0.0
        return Execution(
            execution_id=f"{at.at}:{at.symbol}:{at.trade}",
            client_order_id=self._name_of(at.symbol, int(_number(raw, "orderId"))),
            symbol=symbol,
            filled_at=datetime.fromtimestamp(at.at / 1000, UTC),
            quantity=signed,
            price=price,
            fee=fee,
        )

    def _name_of(self, market: str, order: int) -> str:
        if (market, order) not in self._names:
            self._state(self._api.ask("order", {"symbol": market, "orderId": order}))
        return self._names[market, order]

    def _balances(self) -> dict[str, float]:
        answer = self._api.ask("account", {"omitZeroBalances": "true"})
        rows = answer.get("balances") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise _unknown(answer)
        return {_text(row, "asset"): _number(row, "free") + _number(row, "locked") for row in rows}


def venue_id(client_order_id: str) -> str:
    """As the venue knows an order of ours: session:instant:base:sequence.

    Raises:
        Rejected: it is longer than the venue takes, or has other letters.
    """
    session, instant, _, base, sequence = _parts(client_order_id)
    at = int(pd.Timestamp(instant, tz="UTC").timestamp())
    name = f"{session}:{np.base_repr(at, 36)}:{base}:{sequence}"
    if len(name) > _LONGEST:
        raise Rejected(
            f"{name} is longer than the {_LONGEST} characters that binance takes; give a shorter "
            "--session"
        )
    return name


def _parts(client_order_id: str) -> tuple[str, ...]:
    """Session, instant, symbol, base and sequence of an order of ours."""
    match = _OURS.fullmatch(client_order_id)
    if match is None:
        raise Rejected(
            f"{client_order_id!r} cannot be written as binance wants it: the name of a session is "
            "made of letters, digits, '_', '-' and '.'"
        )
    return match.groups()


def _floor(value: float, step: float) -> Decimal:
    """The largest multiple of `step` up to `value`."""
    size = Decimal(repr(step))
    return Decimal(repr(value)) // size * size
