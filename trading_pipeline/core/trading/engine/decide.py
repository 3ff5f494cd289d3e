"""The decision at one close: what is known becomes targets, limits, and orders.

`decide_bar` is the only place where orders come from. A backtest calls it for every bar of a
history, a paper session for the bar that has just closed.
"""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import entry_point, kernel
from trading_pipeline.core.trading.engine.costs import whole_lots
from trading_pipeline.core.trading.engine.dtypes import (
    LIMIT,
    MARKET,
    Account,
    Array,
    Decision,
    Order,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.reasons import (
    INELIGIBLE,
    LONG_ONLY,
    LOT,
    MIN_NOTIONAL,
    NO_BAR,
    NO_SCORE,
    NO_SHORTS,
)
from trading_pipeline.core.trading.engine.risk import (
    CLOSING,
    REFUSING,
    reduced,
    watch,
    watch_turbulence,
)
from trading_pipeline.core.trading.engine.targets import managed_targets


@entry_point
def decide_bar(
    rules: Array[Parameters],
    accounts: Array[Account],
    positions: Array[Position],
    close: np.ndarray,
    eligible: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    volatility: np.ndarray,
    forecast: np.ndarray,
    beta: np.ndarray,
    recent: np.ndarray,
    span: tuple[int, int],
    market: np.ndarray,
    groups: np.ndarray,
    kelly: float,
    half_life: float,
    rows: Array[Decision],
    trace: np.ndarray,
) -> None:
    """Decide on the orders of the next open, into `positions` and `rows`.

    Args:
        rules: (1,) of `parameters_of`. accounts: (1,), the one, and positions: (N,), as
            `fill_bar` left them at this close; changed in place.
        close: (N,) raw; NaN: no bar now, so nothing is ordered.
        eligible: (N,) bool. score: (N,) expected return in units of σ√h; NaN: none.
        weight: (N,) with scores the benchmark's weights, NaN: equal ones; without them the target
            weights asked for, NaN: hold.
        volatility: (N,) σ per bar. forecast: (N,) volatility of a bar to size by, and the unit of
            the scores, in place of σ; NaN: σ.
        beta: (N,). recent: (N, T) simple returns, of which [span[0], span[1]) are those of the last
            bars, 252 at most.
        market: (T,) mean return of the symbols that had these bars.
        groups: (N,) int64 in [-1, N), symbols that share a cap; -1: none.
        kelly: share of the tilt that past evidence allows; NaN: none yet, the starting cap holds.
        half_life: of the scores, bars; NaN: the horizon.
        rows: (N,), overwritten.
        trace: (N, S) columns of `Trace`, to keep how targets came about; (0, S): not kept.
    """
    account = accounts[0]
    account.kelly = rules[0].starting_cap if math.isnan(kelly) else kelly
    watch_turbulence(rules[0], account, market[span[0] : span[1]])
    watch(rules[0], account)
    if rules[0].managed:
        for n in range(len(rows)):
            describe(account, positions[n], close[n], rows[n])
        managed_targets(
            rules[0], account, positions, close, eligible, score, weight, volatility, forecast,
            beta, recent, span, groups, half_life, rows, trace,
        )  # fmt: skip
    closing = account.acting & CLOSING
    for n in range(len(rows)):
        if not rules[0].managed:
            describe(account, positions[n], close[n], rows[n])
            if math.isnan(weight[n]) and not closing:
                positions[n].unscored += 1  # hold: weights drift with prices
                continue
            _asked_target(rules[0], positions[n], weight[n], rows[n])
        positions[n].order_sigma = volatility[n]
        _order(rules[0], account, positions[n], close[n], eligible[n], rows[n])


@kernel
def place_bar(
    rules: Array[Parameters],
    accounts: Array[Account],
    positions: Array[Position],
    close: np.ndarray,
    eligible: np.ndarray,
    volatility: np.ndarray,
    orders: Array[Order],
    rows: Array[Decision],
) -> None:
    """Place orders that somebody else decided on, under the same limits of the account.

    Loss limits, drawdown, the kill switch, lots and the minimum hold as in `decide_bar`; nothing is
    sized. A new order of a symbol replaces the one that rests.

    Args:
        orders: (M,). The others as in `decide_bar`; `rows` of symbols without an order are
            left alone.
    """
    account = accounts[0]
    watch(rules[0], account)
    closing = account.acting & CLOSING
    refusing = account.acting & REFUSING
    for n in range(len(rows)):
        if closing:
            positions[n].order_sigma = volatility[n]
            _close_out(account, positions[n], closing, close[n], rows[n])
        elif refusing and reduced(positions[n].order, positions[n].quantity) != positions[n].order:
            # What rests may not open in a period that is over what could not be ordered in it.
            describe(account, positions[n], close[n], rows[n])
            rows[n].reasons |= refusing
            positions[n].order = reduced(positions[n].order, positions[n].quantity)
    for order in orders:
        n = order.symbol
        position, row = positions[n], rows[n]
        if closing:
            row.reasons |= closing
            continue
        position.order_sigma = volatility[n]
        rest(position, 0.0, MARKET, np.nan, 1)
        describe(account, position, close[n], row)
        if math.isnan(close[n]):
            row.reasons |= NO_BAR
            continue
        wanted = order.quantity
        if wanted < -max(position.quantity, 0.0) and not rules[0].shorts:
            wanted = -max(position.quantity, 0.0)
            row.reasons |= LONG_ONLY if wanted < 0 else NO_SHORTS
        row.notional = wanted * close[n]
        allowed = _permitted(rules[0], account, position, close[n], eligible[n], wanted, row)
        rest(position, allowed, order.kind, order.level, order.bars)
        position.order_stop, position.order_take = order.stop_loss, order.take_profit
        row.order, row.kind, row.level = position.order, position.kind, position.level


@kernel
def _close_out(
    account: Account, position: Position, closing: int, close: float, row: Decision
) -> None:
    """Sell or cover all that is held at the next open, in place of any other order."""
    rest(position, _to_nothing(position), MARKET, np.nan, 1)
    describe(account, position, close, row)
    if position.quantity != 0:
        row.reasons |= closing
        row.order = position.order


@kernel
def rest(position: Position, quantity: float, kind: int, level: float, bars: int) -> None:
    """Make this the position's pending order."""
    position.order, position.kind, position.level = quantity, kind, level
    position.age, position.bars, position.order_prepaid = 0, bars, np.nan
    position.order_stop, position.order_take = np.nan, np.nan


@kernel
def describe(account: Account, position: Position, close: float, row: Decision) -> None:
    """What is held of a symbol at this close, into `row`; no order."""
    row.quantity = position.quantity
    row.price = position.last if math.isnan(close) else close
    row.weight = 0.0
    if position.quantity != 0 and account.equity > 0:
        row.weight = position.quantity * row.price / account.equity
    row.aim, row.target, row.band, row.signal = row.weight, row.weight, 0.0, position.signal
    row.order, row.kind, row.level = 0.0, MARKET, np.nan
    row.notional, row.cooling, row.reasons = 0.0, 0, 0


@kernel
def _asked_target(rules: Parameters, position: Position, weight: float, row: Decision) -> None:
    """Without a profile the target is the weight asked for."""
    position.unscored = 0
    row.aim = row.target = weight
    if weight < 0 and not rules.shorts:
        row.aim = row.target = 0.0
        row.reasons |= LONG_ONLY


@kernel
def _order(
    rules: Parameters,
    account: Account,
    position: Position,
    close: float,
    eligible: bool,
    row: Decision,
) -> None:
    """The order that leads to the target, after every rule that may refuse it."""
    rest(position, 0.0, MARKET, np.nan, 1)
    closing = account.acting & CLOSING
    if closing:
        row.aim, row.target = 0.0, 0.0
    if math.isnan(close):
        if row.target != row.weight:
            row.reasons |= NO_BAR
        return
    order = _wanted(account, position, close, row)
    row.notional = order * close
    if order != 0:
        order = _permitted(rules, account, position, close, eligible, order, row)
    if closing and position.quantity != 0:
        row.reasons |= closing
    position.order, row.order = order, order
    if rules.limit_entry > 0 and reduced(order, position.quantity) == 0 and order != 0:
        _ask_for_better(rules, position, close, row)


@kernel
def _ask_for_better(rules: Parameters, position: Position, close: float, row: Decision) -> None:
    """New exposure waits one bar at a limit below the close, or above it for a short."""
    if position.order_sigma > 0:
        side = math.copysign(1.0, row.order)
        row.kind, row.level = (
            LIMIT,
            close * math.exp(-side * rules.limit_entry * position.order_sigma),
        )
        position.kind, position.level = row.kind, row.level


@kernel
def _wanted(account: Account, position: Position, close: float, row: Decision) -> float:
    """Quantity to the target, if that is not what is held."""
    if row.target == 0:
        return _to_nothing(position)
    if row.target == row.weight:
        return 0.0
    return float(row.target * account.equity / close - position.quantity)


@kernel
def _to_nothing(position: Position) -> float:
    """What closes the position; a stop that is worked off does so already, as one order."""
    return 0.0 if position.triggered else -float(position.quantity)


@kernel
def _permitted(
    rules: Parameters,
    account: Account,
    position: Position,
    close: float,
    eligible: bool,
    order: float,
    row: Decision,
) -> float:
    """The order after limits, lots and the minimum; each change leaves its reason."""
    lowering = reduced(order, position.quantity)
    if lowering != order:
        refusing = account.acting & REFUSING
        if not eligible:
            refusing |= INELIGIBLE
        if rules.managed and rules.neutral and position.unscored > 0 and rules.scored:
            refusing |= NO_SCORE
        if refusing:
            row.reasons |= refusing
            order = lowering
    if order == -position.quantity:
        return order  # a position can always be closed whole, whatever its size
    whole = whole_lots(rules, order)
    if whole != order:
        row.reasons |= LOT
        order = whole
    if order != 0 and abs(order) * close < rules.min_notional:
        row.reasons |= MIN_NOTIONAL
        return 0.0
    return order
