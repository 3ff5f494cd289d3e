"""A paper session: one journalled account that lives through bars, each in phases.

    bar        what is seen                       journalled before it does anything
    fills      what became of the orders before   journalled, then the account is marked
    decision   what is predicted and ordered      journalled before it is acted on
    orders     each sent, each answer journalled

A session that is killed anywhere goes on from its newest event. What it had journalled is taken
from there; the rest is done again, and gives the same, for it follows from what is journalled.

A bar that closed while the session was away, or its venue did not answer, is missed once a newer
one has closed: fills, stops, cash flows and the mark happen, and nothing is decided, for the next
open after it is in the past. The exits that a session would have ordered there wait for its next
decision, on the newest bar.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.kill_points import around
from trading_pipeline.adapters.kill_switch import is_flattened, is_halted
from trading_pipeline.adapters.store.ledger import Entry, Event, Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.engine.parameters import parameters_to_dict
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import json_number, to_json
from trading_pipeline.core.trading.trader import Bar, Decided, Filled, Trader
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps.forecaster import Forecaster
from trading_pipeline.steps.recording import bar_payload, history_arrays
from trading_pipeline.steps.states import WHOLE_EVERY, earlier_states
from trading_pipeline.steps.streams import session_stream

MISSED = "missed"  # in the payload of a decision: there was none, a newer bar had closed
ORDER_COLUMNS = (
    "client_order_id",
    "decided_at",
    "symbol",
    "side",
    "quantity",
    "type",
    "limit_price",
    "stop_price",
    "reasons",
)
_FILLED = {"fill": "fills", "lapsed": "lapsed", "cash_flow": "cash_flows"}  # tables by kind

# Brings the orders that wait to the market of a bar, and says what became of them; asked again of
# the same account and bar, it says the same.
Execute = Callable[[Trader, Bar], Filled]
# Sends an order of those columns, and says what was answered; sent again, it is the same order.
Send = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class SessionBar:
    """One bar of a session, lived through and decided on."""

    at: pd.Timestamp
    filled: Filled
    decided: Decided | None  # None: the bar was missed
    equity: float


class Session:
    """One journalled account over rows of a panel."""

    def __init__(
        self,
        ledger: Ledger,
        market: Market,
        forecaster: Forecaster,
        recordings: RecordingStore,
        *,
        session: str,
        capital: float,
        clock: Callable[[], datetime],
        execute: Execute = Trader.fill,
        send: Send | None = None,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the session of that name, or go on where it stopped.

        Args:
            forecaster: over the bars that the session saw and those to come, with the predictions
                that it has journalled: see `Recording`.
            execute: simulated, unless a broker does it.
            send: where orders go; None: nowhere, for they are simulated.
            guard: called before every bar and every order that is sent; raises where this session
                may not trade any more.

        Raises:
            LedgerError: the ledger knows the session with another market or capital, or it was
                opened by a version with other trading rules.
            TradingError: its state was written by such a version.
        """
        self.ledger, self.forecaster, self.recordings = ledger, forecaster, recordings
        self.clock, self.execute, self.send, self.guard = clock, execute, send, guard
        forecaster.beat = guard
        self.stream = session_stream(market.name, session)
        self.trader = Trader(self.panel.symbols, Terms.of(market, capital), session=session)
        self.terms = terms_of(market, self.trader, capital)
        newest = ledger.last(self.stream)
        self.seq = newest.seq if newest else 0
        self._agree_on_terms()
        self._bar, self._decision, model = (
            ledger.last(self.stream, kind) for kind in ("bar", "decision", "model")
        )
        self._model = model.payload["sha256"] if model else ""
        self._changes = 0  # states since the last whole one
        if self._decision is not None:
            earlier = earlier_states(ledger, self.stream, self._decision)
            self.trader.restore(self._decision.payload["state"], earlier)
            self._changes = len(earlier)
        self._positions = self.trader.lasting_positions  # at the last decision

    @property
    def panel(self) -> Panel:
        """The bars seen, and in a replay those to come."""
        return self.forecaster.panel

    @property
    def resumed_at(self) -> pd.Timestamp | None:
        """The last bar that was decided on, or missed; None for a new session."""
        return in_utc(self._decision.at) if self._decision is not None else None

    def run(self, first: int, last: int) -> Iterator[SessionBar]:
        """Rows `first` to `last`, those already decided on left out.

        The first row is decided on like any other; its fill step only marks the account.

        Raises:
            LedgerError: another process writes to the same session, or bars would be jumped over.
        """
        if self.resumed_at is not None:
            following = int(self.panel.timestamps.searchsorted(self.resumed_at)) + 1
            if first > following:
                raise LedgerError(
                    f"{self.stream} has lived through bars up to {self.resumed_at:%Y-%m-%d %H:%M}; "
                    f"it cannot go on at {self.panel.timestamps[first]:%Y-%m-%d %H:%M} without the "
                    "bars between. Start earlier, or give another --session."
                )
        self.send_orders()
        for row in range(first, last + 1):
            stamp = self.panel.timestamps[row]
            if self.resumed_at is None or stamp > self.resumed_at:
                yield self.step(row)

    def step(self, row: int, missed: Callable[[], bool] = lambda: False) -> SessionBar:
        """The row after the last one.

        `missed`: whether a later bar has closed, so that nothing is decided; asked when the fills
        are known, which a broker may take hours to tell.
        """
        self.guard()
        self._record(row)
        filled = self._fill(row)
        decided = None if missed() else self._decide(row)
        if decided is None:
            self._miss(row)
        else:
            self.send_orders()
        return SessionBar(self.panel.timestamps[row], filled, decided, self.trader.equity)

    def _record(self, row: int) -> None:
        """Write down the bar, and with the first one what is known before it."""
        at = self.panel.timestamps[row].to_pydatetime()
        if self._bar is not None and self._bar.at >= at:
            return
        entries = []
        if self._bar is None:
            if self.forecaster.has_model(row):
                self.forecaster.catch_up(row)
            with around("history"):
                known = history_arrays(self.panel, self.forecaster.forecasts, row)
                digest = self.recordings.write(known)
            entries.append(Entry("history", at, {"sha256": digest, "bars": row}))
        entries.append(Entry("bar", at, bar_payload(self.panel, row)))
        self._bar = self._journal("bar", entries)[-1]

    def _fill(self, row: int) -> Filled:
        """What became of the orders that waited, and what the account is worth now."""
        assert self._bar is not None
        at = self._bar.at
        with around("fill"):
            filled = self.execute(self.trader, self.forecaster.bar(row))
        happened = [
            Entry(kind, at, each)
            for kind, table in _FILLED.items()
            for each in _rows(getattr(filled, table))
        ]
        # What a session that was killed here has journalled already, and comes to the same.
        known = self.ledger.read(self.stream, after=self._bar.seq)
        written = [(event.kind, event.payload) for event in known]
        self._journal(
            "fills", [each for each in happened if (each.kind, each.payload) not in written]
        )
        if "mark" not in {event.kind for event in known}:
            self._journal("mark", [Entry("mark", at, self._mark())])
        return filled

    def _mark(self) -> dict[str, Any]:
        held = self.trader.positions["quantity"]
        return {
            "equity": self.trader.equity,
            "cash": float(self.trader.account["cash"][0]),
            "positions": {self.panel.symbols[n]: float(held[n]) for n in np.flatnonzero(held)},
        }

    def _decide(self, row: int) -> Decided:
        with around("prediction"):
            signals = self.forecaster.signals(row)
        self._note_model()
        market = self.forecaster.market.name
        halted, flatten = is_halted(self.ledger, market), is_flattened(self.ledger, market)
        decided = self.trader.decide_under(int(halted) + int(flatten), signals)
        said = {
            "orders": _rows(decided.orders),
            "vetoes": _rows(decided.vetoes),
            "halted": halted,
            "flatten": flatten,
        }
        self._note_decision(row, said)
        return decided

    def _miss(self, row: int) -> None:
        """Predictions alone, evidence to size by, where the model has not learned from the bar."""
        if self.forecaster.has_model(row):
            with around("prediction"):
                self.forecaster.scores(row)
            self._note_model()
        nothing = {"orders": [], "vetoes": [], "halted": False, "flatten": False, MISSED: True}
        self._note_decision(row, nothing)

    def _note_model(self) -> None:
        """Journal which model was asked, where it is another one than before."""
        assert self._bar is not None
        if self.forecaster.model != self._model:
            self._model, fold = self.forecaster.model, self.forecaster.fold
            named = {"sha256": self._model, "fold": fold.key if fold else ""}
            self._journal("model", [Entry("model", self._bar.at, named)])

    def _note_decision(self, row: int, said: dict[str, Any]) -> None:
        assert self._bar is not None
        known = {
            "equity": self.trader.equity,
            "predictions": self._predictions(row),
            "state": self._state(),
        }
        entries = [Entry("decision", self._bar.at, {**said, **known})]
        self._decision = self._journal("decision", entries)[-1]
        self._positions = self.trader.lasting_positions
        self._changes = self._changes + 1 if "since" in self._decision.payload["state"] else 0

    def _state(self) -> dict[str, Any]:
        if self._decision is None or self._changes + 1 >= WHOLE_EVERY:
            return self.trader.to_dict()
        since = self._decision.payload["state"].get("since", self._decision.seq)
        return {**self.trader.to_dict(self._positions), "since": since}

    def _predictions(self, row: int) -> dict[str, Any]:
        asked = self.forecaster
        return {
            "score": [json_number(each) for each in asked.history[row].tolist()],
            "volatility": [json_number(each) for each in asked.volatility[row].tolist()],
            "half_life": json_number(float(asked.half_life[row])),
        }

    def send_orders(self) -> None:
        """Send what was decided last, and not answered yet."""
        if self.send is None or self._decision is None:
            return
        later = self.ledger.read(self.stream, after=self._decision.seq, kind="sent")
        answered = {event.payload["client_order_id"] for event in later}
        for order in self._decision.payload["orders"]:
            if order["client_order_id"] in answered:
                continue
            self.guard()
            with around("send"):
                answer = self.send(order)
            payload = {"client_order_id": order["client_order_id"], **to_json(dict(answer))}
            self._journal("acknowledgement", [Entry("sent", self._decision.at, payload)])

    def _journal(self, what: str, entries: list[Entry]) -> list[Event]:
        if not entries:
            return []
        with around(f"journal of {what}"):
            events = self.ledger.append_many(self.stream, entries, self.clock(), after=self.seq)
        self.seq += len(entries)
        return events

    def _agree_on_terms(self) -> None:
        opened = next(iter(self.ledger.read(self.stream, kind="opened")), None)
        if opened is None:
            at = self.panel.timestamps[0].to_pydatetime()
            self._journal("opening", [Entry("opened", at, self.terms)])
            return
        check_terms(self.stream, opened.payload, self.terms)


