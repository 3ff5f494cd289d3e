"""Bars of a venue as they close there, by its own clock, and none of those that are known.

What may come late, and what is done:

- a symbol's bar: waited for as long as `patience_of` says; then the bar goes on without it, and the
  symbol is not waited for again before it has had a bar. What comes later is a bar of the past, and
  is not taken: a session decides once on a bar.
- every symbol's bar: there is no bar. The next one brings what came in between, too.
- an answer: the venue is asked again until there is one, and positions stay as they are.

Each is logged once, when it begins and when it is over; the last one is an incident, too.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from trading_pipeline.adapters.alerts import DOWNLOAD_FAILED
from trading_pipeline.adapters.sources.source import LiveSource, select
from trading_pipeline.adapters.venue_calls import VenueCalls
from trading_pipeline.core.market.bars import check_bars, empty_bars
from trading_pipeline.core.market.calendar import in_utc, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.set_aside import Sifted, describe_first
from trading_pipeline.errors import BarsError, CredentialsError, SourceError, UnknownSymbol
from trading_pipeline.steps.incidents import Incidents

Answer = TypeVar("Answer")
_LOG = logging.getLogger(__name__)
_AGAIN = 15.0  # seconds between two questions to a venue that does not answer
_AHEAD = pd.Timedelta(days=40)  # in which every market opens
_SHARE, _LEAST, _MOST = 20, pd.Timedelta(seconds=9), pd.Timedelta(minutes=5)
_SHOWN = 5  # symbols


def patience_of(step: pd.Timedelta) -> pd.Timedelta:
    """How long after its close a bar of this length is waited for: a twentieth of it, between nine
    seconds and five minutes."""
    return min(max(step / _SHARE, _LEAST), _MOST)


class _Request(NamedTuple):
    """Some symbols, for the same span [start, end)."""

    symbols: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp


class Feed:
    """The bars of one market, as they close."""

    def __init__(
        self,
        source: LiveSource,
        market: Market,
        wait: Callable[[float], None],
        incidents: Incidents,
        beat: Callable[[], None] = lambda: None,
        doubts: pd.DataFrame | None = None,
    ) -> None:
        """`wait` lets seconds pass; `beat` is called while the venue is silent; both may raise.
        `doubts`: rows that the store has set aside, which hold their symbols out of later bars."""
        self.source, self.market, self.wait, self.beat = source, market, wait, beat
        self.incidents = incidents
        self.calendar = trading_calendar(market.calendar, market.timeframe)
        self.where = " ".join(source.identity().values())
        self.doubts = doubts
        self._down = f"{self.where} does not answer and is asked again; positions stay as they are"
        self._lacks = False  # whether it told nothing of some symbols when it was asked last

    def newest(self) -> pd.Timestamp:
        """The stamp of the newest bar that has closed, by the venue's clock and the calendar."""
        known = self._known_until()
        return self._closed(known - _AHEAD, known)[-1]

    def after(self, panel: Panel) -> Panel:
        """Wait until a bar has closed after those of a panel; the panel with all that have.

        Its last bar was the newest one when it came. Splits and dividends are those that the venue
        tells then.

        Raises:
            UnknownSymbol: the venue knows none of the symbols, or not one whose splits it tells.
            CredentialsError: its keys are missing, or it refuses them.
        """
        last = quiet = panel.timestamps[-1]
        late = {panel.symbols[n] for n in np.flatnonzero(~panel.traded[-1])}
        came = empty_bars()
        while True:
            known = self._known_until()
            closed = self._closed(last, known)
            if not len(closed) or closed[-1] <= quiet:
                self._wait_for_close(max(last, quiet), known)
                continue
            newest = closed[-1]
            came = self._fetched(came, last, newest)
            missing = self._missing(came, newest)
            waited = known - self.calendar.close_of(newest)
            nobody = len(missing) == len(panel.symbols)
            if (missing - late or nobody) and waited < self.patience:
                self.wait(self.patience.total_seconds() / 9)
            elif nobody:
                quiet = newest
            else:
                seen = panel.followed_by(came, self._actions(panel), self.doubts)
                if not len(self._closed(newest, self._known_until())):
                    self._note_late(late, missing, newest)
                    return seen

    @property
    def patience(self) -> pd.Timedelta:
        """How long after its close a bar is waited for."""
        return patience_of(self.calendar.step)

    def _known_until(self) -> pd.Timestamp:
        """The instant at the venue up to which it tells of bars."""
        return self._answered(lambda: self.source.clock(0.0)) - self.source.delay

    def _closed(self, after: pd.Timestamp, known: pd.Timestamp) -> pd.DatetimeIndex:
        """Stamps of the bars later than `after` that have closed."""
        stamps = self.calendar.sessions(after, known)
        return stamps[(stamps > after) & (self.calendar.closes_of(stamps) <= known)]

    def _wait_for_close(self, after: pd.Timestamp, known: pd.Timestamp) -> None:
        stamps = self.calendar.sessions(after, after + _AHEAD)
        close = self.calendar.close_of(stamps[stamps > after][0])
        self.wait(max((close - known).total_seconds(), 0.1))

    def _fetched(
        self, came: pd.DataFrame, last: pd.Timestamp, newest: pd.Timestamp
    ) -> pd.DataFrame:
        """`came` with what the venue has since, of each symbol what it lacks up to `newest`."""
        known = came.groupby("symbol")["timestamp"].max()
        end = in_utc(newest + self.calendar.step)
        spans: dict[pd.Timestamp, list[str]] = {}
        for symbol in self.market.symbols:
            since = known.get(symbol, last)
            if since < newest:
                spans.setdefault(since, []).append(symbol)
        size = self.source.at_once
        requests = [
            _Request(tuple(symbols[n : n + size]), in_utc(since + pd.Timedelta("1us")), end)
            for since, symbols in spans.items()
            for n in range(0, len(symbols), size)
        ]
        answers = [came, *self._answers(requests)]
        filled = [each for each in answers if len(each)]
        return check_bars(pd.concat(filled, ignore_index=True)) if filled else came

    def _answers(self, requests: list[_Request]) -> list[pd.DataFrame]:
        """What the venue says to them; where it says nothing of any symbol, asked until it does."""
        everyone = sum(len(each.symbols) for each in requests) == len(self.market.symbols)
        while True:
            bars, errors = self._asked(requests)
            if bars or not errors or not everyone:
                for error in errors:
                    _LOG.info("%s", error)
                self._lacks = bool(errors)
                if errors:
                    self._note(
                        f"{self.where} tells nothing of some symbols, which are held", errors[0]
                    )
                else:
                    self._note_up()
                return bars
            if all(isinstance(each, UnknownSymbol) for each in errors):
                raise errors[0]
            self._note(self._down, errors[0])
            self.wait(_AGAIN)

    def _asked(self, requests: list[_Request]) -> tuple[list[pd.DataFrame], list[Exception]]:
        """Answers, and what was wrong with others; one of several symbols is asked for each."""
        bars, errors, again = list[pd.DataFrame](), list[Exception](), list[_Request]()
        calls = VenueCalls(self.where, self.beat)
        for request, answer in calls.each(self._ask, requests):
            if isinstance(answer, pd.DataFrame):
                bars.append(answer)
            elif len(request.symbols) > 1 and not calls.is_down:
                again += [request._replace(symbols=(symbol,)) for symbol in request.symbols]
            else:
                errors.append(answer)
        if again:
            more = self._asked(again)
            return bars + more[0], errors + more[1]
        return bars, errors

    def _ask(self, request: _Request) -> pd.DataFrame:
        """Bars that are sound, of what was asked for, and none of a time at which none opens."""
        told = self.source.bars(request.symbols, request.start, request.end)
        sifted = Sifted.of({self.where: told}).on_open_days(self.market.calendar)
        if len(sifted.aside):
            _LOG.info("%s", describe_first(sifted.aside))
        bars = select(sifted.bars, request.symbols, request.start, request.end)
        expected = self.calendar.sessions(request.start, request.end)
        return bars[bars["timestamp"].isin(expected)]

    def _missing(self, came: pd.DataFrame, newest: pd.Timestamp) -> set[str]:
        return set(self.market.symbols) - set(came.loc[came["timestamp"] == newest, "symbol"])

    def _note_late(self, late: set[str], missing: set[str], newest: pd.Timestamp) -> None:
        if fresh := sorted(missing - late):
            _LOG.warning(
                "%s: no bar of %s at %s within %s of its close; held and not traded until it has "
                "one again",
                *(self.where, _some(fresh), newest, self.patience),
            )
        if back := sorted(late - missing):
            _LOG.warning("%s: %s has bars again, at %s", self.where, _some(back), newest)

    def _actions(self, panel: Panel) -> pd.DataFrame | None:
        """Splits and dividends, of a source whose prices are not adjusted already."""
        if panel.total_return_units:
            return None
        return self._answered(partial(self.source.actions, list(self.market.symbols)))

    def _answered(self, ask: Callable[[], Answer]) -> Answer:
        """The venue's answer, asked for until there is one."""
        while True:
            calls = VenueCalls(self.where, self.beat)
            ((_, answer),) = calls.each(lambda question: question(), [ask])
            if isinstance(answer, CredentialsError | UnknownSymbol):
                raise answer
            if not isinstance(answer, SourceError | BarsError):
                self._note_up()
                return answer
            self._note(self._down, answer)
            self.wait(_AGAIN)

    def _note(self, text: str, error: Exception) -> None:
        self.incidents.begin(DOWNLOAD_FAILED, text, str(error))

    def _note_up(self) -> None:
        if not self._lacks:
            self.incidents.end(DOWNLOAD_FAILED, f"{self.where} answers again")


def _some(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else ""
    return ", ".join(symbols[:_SHOWN]) + more
