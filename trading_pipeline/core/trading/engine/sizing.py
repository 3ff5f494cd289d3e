"""From signals and tilt to weights: who may be held, benchmark, caps, total exposure."""

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
    INELIGIBLE,
    LEVERAGE_CAP,
    LONG_ONLY,
    NET_CAP,
    SYMBOL_CAP,
    VOLATILITY_TARGET,
)

YEAR_WINDOW = 252  # bars of returns that a year's deviation is made of
_TINY = 1e-12  # below rounding


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
def may_hold(
    rules: Parameters,
    position: Position,
    close: float,
    volatility: float,
    eligible: bool,
    row: Decision,
) -> bool:
    """Whether a symbol may be held at all, and why not where it is, or would be."""
    row.cooling = position.cooling
    blocked = cooling(position)
    asked = not math.isnan(position.signal) and (rules.scored or position.signal != 0)
    told = not math.isnan(close) and (asked or position.quantity != 0)
    if not eligible or not volatility > 0:
        row.reasons |= INELIGIBLE if told else 0
        return False
    if blocked:
        row.reasons |= COOLING_OFF if told else 0
        return False
    return True


@kernel
def deviation(
    weights: np.ndarray,
    recent: np.ndarray,
    span: tuple[int, int],
    window: int,
    volatility: np.ndarray,
) -> float:
    """Per-bar volatility of weights: deviation (ddof = 1) of their last returns.

    That is √(w'Σw) of the sample covariance, without the matrix. With fewer than 63 bars, the bound
    that holds for any correlation: Σ |w| σ. recent: (N, T), of which the last `window` rows of
    `span` are looked at, or as many as there are.
    """
    first = max(span[0], span[1] - window)
    count = span[1] - first
    if count < VOLATILITY_WINDOW:
        bound = 0.0
        for n in range(len(weights)):
            if weights[n] != 0 and not math.isnan(volatility[n]):
                bound += abs(weights[n]) * volatility[n]
        return bound
    earned = np.zeros(count)
    for n in range(len(weights)):
        weight = weights[n]
        if weight != 0:
            returns = recent[n, first : span[1]]  # contiguous, so that the loop is vectorised
            for k in range(count):
                earned[k] += weight * returns[k]
    mean, squares = 0.0, 0.0
    for k in range(count):
        mean += earned[k] / count
    for k in range(count):
        squares += (earned[k] - mean) ** 2
    return math.sqrt(squares / (count - 1))


@kernel
def hold_benchmark(weight: np.ndarray, able: np.ndarray, benchmark: np.ndarray) -> None:
    """What is held without a tilt: the weights given, or equal ones, over those that may be held.

    weight: (N,), NaN or 0: none of it. Where no weight is left, equal ones are taken.
    """
    total, count = 0.0, 0
    for n in range(len(able)):
        if able[n]:
            count += 1
            if weight[n] > 0:
                total += weight[n]
    for n in range(len(able)):
        benchmark[n] = 0.0
        if able[n] and total > 0:
            benchmark[n] = weight[n] / total if weight[n] > 0 else 0.0
        elif able[n]:
            benchmark[n] = 1 / count


@kernel
def precisions(inverse: np.ndarray, precision: np.ndarray) -> None:
    """1/σ² as shares of their sum, of (N,) 1/σ; 0 where nothing may be held."""
    total = 0.0
    for n in range(len(inverse)):
        precision[n] = inverse[n] * inverse[n]
        total += precision[n]
    share = 1 / total if total > 0 else 0.0
    for n in range(len(inverse)):
        precision[n] *= share


@kernel
def cap_symbols(
    rules: Parameters,
    account: Account,
    active: np.ndarray,
    cap: np.ndarray,
    rows: Array[Decision],
) -> None:
    """Cut each weight of a neutral account to its cap, at least 1.5 equal shares of the gross."""
    account.symbol_cap = max(rules.symbol_cap, 1.5 * rules.gross_cap / max(account.eligible, 1))
    for n in range(len(active)):
        cap[n] = account.symbol_cap
        if abs(active[n]) > cap[n]:
            active[n] = math.copysign(cap[n], active[n])
            rows[n].reasons |= SYMBOL_CAP
            account.bound |= SYMBOL_CAP


