"""How a market's paper session stands, read from the ledger alone: it runs, or it does not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.kill_switch import TRADING, intent_of
from trading_pipeline.adapters.store.lease import Tenure, holder_of, tenure_of
from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps.states import earlier_states
from trading_pipeline.steps.streams import is_of_session, session_stream
from trading_pipeline.steps.watchdog import how_it_stands, wanted_session

_AHEAD = timedelta(days=14)  # in which every market opens


@dataclass(frozen=True)
class Status:
    """A session at its newest bar, or before its first. Money in quote currency, instants UTC."""

    stream: str
    intent: str  # trading, paused or halted
    intent_said: str  # when, by whom and why; "" where nobody said anything
    holder: str  # of the market's lease; "" where nobody has it now
    heartbeat: timedelta | None  # since the last sign of life; None: none ever
    last_bar: datetime | None
    next_bar: datetime | None  # opens, by the calendar
    next_close: datetime | None  # of that bar, which is then decided on
    equity: float
    cash: float
    positions: dict[str, float]  # quantity
    orders: list[dict[str, Any]]  # of the last decision: reasons, and a broker's `answer`
    vetoes: list[dict[str, Any]]  # of the last decision: the rules that refused, and their limits
    values: dict[str, float]  # of the positions at the last close; empty: not known
    risk: str  # active, reduce-only or halted; "" before the first decision
    limits: dict[str, str]  # rules that act on the whole account now: by name, a sentence
    drawdown: float | None  # of equity below its highest so far, [0, 1]
    wanted: str  # whether the session was started or stopped: when, by whom and why


def status_of(ledger: Ledger, market: Market, session: str, now: datetime) -> Status:
    """Of the session of that name, or of the market's newest one if it is empty.

    Raises:
        LedgerError: there is no such session.
    """
    from trading_pipeline.steps.risk_state import RiskState  # which loads numba

    stream, terms = _meant(ledger, market, session)
    mark, decision = ledger.last(stream, "mark"), ledger.last(stream, "decision")
    account = mark.payload if mark else {"equity": terms["capital"], "positions": {}}
    said, lease = intent_of(ledger, market.name), tenure_of(ledger, market.name)
    decided = decision.payload if decision else {"orders": [], "vetoes": []}
    earlier = earlier_states(ledger, stream, decision) if decision else []
    risk = RiskState.of(terms, decided, earlier) if decision else None
    coming = next_bar(market, mark.at) if mark else _bar_in_sight(market, now)
    return Status(
        stream=stream,
        intent=said.kind if said else TRADING,
        intent_said=spelled(said) if said else "",
        holder=holder_of(ledger, market.name, now),
        heartbeat=_since(now, ledger.last(stream), lease),
        last_bar=mark.at if mark else None,
        next_bar=coming,
        next_close=_close_of(market, coming),
        equity=float(account["equity"]),
        cash=float(account.get("cash", account["equity"])),
        positions=dict(account["positions"]),
        orders=answered_orders(ledger, decision) if decision else [],
        vetoes=list(decided["vetoes"]),
        values=risk.values if risk else {},
        risk=risk.state if risk else "",
        limits=risk.limits if risk else {},
        drawdown=risk.drawdown if risk else None,
        wanted=how_it_stands(ledger, market.name),
    )


def _meant(ledger: Ledger, market: Market, session: str) -> tuple[str, dict[str, Any]]:
    """Stream and terms of a session, which may have been started and wait for its first bar."""
    wanted = wanted_session(ledger, market.name)
    if wanted is not None and session in ("", wanted.payload["session"]):
        stream = session_stream(market.name, wanted.payload["session"])
        opened = ledger.first(stream)
        return stream, opened.payload if opened else wanted.payload["config"]
    stream = stream_of_session(ledger, market, session)
    opened = ledger.first(stream)
    assert opened is not None  # it was found by its events
    return stream, opened.payload


def stream_of_session(ledger: Ledger, market: Market, session: str) -> str:
    """Where the ledger has the session of that name, or the market's newest one if it is empty.

    Raises:
        LedgerError: there is no such session.
    """
    wanted = wanted_session(ledger, market.name)
    if wanted and not session:
        stream = session_stream(market.name, wanted.payload["session"])
        if ledger.first(stream):
            return stream
    known = [name for name in ledger.streams() if is_of_session(name, market.name)]
    if session:
        known = [name for name in known if name == session_stream(market.name, session)]
    newest = [event for name in known if (event := ledger.last(name))]
    if not newest:
        raise LedgerError(
            f"{market.name} has no paper session{f' {session}' if session else ''}; start one with "
            f"`trading-pipeline paper-trade --market {market.name}`"
        )
    return max(newest, key=lambda event: event.recorded_at).stream


def word_on_recipe(report: Path) -> str:
    """What the backtest report in a folder says of the recipe that is traded, in a few words.

    One that is not proven is traded all the same, and called that wherever the account is shown.
    """
    from trading_pipeline.core.evaluation.verdict import PROVEN  # which loads scipy

    try:
        verdict = json.loads((report / "report.json").read_text(encoding="utf-8"))["verdict"]
        edge, adds = verdict["edge"] == PROVEN, verdict["adds"] == PROVEN
    except (OSError, ValueError, KeyError, TypeError):
        return "not proven: there is no backtest report"
    if edge or adds:
        return "proven: an edge" if edge else "proven: adds to the baselines"
    return "not proven"


def answered_orders(ledger: Ledger, decision: Event) -> list[dict[str, Any]]:
    """The orders of a decision, each with the `status` that its broker said and the `answer` in
    words; both are empty where it waits to be sent, or needs no broker."""
    sent = ledger.read(decision.stream, after=decision.seq, kind="sent")
    said = {event.payload["client_order_id"]: event.payload for event in sent}
    return [{**order, **_answer(said, order)} for order in decision.payload["orders"]]


def _answer(said: Mapping[str, Mapping[str, Any]], order: Mapping[str, Any]) -> dict[str, str]:
    told = said.get(order["client_order_id"], {})
    status, reason = told.get("status", ""), told.get("reason", "")
    words = status.replace("_", " ") + (f": {reason}" if reason else "")
    return {"status": status, "answer": words}


def _since(now: datetime, event: Event | None, lease: Tenure | None) -> timedelta | None:
    seen = ([event.recorded_at] if event else []) + ([lease.alive] if lease else [])
    return max(now - max(seen), timedelta(0)) if seen else None


def next_bar(market: Market, at: datetime) -> datetime | None:
    """When the bar after one opens, by the calendar; None: it knows of none."""
    stamps = trading_calendar(market.calendar, market.timeframe).sessions(at, at + _AHEAD)
    later = stamps[stamps > at]
    return later[0].to_pydatetime() if len(later) else None


def next_close(market: Market, now: datetime) -> datetime | None:
    """When the bar that is open now, or the next one, closes; None: the calendar knows of none."""
    return _close_of(market, _bar_in_sight(market, now))


def _bar_in_sight(market: Market, now: datetime) -> datetime | None:
    """When the first bar opens that closes after an instant."""
    calendar = trading_calendar(market.calendar, market.timeframe)
    stamps = calendar.sessions(now - _AHEAD, now + _AHEAD)
    later = stamps[calendar.closes_of(stamps) > now]
    return later[0].to_pydatetime() if len(later) else None


def _close_of(market: Market, at: datetime | None) -> datetime | None:
    calendar = trading_calendar(market.calendar, market.timeframe)
    return None if at is None else calendar.close_of(at).to_pydatetime()


def spelled(said: Event) -> str:
    """Since when the operator wants something, who said so, and why."""
    who, reason = said.payload.get("who", ""), said.payload["reason"]
    by = f" by {who}" if who else ""
    return f"since {said.at:%Y-%m-%d %H:%M}{by}" + (f": {reason}" if reason else "")
