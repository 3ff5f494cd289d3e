"""Spot pairs of any exchange that ccxt knows: Binance unless configured otherwise.

Pages are read with suspicion. What may be wrong with one, and what is done:

- rows in another order, or one of them twice: sorted, equal ones are one
- two versions of one bar, or a page that was there before: asked again, then `SourceError`
- fewer rows than there are: asked on from where they end
- a hole: asked for once more, since it may be half an answer and not a halt
- a price that is none: the row comes as it is, and who stores it sets it aside
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import ClassVar

import pandas as pd

from trading_pipeline.adapters.sources.ccxt_client import DAY, CcxtClient, Row
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.adapters.sources.source import listings_of, refuse_unknown
from trading_pipeline.adapters.sources.venue_clock import OLD
from trading_pipeline.core.market.bars import in_order, typed_bars
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.errors import SourceError

_TRIES = 4  # of a page that is not what was asked for
_GENESIS = pd.Timestamp("2010-01-01", tz="UTC")  # no exchange of today is older
_EPOCH = pd.Timestamp(0, tz="UTC")
_DELISTED_AFTER = pd.Timedelta(days=30)  # without a trade; halts are over by then


class CcxtSource:
    """A live `BarSource` of one exchange's spot pairs, spelled as ccxt does: "BTC/USDT".

    Prices are in the quote currency, volumes in the base currency. Binance's bars also have
    `vwap` and `trade_count`. Threads may share it: their requests together stay within the
    venue's rate limit.
    """

    live: ClassVar[bool] = True
    at_once: int = 1
    delay: timedelta = timedelta(0)

    def __init__(
        self,
        exchange: str = "binance",
        timeframe: str = "1d",
        url: str | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience: Patience | None = None,
    ) -> None:
        """Nothing is asked of the venue yet.

        Args:
            exchange: ccxt's id: "binance", "kraken", "coinbase", ...
            timeframe: "1d", "1h", ... or an alias of it.
            url: replaces scheme and host of its REST API: a mirror or a proxy.
            now: the clock, for venues that do not tell theirs.
            patience: how long to wait for the venue.

        Raises:
            SettingsError: ccxt has no such exchange, or that has no such bars, or `url` is none.
        """
        self._patience = patience or Patience()
        self._client = CcxtClient(exchange, timeframe, url, self._patience, now)
        self._listed: dict[str, pd.Timestamp] = {}

    def identity(self) -> dict[str, str]:
        """Exchange and timeframe."""
        return {"source": self._client.exchange, "timeframe": self._client.timeframe}

    def clock(self, age: float = OLD) -> pd.Timestamp:
        """See `LiveSource.clock`."""
        return self._client.clock(age)

    def symbols(self) -> list[str]:
        """All spot pairs that it lists, with those of the past that it still knows."""
        return sorted(self._client.markets())

    def traded(self, symbols: Sequence[str]) -> set[str]:
        """See `LiveSource.traded`."""
        self._refuse_unknown(symbols)
        return {symbol for symbol in symbols if self._is_traded(symbol)}

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first, end) of their closed bars; two questions a symbol. See `BarSource.span`."""
        self._refuse_unknown(symbols)
        clock = _ms(self.clock())
        spans = [(self._first(each, clock), self._end(each, clock)) for each in symbols]
        if not (known := [span for span in spans if not pd.isna(span[0])]):
            names = ", ".join(symbols) or "no symbols at all"
            raise SourceError(f"{self._client.exchange} has no bars of {names}")
        return min(first for first, _ in known), max(end for _, end in known)

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Closed bars that open in [start, end); see `BarSource.bars`.

        Of symbols that the venue does not trade now, only bars in which something traded.
        """
        since, until = _ms(in_utc(start)), _ms(in_utc(end))
        self._refuse_unknown(symbols)
        parts = [self._bars_of(symbol, since, until) for symbol in dict.fromkeys(symbols)]
        return in_order(pd.concat([self._table("no symbol", []), *parts]))

    def actions(self, symbols: Sequence[str]) -> None:
        """None: coins have no splits and no dividends."""
        self._refuse_unknown(symbols)

    def listings(self, symbols: Sequence[str]) -> pd.DataFrame:
        """See `LiveSource.listings`.

        Not traded for a month is "delisted", for less "halted": venues use one word for both, and
        for a pair before its first trade.
        """
        self._refuse_unknown(symbols)
        clock = _ms(self.clock())
        listed = [self._first(symbol, clock) for symbol in symbols]
        status = [self._status(*each, clock) for each in zip(symbols, listed, strict=True)]
        return listings_of(symbols, listed, status)

    # Listings

    def _refuse_unknown(self, symbols: Sequence[str]) -> None:
        refuse_unknown(symbols, self.symbols(), self._client.exchange)

    def _is_traded(self, symbol: str) -> bool:
        # ccxt says None of venues that list only what they trade.
        return self._client.markets()[symbol]["active"] is not False

    def _status(self, symbol: str, listed: pd.Timestamp, clock: int) -> str:
        if pd.isna(listed):
            return "not yet traded"
        if self._is_traded(symbol):
            return "trading"
        silence = _stamp(clock) - self._end(symbol, clock)
        return "halted" if silence < _DELISTED_AFTER else "delisted"

    def _first(self, symbol: str, clock: int) -> pd.Timestamp:
        """The stamp of its first closed bar, which never changes; NaT if it has none yet."""
        if symbol not in self._listed:
            since, latest = _ms(_GENESIS), clock - self._client.step + 1
            if not self._client.skips_gaps:
                days = self._pages(symbol, since, latest, daily=True)
                since = int(next(days, [(latest,)])[0][0])
            first = latest
            while page := self._page(symbol, since, first, limit=1):
                first = int(page[0][0])  # and nothing before it, says the next answer
            if first == latest:
                return pd.NaT
            self._listed[symbol] = _stamp(first)
        return self._listed[symbol]

    def _end(self, symbol: str, clock: int) -> pd.Timestamp:
        """The end of its last closed bar; long ago if it has none."""
        step, closed = self._client.step, clock - self._client.step + 1
        opens = [int(row[0]) for row in self._client.latest(symbol) if row[0] < closed]
        last = max(opens, default=_ms(_GENESIS) - step)
        # Nothing after it, says the next answer; of a pair that is traded it need not be asked.
        for page in self._pages(symbol, last + step, closed, once=True):
            last = int(page[-1][0])
        return _stamp(last + step)

    # Bars

    def _bars_of(self, symbol: str, since: int, until: int) -> pd.DataFrame:
        # The clock is read before the candles: what was closed then is closed in the answer.
        until = min(until, _ms(self.clock()) - self._client.step + 1)
        rows = [row for page in self._pages(symbol, since, until) for row in page]
        for start, end in self._holes(rows, since, until):
            rows += [row for page in self._pages(symbol, start, end, once=True) for row in page]
        table = self._table(symbol, rows)
        if self._is_traded(symbol):
            return table
        return table[table["volume"] > 0]

    def _holes(self, rows: list[Row], since: int, until: int) -> list[tuple[int, int]]:
        """Spans of [since, until) in which a bar could open and none does; `rows` in order."""
        step = self._client.step
        # All venues count their bars from 1970, in UTC.
        since, until = -(-since // step) * step, -(-until // step) * step
        opens = [since - step, *(int(row[0]) for row in rows), until]
        return [(at + step, then) for at, then in pairwise(opens) if then - at > step]

    def _pages(
        self, symbol: str, since: int, end: int, *, daily: bool = False, once: bool = False
    ) -> Iterator[list[Row]]:
        """Pages that together have all bars that open in [since, end), none of them empty.

        `once`: an empty answer is the end of it, at any venue.
        """
        step = DAY if daily else self._client.step
        while since < end:
            if page := self._page(symbol, since, end, daily=daily):
                yield page
                since = int(page[-1][0]) + step
            elif once or self._client.skips_gaps:
                return
            else:
                since += self._client.limit * step

    def _page(
        self, symbol: str, since: int, end: int, *, daily: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Bars from `since` on, in order, each once; empty if there are none before `end`."""
        for attempt in range(_TRIES):
            rows = sorted(set(self._client.page(symbol, since, end, daily=daily, limit=limit)))
            inside = [row for row in rows if since <= row[0] < end]
            opens = [row[0] for row in inside]
            if len(set(opens)) < len(opens):
                twice = next(at for at in opens if opens.count(at) > 1)
                trouble = f"sent two versions of the bar of {_stamp(twice)}"
            elif rows and not inside and self._is_strange(rows, since):
                sent = f"{_stamp(rows[0][0])} to {_stamp(rows[-1][0])}"
                trouble = f"asked for bars from {_stamp(since)} on, sent those of {sent}"
            else:
                return inside
            self._patience.sleep(self._patience.pause(attempt))
        raise SourceError(
            f"{self._client.exchange} {symbol}: {trouble}, {_TRIES} times; "
            "run it again later: what is stored stays"
        )

    def _is_strange(self, rows: list[Row], since: int) -> bool:
        """Whether rows that are all outside of what was asked break a promise of the venue."""
        # Only Binance was told the end.
        return self._client.skips_gaps or rows[-1][0] < since

    def _table(self, symbol: str, rows: list[Row]) -> pd.DataFrame:
        """Rows in the form of canonical bars, whatever their values."""
        table = pd.DataFrame(rows, columns=list(self._client.columns), dtype="float64")
        table["timestamp"] = pd.to_datetime(table["timestamp"], unit="ms", utc=True)
        table["symbol"] = pd.Series([symbol] * len(rows), dtype="str")
        return in_order(typed_bars(table, where=f"{self._client.exchange} {symbol}"))


def _ms(stamp: pd.Timestamp) -> int:
    """The first whole millisecond at or after an instant, since 1970."""
    return -int((_EPOCH - stamp) // pd.Timedelta(milliseconds=1))


def _stamp(ms: float) -> pd.Timestamp:
    return pd.Timestamp(int(ms), unit="ms", tz="UTC").as_unit("us")