def journalled_orders(ledger: Ledger, stream: str) -> pd.DataFrame:
    """All orders that a session decided on, oldest first; columns of `BacktestResult.orders`."""
    rows = [
        order for event in ledger.read(stream, kind="decision") for order in event.payload["orders"]
    ]
    return pd.DataFrame(rows, columns=list(ORDER_COLUMNS))


def terms_of(market: Market, trader: Trader, capital: float) -> dict[str, Any]:
    """What a session is opened with, as its first event has it."""
    return {
        "market": market.name,
        "capital": capital,
        "profile": market.profile,
        "symbols": list(market.symbols),
        "calendar": market.calendar,
        "timeframe": market.timeframe,
        "horizon": market.horizon,
        "mandate": market.mandate,
        "shortable": market.shortable,
        "costs": _plain(asdict(market.costs)),
        "limits": _plain(market.limits),
        "sectors": dict(market.sectors),
        "benchmark": dict(market.benchmark),
        "rules": parameters_to_dict(trader.rules),
    }


def check_terms(stream: str, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise LedgerError where a session was opened with other terms than these."""
    if theirs.keys() != ours.keys() or theirs["rules"].keys() != ours["rules"].keys():
        raise LedgerError(
            f"{stream} was opened by a version with other trading rules, and cannot go on under "
            "these; give another --session to start anew"
        )
    if theirs != ours:
        raise LedgerError(
            f"{stream} was opened with {_apart(theirs, ours)}, not with {_apart(ours, theirs)}; "
            "give the same options to resume it, or another --session to start anew"
        )


def _apart(terms: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """The terms that differ; rules follow from the others, unless they alone do."""
    found = {name: each for name, each in terms.items() if each != others[name]}
    return {name: each for name, each in found.items() if name != "rules" or len(found) == 1}


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """As `to_dict("records")` does, which takes a millisecond for a table without rows."""
    columns = [table[name].tolist() for name in table] if len(table) else []
    return [to_json(dict(zip(table, row, strict=True))) for row in zip(*columns, strict=True)]


def _plain(terms: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: None if each is None else json_number(each) for name, each in terms.items()}
