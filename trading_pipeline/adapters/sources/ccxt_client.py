"""One exchange through the unmodified ccxt client: its clock, its spot markets, pages of candles.

Binance and its sisters are asked for raw klines, which carry the number of trades and the quote
volume (so the VWAP) that ccxt's own candles lack.
"""

import math
import threading
from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

from trading_pipeline.adapters.sources.retry import Pace, Patience, PatientSession
from trading_pipeline.core.market.market import TIMEFRAMES
from trading_pipeline.errors import SettingsError, SourceError, SourceUnavailable

T = TypeVar("T")
Row = tuple[float, ...]  # opening time in ms since 1970, then numbers as `CcxtClient.columns` says

CANDLE = ("timestamp", "open", "high", "low", "close", "volume")
KLINE = (*CANDLE, "vwap", "trade_count")
DAY = 86_400_000  # ms
# Of the venue's rate limit: other programs at this address use it too.
_SHARE = 0.8
_PAGE = 300  # rows, of venues of which ccxt does not know the limit
_CLOSED_HERE = (403, 451)
# What ccxt, or we, stumble over in an answer that is JSON and something else than documented.
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError)
_SHOWN = 300  # characters of an error, that may be a page of HTML


class CcxtClient:
    """What a source needs of a venue; threads may share it, and then share its rate limit.

    `exchange` is ccxt's id, `step` the length of a bar in ms, `limit` the rows of a page.
    `skips_gaps`: a page holds the first bars from a time on, however late they come; at other
    venues it covers a stretch of time, and is empty where that has no bars.
    """

    def __init__(self, exchange: str, timeframe: str, url: str | None, patience: Patience) -> None:
        """Nothing is asked yet.

        Raises:
            SettingsError: ccxt has no such exchange, or that has no such candles, or `url` is none.
        """
        if url and not url.startswith(("https://", "http://")):
            raise SettingsError("url must begin with https:// or http://")
        self.exchange, self.url = exchange, url
        self.timeframe = TIMEFRAMES.get(timeframe, timeframe)
        self._lock = threading.RLock()
        self._ccxt = _ccxt_exchange(exchange, self.timeframe)
        if url:
            self._ccxt.urls["api"] = _moved(self._ccxt.urls["api"], url)
        self._patience = patience
        self._pace = Pace(self._ccxt.rateLimit / 1000 / _SHARE, patience)
        # ccxt's own throttle forgets other threads; it still says what each request costs.
        self._ccxt.throttle = self._pace.price
        self._ccxt.session = PatientSession(exchange, self._pace, patience)
        self.step = 1000 * int(self._ccxt.parse_timeframe(self.timeframe))
        self.skips_gaps = exchange.startswith("binance")
        self.columns = KLINE if self.skips_gaps else CANDLE
        spot = (self._ccxt.features or {}).get("spot") or {}
        self.limit = int((spot.get("fetchOHLCV") or {}).get("limit") or _PAGE)

    def clock(self, now: Callable[[], datetime]) -> int:
        """The venue's own time in ms; `now` of those that do not tell it."""
        if not self._ccxt.has["fetchTime"]:
            return int(now().timestamp() * 1000)
        return self._ask("clock", lambda: int(self._ccxt.fetch_time()))

    def markets(self, *, anew: bool = False) -> dict[str, Any]:
        """ccxt's spot markets by symbol; asked for once, or `anew`.

        Raises:
            SourceError: the venue did not answer, or lists none.
        """
        with self._lock:
            markets = self._ask("markets", self._ccxt.load_markets, anew)
        spot = {symbol: market for symbol, market in markets.items() if market.get("spot")}
        if not spot:
            raise SourceError(f"{self.exchange} lists no spot pairs; is its address right?")
        return spot

    def page(
        self, symbol: str, since: int, end: int, *, daily: bool = False, limit: int | None = None
    ) -> list[Row]:
        """The venue's answer to: candles of `symbol` that open in [since, end).

        At most `limit`, or a page of them. `daily`: days, whatever the timeframe.
        """
        timeframe, rows = "1d" if daily else self.timeframe, limit or self.limit
        if not self.skips_gaps:
            return self._rows(symbol, self._ccxt.fetch_ohlcv, symbol, timeframe, since, rows)
        return self._klines(symbol, timeframe, startTime=since, endTime=end - 1, limit=rows)

    def latest(self, symbol: str) -> list[Row]:
        """Its last candles, the open one included."""
        if not self.skips_gaps:
            return self._rows(symbol, self._ccxt.fetch_ohlcv, symbol, self.timeframe)
        return self._klines(symbol, self.timeframe, limit=2)

    def _klines(self, symbol: str, timeframe: str, **query: int) -> list[Row]:
        market = {"symbol": self._ccxt.market(symbol)["id"]}
        interval = {"interval": self._ccxt.timeframes[timeframe]}
        return self._rows(symbol, self._ccxt.public_get_klines, market | interval | query)

    def _rows(self, symbol: str, call: Callable[..., Any], *args: Any) -> list[Row]:
        read = _of_kline if self.skips_gaps else _of_candle
        return self._ask(symbol, lambda: [read(row) for row in call(*args)])

    def _ask(self, what: str, call: Callable[..., T], *args: Any) -> T:
        """The client's answer, or its error in our words, that begin with venue and `what`."""
        import ccxt

        where = f"{self.exchange} {what}"
        try:
            return self._patiently(call, *args)
        except SourceUnavailable as error:
            raise SourceUnavailable(f"{where}: {self._text(error)}") from error
        except ccxt.BaseError as error:
            status = _status_of(error)
            if status in _CLOSED_HERE:
                raise SourceError(
                    f"{where}: refused with HTTP {status}; it is closed to some countries and "
                    "networks. Set another `exchange`, or a mirror of it as `url`"
                ) from error
            raise SourceError(f"{where}: {self._text(error)}") from error
        except _UNREADABLE as error:
            raise SourceError(
                f"{where}: sent something that cannot be read ({error}); if that stays so, its "
                "format has changed: try a newer ccxt"
            ) from error

    def _patiently(self, call: Callable[..., T], *args: Any) -> T:
        """The answer; asked again where 'too busy' came with HTTP 200, as at Kraken."""
        import ccxt

        for attempt in range(self._patience.tries):
            try:
                return call(*args)
            except ccxt.OperationFailed as error:
                if _status_of(error) is not None:
                    raise
                text = f"{self._text(error)} ({attempt + 1} tries)"
            self._pace.hold(self._patience.pause(attempt))
        raise SourceUnavailable(f"{text}; run it again later: what is stored stays")

    def _text(self, error: Exception) -> str:
        """What an error says; most begin with the name of the venue, as ours do already."""
        text = " ".join(str(error).removeprefix(f"{self.exchange} ").split())
        return text[:_SHOWN] or type(error).__name__


