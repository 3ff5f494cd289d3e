"""Histories: the two kernels of one bar, called for every bar of an array.

What happens is written down as events, for most symbols do nothing at most bars. When the room for
events runs out, a loop returns the row that it did not begin, and goes on there with more room.
"""

from typing import NamedTuple, cast

import numpy as np

from trading_pipeline.core.trading.engine import book  # noqa: F401  # VERSION is of its kernels too
from trading_pipeline.core.trading.engine.compiled import entry_point, fingerprint, kernel
from trading_pipeline.core.trading.engine.decide import decide_bar, describe, place_bar
from trading_pipeline.core.trading.engine.dtypes import (
    DIVIDENDS,
    ENTRY,
    SLOTS,
    STOP_LEVEL,
    TAKE_LEVEL,
    TRAILED,
    UNSCORED,
    Account,
    Array,
    CashFlow,
    Decision,
    Fill,
    Order,
    Parameters,
    Position,
    Trace,
    paid_in,
)
from trading_pipeline.core.trading.engine.fills import fill_bar
from trading_pipeline.core.trading.engine.reasons import REFUSED, bits_of
from trading_pipeline.core.trading.engine.risk import CLOSING, REFUSING
from trading_pipeline.core.trading.engine.sizing import YEAR_WINDOW

VETOES = bits_of(REFUSED)  # all are declared by what is imported above


