"""A session at a broker: each order sent once, each execution booked once, one account held against
the other.

What the venue said is in the stream `broker/MARKET/SESSION` before anything follows from it:

    opened           what the account held beside the session, before its first order
    executions       what was traded up to the close of a bar
    reconciliation   how the two accounts differ, whenever that changes
    accepted         the operator has seen a difference: trading goes on with it
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from trading_pipeline.adapters.kill_points import around
from trading_pipeline.adapters.kill_switch import (
    HALTED,
    TRADING,
    intent_of,
    is_halted,
    record_intent,
)
from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.broker import Broker, Execution
from trading_pipeline.core.trading.to_dict import to_json
from trading_pipeline.core.trading.trader import Bar, Filled, Trader
from trading_pipeline.errors import BrokerError, LedgerError
from trading_pipeline.steps.order_routing import OrderRouter
from trading_pipeline.steps.reconcile import CASH, Reconciliation, reconcile
from trading_pipeline.steps.session import Execute, Send
from trading_pipeline.steps.streams import broker_stream

_LOG = logging.getLogger(__name__)
_LOOKS, _LOOK_AGAIN = 4, 5.0  # times and seconds: positions and executions are asked one by one
_OVERLAP = 3  # bars whose executions are asked for again: some are told late


class Routes(NamedTuple):
    """Where a session's orders go and its fills come from."""

    execute: Execute
    send: Send | None
    begin: Callable[[Trader], None]  # to be called before the first bar of every process


def routes(
    broker: Broker | None,
    ledger: Ledger,
    market: Market,
    session: str,
    *,
    clock: Callable[[], datetime],
    wait: Callable[[float], None],
) -> Routes:
    """How a session trades at a broker, or in the simulation if there is none.

        routed = routes(broker, ledger, market, name, clock=now, wait=...)
        account = Session(..., execute=routed.execute, send=routed.send)
        routed.begin(account.trader)

    Args:
        clock: the wall's, UTC. wait: sleeps so many seconds, and keeps the lease meanwhile.

    Raises:
        LedgerError: the session has traded at a broker, and there is none now.
    """
    if broker is not None:
        made = Brokerage(OrderRouter(broker, ledger, market, session, clock=clock, wait=wait))
        return Routes(made.execute, made.orders.send, made.begin)
    if ledger.last(broker_stream(market.name, session)):
        raise LedgerError(
            f"the session {session} of {market.name} trades at a broker, and the market has "
            '`broker = "simulated"` now: set it back, or give another --session'
        )
    return Routes(Trader.fill, None, lambda trader: None)


