"""The decision at one close: what is known becomes targets, limits, and orders.

`decide_bar` is the only place where orders come from. A backtest calls it for every bar of a
history, a paper session for the bar that has just closed.
"""

import math

import numpy as np

from trading_pipeline.core.trading.engine.compiled import entry_point, kernel
from trading_pipeline.core.trading.engine.costs import whole_lots
from trading_pipeline.core.trading.engine.dtypes import (
    DEMEANED,
    GROSS_CAPPED,
    GROUP_CAPPED,
    LIMIT,
    MARKET,
    NET_CAPPED,
    RAW,
    RESIZED,
    SCALED,
    SYMBOL_CAPPED,
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
    NO_TRADE_BAND,
)
from trading_pipeline.core.trading.engine.risk import (
    CLOSING,
    DRAWDOWN_HALF,
    REFUSING,
    allowed_size,
    reduced,
    watch,
    watch_turbulence,
)
from trading_pipeline.core.trading.engine.sizing import (
    cap_gross,
    cap_groups,
    cap_net,
    cap_symbols,
    demean,
    keep,
    raw_target,
    scale,
    scale_to_volatility,
    smooth,
    target_volatility,
)


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
    recent: np.ndarray,
    span: tuple[int, int],
    market: np.ndarray,
    groups: np.ndarray,
    kelly: float,
    rows: Array[Decision],
    trace: np.ndarray,
) -> None:
    """Decide on the orders of the next open, into `positions` and `rows`.

    Args:
        rules: (1,) of `parameters_of`. accounts: (1,), the one, and positions: (N,), as
            `fill_bar` left them at this close; changed in place.
        close: (N,) raw; NaN: no bar now, so nothing is ordered.
        eligible: (N,) bool. score: (N,) expected return in units of σ√h; NaN: none.
        weight: (N,) target weight asked for, when there are no scores; NaN: hold.
        volatility: (N,) σ per bar. recent: (N, T) simple returns, of which [span[0], span[1]) are
            those of the last bars, 63 at most.
        market: (T,) mean return of the symbols that had these bars.
        groups: (N,) int64 in [-1, N), symbols that share a cap; -1: none.
        kelly: gross weight that past evidence allows; NaN: none yet, so the starting cap holds.
        rows: (N,), overwritten.
        trace: (N, S) columns of `Trace`, to keep the targets after each stage; (0, S): not kept.
    """
    account = accounts[0]
    account.kelly_cap = rules[0].starting_cap if math.isnan(kelly) else kelly
    watch_turbulence(rules[0], account, market[span[0] : span[1]])
    watch(rules[0], account)
    if rules[0].managed:
        for n in range(len(rows)):
            describe(account, positions[n], close[n], rows[n])
        _managed_targets(
            rules[0],
            account,
            positions,
            eligible,
            score,
            weight,
            volatility,
            recent,
            span,
            groups,
            rows,
            trace,
        )
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


@entry_point
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
    row.target, row.band, row.signal = row.weight, 0.0, position.signal
    row.order, row.kind, row.level = 0.0, MARKET, np.nan
    row.notional, row.cooling, row.reasons = 0.0, 0, 0


@kernel
def _managed_targets(
    rules: Parameters,
    account: Account,
    positions: Array[Position],
    eligible: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    volatility: np.ndarray,
    recent: np.ndarray,
    span: tuple[int, int],
    groups: np.ndarray,
    rows: Array[Decision],
    trace: np.ndarray,
) -> None:
    """Targets of all symbols under the profile, into `rows.target`."""
    account.eligible = 0
    for n in range(len(rows)):
        smooth(rules, positions[n], score[n], weight[n])
        rows[n].signal = positions[n].signal
        raw_target(rules, positions[n], volatility[n], eligible[n], rows[n])
        account.eligible += eligible[n]
    keep(trace, RAW, rows)
    if rules.neutral and rules.scored:
        demean(rows)
    keep(trace, DEMEANED, rows)
    scale_to_volatility(rules, rows, recent, span, volatility)
    keep(trace, SCALED, rows)
    cap_symbols(rules, account, rows)
    keep(trace, SYMBOL_CAPPED, rows)
    cap_groups(rules, account, rows, groups, eligible)
    keep(trace, GROUP_CAPPED, rows)
    cap_gross(rules, account, rows)
    keep(trace, GROSS_CAPPED, rows)
    cap_net(rules, rows)
    keep(trace, NET_CAPPED, rows)
    size = allowed_size(account)
    if size < 1:
        scale(rows, size, 0.0, DRAWDOWN_HALF if size > 0 else account.acting & CLOSING)
    keep(trace, RESIZED, rows)
    account.forecast = target_volatility(rows, recent, span, volatility)


@kernel
def _asked_target(rules: Parameters, position: Position, weight: float, row: Decision) -> None:
    """Without a profile the target is the weight asked for."""
    position.unscored = 0
    if weight < 0 and not rules.shorts:
        row.target = 0.0
        row.reasons |= LONG_ONLY
    else:
        row.target = weight


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
        row.target = 0.0
    if math.isnan(close):
        if row.target != row.weight:
            row.reasons |= NO_BAR
        return
    order = _wanted(rules, account, position, close, row)
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
def _wanted(
    rules: Parameters, account: Account, position: Position, close: float, row: Decision
) -> float:
    """Quantity to the target, unless the target is what is held or too near to bother."""
    if row.target == 0:
        return _to_nothing(position)
    if rules.managed and _within_band(rules, account, row):
        row.reasons |= NO_TRADE_BAND
        return 0.0
    return float(row.target * account.equity / close - position.quantity)


@kernel
def _to_nothing(position: Position) -> float:
    """What closes the position; a stop that is worked off does so already, as one order."""
    return 0.0 if position.triggered else -float(position.quantity)


@kernel
def _within_band(rules: Parameters, account: Account, row: Decision) -> bool:
    """Whether the change is at most 20 % of the target or 1 % of equity.

    Where many symbols share the account a whole position may be below 1 %, so the floor is at most
    the same 20 % of an equal share of the gross cap.
    """
    share = rules.band * rules.gross_cap / max(account.eligible, 1)
    floor = min(rules.band_floor, share)
    row.band = max(rules.band * abs(row.target), floor)
    return abs(row.target - row.weight) <= row.band


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
        if rules.managed and position.unscored > 0 and rules.scored:
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
