"""One exchange through the unmodified ccxt client: its clock, its spot markets, pages of candles.

Binance and its sisters are asked for raw klines, which carry the number of trades and the quote
volume (so the VWAP) that ccxt's own candles lack.
"""

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

from trading_pipeline.adapters.sources.payload import number
from trading_pipeline.adapters.sources.retry import Pace, Patience, PatientSession
from trading_pipeline.adapters.sources.venue_clock import VenueClock
from trading_pipeline.core.market.market import TIMEFRAMES
from trading_pipeline.errors import SettingsError, SourceError, SourceUnavailable, VenueDown

T = TypeVar("T")
Row = tuple[float, ...]  # opening time in ms since 1970, then numbers as `CcxtClient.columns` says

CANDLE = ("timestamp", "open", "high", "low", "close", "volume")
KLINE = (*CANDLE, "vwap", "trade_count")
DAY = 86_400_000  # ms
_LAST = 4_102_444_800_000  # ms: the year 2100; a later time is in another unit, or none
_OLD_LIST = 3600.0  # seconds: what the venue trades is asked again
# Of the venue's rate limit: other programs at this address use it too.
_SHARE = 0.8
_PAGE = 300  # rows, of venues of which ccxt does not know the limit
_CLOSED_HERE = (403, 451)
# What ccxt, or we, stumble over in an answer that is JSON and something else than documented.
_UNREADABLE = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
_SHOWN = 300  # characters of an error, that may be a page of HTML


class CcxtClient:
    """What a source needs of a venue; threads may share it, and then share its rate limit.

    `exchange` is ccxt's id, `step` the length of a bar in ms, `limit` the rows of a page, `clock`
    the venue's time, or that of its answers where it has no question for that.
    `skips_gaps`: a page holds the first bars from a time on, however late they come; at other
    venues it covers a stretch of time, and is empty where that has no bars.
    """

    def __init__(
        self,
        exchange: str,
        timeframe: str,
        url: str | None,
        patience: Patience,
        now: Callable[[], datetime],
    ) -> None:
        """Nothing is asked yet; `now` is the clock for venues that do not tell theirs.

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
        self._session = PatientSession(exchange, self._pace, patience)
        self._ccxt.session = self._session
        self._listed_at = -math.inf
        self.clock = VenueClock(exchange, lambda: self._time(now), patience.clock)
        self.step = 1000 * int(self._ccxt.parse_timeframe(self.timeframe))
        self.skips_gaps = exchange.startswith("binance")
        self.columns = KLINE if self.skips_gaps else CANDLE
        spot = (self._ccxt.features or {}).get("spot") or {}
        self.limit = int((spot.get("fetchOHLCV") or {}).get("limit") or _PAGE)

    def _time(self, now: Callable[[], datetime]) -> datetime:
        if self._ccxt.has["fetchTime"]:
            ms = self._ask("clock", lambda: _instant(self._ccxt.fetch_time()))
            return datetime.fromtimestamp(ms / 1000, UTC)
        self.markets()  # an answer has to be there that could tell
        return self._session.date or now()

    def markets(self) -> dict[str, Any]:
        """ccxt's spot markets by symbol; asked for once an hour.

        Raises:
            SourceError: the venue did not answer, or lists none.
        """
        with self._lock:
            anew = self._patience.clock() - self._listed_at > _OLD_LIST
            markets = self._ask("markets", lambda: _spot(self._ccxt.load_markets(anew)))
            self._listed_at = self._patience.clock() if anew else self._listed_at
        if not markets:
            raise SourceError(f"{self.exchange} lists no spot pairs; is its address right?")
        return markets

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

        def rows() -> list[Row]:
            if not isinstance(answer := call(*args), list):
                raise TypeError(f"a list of candles was asked for, not {type(answer).__name__}")
            return [read(row) for row in answer]

        return self._ask(symbol, rows)

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        """The client's answer, or its error in our words, that begin with venue and `what`."""
        import ccxt

        where = f"{self.exchange} {what}"
        try:
            return self._patiently(call)
        except SourceUnavailable as error:
            raise type(error)(f"{where}: {self._text(error)}", error.retry_after) from error
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
                f"{where}: sent something that cannot be read ({self._text(error)}): "
                f"{self._session.said()!r}; if that stays so, its format has changed: try a newer "
                "ccxt"
            ) from error

    def _patiently(self, call: Callable[[], T]) -> T:
        """The answer; asked again where 'too busy' came with HTTP 200, as at Kraken."""
        import ccxt

        began = self._patience.clock()
        for attempt in range(self._patience.tries):
            try:
                return call()
            except ccxt.OperationFailed as error:
                if _status_of(error) is not None:
                    raise
                text = f"{self._text(error)} ({attempt + 1} tries)"
            pause = self._patience.pause(attempt)
            if self._patience.clock() - began + pause > self._patience.outage:
                raise VenueDown(f"{text}; run it again later, or with --wait")
            self._pace.hold(pause)
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
    at, *numbers = (_instant(row[0]), *(number(row[n]) for n in (1, 2, 3, 4, 5, 7, 8)))
    volume, quote, trades = numbers[4:]
    vwap = quote / volume if volume > 0 else math.nan
    return (at, *numbers[:5], vwap, trades)


def _of_candle(row: Any) -> Row:
    return (_instant(row[0]), *(number(row[n]) for n in range(1, len(CANDLE))))


def _instant(value: Any) -> int:
    """Milliseconds since 1970; an error for what cannot be such a time."""
    if not 0 <= (ms := number(value)) < _LAST or ms != int(ms):
        raise ValueError(f"{value!r} is no time in milliseconds")
    return int(ms)


def _spot(markets: dict[str, Any]) -> dict[str, Any]:
    """Those that can be asked for: a symbol and an id that are text."""
    return {
        symbol: market
        for symbol, market in markets.items()
        if market.get("spot") and isinstance(symbol, str) and isinstance(market["id"], str)
    }


def _status_of(error: BaseException | None) -> int | None:
    """The HTTP status that ccxt's error came from, if from any."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__ or error.__context__
    return None