def _ccxt_exchange(exchange: str, timeframe: str) -> Any:
    import ccxt

    if exchange not in ccxt.exchanges:
        close = get_close_matches(exchange, ccxt.exchanges)
        similar = f" (similar: {', '.join(close)})" if close else ""
        raise SettingsError(
            f"ccxt knows no exchange {exchange!r}{similar}; it has {len(ccxt.exchanges)}, "
            "listed at https://docs.ccxt.com"
        )
    client = getattr(ccxt, exchange)()
    if timeframe not in (client.timeframes or {}):
        known = ", ".join(client.timeframes or {}) or "none at all"
        raise SettingsError(f"{exchange} has no bars of {timeframe!r}; it has {known}")
    client.options["defaultType"] = "spot"
    markets = client.options.get("fetchMarkets")
    if isinstance(markets, dict) and "spot" in markets.get("types", ()):
        # Else Binance's futures, two servers of their own, would be asked too.
        client.options["fetchMarkets"] = markets | {"types": ["spot"]}
    return client


def _moved(urls: Any, base: str) -> Any:
    """ccxt's API addresses with another scheme and host; their paths stay."""
    if isinstance(urls, dict):
        return {name: _moved(each, base) for name, each in urls.items()}
    return base.rstrip("/") + urlsplit(urls).path if isinstance(urls, str) else urls


def _of_kline(row: Any) -> Row:
    """Binance's 12 fields; open, high, low, close, volumes are decimal texts."""
    at, *numbers = (int(row[0]), *(_number(row[n]) for n in (1, 2, 3, 4, 5, 7, 8)))
    volume, quote, trades = numbers[4:]
    vwap = quote / volume if volume > 0 else math.nan
    return (at, *numbers[:5], vwap, trades)


def _of_candle(row: Any) -> Row:
    return (int(row[0]), *(_number(row[n]) for n in range(1, len(CANDLE))))


def _number(value: Any) -> float:
    """A number, or NaN for what is none: the check of bars then says which bar it was."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _status_of(error: BaseException | None) -> int | None:
    """The HTTP status that ccxt's error came from, if from any."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__ or error.__context__
    return None
