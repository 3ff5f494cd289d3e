"""What a paper session has to tell: halted, limits, stale data, a broker that differs, incidents.

Asked again and again, it says how things are; `Alerts` tells what is new in that, once.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from trading_pipeline.adapters.alerts import (
    HALTED,
    LIMIT_HIT,
    ORDER_FAILED,
    RECONCILIATION,
    STALE_DATA,
    News,
)
from trading_pipeline.adapters.kill_switch import HALTED as HALT
from trading_pipeline.adapters.kill_switch import intent_of, is_paused
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.rules import rule_name
from trading_pipeline.steps.incidents import incidents
from trading_pipeline.steps.states import earlier_states
from trading_pipeline.steps.status import answered_orders, next_bar, spelled
from trading_pipeline.steps.streams import broker_stream, session_stream

# After its close, until a bar is missed: a feed may tell it a quarter of an hour late, and some
# symbols come later still.
_PATIENCE = timedelta(minutes=30)
_FAILED = ("rejected", "expired", "canceled", "lapsed", "unknown")  # not called off by the operator
_SHOWN = 5  # orders


def session_news(
    ledger: Ledger,
    market: Market,
    session: str,
    now: datetime,
    *,
    lives: bool = True,
    stopped: bool = False,
) -> Iterator[News]:
    """What is wrong with a market and its session, and what is not.

    A replay of the past has no stale data; the limits that it hits are told as any other's.

    Args:
        session: '' where the market never had one.
        lives: one that died waits for no bar, and what else it wrote is news all the same.
        stopped: nobody wants it to go on, so that all is over, but a broker that differs.
    """
    yield _halted(ledger, market)
    if not session:
        return
    stream = session_stream(market.name, session)
    told = [
        *_limits(ledger, market, stream),
        *incidents(ledger, market.name, session),
        *_orders(ledger, market.name, session),
    ]
    if lives or stopped:
        told.append(_word(STALE_DATA, market, _stale(ledger, market, stream, now)))
    if stopped:
        text = f"the session {session} was stopped"
        yield from (replace(each, text=text, over=True) for each in told)
        return
    yield from told
    differs = _differences(ledger, broker_stream(market.name, session))
    yield _word(RECONCILIATION, market, differs)


def _word(kind: str, market: Market, wrong: str) -> News:
    return News(kind, market.name, wrong or "no more", over=not wrong)


def _halted(ledger: Ledger, market: Market) -> News:
    said = intent_of(ledger, market.name)
    if said is None or said.kind != HALT:
        return News(HALTED, market.name, "it may trade again", over=True)
    text = f"{spelled(said)}. Nothing is bought until `trading-pipeline resume`."
    return News(HALTED, market.name, text)


def _limits(ledger: Ledger, market: Market, stream: str) -> Iterator[News]:
    """Of each rule on the whole account, whether it acted on the newest decision."""
    from trading_pipeline.steps.risk_state import ALARMS, RiskState

    opened, decision = ledger.first(stream), ledger.last(stream, "decision")
    if opened is None or decision is None:
        return
    earlier = earlier_states(ledger, stream, decision)
    risk = RiskState.of(opened.payload, decision.payload, earlier)
    if risk is None:
        return
    for rule in ALARMS:
        text = f"at {decision.at:%Y-%m-%d %H:%M} UTC: {risk.limits.get(rule, 'no more')}"
        over = rule not in risk.limits
        yield News(LIMIT_HIT, f"{market.name}: {rule_name(rule)}", text, over=over)


def _orders(ledger: Ledger, market: str, session: str) -> Iterator[News]:
    """Whether a broker took the newest orders; nothing is said before it has answered to all."""
    decision = ledger.last(session_stream(market, session), "decision")
    orders = answered_orders(ledger, decision) if decision else []
    if decision is None or not all(each["status"] for each in orders) or not orders:
        return
    failed = [f"{each['symbol']} {each['answer']}" for each in orders if each["status"] in _FAILED]
    text = (
        f"{len(failed)} of {len(orders)} orders of {decision.at:%Y-%m-%d %H:%M} UTC: "
        + "; ".join(failed[:_SHOWN])
    )
    subject = f"{market}/{session}"
    yield News(ORDER_FAILED, subject, text if failed else "all were taken", over=not failed)


def _stale(ledger: Ledger, market: Market, stream: str, now: datetime) -> str:
    """Which bar is overdue, of a session that was at the newest one before."""
    newest = ledger.last(stream, "bar")
    if newest is None or is_paused(ledger, market.name):
        return ""
    calendar = trading_calendar(market.calendar, market.timeframe)
    late = newest.recorded_at - calendar.close_of(newest.at)
    following = next_bar(market, newest.at)
    if late > max(calendar.step, timedelta(days=1)) or following is None:
        return ""  # a replay, or one that catches up
    due = calendar.close_of(following)
    if now <= due + _PATIENCE:
        return ""
    return (
        f"the bar of {following:%Y-%m-%d %H:%M} UTC closed at {due:%H:%M} and has not come; "
        f"the last one is of {newest.at:%Y-%m-%d %H:%M}. Nothing is decided meanwhile."
    )


def _differences(ledger: Ledger, stream: str) -> str:
    """What account and broker disagree on, until they agree or the operator goes on with it."""
    found, accepted = ledger.last(stream, "reconciliation"), ledger.last(stream, "accepted")
    if found is None or (accepted and accepted.seq > found.seq):
        return ""
    return "\n".join(
        f"{each['symbol']}: {each['ours']:,.10g} here, {each['theirs']:,.10g} at the broker"
        for each in found.payload["differences"]
    )
