"""From a venue into the store: what is missing or may have changed, and nothing else.

The venue is asked, symbol by symbol and several at once, for the bars that the calendar expects
and the store lacks, and for those that it may still correct (`core/market/fetch_plan.py`). What
came is stored in batches, so a kill loses one of them at most; a symbol that fails twice is
reported, and the others go on. An answer that lacks more than a halt explains is such a failure,
though what came of it is stored.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

import pandas as pd

from trading_pipeline.adapters.sources.source import LiveSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.venue_calls import NotAsked, VenueCalls
from trading_pipeline.core.market.bars import KEY, empty_bars
from trading_pipeline.core.market.calendar import in_utc, trading_calendar
from trading_pipeline.core.market.fetch_plan import (
    NIGHTS,
    SETTLE,
    Answers,
    asked_at,
    expected_stamps,
    requests_for,
)
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.quarantine import GAP_LEAST
from trading_pipeline.core.market.set_aside import Sifted, check_share, joined, none_aside
from trading_pipeline.core.market.versions import Merged, Span
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import BarsError, SourceError
from trading_pipeline.steps.listings import Listings

BATCH = 250_000  # bars that are kept in memory before they are stored
WINDOW = 1_000_000  # bars of all symbols that one look at the store is about
SHORTEST_WINDOW = 5_000  # bars of one symbol
_KEYS = empty_bars()[KEY]


@dataclass
class Downloaded:
    """What a download did, in bars; `failures` says why by symbol."""

    rows: int = 0  # that came
    requests: int = 0  # times that the source was asked for bars
    added: int = 0
    changed: int = 0  # of those stored: their old values are revisions now
    removed: int = 0  # stored, and not in the source: revisions too
    first_changed: pd.Timestamp | None = None  # earliest stamp added, changed or removed
    failures: dict[str, str] = field(default_factory=dict)
    retry_after: float = 0.0  # seconds for which the venue wants to be left alone
    aside: pd.DataFrame = field(default_factory=none_aside)  # that came and are no bars

    def add(self, rows: int, aside: pd.DataFrame, merged: Merged) -> None:
        """Count a batch that was stored."""
        self.rows += rows
        self.aside = joined(self.aside, aside)
        self.added += merged.added
        self.changed += merged.changed
        self.removed += merged.removed
        stamps = [at for at in (self.first_changed, merged.first_changed) if at is not None]
        self.first_changed = min(stamps, default=None)


class _Incomplete(SourceError):
    """The venue answered, with less than there must be; what came is stored."""


@dataclass
class _Request:
    """Some symbols, for the same span."""

    symbols: list[str]
    start: pd.Timestamp
    end: pd.Timestamp

    def one_by_one(self) -> "list[_Request]":
        return [_Request([symbol], self.start, self.end) for symbol in self.symbols]


class VenueDownload:
    """One download from a venue."""

    def __init__(
        self,
        source: LiveSource,
        store: BarStore,
        market: Market,
        progress: Advance,
        refetch: bool,
    ) -> None:
        self.source, self.store, self.market = source, store, market
        self.progress, self.refetch = progress, refetch
        self.calendar = trading_calendar(market.calendar, market.timeframe)
        self.identity = source.identity()
        self.done = Downloaded()
        self.errors: dict[str, SourceError | BarsError] = {}
        self.noted: set[str] = set()
        self.calls = VenueCalls(self._where)
        self.listings = Listings(source, store, self.calls)
        self.asked = count()  # as several threads ask

    def run(self, span: Span) -> Downloaded:
        """Ask for what is due in [start, end), window after window; raises as `download`."""
        self.store.check_identity(self.identity)
        started = self.source.clock()
        self.noted = self._may_be_noted(in_utc(span[0]))
        expected = expected_stamps(self.calendar, span, started)
        self.listings.ask(self.market.symbols, in_utc(span[0]), started, self.refetch)
        self.errors |= self.listings.errors
        windows = list(_windows(expected, len(self.market.symbols), self.calendar.step))
        total = len(self.market.symbols) * len(windows)
        for place, window in enumerate(windows):
            self._window(window, started, place * len(self.market.symbols), total)
        self.progress(total, total, "")
        self.done.requests = next(self.asked)
        return self._result()

    def _result(self) -> Downloaded:
        stored = [each for each in self.errors.values() if isinstance(each, _Incomplete)]
        nothing = not (stored and self.done.rows)
        if nothing and self.errors and set(self.errors) == set(self.market.symbols):
            first = [self.errors[symbol] for symbol in self.market.symbols]
            raise min(first, key=lambda error: isinstance(error, NotAsked))
        self.done.failures = {symbol: str(self.errors[symbol]) for symbol in sorted(self.errors)}
        wishes = (getattr(error, "retry_after", 0.0) for error in self.errors.values())
        self.done.retry_after = max(wishes, default=0.0)
        return self.done

    def _window(
        self,
        span: tuple[pd.Timestamp, pd.Timestamp],
        started: datetime,
        before: int,
        total: int,
    ) -> None:
        """Fetch and store what is needed of a span, twice where it fails."""
        symbols = [symbol for symbol in self.market.symbols if symbol not in self.errors]
        wanted = self._wanted(span, symbols, started)
        batch = _Batch(self, span, started, symbols, wanted)
        failed: list[_Request] = []
        for request, answer in self.calls.each(
            self._ask, list(_grouped(wanted, self.source.at_once))
        ):
            self._take(batch, request, answer)
            if not isinstance(answer, Sifted):
                failed.extend(request.one_by_one())
            self.progress(before + batch.complete, total, f"{span[0]:%Y-%m-%d}")
        failed.extend(batch.doubtful())
        for request, answer in self.calls.each(self._ask, [] if self.calls.is_down else failed):
            self._take(batch, request, answer)
            self.progress(before + batch.complete, total, f"{span[0]:%Y-%m-%d}")
        batch.store(last=True)
        for symbol, lack in batch.doubts().items():
            self.errors.setdefault(symbol, self._incomplete(symbol, lack))

    def _incomplete(self, symbol: str, lack: str) -> _Incomplete:
        return _Incomplete(
            f"{self._where} answered twice with {lack} of {symbol}; what came is stored. Run it "
            f"again: the rest is asked for each time, and called missing at the venue only when "
            f"answers of {NIGHTS} days lack it. `--refetch` asks for everything"
        )

    def _take(
        self, batch: "_Batch", request: _Request, answer: "Sifted | SourceError | BarsError"
    ) -> None:
        """Keep an answer, or what was wrong with it until all of the symbol has come after all."""
        if not isinstance(answer, Sifted):
            self.errors |= dict.fromkeys(request.symbols, answer)
            return
        batch.add(request, answer)
        for symbol in request.symbols:
            if not batch.left[symbol]:
                self.errors.pop(symbol, None)

    def _wanted(
        self,
        span: tuple[pd.Timestamp, pd.Timestamp],
        symbols: list[str],
        started: datetime,
    ) -> pd.DataFrame:
        absent = self.store.absences()
        # What was set aside is asked for like what is stored: until it is settled.
        known = [self.store.keys(*span), self.store.set_aside()[KEY]]
        return requests_for(
            self.calendar,
            span,
            symbols,
            stored=_KEYS if self.refetch else pd.concat(known),
            absent=absent.iloc[:0] if self.refetch else absent[absent["timestamp"].between(*span)],
            watermarks=self.store.watermarks(),
            now=started,
            listed=self.listings.first,
        )

    def _ask(self, request: _Request) -> Sifted:
        """The answer; one with impossible rows is asked for twice, since it alone may be at fault.

        Raises:
            BarsError: of a symbol more than 1 % of the rows, and at least 3, are impossible again.
        """
        answer = self._ask_once(request)
        if len(answer.aside):
            answer = self._ask_once(request)
        rows = answer.bars["symbol"].value_counts()
        for symbol, aside in answer.aside.groupby("symbol"):
            if len(aside) >= GAP_LEAST:
                check_share(aside, int(rows.get(symbol, 0)), f"{self._where} {symbol}")
        return answer

    def _ask_once(self, request: _Request) -> Sifted:
        next(self.asked)
        bars = self.source.bars(request.symbols, request.start, request.end)
        inside = (bars["timestamp"] >= request.start) & (bars["timestamp"] < request.end)
        if not (inside & bars["symbol"].isin(request.symbols)).all():
            raise SourceError(
                f"{self._where} answered with other bars than it was asked for: "
                f"{', '.join(request.symbols)} from {request.start} to {request.end}"
            )
        return Sifted.of({self._where: bars}).on_open_days(self.market.calendar)

    def _may_be_noted(self, start: pd.Timestamp) -> set[str]:
        """Symbols of which it may be said that all before was asked for, once a span was.

        Not those that an earlier download asked for, but of which bars that could have changed
        since lie before the span.
        """
        watermarks = self.store.watermarks().set_index("symbol")["asked_at"]
        unsettled = watermarks - SETTLE[self.calendar.name]
        return set(self.market.symbols) - set(unsettled.index[unsettled < start])

    @property
    def _where(self) -> str:
        return " ".join(self.identity.values())


class _Batch:
    """Answers of one span that wait to be stored."""

    def __init__(
        self,
        run: VenueDownload,
        span: tuple[pd.Timestamp, pd.Timestamp],
        started: datetime,
        symbols: list[str],
        wanted: pd.DataFrame,
    ) -> None:
        self.run, self.span, self.started = run, span, started
        self.symbols, self.left = symbols, Counter(wanted["symbol"])
        expected = expected_stamps(run.calendar, span, started)
        self.answered = Answers(symbols, expected, run.store.absences())
        self.requests: list[_Request] = []
        self.waiting: list[pd.DataFrame] = []
        self.aside = none_aside()

    @property
    def complete(self) -> int:
        """Symbols of which nothing is left to ask for."""
        return sum(not self.left[symbol] for symbol in self.symbols)

    def add(self, request: _Request, answer: Sifted) -> None:
        """Take the answer to a request; a full batch is stored."""
        self.left.subtract(request.symbols)
        self.requests.append(request)
        self.aside = joined(self.aside, answer.aside)
        came = pd.concat([answer.bars[KEY], answer.aside[KEY]], ignore_index=True)
        self.answered.add(request.symbols, request.start, request.end, came)
        if len(answer.bars):  # none has no optional columns, and would take them from the others
            self.waiting.append(answer.bars)
        if sum(map(len, self.waiting)) >= BATCH:
            self.store()

    def doubts(self) -> dict[str, str]:
        """What the answers lack and no halt explains, by symbol."""
        return self.answered.doubts(self.run.listings.first, self.run.listings.ended)

    def doubtful(self) -> list[_Request]:
        """Requests to be made again, since their answers cannot be all; they are left again."""
        doubts = self.doubts()
        again = [
            one
            for request in self.requests
            for one in request.one_by_one()
            if one.symbols[0] in doubts and self.answered.lacks(one.symbols[0], one.start, one.end)
        ]
        self.left.update(one.symbols[0] for one in again)
        return again

    def store(self, last: bool = False) -> None:
        """One atomic merge; the last one notes what was lacking, and who was asked completely."""
        run = self.run
        bars = pd.concat(self.waiting, ignore_index=True) if self.waiting else empty_bars()
        bars = bars.drop_duplicates(KEY, keep="last")  # of what was asked for twice
        noted = [each for each in self.symbols if each in run.noted and not self.left[each]]
        until = asked_at(run.calendar, self.span[1], self.started)
        watermarks = pd.DataFrame({"symbol": pd.Series(noted, dtype="str"), "asked_at": until})
        absences = self.answered.absences() if last else None
        told = run.listings.told
        listed = pd.DataFrame({"symbol": [*told], "listed": [*told.values()]})
        # What is stored is what had closed when the download began.
        merged = run.store.merge(
            bars,
            self.started,
            absences=absences,
            aside=self.aside.drop_duplicates(KEY, keep="last"),
            watermarks=watermarks,
            listed=listed,
            identity=run.identity,
        )
        run.done.add(len(bars), self.aside, merged)
        self.waiting, self.aside = [], none_aside()


def _windows(
    expected: pd.DatetimeIndex, symbols: int, step: pd.Timedelta
) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
    """The span of the expected stamps in parts that fit into memory, oldest first."""
    size = max(SHORTEST_WINDOW, WINDOW // symbols)
    for first in range(0, len(expected), size):
        last = min(first + size, len(expected)) - 1
        yield expected[first], in_utc(expected[last] + step)


def _grouped(wanted: pd.DataFrame, at_once: int) -> Iterator[_Request]:
    """Requests of the same span together, as many symbols as the venue answers at once."""
    for (start, end), rows in wanted.groupby(["start", "end"], sort=True):
        symbols = rows["symbol"].tolist()
        for first in range(0, len(symbols), at_once):
            yield _Request(symbols[first : first + at_once], start, end)
