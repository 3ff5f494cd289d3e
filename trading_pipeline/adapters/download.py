"""From a source into the store: what is missing or may have changed, and nothing else.

Rows that no market could have made are set aside (`core/market/set_aside.py`), all else is stored.
A source on this machine is the whole truth of what it has. A venue is asked, symbol by symbol and
several at once, for the bars that the calendar expects and the store lacks, and for those that it
may still correct (`core/market/coverage.py`). What came is stored in batches, so a kill loses one
of them at most; a symbol that fails twice is reported, and the others go on.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from threading import Lock

import pandas as pd

from trading_pipeline.adapters.sources.source import BarSource, LiveSource, bars_and_aside
from trading_pipeline.adapters.store.bars import BarStore, Merged
from trading_pipeline.adapters.threads import in_threads
from trading_pipeline.core.market.bars import KEY, empty_bars
from trading_pipeline.core.market.breaks import GAP_LEAST
from trading_pipeline.core.market.calendar import in_utc, trading_calendar
from trading_pipeline.core.market.coverage import (
    SETTLE,
    absences_of,
    asked_at,
    expected_stamps,
    requests_for,
)
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.set_aside import Sifted, check_share, joined, none_aside
from trading_pipeline.core.market.versions import Span
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import BarsError, CredentialsError, SourceError, SourceUnavailable

WORKERS = 4  # requests under way; the clients keep the venue's rate limit between them
BATCH = 250_000  # bars that are kept in memory before they are stored
WINDOW = 1_000_000  # bars of all symbols that one look at the store is about
SHORTEST_WINDOW = 5_000  # bars of one symbol
GIVE_UP = 2 * WORKERS  # symbols in a row that a venue left without an answer: it is down
_KEYS = empty_bars()[["timestamp", "symbol"]]


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


def download(
    source: BarSource | LiveSource,
    store: BarStore,
    market: Market,
    span: Span,
    now: Callable[[], datetime],
    progress: Advance = lambda done, total, note: None,
    *,
    refetch: bool = False,
) -> Downloaded:
    """Bring the store up to date with the source in [start, end).

    Args:
        source: if it is not `live`, all that it has replaces what is stored in the span.
        now: the clock; bars that have closed by now are wanted.
        progress: called with symbols done, symbols, and a note.
        refetch: ask a venue for everything again; what differs becomes a revision.

    Raises:
        StoreError: the store is of another source, feed or timeframe, or cannot be written.
        CredentialsError: the venue's keys are missing or refused.
        SourceError, BarsError: no symbol could be had; this is the complaint of the first one. Or
            more than 1 % of a source on this machine are no bars.
    """
    if source.live:
        return _VenueDownload(source, store, market, now, progress, refetch).run(span)  # type: ignore[arg-type]
    identity = {"source": market.source}
    store.check_identity(identity)
    bars, aside = bars_and_aside(source, market, span)  # type: ignore[arg-type]
    check_share(aside, len(bars), market.source)
    done = Downloaded(requests=1)
    done.add(len(bars), aside, store.merge(bars, now(), span, aside=aside, identity=identity))
    return done


class _NotAsked(SourceUnavailable):
    """A request that was not made, since the venue is down."""


@dataclass
class _Request:
    """Some symbols, for the same span."""

    symbols: list[str]
    start: pd.Timestamp
    end: pd.Timestamp

    def ranges(self) -> pd.DataFrame:
        return pd.DataFrame({"symbol": self.symbols, "start": self.start, "end": self.end})

    def one_by_one(self) -> "list[_Request]":
        return [_Request([symbol], self.start, self.end) for symbol in self.symbols]


class _VenueDownload:
    """One download from a venue."""

    def __init__(
        self,
        source: LiveSource,
        store: BarStore,
        market: Market,
        now: Callable[[], datetime],
        progress: Advance,
        refetch: bool,
    ) -> None:
        self.source, self.store, self.market = source, store, market
        self.now, self.progress, self.refetch = now, progress, refetch
        self.calendar = trading_calendar(market.calendar, market.timeframe)
        self.identity = source.identity()
        self.done = Downloaded()
        self.errors: dict[str, SourceError | BarsError] = {}
        self.noted: set[str] = set()
        self.unanswered = 0  # requests in a row
        self.asked, self.lock = count(), Lock()  # as several threads ask

    def run(self, span: Span) -> Downloaded:
        """Ask for what is due in [start, end), window after window; raises as `download`."""
        self.store.check_identity(self.identity)
        started = self.now()
        self.noted = self._may_be_noted(in_utc(span[0]))
        expected = expected_stamps(self.calendar, span, started)
        listed = self._listed()
        windows = list(_windows(expected, len(self.market.symbols), self.calendar.step))
        total = len(self.market.symbols) * len(windows)
        for place, window in enumerate(windows):
            self._window(window, started, listed, place * len(self.market.symbols), total)
        self.progress(total, total, "")
        self.done.requests = next(self.asked)
        return self._result()

    def _result(self) -> Downloaded:
        if self.errors and set(self.errors) == set(self.market.symbols):
            raise min(self.errors.values(), key=lambda error: isinstance(error, _NotAsked))
        self.done.failures = {symbol: str(self.errors[symbol]) for symbol in sorted(self.errors)}
        return self.done

    def _listed(self) -> dict[str, pd.Timestamp]:
        """The first stamp of each symbol; one that cannot be told, or is unknown, fails alone."""
        symbols = list(self.market.symbols)
        try:
            return self._known_listings(symbols)
        except (CredentialsError, SourceUnavailable):
            raise
        except (SourceError, BarsError):
            found: dict[str, pd.Timestamp] = {}
            for symbol in symbols:
                try:
                    found |= self._known_listings([symbol])
                except (CredentialsError, SourceUnavailable):
                    raise
                except (SourceError, BarsError) as error:
                    self.errors[symbol] = error
            return found

    def _known_listings(self, symbols: list[str]) -> dict[str, pd.Timestamp]:
        rows = self.source.listings(symbols)
        for row in rows[rows["listed"].isna()].itertuples():
            self.errors[row.symbol] = SourceError(
                f"{self._where} lists {row.symbol} ({row.status}), and has no bars of it"
            )
        rows = rows[rows["listed"].notna()]
        return dict(zip(rows["symbol"], rows["listed"], strict=True))

    def _window(
        self,
        span: tuple[pd.Timestamp, pd.Timestamp],
        started: datetime,
        listed: dict[str, pd.Timestamp],
        before: int,
        total: int,
    ) -> None:
        """Fetch and store what is needed of a span, twice where it fails."""
        symbols = [symbol for symbol in self.market.symbols if symbol not in self.errors]
        wanted = self._wanted(span, symbols, started, listed)
        batch = _Batch(self, span, started, symbols, wanted)
        failed: list[_Request] = []
        for request, answer in self._answers(list(_grouped(wanted, self._at_once))):
            self._take(batch, request, answer)
            if not isinstance(answer, Sifted):
                failed.extend(request.one_by_one())
            self.progress(before + batch.complete, total, f"{span[0]:%Y-%m-%d}")
        for request, answer in self._answers([] if self._is_down else failed):
            self._take(batch, request, answer)
            self.progress(before + batch.complete, total, f"{span[0]:%Y-%m-%d}")
        batch.store(last=True)

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
        listed: dict[str, pd.Timestamp],
    ) -> pd.DataFrame:
        absent, asked = self.store.absences(), self.store.asked()
        # What was set aside is asked for like what is stored: until it is settled.
        known = [self.store.keys(*span), self.store.set_aside()[KEY]]
        return requests_for(
            self.calendar,
            span,
            symbols,
            stored=_KEYS if self.refetch else pd.concat(known),
            absent=absent.iloc[:0] if self.refetch else absent[absent["timestamp"].between(*span)],
            asked=asked,
            now=started,
            listed={symbol: listed[symbol] for symbol in symbols},
        )

    def _answers(
        self, requests: list[_Request]
    ) -> Iterator[tuple[_Request, Sifted | SourceError | BarsError]]:
        """Each request with its bars or what was wrong, in the order in which they come."""
        for request, answered in in_threads(self._ask, requests, WORKERS):
            try:
                answer = answered.result()
            except CredentialsError:
                raise
            except (SourceError, BarsError) as error:
                yield request, error
            else:
                yield request, answer

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
        if self._is_down:
            raise _NotAsked(
                f"{self._where} left {GIVE_UP} requests in a row without an answer, so this one "
                "was not made; try again later"
            )
        next(self.asked)
        try:
            bars = self.source.bars(request.symbols, request.start, request.end)
        except SourceUnavailable:
            with self.lock:
                self.unanswered += 1
            raise
        self.unanswered = 0
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
        asked = self.store.asked().set_index("symbol")["asked_at"]
        unsettled = asked - SETTLE[self.calendar.name]
        return set(self.market.symbols) - set(unsettled.index[unsettled < start])

    @property
    def _is_down(self) -> bool:
        return self.unanswered >= GIVE_UP

    @property
    def _at_once(self) -> int:
        """Symbols that the venue answers in one request."""
        return int(getattr(self.source, "at_once", 1))

    @property
    def _where(self) -> str:
        return " ".join(self.identity.values())


class _Batch:
    """Answers of one span that wait to be stored."""

    def __init__(
        self,
        run: _VenueDownload,
        span: tuple[pd.Timestamp, pd.Timestamp],
        started: datetime,
        symbols: list[str],
        wanted: pd.DataFrame,
    ) -> None:
        self.run, self.span, self.started, self.symbols = run, span, started, symbols
        self.expected = expected_stamps(run.calendar, span, started)
        self.left = Counter(wanted["symbol"])
        self.answers: list[pd.DataFrame] = []
        self.aside = none_aside()
        self.ranges: list[pd.DataFrame] = []

    @property
    def complete(self) -> int:
        """Symbols of which nothing is left to ask for."""
        return sum(not self.left[symbol] for symbol in self.symbols)

    def add(self, request: _Request, answer: Sifted) -> None:
        """Take the answer to a request; a full batch is stored."""
        self.left.subtract(request.symbols)
        self.ranges.append(request.ranges())
        self.aside = joined(self.aside, answer.aside)
        if len(answer.bars):  # none has no optional columns, and would take them from the others
            self.answers.append(answer.bars)
        if sum(map(len, self.answers)) >= BATCH:
            self.store()

    def store(self, last: bool = False) -> None:
        """One atomic merge; the last one notes all symbols that were asked for completely."""
        if not (self.ranges or last):
            return
        run = self.run
        bars = pd.concat(self.answers, ignore_index=True) if self.answers else empty_bars()
        absences = None
        if self.ranges:
            came = pd.concat([bars[KEY], self.aside[KEY]])
            absences = absences_of(pd.concat(self.ranges), came, self.expected)
        noted = [each for each in self.symbols if each in run.noted and not self.left[each]]
        until = asked_at(run.calendar, self.span[1], self.started)
        asked = pd.DataFrame({"symbol": pd.Series(noted, dtype="str"), "asked_at": until})
        merged = run.store.merge(
            bars,
            run.now(),
            absences=absences,
            aside=self.aside,
            asked=asked,
            identity=run.identity,
        )
        run.done.add(len(bars), self.aside, merged)
        self.answers, self.ranges, self.aside = [], [], none_aside()


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
