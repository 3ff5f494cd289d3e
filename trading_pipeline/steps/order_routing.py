"""Orders of a session on their way to its broker: each is sent once, whatever the venue answers."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import pandas as pd

from trading_pipeline.adapters.alerts import BROKER_DOWN
from trading_pipeline.adapters.kill_points import around
from trading_pipeline.adapters.kill_switch import HALTED, flattens, intent_of, is_paused
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.threads import in_threads
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.broker import Broker, Order, OrderState
from trading_pipeline.errors import (
    CredentialsError,
    OutcomeUnknown,
    Rejected,
    SourceError,
    SourceUnavailable,
    TooEarly,
)
from trading_pipeline.steps.incidents import Incidents
from trading_pipeline.steps.streams import session_stream

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_FIRST, _LONGEST = 1.0, 60.0  # seconds between two questions to a venue that does not answer
# After which an order that a venue has never heard of is not on its way to it any more: what is
# signed is good for seconds, or a venue takes a name once.
_SETTLED = timedelta(seconds=60)
_MOMENT = 0.001  # seconds: a wait that only keeps the lease
_MARGIN = timedelta(seconds=120)  # that our clock may be ahead of one that takes orders later
_AHEAD = timedelta(days=14)  # in which every market opens


class OrderRouter:
    """Sends and cancels the orders of one session; its bars tell until when one is of use."""

    def __init__(
        self,
        broker: Broker,
        ledger: Ledger,
        market: Market,
        session: str,
        *,
        clock: Callable[[], datetime],
        wait: Callable[[float], None],
    ) -> None:
        """See `brokerage.routes`. Nothing is asked yet."""
        self.broker, self.ledger, self.market, self.session = broker, ledger, market, session
        self.clock, self.wait = clock, wait
        self.stream = session_stream(market.name, session)
        self.calendar = trading_calendar(market.calendar, market.timeframe)
        self._decided: tuple[datetime, datetime] | None = None
        self.incidents = Incidents(ledger, market.name, session, clock)

    def send(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Send an order, and say what is known of it: its `status`, and a `reason`.

        Beside those of `OrderState` a status is 'lapsed' (not sent in time), 'called_off' (the
        operator halted the market) or 'unknown' (nobody knew until the next close).

        Raises:
            CredentialsError: the venue refuses the keys.
        """
        (order,) = Order.each(pd.DataFrame([row]))
        said = self._sent(order, self._close_after(order.decided_at))
        if said["status"] not in ("new", "partially_filled", "filled"):
            _LOG.warning("%s: order %s is %s: %s", self.stream, order.client_order_id,
                         said["status"], said["reason"])  # fmt: skip
        elif self.called_off(order.decided_at):  # while it was sent
            self.cancel()
        return said

    def _sent(self, order: Order, due: datetime) -> dict[str, Any]:
        doubted: datetime | None = None  # since when nobody knows whether it has arrived
        for pause in _pauses():
            if self.clock() >= due:
                break
            if self.called_off(order.decided_at):
                return _said("unknown" if doubted else "called_off", "the market was halted")
            if is_paused(self.ledger, self.market.name):
                self.wait(pause)
                continue
            try:
                under_way = doubted is not None and self.clock() - doubted < _SETTLED
                if state := self._asked(order) if under_way else self._submitted(order):
                    self._note_return()
                    return _said(state.status, state.reason, state.filled_quantity)
            except TooEarly as error:
                if error.until >= due:
                    return _said("unknown" if doubted else "lapsed", str(error))
                _LOG.info("%s: %s", self.stream, error)
                pause = (error.until - self.clock() + _MARGIN).total_seconds()
            except Rejected as error:
                self._note_return()  # a refusal is an answer
                return _said("rejected", str(error))
            except CredentialsError:
                raise
            except SourceUnavailable as error:  # nothing was done
                self._note_outage(error)
            except (OutcomeUnknown, SourceError) as error:
                doubted = self.clock()
                _LOG.warning("%s: %s", self.stream, error)
            self.wait(pause)
        if doubted:
            return _said("unknown", "the venue did not say what became of it until the next close")
        return _said("lapsed", f"it could not be sent before {due:%Y-%m-%d %H:%M}, the next close")

    def _submitted(self, order: Order) -> OrderState:
        with around("submission"):
            return self.broker.submit(order)

    def _asked(self, order: Order) -> OrderState | None:
        with around("question after an order"):
            return self.broker.order(order.client_order_id)

    def called_off(self, bar: datetime) -> bool:
        """Whether the operator wants no order of a bar's decision any more. One that closes what is
        held was decided on after that word."""
        word = intent_of(self.ledger, self.market.name)
        if word is None or word.kind != HALTED:
            return False
        return not flattens(word) or word.recorded_at > self._decided_at(bar)

    def _decided_at(self, bar: datetime) -> datetime:
        """When, on the wall's clock, the newest decision was made."""
        if self._decided is None or self._decided[0] != bar:
            event = self.ledger.last(self.stream, "decision")
            self._decided = bar, event.recorded_at if event else self.clock()
        _, decided_at = self._decided
        return decided_at

    def _close_after(self, stamp: datetime) -> datetime:
        """When the bar after that one closes: its orders are of no use then."""
        following = self.calendar.sessions(stamp + timedelta(microseconds=1), stamp + _AHEAD)[0]
        close: datetime = self.calendar.close_of(following).to_pydatetime()
        return close

    def is_newest(self, bar: datetime) -> bool:
        """Whether no later bar has closed: the broker's account is of that bar, too."""
        return self.clock() < self._close_after(bar)

    def cancel(self, except_of: pd.Timestamp | None = None) -> None:
        """Cancel all open orders of the session, but those of a decision."""
        begins = f"{self.session}/"  # which may hold more of them
        kept = f"/{except_of:%Y%m%dT%H%M%S}/" if except_of is not None else None
        for state in self.ask(self.broker.open_orders):
            name = state.client_order_id
            _, _, rest = name.removeprefix(begins).partition("/")
            ours = name.startswith(begins) and rest.rpartition("/")[0] in self.market.symbols
            if ours and not (kept and kept in name):
                with around("cancel"):
                    self.ask(partial(self.broker.cancel, name))
                self._beat()
                _LOG.info("%s: what was left of %s is cancelled", self.stream, name)

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer, however long the venue takes; nothing can be done without it."""
        for pause in _pauses():
            try:
                # One question may be hundreds of requests, longer than a lease lasts.
                ((_, answered),) = in_threads(_call, [question], 1, self._beat)
                answer: _T = answered.result()
                self._note_return()
                return answer
            except (SourceUnavailable, OutcomeUnknown) as error:
                self._note_outage(error)
            self.wait(pause)
        raise AssertionError("pauses do not end")

    def _beat(self) -> None:
        self.wait(_MOMENT)

    def _note_outage(self, error: Exception) -> None:
        text = "the venue does not answer, and is asked again until it does"
        self.incidents.begin(BROKER_DOWN, text, str(error))

    def _note_return(self) -> None:
        self.incidents.end(BROKER_DOWN, "the venue answers again")


def cancel_all(broker: Broker) -> list[OrderState]:
    """Cancel every open order of an account, whoever sent it; what became of each.

    Raises:
        OutcomeUnknown, SourceError: the venue did not say so; to ask again does no harm.
    """
    ended = []
    for state in broker.open_orders():
        try:
            ended.append(broker.cancel(state.client_order_id))
        except Rejected:  # none of ours, where a venue wants its own name for it
            ended.append(state)
    return ended


def _call(question: Callable[[], _T]) -> _T:
    return question()


def _said(status: str, reason: str, filled: float = 0.0) -> dict[str, Any]:
    return {"status": status, "filled_quantity": filled, "reason": reason}


def _pauses() -> Iterator[float]:
    """Growing ones, without end."""
    pause = _FIRST
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST)
