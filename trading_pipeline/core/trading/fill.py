"""What happens between one close and the next: costs, actions, fills, stops, the new close.

`fill_bar` is the only place where cash and positions change. Within a bar, in this order:
financing of the night, split and dividend, stops that the open gapped through, orders that lower
exposure, orders that raise it as far as cash and leverage go, stops within the bar, the mark.
"""

import math

import numpy as np

from trading_pipeline.core.trading.compiled import entry_point, kernel
from trading_pipeline.core.trading.reasons import (
    BUYING_POWER,
    LAPSED,
    STOP_LOSS,
    TAKE_PROFIT,
)
from trading_pipeline.core.trading.risk import reduced, roll_periods
from trading_pipeline.core.trading.state import Record


@entry_point
def fill_bar(
    rules: np.ndarray,
    account: np.ndarray,
    positions: np.ndarray,
    periods: np.ndarray,
    open_: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    split: np.ndarray,
    dividend: np.ndarray,
    fills: np.ndarray,
    flows: np.ndarray,
) -> None:
    """Live through one bar.

    Args:
        rules: (1,) record of `rules_of`. account: (1,) ACCOUNT, positions: (N,) POSITION with the
            orders of the last decision; changed in place, orders are gone afterwards.
        periods: (3,) int64 of `periods_of`.
        open_, high, low, close: (N,) raw prices; NaN: no bar, so orders lapse.
        split, dividend: (N,) of this bar's date; 1.0 and 0.0 where there is none.
        fills: (N, 2) FILL and flows: (N,) FLOW, overwritten.
    """
    book = account[0]
    roll_periods(book, periods)
    _finance(rules[0], book, positions, fills, flows)
    for n in range(len(positions)):
        _adjust(rules[0], book, positions[n], split[n], dividend[n], flows[n])
    for n in range(len(positions)):
        if math.isnan(close[n]):
            fills[n, 0].reasons = LAPSED if positions[n].order != 0 else 0
            positions[n].order = 0.0
            continue
        _stop_at_open(rules[0], book, positions[n], open_[n], fills[n, 1])
        _lower(rules[0], book, positions[n], open_[n], fills[n, 0])
    _raise_exposure(rules[0], book, positions, open_, fills)
    for n in range(len(positions)):
        if positions[n].quantity != 0 and not math.isnan(close[n]):
            _stop_within(rules[0], book, positions[n], high[n], low[n], fills[n, 1])
    _mark(book, positions, close)


@kernel
def _finance(
    rules: Record, book: Record, positions: np.ndarray, fills: np.ndarray, flows: np.ndarray
) -> None:
    """Interest on debit cash and borrow on shorts since the last close; clears the records."""
    book.fees, book.traded, book.interest = 0.0, 0.0, 0.0
    if book.cash < 0:
        book.interest = book.cash * rules.debit
        book.cash += book.interest
    for n in range(len(positions)):
        flows[n].dividend, flows[n].borrow = 0.0, 0.0
        for k in range(2):
            row = fills[n, k]
            row.quantity, row.price, row.fee, row.slippage, row.reasons = 0.0, np.nan, 0.0, 0.0, 0
        if positions[n].quantity < 0:
            flows[n].borrow = positions[n].quantity * positions[n].last * rules.borrow
            book.cash += flows[n].borrow


@kernel
def _adjust(
    rules: Record,
    book: Record,
    position: Record,
    split: float,
    dividend: float,
    flow: Record,
) -> None:
    """Corporate actions, before the open: shares, cash, and the prices that stops refer to."""
    if split != 1:
        position.quantity *= split
        position.order *= split
        position.last /= split
        position.entry /= split
    if dividend != 0 and position.quantity != 0:
        flow.dividend = position.quantity * dividend
        book.cash += flow.dividend
        # The price drops by the dividend without a loss, so the reference drops as well
        # (as brokers lower resting stop orders, FINRA rule 5330).
        position.entry -= dividend
    if split != 1 or dividend != 0:
        _set_levels(rules, position)


@kernel
def _set_levels(rules: Record, position: Record) -> None:
    """Stop and take-profit of the position as it is; NaN, which nothing touches, for none."""
    if position.quantity == 0 or not position.sigma > 0:
        position.stop, position.take = np.nan, np.nan
        return
    side = math.copysign(1.0, position.quantity)
    position.stop = position.entry * math.exp(-side * rules.stop_loss * position.sigma)
    position.take = position.entry * math.exp(side * rules.take_profit * position.sigma)
    if math.isinf(rules.stop_loss):
        position.stop = np.nan
    if math.isinf(rules.take_profit):
        position.take = np.nan


@kernel
def _execute(
    rules: Record,
    book: Record,
    position: Record,
    quantity: float,
    price: float,
    slippage: float,
    row: Record,
) -> None:
    """Trade `quantity` (signed, not 0) at `price` made worse by `slippage`, a fraction."""
    paid = price * (1 + math.copysign(slippage, quantity))
    fee = abs(quantity) * paid * rules.fee
    book.cash -= quantity * paid + fee
    book.fees += fee
    book.traded += abs(quantity) * paid
    row.quantity += quantity
    row.price = paid
    row.fee += fee
    row.slippage += abs(quantity) * price * slippage
    _hold(position, quantity, paid)
    _set_levels(rules, position)


