"""Paper trading of a venue's bars, as they close there, with the model in service.

Bars come from `Feed`: what the store has, and from then on the venue itself; nothing is stored but
the session's own recording. The newest bar alone is decided on. Those that closed while the session
was away, paused, or without an answer, are missed: see `Session`.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from trading_pipeline.adapters.alerts import MODEL_REFUSED
from trading_pipeline.adapters.kill_switch import is_paused
from trading_pipeline.adapters.sources.source import LiveSource
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.market.sessions import STEPS
from trading_pipeline.core.progress import Advance
from trading_pipeline.core.trading.broker import Broker
from trading_pipeline.errors import CheckpointError, TradingError
from trading_pipeline.steps.brokerage import routes
from trading_pipeline.steps.feed import Feed
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.guard import Guard, guarded
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.incidents import Incidents
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.paper import (
    IN_SERVICE,
    PAUSE,
    Tally,
    past_predictions,
    refuse_other_kind,
)
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.production import model_in_service
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.session import Session, SessionBar
from trading_pipeline.steps.streams import session_stream

_NONE = Rows(0, -1)


def trade(
    ledger: Ledger,
    home: Home,
    plan: Plan,
    source: LiveSource,
    watch: Advance,
    *,
    session: str,
    capital: float,
    running: Callable[[], bool] = lambda: True,
    broker: Broker | None = None,
) -> Iterator[dict[str, Any]]:
    """Run a session until it is stopped; after each bar, the account in a few numbers.

    A new one begins with the first bar after those that the model in service has learned from. It
    holds the market's lease, also while it waits. When a bar closes, the venue says; the rest goes
    by the home's clock.

    Args:
        session: the same name with the same terms goes on where it stopped.
        running: as `Guard` takes it. broker: None is the simulation.

    Raises:
        CheckpointError: there is no production model, or it is not one of today's recipe.
        BrokerError: its account has less cash than the capital of a new session.
        LedgerError: other terms, another broker, or the session was a replay.
        TradingError: bars are told too late to trade them at a broker.
        StoreError: there are no stored bars, or they are of another source, feed or timeframe.
        LeaseHeld: another session trades the market. LeaseLost: another one took over, or the run
            was ended from outside.
    """
    store, clock, sleep = home.bars(plan.market), home.clock.now, home.clock.sleep
    store.check_identity(source.identity())
    if broker is not None and source.delay >= STEPS[plan.market.timeframe]:
        raise TradingError(
            f"{plan.market.name}: its source tells a bar {source.delay} after its close, when the "
            "next one is over: every order would come too late. Choose longer bars, a feed without "
            'that `delay`, or `broker = "simulated"`'
        )
    with guarded(ledger, plan.market.name, session, clock, sleep, running=running) as guard:
        wait = partial(guard.wait, sleep=sleep)
        incidents = Incidents(ledger, plan.market.name, session, clock)
        feed = Feed(source, plan.market, wait, incidents, guard, store.doubts())
        stream, recordings = session_stream(plan.market.name, session), home.recordings(plan.market)
        refuse_other_kind(ledger, stream, live=True)
        seen = guard.during(partial(Recording.read, ledger, stream, recordings))
        if seen is not None:
            panel = seen.panel
        else:
            stored = read_panel(home, plan.market)
            model_in_service(home, plan, ledger)  # that there is none is said before the wait
            panel = feed.after(stored)
        last = len(panel.timestamps) - 1
        known = seen.predictions if seen else past_predictions(home, plan, panel, last)
        service = _Service(home, plan, ledger, stream, incidents)
        routed = routes(broker, ledger, plan.market, session, clock=clock, wait=wait)
        account = Session(
            ledger,
            plan.market,
            Forecaster(panel, plan.market, [], service.checkpoints.__getitem__, known),
            recordings,
            session=session,
            capital=capital,
            clock=clock,
            execute=routed.execute,
            send=routed.send,
            guard=guard,
        )
        routed.begin(account.trader)
        tally = Tally(account)
        for bar in _Live(account, feed, service, guard, sleep).bars():
            note = f"{bar.at:%Y-%m-%d %H:%M} equity {bar.equity:,.0f}"
            watch(tally.bars + 1, tally.bars + 2, note)
            yield tally.after(bar)


@dataclass
class _Service:
    """The model in service, for a forecaster to ask."""

    home: Home
    plan: Plan
    ledger: Ledger
    stream: str
    incidents: Incidents
    newest: str = ""  # SHA-256
    waiting: dict[str, Any] = field(default_factory=dict)  # until there is a bar to ask it about
    checkpoints: dict[str, Any] = field(default_factory=dict)  # of the one asked, by its fold's key

    def pick_up(self, asked: Forecaster, row: int) -> None:
        """Let `asked` ask the model in service from `row` on, where it is another one than before.

        One that has learned from that bar has to wait for a later one; until then, the model before
        is asked. So it is where the new one cannot be used, which is said once.
        """
        try:
            found = model_in_service(self.home, self.plan, self.ledger, self.newest)
        except CheckpointError as error:
            if not self.newest:
                raise
            text = f"the session goes on with model {asked.model:.12}: {error}"
            self.incidents.begin(MODEL_REFUSED, text)
            return
        if found:
            self.newest, self.waiting = found["sha256"], found
        stamps = asked.panel.timestamps
        if self.waiting and stamps[row] > pd.Timestamp(self.waiting["last_target"]):
            key = f"{IN_SERVICE} {self.newest[:12]}"
            self.checkpoints.clear()  # in place: the forecaster asks this one
            self.checkpoints[key], self.waiting = self.waiting, {}
            asked.folds = [Fold(key, _NONE, _NONE, Rows(self._first(stamps, row), sys.maxsize))]
        if not self.waiting:
            self.incidents.end(MODEL_REFUSED, f"model {self.newest:.12} is asked")

    def _first(self, stamps: pd.DatetimeIndex, row: int) -> int:
        """The row from which this session asks the model: its notional book begins there."""
        last = self.ledger.last(self.stream, "model")
        if last is None or last.payload["sha256"] != self.newest:
            return row
        return int(stamps.searchsorted(last.at))


@dataclass
class _Live:
    """The loop over bars that close."""

    account: Session
    feed: Feed
    service: _Service
    guard: Guard
    sleep: Callable[[float], None]

    def bars(self) -> Iterator[SessionBar]:
        """Each bar of the session, without end."""
        asked, stamps = self.account.forecaster, self.account.panel.timestamps
        row = 0
        if (lived := self.account.resumed_at) is not None:
            row = int(stamps.searchsorted(lived)) + 1
            self._paused()
            if lived == self.feed.newest():  # what was ordered there may still be in time
                self.account.send_orders()
        while True:
            self._paused()
            last = len(asked.panel.timestamps) - 1
            row = last if self.account.resumed_at is None else row  # what is before is history
            while row <= last:
                self.service.pick_up(asked, row)
                if self.account.resumed_at is None and not asked.has_model(row):
                    break
                if asked.has_model(row):
                    asked.catch_up(row)  # after a restart it takes long: later bars may close
                yield self.account.step(row, partial(self._misses, row, last))
                row += 1
            asked.follow(self.feed.after(asked.panel))

    def _paused(self) -> None:
        """Wait while the operator wants a pause."""
        while is_paused(self.account.ledger, self.account.forecaster.market.name):
            self.guard.wait(PAUSE, self.sleep)

    def _misses(self, row: int, last: int) -> bool:
        """Whether a later bar than that has closed, or the model may not be asked about it."""
        asked = self.account.forecaster
        stamp = asked.panel.timestamps[row]
        if row < last or stamp != self.feed.newest():
            return True
        if asked.has_model(row):
            return False
        text = f"model {self.service.newest:.12} has learned from {stamp:%Y-%m-%d %H:%M} UTC"
        text += " and cannot be asked about it; nothing is ordered"
        self.service.incidents.begin(MODEL_REFUSED, text)
        return True
