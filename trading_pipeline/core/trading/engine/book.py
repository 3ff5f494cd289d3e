"""What a broker did to an account between one close and the next: the bar without a simulation.

`book_bar` stands where `fill_bar` does when orders go to a broker. The night and the mark are the
same kernels, and so is what a trade makes of cash and position: the fills of `fill_bar`, booked as
a broker's executions, give the account that `fill_bar` gives, to the last bit. Nothing is filled
here that no broker has filled: a stop that the close has passed blocks its symbol, so that the
decision of that close sends an order for the next open.
"""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import entry_point, kernel
from trading_pipeline.core.trading.engine.costs import take_in
from trading_pipeline.core.trading.engine.dtypes import (
    Account,
    Array,
    Booking,
    CashFlow,
    Fill,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.fills import begin_bar, mark
from trading_pipeline.core.trading.engine.orders import cancel, let_wait
from trading_pipeline.core.trading.engine.stops import block, name_of


@entry_point
def book_bar(
    rules: Array[Parameters],
    accounts: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
    bookings: Array[Booking],
    open_: np.ndarray,
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    split: np.ndarray,
    dividend: np.ndarray,
    fills: Array[Fill],
    flows: Array[CashFlow],
    active: Array[int],
) -> int:
    """Live through one bar with what a broker did; return how many symbols were held or ordered.

    Args:
        bookings: (E,) in the order of time. The others as in `fill_bar`; `fills` gets what no
            broker does (cash in lieu, settlements), orders that lapsed, and the names of exits.
    """
    account = accounts[0]
    account.fees, account.traded = 0.0, 0.0
    for booking in bookings:
        if booking.early:
            n = booking.symbol
            _book(rules[0], account, positions[n], periods[0], close[n], booking, fills[n, 1])
    held = begin_bar(
        rules[0], account, positions, periods, open_, close, volume, split, dividend, fills, flows,
        active,
    )  # fmt: skip
    for booking in bookings:
        if not booking.early:
            n = booking.symbol
            _book(rules[0], account, positions[n], periods[0], close[n], booking, fills[n, 1])
    account.open_gross, account.open_net = 0.0, 0.0  # which only a simulation asks for
    account.gross, account.net = 0.0, 0.0
    for n in range(len(positions)):
        position = positions[n]
        if position.order != 0 or position.order_left != 0:
            let_wait(position, fills[n, 0])
        if position.quantity != 0:
            _stop_at_close(rules[0], position, close[n])
            mark(rules[0], account, position, high[n], low[n], close[n])
    account.equity = account.cash + account.net
    return held


@kernel
def _book(
    rules: Parameters,
    account: Account,
    position: Position,
    day: int,
    close: float,
    booking: Booking,
    row: Fill,
) -> None:
    """One execution. A symbol that trades is alive, also where its bar is missing."""
    stopped = False
    if booking.exits:
        side = math.copysign(1.0, position.quantity)
        stopped = (booking.price - position.stop) * side <= 0
        row.reasons |= name_of(position, stopped)
        block(rules, position)
        cancel(position)
    elif booking.ours:
        position.order -= booking.quantity
    if position.quantity == 0:
        position.within = 0
        if booking.early or math.isnan(close):  # else it is marked at its bar
            position.last = booking.price
    position.seen = day
    take_in(rules, account, position, booking.quantity, booking.price, booking.fee)
    if stopped and position.quantity != 0:
        position.triggered = 1  # the protective order works on


@kernel
def _stop_at_close(rules: Parameters, position: Position, close: float) -> None:
    """Block a symbol whose close has passed a level of its position: the decision then sells it."""
    side = math.copysign(1.0, position.quantity)
    if (close - position.stop) * side <= 0 or (close - position.take) * side >= 0:
        block(rules, position)