@kernel
def invest(
    rules: Parameters,
    account: Account,
    active: np.ndarray,
    benchmark: np.ndarray,
    precision: np.ndarray,
    wanted: np.ndarray,
    cap: np.ndarray,
    rows: Array[Decision],
) -> None:
    """Benchmark and tilt as a whole that is invested, into `wanted`, not yet cut to [0, cap].

    wanted = benchmark + active - λ × precision, with λ such that the cut weights sum to 1: the
    mean-variance answer for uncorrelated residuals that may not be short (Karush, Kuhn, Tucker).
    """
    account.symbol_cap = max(rules.symbol_cap, 1.5 / max(account.eligible, 1))
    top, low = 0.0, 0.0
    for n in range(len(wanted)):
        wanted[n] = benchmark[n] + active[n]
        cap[n] = max(account.symbol_cap, benchmark[n]) if precision[n] > 0 else 0.0
        if precision[n] > 0:
            top = max(top, wanted[n] / precision[n])
            low = min(low, (wanted[n] - cap[n]) / precision[n])
    if top == 0:
        return
    # The sum falls with λ, piecewise straight: Newton's steps, and a bisection where they leave.
    multiplier = 0.0
    for _ in range(100):
        total, slope = -1.0, 0.0
        for n in range(len(wanted)):
            weight = wanted[n] - multiplier * precision[n]
            total += min(max(weight, 0.0), cap[n])
            if 0 < weight < cap[n]:
                slope += precision[n]
        if abs(total) < _TINY:
            break
        if total > 0:
            low = multiplier
        else:
            top = multiplier
        step = multiplier + total / slope if slope > 0 else low
        multiplier = step if low < step < top else (low + top) / 2
    for n in range(len(wanted)):
        wanted[n] -= multiplier * precision[n]
        if wanted[n] < 0:
            rows[n].reasons |= LONG_ONLY
        elif wanted[n] > cap[n] and cap[n] > 0:
            rows[n].reasons |= SYMBOL_CAP
            account.bound |= SYMBOL_CAP


@kernel
def total_exposure(
    rules: Parameters, account: Account, invested: np.ndarray, moved: float
) -> float:
    """What the invested weights are multiplied by, before drawdowns; why, into the account.

    moved: deviation of the invested weights, per bar.
    """
    gross, net = 0.0, 0.0
    for n in range(len(invested)):
        gross += abs(invested[n])
        net += invested[n]
    account.exposure_rule = 0
    if gross == 0:
        return 0.0
    cap, account.exposure_rule = rules.gross_cap / gross, GROSS_CAP
    if rules.leverage / gross < cap:
        cap, account.exposure_rule = rules.leverage / gross, LEVERAGE_CAP
    if rules.net_cap < cap * abs(net):
        cap, account.exposure_rule = rules.net_cap / abs(net), NET_CAP
    asked = _asked_exposure(rules, gross, cap, moved)
    if asked < cap:
        own = rules.neutral and rules.scored  # is at its volatility target already
        account.bound |= 0 if own else VOLATILITY_TARGET
        account.exposure_rule = 0 if own or asked == 1 else VOLATILITY_TARGET
        return asked
    account.bound |= account.exposure_rule
    if cap == 1:
        account.exposure_rule = 0  # and changes nothing
    return cap


@kernel
def _asked_exposure(rules: Parameters, gross: float, cap: float, moved: float) -> float:
    """What the volatility target asks for; `cap` where nothing moves, or there is no target."""
    if rules.neutral and rules.scored:
        return 1.0
    if math.isinf(rules.volatility_target):
        return cap if rules.scored else 1.0
    return cap if moved <= 1e-9 * gross else rules.volatility_target / moved
