"""The decision at one close: what is known becomes targets, limits, and orders.

`decide_bar` is the only place where orders come from. A backtest calls it for every bar of a
history, a paper session for the bar that has just closed.
"""

import math

import numpy as np

from trading_pipeline.core.trading.compiled import entry_point, kernel
from trading_pipeline.core.trading.reasons import (
    DRAWDOWN_HALF,
    INELIGIBLE,
    LONG_ONLY,
    LOT,
    MIN_NOTIONAL,
    NO_BAR,
    NO_SCORE,
    NO_TRADE_BAND,
)
from trading_pipeline.core.trading.risk import (
    allowed_size,
    closing_reasons,
    reduced,
    reducing_reasons,
    watch,
)
from trading_pipeline.core.trading.sizing import (
    book_volatility,
    cap_gross,
    cap_net,
    cap_symbols,
    demean,
    scale,
    scale_to_volatility,
    smooth,
    wish,
)
from trading_pipeline.core.trading.state import Record


@entry_point
def decide_bar(
    rules: np.ndarray,
    account: np.ndarray,
    positions: np.ndarray,
    close: np.ndarray,
    eligible: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    volatility: np.ndarray,
    recent: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Decide on the orders of the next open, into `positions` and `rows`.

    Args:
        rules: (1,) record of `rules_of`. account: (1,) ACCOUNT and positions: (N,) POSITION, as
            `fill_bar` left them at this close; changed in place.
        close: (N,) raw; NaN: no bar now, so nothing is ordered.
        eligible: (N,) bool. score: (N,) expected return in units of σ√h; NaN: none.
        weight: (N,) target weight asked for, when there are no scores; NaN: hold.
        volatility: (N,) σ per bar. recent: (K, N) simple returns of the last bars, K <= 63.
        rows: (N,) DECISION, overwritten.
    """
    book = account[0]
    watch(rules[0], book)
    describe_bar(account, positions, rows)
    if rules[0].managed:
        _managed_targets(
            rules[0], book, positions, eligible, score, weight, volatility, recent, rows
        )
    for n in range(len(rows)):
        if not rules[0].managed:
            _asked_target(rules[0], positions[n], weight[n], rows[n])
        _order(rules[0], book, positions[n], close[n], eligible[n], rows[n])
        positions[n].order_sigma = volatility[n]


@kernel
def describe_bar(account: np.ndarray, positions: np.ndarray, rows: np.ndarray) -> None:
    """What is held at this close, into `rows`; no orders."""
    for n in range(len(rows)):
        row, position = rows[n], positions[n]
        value = position.quantity * position.last if position.quantity != 0 else 0.0
        row.quantity, row.price = position.quantity, position.last
        row.weight = value / account[0].equity
        row.target = row.weight
        row.order, row.notional, row.cooling, row.reasons = 0.0, 0.0, 0, 0


@kernel
def _managed_targets(
    rules: Record,
    book: Record,
    positions: np.ndarray,
    eligible: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    volatility: np.ndarray,
    recent: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Targets of all symbols under the profile, into `rows.target`."""
    book.eligible = 0
    for n in range(len(rows)):
        smooth(rules, positions[n], score[n], weight[n])
        wish(rules, positions[n], volatility[n], eligible[n], rows[n])
        book.eligible += eligible[n]
    if rules.neutral and rules.scored:
        demean(rows)
    scale_to_volatility(rules, rows, recent, volatility)
    cap_symbols(rows, max(rules.symbol_cap, 1.5 * rules.gross_cap / max(book.eligible, 1)))
    cap_gross(rules, rows)
    cap_net(rules, rows)
    size = allowed_size(book)
    if size < 1:
        scale(rows, size, 0.0, DRAWDOWN_HALF if size > 0 else closing_reasons(book))
    book.forecast = book_volatility(rows, recent, volatility)


@kernel
def _asked_target(rules: Record, position: Record, weight: float, row: Record) -> None:
    """Without a profile the target is the weight asked for, and NaN is what is held."""
    if math.isnan(weight):
        row.target = row.weight
    elif weight < 0 and not rules.shorts:
        row.target = 0.0
        row.reasons |= LONG_ONLY
    else:
        row.target = weight
    position.unscored = position.unscored + 1 if math.isnan(weight) else 0


@kernel
def _order(
    rules: Record,
    book: Record,
    position: Record,
    close: float,
    eligible: bool,
    row: Record,
) -> None:
    """The order that leads to the target, after every rule that may refuse it."""
    position.order = 0.0
    closing = closing_reasons(book)
    if closing:
        row.target = 0.0
    if math.isnan(close):
        if row.target != row.weight:
            row.reasons |= NO_BAR
        return
    order = _wanted(rules, book, position, close, row)
    row.notional = order * close
    if order != 0:
        order = _permitted(rules, book, position, eligible, order, row)
    if closing and position.quantity != 0:
        row.reasons |= closing
    position.order = order
    row.order = order


@kernel
def _wanted(rules: Record, book: Record, position: Record, close: float, row: Record) -> float:
    """Quantity to the target, unless the target is what is held or too near to bother."""
    if row.target == 0:
        return -float(position.quantity)
    if not rules.managed and position.unscored > 0:
        return 0.0  # hold: weights drift with prices
    if rules.managed and _within_band(rules, book, row):
        row.reasons |= NO_TRADE_BAND
        return 0.0
    return float(row.target * book.equity / close - position.quantity)


@kernel
def _within_band(rules: Record, book: Record, row: Record) -> bool:
    """Whether the change is at most 20 % of the target or 1 % of equity.

    Where many symbols share the book a whole position may be below 1 %, so the floor is at most
    the same 20 % of an equal share of the gross cap.
    """
    share = rules.band * rules.gross_cap / max(book.eligible, 1)
    floor = min(rules.band_floor, share)
    change = abs(row.target - row.weight)
    return bool(change <= max(rules.band * abs(row.target), floor))


@kernel
def _permitted(
    rules: Record,
    book: Record,
    position: Record,
    eligible: bool,
    order: float,
    row: Record,
) -> float:
    """The order after limits, lots and the minimum; each change leaves its reason."""
    lowering = reduced(order, position.quantity)
    if lowering != order:
        refusing = reducing_reasons(book)
        if not eligible:
            refusing |= INELIGIBLE
        if rules.managed and position.unscored > 0 and rules.scored:
            refusing |= NO_SCORE
        if refusing:
            row.reasons |= refusing
            order = lowering
    if order == -position.quantity:
        return order  # a position can always be closed whole, whatever its size
    if rules.lot > 0:
        # A whole number of lots may lie one rounding below itself.
        whole = math.trunc(order / rules.lot * (1 + 1e-12)) * rules.lot
        if whole != order:
            row.reasons |= LOT
        order = whole
    if order != 0 and abs(order) * row.price < rules.min_notional:
        row.reasons |= MIN_NOTIONAL
        return 0.0
    return order
