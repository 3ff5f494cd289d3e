"""From scores to target weights: signal over volatility, scaled to a volatility, then capped.

The target of a symbol is proportional to score / σ, which is the mean-variance answer for
uncorrelated returns when the score is an expected return in units of σ√h (Grinold and Kahn,
Active Portfolio Management, 2nd ed., ch. 14). Correlation enters through the volatility of the
whole account: that of its return, had it been held over the last 63 bars.
"""

import math

import numpy as np

from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW
from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.dtypes import (
    Account,
    Array,
    Decision,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.reasons import (
    COOLING_OFF,
    GROSS_CAP,
    GROUP_CAP,
    INELIGIBLE,
    KELLY_CAP,
    LEVERAGE_CAP,
    LONG_ONLY,
    NET_CAP,
    NO_SCORE,
    SYMBOL_CAP,
    VOLATILITY_TARGET,
)


@kernel
def smooth(rules: Parameters, position: Position, score: float, weight: float) -> None:
    """Take in a new score (smoothed) or a new asked weight (as it is); NaN leaves the last."""
    news = score if rules.scored else weight
    if math.isnan(news):
        position.unscored += 1
        return
    position.unscored = 0
    if not rules.scored or math.isnan(position.signal):
        position.signal = news
    else:
        position.signal += rules.alpha * (news - position.signal)


@kernel
def cooling(position: Position) -> bool:
    """Whether a symbol is still blocked after a stop: h bars, or until its signal turns."""
    if position.cooling == 0:
        return False
    if position.signal * position.cooling_side < 0:
        position.cooling = 0
        return False
    position.cooling -= 1
    return True


@kernel
def raw_target(
    rules: Parameters, position: Position, volatility: float, eligible: bool, row: Decision
) -> None:
    """The unscaled target of one symbol into `row.target`, and why it is zero if it is."""
    row.target = 0.0
    row.cooling = position.cooling
    blocked = cooling(position)
    signal = position.signal
    if math.isnan(signal) or signal == 0:
        return
    if signal < 0 and not rules.shorts:
        row.reasons |= LONG_ONLY
    elif rules.scored and position.unscored >= rules.horizon:
        row.reasons |= NO_SCORE
    elif not eligible or (rules.scored and not volatility > 0):
        row.reasons |= INELIGIBLE
    elif blocked:
        row.reasons |= COOLING_OFF
    else:
        row.target = signal / volatility if rules.scored else signal


@kernel
def keep(trace: np.ndarray, stage: int, rows: Array[Decision]) -> None:
    """Write down the targets after a stage; (0, S) `trace`: they are not kept."""
    for n in range(len(trace)):
        trace[n, stage] = rows[n].target


@kernel
def demean(rows: Array[Decision]) -> None:
    """Make longs and shorts worth the same, among the symbols that want a position at all."""
    total, count = 0.0, 0
    for n in range(len(rows)):
        total += rows[n].target
        count += rows[n].target != 0
    for n in range(len(rows)):
        if rows[n].target != 0:
            rows[n].target -= total / count


@kernel
def target_volatility(
    rows: Array[Decision], recent: np.ndarray, span: tuple[int, int], volatility: np.ndarray
) -> float:
    """Per-bar volatility of the targets: deviation (ddof = 1) of its last 63 returns.

    That is √(w'Σw) of the sample covariance, without the matrix. With a shorter history, the bound
    that holds for any correlation: Σ |w| σ. recent: (N, T), of which `span` is looked at.
    """
    if span[1] - span[0] < VOLATILITY_WINDOW:
        bound = 0.0
        for n in range(len(rows)):
            if rows[n].target != 0 and not math.isnan(volatility[n]):
                bound += abs(rows[n].target) * volatility[n]
        return bound
    earned = np.zeros(VOLATILITY_WINDOW)
    for n in range(len(rows)):
        weight = rows[n].target
        if weight != 0:
            returns = recent[n, span[0] : span[1]]  # contiguous, so that the loop is vectorised
            for k in range(VOLATILITY_WINDOW):
                earned[k] += weight * returns[k]
    mean, squares = 0.0, 0.0
    for k in range(VOLATILITY_WINDOW):
        mean += earned[k] / VOLATILITY_WINDOW
    for k in range(VOLATILITY_WINDOW):
        squares += (earned[k] - mean) ** 2
    return math.sqrt(squares / (VOLATILITY_WINDOW - 1))


@kernel
def sums(rows: Array[Decision]) -> tuple[float, float]:
    """Longs and shorts of the targets, both >= 0."""
    longs, shorts = 0.0, 0.0
    for n in range(len(rows)):
        if rows[n].target > 0:
            longs += rows[n].target
        else:
            shorts -= rows[n].target
    return longs, shorts


@kernel
def scale(rows: Array[Decision], factor: float, side: float, reason: int) -> None:
    """Multiply the targets of one side (0: both) and note the reason."""
    for n in range(len(rows)):
        if rows[n].target != 0 and rows[n].target * side >= 0:
            rows[n].target *= factor
            rows[n].reasons |= reason


@kernel
def scale_to_volatility(
    rules: Parameters,
    rows: Array[Decision],
    recent: np.ndarray,
    span: tuple[int, int],
    volatility: np.ndarray,
) -> None:
    """Scale the targets to the profile's volatility; those that never moved, to the gross cap."""
    longs, shorts = sums(rows)
    if longs + shorts == 0:
        return
    factor = rules.gross_cap / (longs + shorts)
    if math.isinf(rules.volatility_target):
        if not rules.scored:
            return
    else:
        forecast = target_volatility(rows, recent, span, volatility)
        # Only above rounding: a constant return has no volatility to scale by.
        if forecast > 1e-9 * (longs + shorts):
            factor = rules.volatility_target / forecast
    scale(rows, factor, 0.0, VOLATILITY_TARGET)


@kernel
def cap_symbols(rules: Parameters, account: Account, rows: Array[Decision]) -> None:
    """Cut each symbol to its cap, which is at least 1.5 equal shares of the gross cap."""
    cap = max(rules.symbol_cap, 1.5 * rules.gross_cap / max(account.eligible, 1))
    account.symbol_cap = cap
    for n in range(len(rows)):
        if abs(rows[n].target) > cap:
            rows[n].target = math.copysign(cap, rows[n].target)
            rows[n].reasons |= SYMBOL_CAP


@kernel
def cap_groups(
    rules: Parameters,
    account: Account,
    rows: Array[Decision],
    groups: np.ndarray,
    eligible: np.ndarray,
) -> None:
    """Scale down each group of symbols to its share of the gross cap.

    Where there are few groups, a group may have 1.5 times an equal share, as a symbol may. A
    symbol of no group (below 0) is one by itself, which the cap per symbol covers.
    """
    account.group_cap = rules.group_cap
    if math.isinf(rules.group_cap):
        return
    gross = np.zeros(len(rows))
    known = np.zeros(len(rows), np.int64)
    count = 0
    for n in range(len(rows)):
        group = groups[n]
        if group < 0:
            count += eligible[n]
            continue
        gross[group] += abs(rows[n].target)
        if eligible[n] and known[group] == 0:
            known[group] = 1
            count += 1
    cap = max(rules.group_cap, 1.5 * rules.gross_cap / max(count, 1))
    account.group_cap = cap
    for n in range(len(rows)):
        group = groups[n]
        if group >= 0 and gross[group] > cap:
            rows[n].target *= cap / gross[group]
            if rows[n].target != 0:
                rows[n].reasons |= GROUP_CAP


@kernel
def cap_gross(rules: Parameters, account: Account, rows: Array[Decision]) -> None:
    """Scale down to the tightest of the gross cap, the cap by evidence and the leverage."""
    cap, reason = rules.gross_cap, GROSS_CAP
    if account.kelly_cap < cap:
        cap, reason = account.kelly_cap, KELLY_CAP
    if rules.leverage < cap:
        cap, reason = rules.leverage, LEVERAGE_CAP
    account.gross_cap, account.gross_rule = cap, reason
    longs, shorts = sums(rows)
    if longs + shorts > cap:
        scale(rows, cap / (longs + shorts), 0.0, reason)


@kernel
def cap_net(rules: Parameters, rows: Array[Decision]) -> None:
    """Scale down the heavier side until the two differ by the net cap."""
    longs, shorts = sums(rows)
    if longs - shorts > rules.net_cap:
        scale(rows, (shorts + rules.net_cap) / longs, 1.0, NET_CAP)
    elif shorts - longs > rules.net_cap:
        scale(rows, (longs + rules.net_cap) / shorts, -1.0, NET_CAP)
