"""Orders that wait for the bar: when they execute, at what price, and how much of them.

An order is `due` where it executes: at the open (market orders, and those whose level the open has
passed), or at its level within the bar. All that are due in the same phase first lower exposure,
then raise it, cut by one common share if money is short.
"""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.costs import (
    charged,
    execute,
    fee_of,
    slippage_of,
    whole_lots,
)
from trading_pipeline.core.trading.engine.dtypes import (
    ENLARGED,
    LIMIT,
    MARKET,
    OPENED,
    STOP,
    Account,
    Array,
    Fill,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.reasons import BUYING_POWER, LAPSED, PARTICIPATION
from trading_pipeline.core.trading.engine.risk import reduced


@kernel
def due_at_open(
    rules: Parameters, position: Position, open_: float, volume: float, row: Fill
) -> None:
    """Whether the order executes at the open, and what it loses there to slippage."""
    position.due = np.nan
    better = (open_ - position.level) * position.order < 0  # than the level, for this side
    touched = open_ == position.level
    if position.kind == LIMIT and not (better or touched):
        return
    if position.kind == STOP and better:
        return
    position.due = open_
    _fit(rules, position, volume, row)
    position.slip = slippage_of(rules, position.order, position.order_sigma, volume)
    if position.kind == LIMIT:  # takes liquidity, but pays no more than its limit
        position.slip = min(position.slip, abs(position.level / open_ - 1))


@kernel
def due_within(
    rules: Parameters, position: Position, high: float, low: float, volume: float, row: Fill
) -> None:
    """Whether a limit or stop order executes at its level within the bar."""
    position.due = np.nan
    if position.order == 0 or position.kind == MARKET:
        return
    if low > position.level if filled_by_fall(position) else high < position.level:
        return
    position.due = position.level
    _fit(rules, position, volume, row)
    position.slip = 0.0
    if position.kind == STOP:
        position.slip = slippage_of(rules, position.order, position.order_sigma, volume)


@kernel
def filled_by_fall(position: Position) -> bool:
    """Whether the price has to fall to the level of a limit or stop order."""
    return bool((position.order > 0) == (position.kind == LIMIT))


@kernel
def _fit(rules: Parameters, position: Position, volume: float, row: Fill) -> None:
    """Not more than the bar's volume allows; what is left waits if the order is still good."""
    room = max(position.capacity, 0.0)
    if abs(position.order) > room:
        position.noted = 1
        row.reasons |= PARTICIPATION
        part = whole_lots(rules, math.copysign(room, position.order))
        position.order_left = position.order - part
        position.order = part
        if part == 0:
            position.due = np.nan


@kernel
def rate_of(rules: Parameters, position: Position, within: bool) -> float:
    """The fee of the pending order: maker for a limit order that rested, taker for all others."""
    return float(rules.maker_fee if within and position.kind == LIMIT else rules.fee)


@kernel
def lower(rules: Parameters, account: Account, position: Position, within: bool, row: Fill) -> None:
    """The part of the order that lowers exposure; what is left of the order raises it."""
    if math.isnan(position.due):
        return
    quantity = reduced(position.order, position.quantity)
    if quantity != 0:
        position.order -= quantity
        rate = rate_of(rules, position, within)
        row.age = position.age
        execute(rules, account, position, quantity, position.due, position.slip, rate, False, row)


@kernel
def raise_exposure(
    rules: Parameters,
    account: Account,
    positions: Array[Position],
    active: Array[int],
    within: bool,
    fills: Array[Fill],
) -> None:
    """Fill what is left of the orders that are due, all cut by the same share if money is short."""
    share = _affordable(rules, account, positions, active, within)
    if share < 0:
        return
    for n in active:
        position = positions[n]
        if position.order == 0 or math.isnan(position.due):
            continue
        quantity = position.order
        position.order = 0.0
        if share < 1:
            fills[n, 0].reasons |= BUYING_POWER
            position.noted = 1
            quantity = _rounded(rules, quantity * share, position.due)
        if quantity != 0:
            rate = rate_of(rules, position, within)
            opened = position.quantity == 0
            row = fills[n, 0]
            row.age = position.age
            execute(
                rules, account, position, quantity, position.due, position.slip, rate, False, row
            )
            if within and position.kind == LIMIT:
                position.within = OPENED if opened else ENLARGED


@kernel
def _rounded(rules: Parameters, quantity: float, price: float) -> float:
    """A quantity that was cut, in whole lots again and above the minimum, or nothing."""
    quantity = whole_lots(rules, quantity)
    return quantity if abs(quantity) * price >= rules.min_notional else 0.0


@kernel
def _affordable(
    rules: Parameters,
    account: Account,
    positions: Array[Position],
    active: Array[int],
    within: bool,
) -> float:
    """The share of the rising orders that keeps gross <= leverage × equity after their costs.

    Positions are valued at the open, and before the first bar at the last price. Below 0: there is
    nothing to fill.
    """
    wanted, cost = 0.0, 0.0
    for n in active:
        position = positions[n]
        if position.order != 0 and not math.isnan(position.due):
            value = abs(position.order) * position.due
            # A sale that opens a short pays its fee on a little less; the bound errs on the safe
            # side, and a minimum fee counts as if it shrank with the order.
            paid = position.due * (1 + position.slip)
            rate = rate_of(rules, position, within)
            fee = fee_of(rules, position.order, paid, rate)
            wanted += value
            cost += value * position.slip + charged(rules, fee, position.order_prepaid)
    if wanted == 0:
        return -1.0
    room = rules.leverage * (account.cash + account.open_net) - account.open_gross
    if wanted + rules.leverage * cost <= room * (1 + 1e-12):
        return 1.0
    return float(max(room, 0.0) / (wanted + rules.leverage * cost))


@kernel
def cancel(position: Position) -> None:
    """Do without the order, or what is left of it: it lapses when the bar is over."""
    position.order_left += position.order
    position.order, position.bars = 0.0, 0


@kernel
def let_wait(position: Position, row: Fill) -> None:
    """After the bar: the rest of an order waits while it is good, and lapses then."""
    left = position.order + position.order_left
    position.order, position.order_left = 0.0, 0.0
    if left == 0:
        return
    if position.age < position.bars:
        position.order = left
        return
    row.reasons |= LAPSED
    position.noted = 1
    if row.age == 0:
        row.age = position.age
