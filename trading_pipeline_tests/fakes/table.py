"""A venue without a wire: bars from memory that a `LiveSource` would give, and what was asked."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd

from trading_pipeline.adapters.sources.source import refuse_unknown, select, span_of
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import in_utc, trading_calendar
from trading_pipeline.core.market.set_aside import Sifted
from trading_pipeline_tests.synthetic import panel

NAMES = ("AAA", "BBB", "CCC")
COUNT = 120
BARS = check_bars(panel(COUNT, NAMES, days="D"))  # from 2020-01-01
NOW = (BARS["timestamp"].min() + pd.Timedelta(days=COUNT, hours=1)).to_pydatetime()
UNSETTLED = 1  # days of a market that never closes, after which a bar is believed


class TableVenue:
    """Canonical bars of one timeframe, of which those have closed that did by `now`.

    `errors`: by symbol, what its next questions raise, in turn; the last one stays if `forever`.
    """

    live = True
    at_once = 1
    delay = timedelta(0)

    def __init__(
        self, bars: pd.DataFrame, now: datetime, calendar: str = "24/7", timeframe: str = "1d"
    ) -> None:
        self.table, self.now = bars, now
        self.calendar = trading_calendar(calendar, timeframe)
        self.errors: dict[str, list[Exception]] = {}
        self.forever = False
        self.asked: list[tuple[tuple[str, ...], pd.Timestamp, pd.Timestamp]] = []
        self.under_way = self.most_at_once = 0
        self.meeting: threading.Barrier | None = None  # to be reached before an answer
        self._lock = threading.Lock()

    def identity(self) -> dict[str, str]:
        return {"source": "table", "timeframe": self.calendar.timeframe}

    def clock(self, age: float = 60.0) -> pd.Timestamp:
        return in_utc(self.now)

    def traded(self, symbols: Sequence[str]) -> set[str]:
        refuse_unknown(symbols, self.symbols(), "the table")
        return set(symbols)

    def symbols(self) -> list[str]:
        return sorted(self.table["symbol"].unique())

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        return span_of(self.table, symbols, self.calendar.step, "the table")

    def listings(self, symbols: Sequence[str]) -> pd.DataFrame:
        refuse_unknown(symbols, self.symbols(), "the table")
        first = self.table.groupby("symbol")["timestamp"].min()
        return pd.DataFrame(
            {
                "symbol": list(symbols),
                "listed": pd.DatetimeIndex(first.reindex(list(symbols))),
                "status": "trading",
            }
        )

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        with self._lock:
            self.asked.append((tuple(symbols), in_utc(start), in_utc(end)))
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
            errors = [self._error(symbol) for symbol in symbols if self.errors.get(symbol)]
        try:
            if self.meeting is not None:
                self.meeting.wait(5)
            if errors:
                raise errors[0]
            refuse_unknown(symbols, self.symbols(), "the table")
            return self._closed(select(self.table, symbols, start, end))
        finally:
            with self._lock:
                self.under_way -= 1

    def set_aside(self, calendar: str) -> pd.DataFrame:
        return Sifted.of({"the table": self.table}).on_open_days(calendar).aside

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame | None:
        refuse_unknown(symbols, self.symbols(), "the table")
        return None

    def _closed(self, bars: pd.DataFrame) -> pd.DataFrame:
        closes = self.calendar.closes_of(pd.DatetimeIndex(bars["timestamp"]))
        return bars[closes <= in_utc(self.now)].reset_index(drop=True)

    def _error(self, symbol: str) -> Exception:
        errors = self.errors[symbol]
        return errors[0] if self.forever else errors.pop(0)

    def bars_asked(self) -> int:
        """Bars in all spans that were asked for, closed or not."""
        return sum(
            len(symbols) * len(self.calendar.sessions(start, end))
            for symbols, start, end in self.asked
        )
