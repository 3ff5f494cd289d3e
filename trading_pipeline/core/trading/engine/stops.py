"""Stop-loss, trailing stop and take-profit of open positions, at the open and within the bar."""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.costs import execute, slippage_of, whole_lots
from trading_pipeline.core.trading.engine.dtypes import MARKET, Account, Fill, Parameters, Position
from trading_pipeline.core.trading.engine.orders import cancel
from trading_pipeline.core.trading.engine.reasons import (
    PARTICIPATION,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
)
from trading_pipeline.core.trading.engine.risk import reduced


@kernel
def stop_at_open(
    rules: Parameters, account: Account, position: Position, open_: float, volume: float, row: Fill
) -> None:
    """A barrier that the open has passed fills at the open, and the pending order lapses.

    An order that closes the position at the open anyway needs no stop.
    """
    side = position.quantity
    closing = position.kind == MARKET and reduced(position.order, side) == -side
    if side == 0 or closing:
        return
    stopped = open_ <= position.stop if side > 0 else open_ >= position.stop
    taken = open_ >= position.take if side > 0 else open_ <= position.take
    if stopped or position.triggered:
        _leave(rules, account, position, open_, volume, True, row)
    elif taken:
        _leave(rules, account, position, open_, volume, False, row)


@kernel
def stop_within(
    rules: Parameters,
    account: Account,
    position: Position,
    high: float,
    low: float,
    since: float,
    volume: float,
    row: Fill,
) -> None:
    """Barriers touched after the market stood at `since`; the stop first when a bar touches both.

    A level that lay beyond `since` when the position was made fills there: nobody pays more for it.
    Where a limit order opened or enlarged the position within this bar, the profitable end of the
    bar may lie before it, so only the stop counts.
    """
    long = position.quantity > 0
    if low <= position.stop if long else high >= position.stop:
        price = min(position.stop, since) if long else max(position.stop, since)
        _leave(rules, account, position, price, volume, True, row)
    elif position.within == 0 and (high >= position.take if long else low <= position.take):
        price = max(position.take, since) if long else min(position.take, since)
        _leave(rules, account, position, price, volume, False, row)


@kernel
def _leave(
    rules: Parameters,
    account: Account,
    position: Position,
    price: float,
    volume: float,
    stopped: bool,
    row: Fill,
) -> None:
    """Close the position at a barrier, as far as volume goes, and keep the symbol blocked.

    A stop becomes a market order: it slips, and goes on at the next open if volume was short. A
    take-profit is a resting limit order and does neither. They are two orders, each with its fees.
    """
    block(rules, position)
    cancel(position)
    position.noted = 1
    if stopped and position.triggered == 0:
        position.exit_prepaid = np.nan
    row.age = 1
    if row.quantity == 0:  # else the volume is gone already, and the fill keeps its name
        row.reasons |= name_of(position, stopped)
    quantity = -position.quantity
    if abs(quantity) > position.capacity:
        row.reasons |= PARTICIPATION
        quantity = whole_lots(rules, math.copysign(max(position.capacity, 0.0), quantity))
        position.triggered = 1 if stopped else position.triggered
    if quantity == 0:
        return
    if stopped:
        slippage = slippage_of(rules, quantity, position.sigma, volume)
        execute(rules, account, position, quantity, price, slippage, rules.fee, True, row)
    else:
        execute(rules, account, position, quantity, price, 0.0, rules.maker_fee, True, row)


@kernel
def block(rules: Parameters, position: Position) -> None:
    """Keep the symbol from being held on this side for a horizon."""
    position.cooling = rules.horizon
    position.cooling_side = math.copysign(1.0, position.quantity)


@kernel
def name_of(position: Position, stopped: bool) -> int:
    """The reason by which a position was left: a stop, trailed or not, or its target."""
    if stopped:
        return int(TRAILING_STOP if position.trailed else STOP_LOSS)
    return int(TAKE_PROFIT)