@kernel
def _hold(position: Record, quantity: float, paid: float) -> None:
    """The position after a trade: average entry, and σ frozen when it was opened."""
    before, after = position.quantity, position.quantity + quantity
    if after == 0:
        position.entry, position.sigma = np.nan, np.nan
    elif before * after <= 0:
        position.entry, position.sigma = paid, position.order_sigma
    elif abs(after) > abs(before):
        position.entry = (position.entry * before + paid * quantity) / after
    position.quantity = after


@kernel
def _leave(
    rules: Record,
    book: Record,
    position: Record,
    price: float,
    reason: int,
    row: Record,
) -> None:
    """Close the whole position at a barrier, and keep the symbol blocked for a while.

    A stop becomes a market order and slips; a take-profit is a resting limit order and does not.
    """
    slippage = rules.slippage if reason == STOP_LOSS else 0.0
    position.cooling = rules.horizon
    position.cooling_side = math.copysign(1.0, position.quantity)
    row.reasons = reason
    _execute(rules, book, position, -position.quantity, price, slippage, row)


@kernel
def _stop_at_open(rules: Record, book: Record, position: Record, open_: float, row: Record) -> None:
    """A barrier that the open has passed fills at the open, and the pending order lapses.

    An order that closes the position anyway needs no stop.
    """
    side = position.quantity
    if side == 0 or reduced(position.order, side) == -side:
        return
    stopped = open_ <= position.stop if side > 0 else open_ >= position.stop
    taken = open_ >= position.take if side > 0 else open_ <= position.take
    if stopped or taken:
        position.order = 0.0
        _leave(rules, book, position, open_, STOP_LOSS if stopped else TAKE_PROFIT, row)


@kernel
def _stop_within(
    rules: Record, book: Record, position: Record, high: float, low: float, row: Record
) -> None:
    """Barriers touched after the open; the stop first when one bar touches both."""
    long = position.quantity > 0
    if low <= position.stop if long else high >= position.stop:
        _leave(rules, book, position, position.stop, STOP_LOSS, row)
    elif high >= position.take if long else low <= position.take:
        _leave(rules, book, position, position.take, TAKE_PROFIT, row)


@kernel
def _lower(rules: Record, book: Record, position: Record, open_: float, row: Record) -> None:
    """The part of the order that lowers exposure; what is left of the order raises it."""
    quantity = reduced(position.order, position.quantity)
    if quantity != 0:
        position.order -= quantity
        _execute(rules, book, position, quantity, open_, rules.slippage, row)


@kernel
def _raise_exposure(
    rules: Record, book: Record, positions: np.ndarray, open_: np.ndarray, fills: np.ndarray
) -> None:
    """Fill what is left of the orders, all cut by the same share if money is short."""
    share = _affordable(rules, book, positions, open_)
    for n in range(len(positions)):
        quantity = positions[n].order
        if quantity == 0:
            continue
        positions[n].order = 0.0
        if share < 1:
            fills[n, 0].reasons |= BUYING_POWER
            quantity = _rounded(rules, quantity * share, open_[n])
        if quantity != 0:
            _execute(rules, book, positions[n], quantity, open_[n], rules.slippage, fills[n, 0])


@kernel
def _rounded(rules: Record, quantity: float, price: float) -> float:
    """A quantity that was cut, in whole lots again and above the minimum, or nothing."""
    if rules.lot > 0:
        quantity = math.trunc(quantity / rules.lot) * rules.lot
    return quantity if abs(quantity) * price >= rules.min_notional else 0.0


@kernel
def _affordable(rules: Record, book: Record, positions: np.ndarray, open_: np.ndarray) -> float:
    """The share of the rising orders that keeps gross <= leverage × equity after their costs."""
    equity, gross, wanted = book.cash, 0.0, 0.0
    for n in range(len(positions)):
        price = positions[n].last if math.isnan(open_[n]) else open_[n]
        if positions[n].quantity != 0:
            equity += positions[n].quantity * price
            gross += abs(positions[n].quantity) * price
        if positions[n].order != 0:
            wanted += abs(positions[n].order) * price
    # A sale that opens a short pays its fee on a little less; the bound errs on the safe side.
    cost = wanted * (rules.slippage + rules.fee * (1 + rules.slippage))
    room = rules.leverage * equity - gross
    if wanted == 0 or wanted + rules.leverage * cost <= room * (1 + 1e-12):
        return 1.0
    return float(max(room, 0.0) / (wanted + rules.leverage * cost))


@kernel
def _mark(book: Record, positions: np.ndarray, close: np.ndarray) -> None:
    """Value the book at the close; a symbol without a bar keeps its last price."""
    book.gross, book.net = 0.0, 0.0
    for n in range(len(positions)):
        if not math.isnan(close[n]):
            positions[n].last = close[n]
        if positions[n].quantity != 0:
            value = positions[n].quantity * positions[n].last
            book.net += value
            book.gross += abs(value)
    book.equity = book.cash + book.net
