"""Binance spot on this machine: the public market data of its REST API, version 3.

Formats, limits, weights and error codes are those of Binance's documentation
(https://developers.binance.com/docs/binance-spot-api-docs/rest-api). Bars of any symbol and
interval are a smooth function of time, so they are the same whenever they are asked for; the
candle that is still open is in the answer and moves, as at the real venue.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline_tests.fakes.venue import Answer, Request, Rows, TestClock, Venue

MINUTE = 60_000  # milliseconds, as all times here
INTERVALS = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": 60 * MINUTE,
    "2h": 120 * MINUTE,
    "4h": 240 * MINUTE,
    "6h": 360 * MINUTE,
    "8h": 480 * MINUTE,
    "12h": 720 * MINUTE,
    "1d": 1440 * MINUTE,
}
WEIGHTS = {"ping": 1, "time": 1, "klines": 2, "exchangeInfo": 20}
DEFAULT_LIMIT, MAX_LIMIT = 500, 1000


def ms(stamp: pd.Timestamp | str) -> int:
    """An instant, UTC unless it says otherwise, in milliseconds since 1970."""
    instant = pd.Timestamp(stamp)
    instant = instant.tz_localize("UTC") if instant.tz is None else instant
    return int(instant.timestamp() * 1000)


@dataclass(frozen=True)
class Pair:
    """One listed pair; `until` is where its last trade was, `halts` are spans without bars."""

    base: str
    quote: str = "USDT"
    since: str = "2020-01-01"
    until: str | None = None
    status: str = "TRADING"
    halts: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        return self.base + self.quote

    @property
    def name(self) -> str:
        """As ccxt spells it."""
        return f"{self.base}/{self.quote}"


PAIRS = (
    Pair("BTC"),
    Pair("ETH", since="2020-03-02"),
    Pair("ADA", since="2021-02-14 07:00", halts=(("2021-04-25 04:00", "2021-04-25 09:00"),)),
    Pair("LUNA", since="2020-08-21", until="2021-05-13 01:00", status="BREAK"),
    Pair("NEW", since="2021-06-01 06:00", until="2021-06-01 06:00", status="BREAK"),  # no bar yet
)


class FakeBinance(Venue):
    """A loopback Binance.

    Args:
        now: the instant it is at the venue; settable, nothing moves by itself.
        pairs: what it lists.
        bars: canonical bars that it tells instead of its own, for any interval asked.
        page_limit: rows of a page at most; less than the real 1000 makes pages of few bars.
        weight_limit: request weight it allows in one window; more is answered with 429.
        window: seconds (of real time) of such a window.
    """

    def __init__(
        self,
        now: str = "2021-06-15 10:20:30",
        pairs: tuple[Pair, ...] = PAIRS,
        bars: pd.DataFrame | None = None,
        page_limit: int = MAX_LIMIT,
        weight_limit: int = 6000,
        window: float = 60.0,
    ) -> None:
        super().__init__()
        self.now = now
        self.given = None if bars is None else _by_stamp(bars)
        self.pairs = {pair.id: pair for pair in pairs}
        self.weight_limit, self.window, self.page_limit = weight_limit, window, page_limit
        self.weights: list[tuple[float, int]] = []  # (when, used so far in its window)
        self.withheld: dict[str, list[tuple[str, str]]] = {}  # by pair, spans told nothing of
        self.edit: Callable[[Rows], Rows] | None = None  # what an answer's klines become
        self._begun, self._used, self._revision = 0.0, 0, 0

    # What Venue wants to know

    def answer(self, request: Request, *, half: bool = False) -> Answer:
        name = request.path.removeprefix("/api/v3/")
        if name not in WEIGHTS:
            return Answer(b"<html><body><h2>404 Not found</h2></body></html>", 404)
        used = self._weigh(WEIGHTS[name])
        headers = {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}
        if used > self.weight_limit:
            return self._too_much(headers)
        payload = getattr(self, f"_{name}")(request.query, half)
        return payload if isinstance(payload, Answer) else Answer(payload, 200, headers)

    def is_page(self, request: Request) -> bool:
        return request.path == "/api/v3/klines"

    def with_rows(self, payload: Any, change: Callable[[Rows], Rows]) -> Any:
        return change(payload)

    def change_history(self) -> None:
        """Every fifth bar of the past gets another close and volume."""
        self._revision += 1

    # Endpoints

    def _ping(self, query: dict[str, str], half: bool) -> Any:
        return {}

    def _time(self, query: dict[str, str], half: bool) -> Any:
        return {"serverTime": ms(self.now)}

    def _exchangeInfo(self, query: dict[str, str], half: bool) -> Any:  # noqa: N802
        limits = [
            ("REQUEST_WEIGHT", "MINUTE", 1, self.weight_limit),
            ("ORDERS", "SECOND", 10, 100),
            ("ORDERS", "DAY", 1, 200000),
            ("RAW_REQUESTS", "MINUTE", 5, 61000),
        ]
        keys = ("rateLimitType", "interval", "intervalNum", "limit")
        return {
            "timezone": "UTC",
            "serverTime": ms(self.now),
            "rateLimits": [dict(zip(keys, limit, strict=True)) for limit in limits],
            "exchangeFilters": [],
            "symbols": [_listing(pair) for pair in self.pairs.values()],
        }

    def _klines(self, query: dict[str, str], half: bool) -> Any:
        for name in ("symbol", "interval"):
            if not query.get(name):
                return _error(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null")
        if query["symbol"] not in self.pairs:
            return _error(-1121, "Invalid symbol.")
        if query["interval"] not in INTERVALS:
            return _error(-1120, "Invalid interval.")
        limit = min(int(query.get("limit", DEFAULT_LIMIT)), self.page_limit)
        pair, step = self.pairs[query["symbol"]], INTERVALS[query["interval"]]
        opens = self._opens(pair, step, query)
        # With a start the first ones, else the last ones.
        opens = opens[:limit] if "startTime" in query else opens[-limit:]
        opens = opens[: max(1, len(opens) // 2)] if half else opens
        rows = [self._kline(pair, int(at), step) for at in opens]
        return self.edit(rows) if self.edit else rows

    # Bars

    def _opens(self, pair: Pair, step: int, query: dict[str, str]) -> np.ndarray:
        """Opening times of the bars asked for, ends inclusive, before `limit`."""
        if pair.until == pair.since:
            return np.arange(0)
        first = max(ms(pair.since), int(query.get("startTime", 0)))
        last = min(ms(pair.until or self.now) - 1, int(query.get("endTime", ms(self.now))))
        # The bar in which the first trade fell opened before it.
        begins = -(-first // step) if first > ms(pair.since) else first // step
        opens = np.arange(begins * step, last + 1, step)
        for start, end in (*pair.halts, *self.withheld.get(pair.name, ())):
            opens = opens[(opens < ms(start)) | (opens + step > ms(end))]
        if self.given is None:
            return opens
        return opens[[int(at) in self.given.get(pair.name, {}) for at in opens]]

    def _kline(self, pair: Pair, at: int, step: int) -> list[Any]:
        if self.given is not None:
            *numbers, trades = self.given[pair.name][at]
            return _row(at, step, tuple(numbers), trades)
        share = min(1.0, (ms(self.now) - at) / step)  # of the bar that is over
        opened, close = self._price(pair, at), self._price(pair, at + step * share)
        width = 0.01 * abs(np.sin(at / step))
        high, low = max(opened, close) * (1 + width), min(opened, close) * (1 - width)
        volume = share * step / MINUTE * (3 + np.sin(at / 7 / step))
        if self._revision and share == 1 and at // step % 5 == 0:
            close, volume = (opened + close) / 2, volume * (1 + self._revision / 10)
        quote = volume * (opened + close + high + low) / 4
        return _row(at, step, (opened, high, low, close, volume, quote), int(volume * 10) + 1)

    def _price(self, pair: Pair, at: float) -> float:
        """A price at an instant: waves of a quarter to three hours, days and a year."""
        seed = zlib.crc32(pair.id.encode())
        waves = [(0.002, 0.31), (0.004, 2.7), (0.02, 61.0), (0.08, 700.0), (0.4, 8800.0)]  # hours
        phase = at / 3_600_000
        log = sum(size * np.sin(2 * np.pi * phase / hours + seed) for size, hours in waves)
        return float((1 + seed % 1000) * np.exp(log))

    # Limits

    def _weigh(self, weight: int) -> int:
        now = time.monotonic()
        if now - self._begun >= self.window:
            self._begun, self._used = now, 0
        self._used += weight
        self.weights.append((now, self._used))
        return self._used

    def _too_much(self, headers: dict[str, str]) -> Answer:
        wait = self._begun + self.window - time.monotonic()
        payload = {
            "code": -1003,
            "msg": f"Too much request weight used; current limit is {self.weight_limit} request "
            "weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling "
            "the API.",
        }
        return Answer(payload, 429, headers | {"Retry-After": str(max(1, round(wait)))})


def _by_stamp(bars: pd.DataFrame) -> dict[str, dict[int, tuple[Any, ...]]]:
    """Bars by symbol and opening time: open, high, low, close, volume, quote volume, trades."""
    full = {"vwap": bars["close"], "trade_count": 1} | dict(bars.items())
    table = pd.DataFrame(full, index=bars.index)
    table["quote"] = table["volume"] * table["vwap"]
    names = ["open", "high", "low", "close", "volume", "quote", "trade_count"]
    at = table["timestamp"].dt.as_unit("ms").astype("int64")
    return {
        str(symbol): dict(zip(at[rows.index], rows[names].itertuples(index=False), strict=True))
        for symbol, rows in table.groupby("symbol")
    }


def _row(at: int, step: int, numbers: tuple[float, ...], trades: int) -> list[Any]:
    """One kline: 12 fields, prices and volumes as decimal texts."""
    opened, high, low, close, volume, quote = (f"{number:.8f}" for number in numbers)
    taker = [f"{0.4 * number:.8f}" for number in numbers[-2:]]
    return [at, opened, high, low, close, volume, at + step - 1, quote, trades, *taker, "0"]


def _error(code: int, text: str) -> Answer:
    return Answer({"code": code, "msg": text}, 400)


def _listing(pair: Pair) -> dict[str, Any]:
    """One entry of exchangeInfo's symbols."""
    precisions = ("baseAssetPrecision", "quotePrecision", "quoteAssetPrecision")
    commissions = ("baseCommissionPrecision", "quoteCommissionPrecision")
    flags = {
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
    }
    modes = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"]
    return {
        "symbol": pair.id,
        "status": pair.status,
        "baseAsset": pair.base,
        "quoteAsset": pair.quote,
        **dict.fromkeys((*precisions, *commissions), 8),
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        **flags,
        "filters": _FILTERS,
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": modes,
    }