class Brokerage:
    """The account of one session at its broker."""

    def __init__(self, orders: OrderRouter) -> None:
        """See `routes`. Nothing is asked yet."""
        self.orders, self.broker, self.ledger = orders, orders.broker, orders.ledger
        self.market, self.session = orders.market, orders.session
        self.clock, self.wait = orders.clock, orders.wait
        self.stream = broker_stream(self.market.name, self.session)
        self._events: dict[str, Event] = {}  # the newest of each kind
        self._known: set[str] = set()  # ids of all executions that are journalled
        self._cursors: list[str | None] = []  # the newest execution at each bar
        self._beside: dict[str, float] = {}  # what the broker has and the session does not
        self._seq = 0
        for event in self.ledger.read(self.stream):
            self._learn(event)

    def begin(self, trader: Trader) -> None:
        """Open the account of a new session, or see how the one of an old session stands.

        Raises:
            BrokerError: the account has less cash than the session's capital.
            LedgerError: the session has traded in the simulation.
        """
        if "opened" in self._events:
            decided = trader.decided_at
            wanted = decided is not None and not self.orders.called_off(decided.to_pydatetime())
            self.orders.cancel(except_of=decided if wanted else None)
            self._reconcile(trader)
            return
        if trader.decided_at is not None:
            raise LedgerError(
                f"the session {self.session} of {self.market.name} has traded in the simulation; "
                "give another --session to trade at a broker"
            )
        self._open(trader)

    def execute(self, trader: Trader, bar: Bar) -> Filled:
        """End what is left of the orders before, and book what was traded up to the bar's close;
        asked again, it says the same."""
        known = self._events.get("executions")
        at = bar.timestamp.to_pydatetime()
        if known is None or known.at < at:
            known = self._collect(trader, bar)
        filled = trader.book(bar, executions_of(known))
        self._reconcile(trader)
        return filled

    def _open(self, trader: Trader) -> None:
        """Note what is in the account beside the session's capital, and was traded before."""
        told = self.orders.ask(lambda: self.broker.executions(None))
        cash = self.orders.ask(self.broker.cash)
        if cash < trader.equity:
            raise BrokerError(
                f"the broker has {cash:,.2f} in cash, and {self.session} begins with "
                f"{trader.equity:,.2f}; give a --capital up to that, or reset the paper account"
            )
        beside = {**self.orders.ask(self.broker.positions), CASH: cash - trader.equity}
        self._journal(
            "opened",
            self.clock(),
            {"beside": beside, "last": told[-1].execution_id if told else None},
        )

    def _collect(self, trader: Trader, bar: Bar) -> Event:
        """Cancel what is open of the session's orders, and journal what was traded.

        Some is told a moment after positions show it: a decision without it would order it again.
        """
        self.orders.cancel()
        at = bar.timestamp.to_pydatetime()
        for look in range(_LOOKS):
            if look:
                self.wait(_LOOK_AGAIN)
            told = self._news()
            if late := not self.orders.is_newest(at):
                close = self.orders.calendar.close_of(at)
                told = [each for each in told if each.filled_at < close]
            ours = [each for each in told if each.symbol in self.market.symbols]
            others = [each for each in told if each.symbol not in self.market.symbols]
            trial = deepcopy(trader)
            trial.book(bar, ours)
            if late or _alike(self._apart(trial, others).offsets(), self._offsets):
                break
        for each in others:
            _LOG.warning("%s: not of this market, so not booked: %s", self.stream, each)
        payload = {
            "executions": [to_json(each) for each in ours],
            "others": [to_json(each) for each in others],
            "last": told[-1].execution_id if told else self._cursors[-1],
        }
        return self._journal("executions", at, payload)

    def _news(self) -> list[Execution]:
        """What was executed, and is not journalled yet, oldest first."""
        after = self._cursors[-_OVERLAP:][0]
        with around("executions"):
            told = self.orders.ask(lambda: self.broker.executions(after))
        fresh = {each.execution_id: each for each in told if each.execution_id not in self._known}
        return list(fresh.values())

    def _reconcile(self, trader: Trader) -> None:
        """Compare the accounts; a difference is journalled and told, and a large one halts."""
        if trader.last_bar is not None and not self.orders.is_newest(
            trader.last_bar.to_pydatetime()
        ):
            return  # bars are caught up: of splits since, the broker knows and the account does not
        self._accept()
        with around("reconciliation"):
            found = self._compared(trader)
        if not _alike(apart := found.offsets(), self._offsets):
            told = {"differences": to_json(found.explained()), "offsets": apart}
            _LOG.warning("%s: %s", self.stream, found.told() or "agrees with its broker again")
            self._journal("reconciliation", self.clock(), told | {"halts": found.halts})
        if found.halts and not is_halted(self.ledger, self.market.name):
            reason, who = f"differs from its broker: {found.told()}", f"the session {self.session}"
            with around("halt"):
                record_intent(self.ledger, self.market.name, HALTED, reason, self.clock(), who)

    def _compared(self, trader: Trader) -> Reconciliation:
        """The broker is asked one thing after the other, so what is new is looked at again."""
        for look in range(_LOOKS):
            if look:
                self.wait(_LOOK_AGAIN)
            found = self._apart(trader, self._news())
            if _alike(found.offsets(), self._offsets):
                break
        return found

    def _apart(self, trader: Trader, unbooked: list[Execution]) -> Reconciliation:
        """What differs, but for what the broker has beside, and what is not booked yet."""
        theirs = {**self.orders.ask(self.broker.positions), CASH: self.orders.ask(self.broker.cash)}
        for symbol, quantity in (*self._beside.items(), *_moved(unbooked)):
            theirs[symbol] = theirs.get(symbol, 0.0) - quantity
        cash = theirs.pop(CASH)
        return reconcile(trader, theirs, cash)

    @property
    def _offsets(self) -> dict[str, float]:
        """The differences that are known."""
        newest = self._events.get("reconciliation")
        return newest.payload["offsets"] if newest else {}

    def _accept(self) -> None:
        """Where the operator lets a market trade that a difference halted, go on with it."""
        last, word = self._events.get("reconciliation"), intent_of(self.ledger, self.market.name)
        accepted = self._events.get("accepted")
        if last is None or not last.payload["halts"] or word is None or word.kind != TRADING:
            return
        if word.recorded_at > last.recorded_at and (accepted is None or accepted.seq < last.seq):
            self._journal("accepted", self.clock(), {"offsets": last.payload["offsets"]})

    def _journal(self, kind: str, at: datetime, payload: Mapping[str, Any]) -> Event:
        with around(f"journal of {kind}"):
            event = self.ledger.append(
                self.stream, kind, at, payload, self.clock(), after=self._seq
            )
        self._learn(event)
        return event

    def _learn(self, event: Event) -> None:
        """What follows from an event of the stream."""
        self._seq, self._events[event.kind] = event.seq, event
        payload = event.payload
        match event.kind:
            case "opened":
                self._add(payload["beside"].items())
                self._cursors.append(payload["last"])
            case "executions":
                others = [_execution(row) for row in payload["others"]]
                self._known |= {each.execution_id for each in (*executions_of(event), *others)}
                self._add(_moved(others))
                self._cursors.append(payload["last"])
            case "accepted":
                self._add(payload["offsets"].items())

    def _add(self, amounts: Iterable[tuple[str, float]]) -> None:
        for name, amount in amounts:
            self._beside[name] = self._beside.get(name, 0.0) + amount


def executions_of(event: Event) -> list[Execution]:
    """What was traded up to a bar's close, of an event `executions`."""
    return [_execution(row) for row in event.payload["executions"]]


def _execution(row: Mapping[str, Any]) -> Execution:
    return Execution(**{**row, "filled_at": datetime.fromisoformat(row["filled_at"])})


def _moved(executions: list[Execution]) -> list[tuple[str, float]]:
    """What executions do to positions and cash, by symbol."""
    held = [(each.symbol, each.quantity) for each in executions]
    return held + [(CASH, -each.quantity * each.price - each.fee) for each in executions]


def _alike(ours: Mapping[str, float], theirs: Mapping[str, float]) -> bool:
    same = ours.keys() == theirs.keys()
    return same and all(np.isclose(ours[name], theirs[name], rtol=1e-6, atol=0.01) for name in ours)
