"""What happens between one close and the next: costs, actions, fills, stops, the new close.

`fill_bar` is the only place where cash and positions change. Within a bar, in this order:
financing of the night, split and dividend, symbols that are delisted, stops that the open gapped
through, orders at the open (those that lower exposure first, then those that raise it as far as
cash and leverage go), stops within the bar, limit and stop orders at their levels, the stops of
what those opened, the mark.
"""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import entry_point, kernel
from trading_pipeline.core.trading.engine.costs import after_split, pay_out, set_levels, whole_lots
from trading_pipeline.core.trading.engine.dtypes import (
    MARKET,
    OPENED,
    Account,
    Array,
    CashFlow,
    Fill,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.orders import (
    cancel,
    due_at_open,
    due_within,
    filled_by_fall,
    let_wait,
    lower,
    raise_exposure,
)
from trading_pipeline.core.trading.engine.reasons import CASH_IN_LIEU, DELISTED, LAPSED, LOT
from trading_pipeline.core.trading.engine.risk import roll_periods
from trading_pipeline.core.trading.engine.stops import stop_at_open, stop_within


@entry_point
def fill_bar(
    rules: Array[Parameters],
    accounts: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
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
    """Live through one bar; return how many symbols it concerned.

    Args:
        rules: (1,) of `parameters_of`. accounts: (1,), the one, and positions: (N,) with the
            orders of the last decision; changed in place, orders are filled, waiting or gone.
        periods: (3,) int64 of `periods_of`.
        open_, high, low, close: (N,) raw prices > 0; NaN: no bar, so orders lapse.
        volume: (N,) units of the bar, >= 0.
        split, dividend: (N,) of this bar's date; 1.0 and 0.0 where there is none.
        fills: (N, 3) and flows: (N,), all zero; rows of symbols concerned are written.
        active: (N,) int64, the symbols concerned: those that were held or had an order.
    """
    account = accounts[0]
    account.fees, account.traded = 0.0, 0.0
    held = begin_bar(
        rules[0], account, positions, periods, open_, close, volume, split, dividend, fills, flows,
        active,
    )  # fmt: skip
    account.open_gross, account.open_net = 0.0, 0.0
    waiting = False
    for n in active[:held]:
        position = positions[n]
        if not math.isnan(close[n]):
            if position.quantity != 0:
                stop_at_open(rules[0], account, position, open_[n], volume[n], fills[n, 1])
            if position.order != 0:
                due_at_open(rules[0], position, open_[n], volume[n], fills[n, 0])
                waiting |= position.kind != MARKET
                lower(rules[0], account, position, False, fills[n, 0])
        if position.quantity != 0:
            account.open_net += position.quantity * position.mark
            account.open_gross += abs(position.quantity) * position.mark
    raise_exposure(rules[0], account, positions, active[:held], False, fills)
    account.gross, account.net = 0.0, 0.0
    if waiting:
        _trade_within(rules[0], account, positions, active[:held], high, low, close, volume, fills)
    for n in active[:held]:
        position = positions[n]
        if position.quantity != 0 and not waiting and not math.isnan(close[n]):
            stop_within(
                rules[0], account, position, high[n], low[n], open_[n], volume[n], fills[n, 1]
            )
        if position.order != 0 or position.order_left != 0:
            let_wait(position, fills[n, 0])
        if position.quantity != 0:
            mark(rules[0], account, position, high[n], low[n], close[n])
    account.equity = account.cash + account.net
    return held


@kernel
def begin_bar(
    rules: Parameters,
    account: Account,
    positions: Array[Position],
    periods: np.ndarray,
    open_: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    split: np.ndarray,
    dividend: np.ndarray,
    fills: Array[Fill],
    flows: Array[CashFlow],
    active: Array[int],
) -> int:
    """The night, before anything trades; the number of symbols held or ordered, in `active`."""
    roll_periods(account, periods)
    _charge_interest(rules, account)
    held = 0
    for n in range(len(positions)):
        position = positions[n]
        if position.quantity == 0 and position.order == 0:
            continue
        active[held] = n
        held += 1
        position.noted, position.age = 0, position.age + 1
        _carry(rules, account, position, split[n], dividend[n], flows[n])
        if split[n] != 1 and rules.lot > 0:
            _round(rules, account, position, open_[n], fills[n, :])
        if math.isnan(close[n]):
            position.mark, position.due = position.last, np.nan
            _settle(rules, account, position, periods[0], fills[n, 1])
        else:
            _begin(rules, position, periods[0], open_[n], volume[n])
    return held


@kernel
def _trade_within(
    rules: Parameters,
    account: Account,
    positions: Array[Position],
    active: Array[int],
    high: np.ndarray,
    low: np.ndarray,
    close: np.ndarray,
    volume: np.ndarray,
    fills: Array[Fill],
) -> None:
    """Barriers, limit and stop orders at their levels, then the barriers of what those changed."""
    for n in active:
        position = positions[n]
        if position.quantity != 0 and not math.isnan(close[n]):
            stop_within(
                rules, account, position, high[n], low[n], position.mark, volume[n], fills[n, 1]
            )
    account.open_gross, account.open_net = 0.0, 0.0
    for n in active:
        positions[n].due = np.nan
        if positions[n].order != 0 and not math.isnan(close[n]):
            due_within(rules, positions[n], high[n], low[n], volume[n], fills[n, 0])
            lower(rules, account, positions[n], True, fills[n, 0])
        if positions[n].quantity != 0:
            account.open_net += positions[n].quantity * positions[n].mark
            account.open_gross += abs(positions[n].quantity) * positions[n].mark
    raise_exposure(rules, account, positions, active, True, fills)
    for n in active:
        position = positions[n]
        if not math.isnan(position.due) and position.quantity != 0:
            stop_within(
                rules, account, position, high[n], low[n], position.due, volume[n], fills[n, 1]
            )


@kernel
def _charge_interest(rules: Parameters, account: Account) -> None:
    """Interest on debit cash since the last close.

    A bankrupt account that holds nothing is closed, and its debt does not grow.
    """
    account.interest = 0.0
    if account.cash < 0 and not (account.bankrupt and account.gross == 0):
        account.interest = account.cash * rules.debit
        account.cash += account.interest


@kernel
def _carry(
    rules: Parameters,
    account: Account,
    position: Position,
    split: float,
    dividend: float,
    flow: CashFlow,
) -> None:
    """The night: borrow on shorts, funding, corporate actions."""
    value = position.quantity * position.last if position.quantity != 0 else 0.0
    if value < 0:
        flow.borrow = value * rules.borrow
    if rules.funding != 0:
        flow.funding = -value * rules.funding
    if split != 1 or dividend != 0:
        _adjust(rules, position, split, dividend, flow)
    paid = flow.borrow + flow.funding + flow.dividend
    if paid != 0:
        account.cash += paid
        position.noted = 1


@kernel
def _adjust(
    rules: Parameters, position: Position, split: float, dividend: float, flow: CashFlow
) -> None:
    """Corporate actions, before the open: shares, cash, and the prices that stops refer to."""
    if split != 1:
        position.quantity *= split
        position.order *= split
        position.last /= split
        position.entry /= split
        position.best /= split
        position.dividends /= split
        position.level /= split
        position.own_stop /= split
        position.own_take /= split
        position.order_stop /= split
        position.order_take /= split
    if dividend != 0:
        _go_ex(position, dividend, flow)
    set_levels(rules, position)


@kernel
def _round(
    rules: Parameters, account: Account, position: Position, open_: float, rows: Array[Fill]
) -> None:
    """After a split: an order of whole lots, towards zero, and cash for a fraction that is held.

    An order for all that is held remains one. Cash in lieu is what the open brings, or the last
    price where there is no bar.
    """
    closes = position.order == -position.quantity
    whole = after_split(rules, position.quantity)
    left = position.quantity - whole
    if abs(left) > 1e-12 * abs(position.quantity):
        rows[2].reasons |= CASH_IN_LIEU
        price = position.last if math.isnan(open_) else open_
        pay_out(rules, account, position, -left, price, rows[2])
    position.quantity = whole
    asked = position.order
    position.order = -whole if closes else whole_lots(rules, asked)
    if abs(position.order - asked) > 1e-12 * abs(asked):
        rows[0].reasons |= LOT
        position.noted = 1
        if position.order == 0:
            rows[0].reasons |= LAPSED
            rows[0].age = position.age


@kernel
def _go_ex(position: Position, dividend: float, flow: CashFlow) -> None:
    """The price drops by the dividend without a loss, so what refers to prices drops as well.

    Of orders that wait, those at the market and those that a fall fills: bids, and stops to sell
    (as at brokers, FINRA rule 5330).
    """
    if position.quantity != 0:
        flow.dividend = position.quantity * dividend
        position.entry -= dividend
        position.best -= dividend
        position.dividends += dividend
        position.own_stop -= dividend
        position.own_take -= dividend
    if position.kind == MARKET or filled_by_fall(position):
        position.level -= dividend
        position.order_stop -= dividend
        position.order_take -= dividend


@kernel
def _begin(rules: Parameters, position: Position, day: int, open_: float, volume: float) -> None:
    """What holds for this bar."""
    position.seen, position.mark, position.within = day, open_, 0
    position.capacity = np.inf
    if not math.isinf(rules.participation):
        position.capacity = 0.0 if math.isnan(volume) else rules.participation * volume


@kernel
def _settle(rules: Parameters, account: Account, position: Position, day: int, row: Fill) -> None:
    """A symbol whose bars have ended for good: longs lose a share of its last price.

    What a holder would have got is rarely known; shorts get nothing out of it, for an account must
    not gain by a gap in the data.
    """
    if position.quantity == 0 or day - position.seen < rules.delisted_after:
        return
    loss = rules.delisting_loss if position.quantity > 0 else 0.0
    cancel(position)
    row.reasons |= DELISTED
    pay_out(rules, account, position, -position.quantity, position.last * (1 - loss), row)


@kernel
def mark(
    rules: Parameters, account: Account, position: Position, high: float, low: float, close: float
) -> None:
    """Value the position at the close; a symbol without a bar keeps its last price."""
    if not math.isnan(close):
        position.last = close
        if not math.isinf(rules.trailing_stop):
            _trail(rules, position, high, low, close)
    value = position.quantity * position.last
    account.net += value
    account.gross += abs(value)


@kernel
def _trail(rules: Parameters, position: Position, high: float, low: float, close: float) -> None:
    """Let the trailing stop of the next bar follow this bar's best price."""
    side = math.copysign(1.0, position.quantity)
    best = high if side > 0 else low
    if position.within == OPENED:  # the bar's best price may lie before the entry
        best = close
    if (best - position.best) * side > 0:
        position.best = best
        set_levels(rules, position)