_FILTERS = [
    {
        "filterType": "PRICE_FILTER",
        "minPrice": "0.01000000",
        "maxPrice": "1000000.00000000",
        "tickSize": "0.01000000",
    },
    {
        "filterType": "LOT_SIZE",
        "minQty": "0.00001000",
        "maxQty": "9000.00000000",
        "stepSize": "0.00001000",
    },
    {"filterType": "ICEBERG_PARTS", "limit": 10},
    {
        "filterType": "MARKET_LOT_SIZE",
        "minQty": "0.00000000",
        "maxQty": "100.00000000",
        "stepSize": "0.00000000",
    },
    {
        "filterType": "NOTIONAL",
        "minNotional": "5.00000000",
        "applyMinToMarket": True,
        "maxNotional": "9000000.00000000",
        "applyMaxToMarket": False,
        "avgPriceMins": 5,
    },
    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
]


def source_of(
    venue: Venue, timeframe: str = "1d", clock: TestClock | None = None, **options: Any
) -> CcxtSource:
    """The real source of a loopback venue; its pauses pass at once, a time-out takes 0.2 s."""
    clock = clock or TestClock()
    patience = Patience(sleep=clock.sleep, clock=clock.time, random=lambda: 1.0, timeout=0.2)
    return CcxtSource("binance", timeframe, venue.url, patience=patience, **options)
