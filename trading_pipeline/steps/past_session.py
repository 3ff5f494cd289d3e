"""A paper session as it was: all that its stream and its recording have of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.backtest.on_paper import OnPaper
from trading_pipeline.core.backtest.recorded import Recorded
from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.broker import Execution
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Trader
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps.brokerage import executions_of
from trading_pipeline.steps.recording import Recording
from trading_pipeline.steps.session import MISSED, check_terms, terms_of
from trading_pipeline.steps.streams import broker_stream, is_of_session, session_stream

Eligible = Callable[[Panel], np.ndarray]  # who may be bought at each close, (T, N) bool


def eligibility_of(n_steps: int) -> Eligible:
    """Who may be bought, as a session asks it for windows of so many bars."""
    return lambda panel: eligible(panel, burn_in(n_steps), window=n_steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class PastSession:
    """A session up to its newest mark; a newer bar may be recorded."""

    stream: str
    session: str
    capital: float
    events: list[Event]
    recorded: Recorded
    executions: list[list[Execution]] | None  # of a broker, by bar; None: it was simulated
    predictions: pd.DataFrame  # that it knew or made

    @classmethod
    def read(
        cls,
        ledger: Ledger,
        market: Market,
        store: RecordingStore,
        session: str,
        eligible_of: Eligible,
    ) -> "PastSession":
        """A session, and its rules still those of the market.

        Args:
            eligible_of: as the session asked.

        Raises:
            BrokenChain: an event was changed, a recorded bar say. StoreError: what the session knew
                when it began was changed. LedgerError: there is no such session, it has no bars, or
                the market has other settings now.
        """
        stream = session_stream(market.name, session)
        seen = Recording.read(ledger, stream, store)
        events = ledger.read(stream)
        bars = sum(event.kind == "mark" for event in events)
        if seen is None or not bars:
            known = ", ".join(name for name in ledger.streams() if is_of_session(name))
            there = f"there are: {known}" if known else "`trading-pipeline paper-trade` makes one"
            raise LedgerError(f"{stream} has lived through no bar; {there}")
        capital = float(events[0].payload["capital"])
        trader = Trader(seen.panel.symbols, Terms.of(market, capital), session=session)
        check_terms(stream, events[0].payload, terms_of(market, trader, capital))
        return cls(
            stream=stream,
            session=session,
            capital=capital,
            events=events,
            recorded=_recorded(seen, seen.first + bars, events, eligible_of),
            executions=_executions(ledger, market, session, events),
            predictions=seen.predictions,
        )

    @cached_property
    def marks(self) -> list[Event]:
        """One for each bar."""
        return [event for event in self.events if event.kind == "mark"]

    @property
    def equity(self) -> np.ndarray:
        """(K,) as it was marked."""
        return np.array([event.payload["equity"] for event in self.marks], dtype=float)

    @property
    def on_paper(self) -> OnPaper:
        """What it saw, and what became of its orders."""
        return OnPaper(
            session=self.session,
            capital=self.capital,
            recorded=self.recorded,
            fills=self.table("fill"),
            cash_flows=self.table("cash_flow"),
            equity=self.equity,
        )

    def rerun(self, market: Market) -> Rerun:
        """Its account once more, with all that was decided, for whoever asks why."""
        return Rerun.of_paper(self.on_paper, self.predictions, market)

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        """Of all events of a kind."""
        return [event.payload for event in self.events if event.kind == kind]

    def table(self, kind: str) -> pd.DataFrame:
        """The same as a table."""
        return pd.DataFrame(self.payloads(kind))


def _executions(
    ledger: Ledger, market: Market, session: str, events: list[Event]
) -> list[list[Execution]] | None:
    """What was booked at each mark."""
    said = ledger.read(broker_stream(market.name, session))
    told = {each.at: executions_of(each) for each in said if each.kind == "executions"}
    return [told[each.at] for each in events if each.kind == "mark"] if said else None


def _recorded(seen: Recording, stop: int, events: list[Event], eligible_of: Eligible) -> Recorded:
    panel = seen.panel.until(stop)
    halted, missed = np.zeros(stop - seen.first, dtype=int), np.ones(stop - seen.first, dtype=bool)
    for event in events:
        k = int(panel.timestamps.searchsorted(pd.Timestamp(event.at))) - seen.first
        if event.kind == "decision" and k < len(missed):
            halted[k] = event.payload["halted"] + event.payload["flatten"]
            missed[k] = event.payload.get(MISSED, False)
    return Recorded(
        panel=panel,
        first=seen.first,
        score=seen.forecasts.score[:stop],
        volatility=seen.forecasts.volatility[:stop],
        half_life=seen.forecasts.half_life[:stop],
        eligible=eligible_of(panel),
        halted=halted,
        missed=missed,
    )