class Prices(NamedTuple):
    """What `fill_bar` reads; all (T, N) float64."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    split: np.ndarray
    dividend: np.ndarray


class Known(NamedTuple):
    """What `decide_bar` reads, (T, N) unless said otherwise."""

    eligible: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    volatility: np.ndarray
    forecast: np.ndarray
    beta: np.ndarray
    recent: np.ndarray  # (N, T) returns
    market: np.ndarray  # (T,) mean return of the symbols with a bar
    groups: np.ndarray
    kelly: np.ndarray  # (T,)
    half_life: np.ndarray  # (T,)


class Records(NamedTuple):
    """What a history writes down; K bars."""

    log: Array[Account]  # (K,) after each decision
    held: np.ndarray  # (K, N) quantity at each close
    decisions: Array[Decision]  # with an order or a veto, or all of them
    fills: Array[Fill]
    flows: Array[CashFlow]
    counts: np.ndarray  # (3,) int64, how many events of each there are
    trace: np.ndarray  # (K, N, S) columns of `Trace`; (K, 0, S): none is kept


class Scratch(NamedTuple):
    """Rows of one bar; `fills` and `flows` are zero between bars."""

    decisions: Array[Decision]  # (N,)
    fills: Array[Fill]  # (N, 3)
    flows: Array[CashFlow]  # (N,)
    active: Array[int]  # (N,) int64
    untraced: np.ndarray  # (0, S), for a decision of which no `Trace` is kept


@entry_point
def run_history(
    rules: Array[Parameters],
    account: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    known: Known,
    rows: tuple[int, int, int],
    everything: bool,
    scratch: Scratch,
    records: Records,
) -> int:
    """Every row is lived through, all but the last are decided on.

    Args:
        periods: (T, 3). rows: the first, the one to begin with now, the one after the last.
        everything: record the decision on every symbol at every bar.

    Returns:
        The row to go on with when there is more room for events; the one after the last at the end.
    """
    start, now, stop = rows
    for t in range(now, stop):
        if not _has_room(records, len(positions)):
            return t
        _live(rules, account, positions, periods, prices, t, t - start, scratch, records)
        if t < stop - 1:
            decide_bar(
                rules, account, positions, prices.close[t], known.eligible[t], known.score[t],
                known.weight[t], known.volatility[t], known.forecast[t], known.beta[t],
                known.recent, span_of(t), known.market, known.groups[t], known.kelly[t],
                known.half_life[t], scratch.decisions, records.trace[t - start],
            )  # fmt: skip
        else:
            for n in range(len(positions)):
                describe(account[0], positions[n], prices.close[t, n], scratch.decisions[n])
        _note_decisions(scratch.decisions, t - start, everything, records)
        _note_positions(positions, records.trace[t - start])
        records.log[t - start] = account[0]
    return stop


@entry_point
def run_orders(
    rules: Array[Parameters],
    account: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    eligible: np.ndarray,
    volatility: np.ndarray,
    orders: Array[Order],
    rows: tuple[int, int, int],
    scratch: Scratch,
    records: Records,
) -> int:
    """As `run_history`, for orders that are given: (M,) by rising bar, a row of the panel."""
    start, now, stop = rows
    m = 0
    while m < len(orders) and orders[m].bar < now:
        m += 1
    for t in range(now, stop):
        if not _has_room(records, len(positions)):
            return t
        _live(rules, account, positions, periods, prices, t, t - start, scratch, records)
        after = m
        while after < len(orders) and orders[after].bar == t:
            after += 1
        if t < stop - 1:
            place_bar(
                rules, account, positions, prices.close[t], eligible[t], volatility[t],
                orders[m:after], scratch.decisions,
            )  # fmt: skip
            if account[0].acting & (CLOSING | REFUSING):  # what rests as well
                _note_decisions(scratch.decisions, t - start, False, records)
            else:
                for n in orders[m:after]["symbol"]:
                    _note_decision(scratch.decisions, n, t - start, False, records)
        m = after
        records.log[t - start] = account[0]
    return stop


@kernel
def span_of(t: int) -> tuple[int, int]:
    """The rows of returns that a decision at the close of row `t` looks at."""
    return max(1, t + 1 - YEAR_WINDOW), t + 1


@kernel
def fill_row(
    rules: Array[Parameters],
    account: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    t: int,
    scratch: Scratch,
) -> int:
    """`fill_bar` on row `t`: how many positions it touched, which `scratch` names."""
    return fill_bar(
        rules, account, positions, periods[t], prices.open[t], prices.high[t], prices.low[t],
        prices.close[t], prices.volume[t], prices.split[t], prices.dividend[t], scratch.fills,
        scratch.flows, scratch.active,
    )  # fmt: skip


@kernel
def _live(
    rules: Array[Parameters],
    account: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    t: int,
    k: int,
    scratch: Scratch,
    records: Records,
) -> None:
    """One bar; what happened in it becomes events."""
    fills, flows = scratch.fills, scratch.flows
    count = fill_row(rules, account, positions, periods, prices, t, scratch)
    records.held[k] = 0.0
    for n in scratch.active[:count]:
        records.held[k, n] = positions[n].quantity
        if not positions[n].noted:
            continue
        for slot in SLOTS:
            if fills[n, slot].reasons != 0 or fills[n, slot].quantity != 0:
                fills[n, slot].bar, fills[n, slot].symbol, fills[n, slot].slot = k, n, slot
                records.fills[records.counts[1]] = fills[n, slot]
                records.counts[1] += 1
                clear_fill(fills[n, slot])
        if flows[n].dividend != 0 or flows[n].borrow != 0 or flows[n].funding != 0:
            flows[n].bar, flows[n].symbol = k, n
            records.flows[records.counts[2]] = flows[n]
            records.counts[2] += 1
            flows[n].dividend, flows[n].borrow, flows[n].funding = 0.0, 0.0, 0.0


@kernel
def clear_fill(row: Fill) -> None:
    """Nothing was filled."""
    row.quantity, row.price, row.fee, row.slippage = 0.0, 0.0, 0.0, 0.0
    row.age, row.reasons = 0, 0


@kernel
def _note_decisions(rows: Array[Decision], k: int, everything: bool, records: Records) -> None:
    """Keep the rows with an order or a veto, or all of them."""
    for n in range(len(rows)):
        _note_decision(rows, n, k, everything, records)


@kernel
def _note_decision(
    rows: Array[Decision], n: int, k: int, everything: bool, records: Records
) -> None:
    """Keep the row if it is asked for, or has an order or a veto."""
    if everything or rows[n].order != 0 or rows[n].reasons & VETOES:
        rows[n].bar, rows[n].symbol = k, n
        records.decisions[records.counts[0]] = rows[n]
        records.counts[0] += 1
        rows[n].order, rows[n].reasons = 0.0, 0


@kernel
def _note_positions(positions: Array[Position], trace: np.ndarray) -> None:
    """Write down what was held at a close; (0, S) `trace`: it is not kept."""
    for n in range(len(trace)):
        position = positions[n]
        trace[n, ENTRY], trace[n, STOP_LEVEL] = position.entry, position.stop
        trace[n, TAKE_LEVEL], trace[n, TRAILED] = position.take, position.trailed
        trace[n, UNSCORED], trace[n, DIVIDENDS] = position.unscored, position.dividends


@kernel
def _has_room(records: Records, symbols: int) -> bool:
    """Whether the events of one more bar fit, whatever happens in it."""
    return bool(
        len(records.decisions) - records.counts[0] >= symbols
        and len(records.fills) - records.counts[1] >= len(SLOTS) * symbols
        and len(records.flows) - records.counts[2] >= symbols
    )


def new_scratch(N: int) -> Scratch:
    """Blank rows for one bar of N symbols."""
    return Scratch(
        Decision.zeros(N),
        Fill.zeros(N, len(SLOTS)),
        CashFlow.zeros(N),
        cast(Array[int], np.zeros(N, np.int64)),
        Trace.columns(0),
    )


def happened(scratch: Scratch, count: int) -> tuple[Array[Fill], Array[CashFlow]]:
    """The fills (F,) and cash flows (P,) of a single bar that concerned `count` symbols."""
    active = scratch.active[:count]
    fills, flows = scratch.fills[active], scratch.flows[active]
    fills["symbol"], fills["slot"], flows["symbol"] = (
        np.expand_dims(active, 1),
        range(len(SLOTS)),
        active,
    )
    fills = cast(Array[Fill], fills.reshape(-1))
    return fills[(fills["reasons"] != 0) | (fills["quantity"] != 0)], flows[paid_in(flows) != 0]


# Taken once all kernels are known, so that it does not depend on what else was imported.
VERSION = fingerprint()
