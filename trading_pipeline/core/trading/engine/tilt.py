"""The tilt: active weights that the scores justify, at the tracking error that they deserve.

A tilt proportional to score / σ is the mean-variance answer for uncorrelated residuals when the
score is an expected residual return in units of σ√h (Grinold and Kahn, Active Portfolio
Management, 2nd ed., ch. 14). Correlation enters through the tracking error of the whole tilt: the
deviation of its return, had it been held over the last year.
"""

import math

import numpy as np

from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW
from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.dtypes import (
    Account,
    Array,
    Decision,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.reasons import GROUP_CAP, NO_SCORE
from trading_pipeline.core.trading.engine.sizing import YEAR_WINDOW, deviation

_TINY = 1e-12  # of a sum of squares: below rounding


@kernel
def unit_tilt(
    rules: Parameters,
    positions: Array[Position],
    inverse: np.ndarray,
    beta: np.ndarray,
    able: np.ndarray,
    tilt: np.ndarray,
    rows: Array[Decision],
) -> int:
    """What the signals say beyond their mean, β and σ, into `tilt`, and for how many symbols.

    Symbols without a signal get 0, and no part in the regression. inverse: (N,) 1/σ.
    """
    count, total = 0, 0.0
    for n in range(len(tilt)):
        tilt[n] = 0.0
        signal = positions[n].signal
        if not able[n] or math.isnan(signal):
            continue
        if positions[n].unscored >= rules.horizon:
            if rules.neutral:
                rows[n].reasons |= NO_SCORE
            continue
        tilt[n] = signal
        able[n] = 2  # has a signal
        total += signal
        count += 1
    for n in range(len(tilt)):
        if able[n] == 2:
            tilt[n] = tilt[n] - total / count if count > 1 else 0.0
    if count >= MIN_CROSS_SECTION:
        _leave_out_market(rules, inverse, beta, able, count, tilt)
    return count


@kernel
def _leave_out_market(
    rules: Parameters,
    inverse: np.ndarray,
    beta: np.ndarray,
    able: np.ndarray,
    count: int,
    tilt: np.ndarray,
) -> None:
    """Make a tilt of mean 0 orthogonal to β/σ, and to 1/σ where the account holds a benchmark.

    Gram and Schmidt: both less their mean, then β/σ less what 1/σ explains of it.
    """
    level, loading = 0.0, 0.0  # means
    for n in range(len(tilt)):
        if able[n] == 2:
            level += inverse[n]
            loading += beta[n] * inverse[n]
    level, loading = level / count, loading / count
    squares, products, along = 0.0, 0.0, 0.0
    for n in range(len(tilt)):
        if able[n] == 2 and not rules.neutral:
            x = inverse[n] - level
            squares += x * x
            products += x * (beta[n] * inverse[n] - loading)
            along += x * tilt[n]
    slope = products / squares if squares > _TINY * level * level else 0.0
    first = along / squares if squares > _TINY * level * level else 0.0
    rest, left = 0.0, 0.0
    for n in range(len(tilt)):
        if able[n] == 2:
            x = inverse[n] - level
            y = beta[n] * inverse[n] - loading - slope * x
            tilt[n] -= first * x
            rest += y * y
            left += y * tilt[n]
    second = left / rest if rest > _TINY * loading * loading else 0.0
    for n in range(len(tilt)):
        if able[n] == 2:
            x = inverse[n] - level
            tilt[n] -= second * (beta[n] * inverse[n] - loading - slope * x)


@kernel
def scale_to_tracking_error(
    rules: Parameters,
    account: Account,
    tilt: np.ndarray,
    active: np.ndarray,
    count: int,
    inverse: np.ndarray,
    volatility: np.ndarray,
    forecast: np.ndarray,
    recent: np.ndarray,
    span: tuple[int, int],
) -> None:
    """Weights tilt / σ at the tracking error that the scores deserve, into `active`.

    Where a volatility is forecast, a symbol's past returns count as if they had had it: the error
    is of correlations that were and volatilities to come (Hull and White, Incorporating Volatility
    Updating into the Historical Simulation Method for Value-at-Risk, 1998). As they were, they
    would have the error of a tilt to symbols that are calm now too large, for they were not always.
    """
    gross, squares = 0.0, 0.0
    for n in range(len(tilt)):
        active[n] = tilt[n] * inverse[n]
        gross += abs(active[n])
        squares += tilt[n] * tilt[n]
    scaled = np.zeros(len(active))
    for n in range(len(active)):
        scaled[n] = active[n]
        if active[n] != 0 and not math.isnan(forecast[n]):
            scaled[n] *= _stretch(forecast[n], recent[n], span)
    error = deviation(scaled, recent, span, YEAR_WINDOW, volatility)
    budget = rules.volatility_target if rules.neutral else rules.tracking_error
    factor, account.information = 0.0, 0.0
    if error > 1e-9 * gross:  # only above rounding: a constant return has no volatility
        account.information = squares / math.sqrt(rules.horizon) / error
        if rules.neutral:
            budget = min(budget, error * min(rules.gross_cap, rules.leverage) / gross)
        deserved = min(1.0, account.information / rules.enough)
        factor = account.kelly * deserved * budget / error
    elif math.isinf(budget):
        budget = rules.gross_cap  # there is no tilt to scale
    for n in range(len(tilt)):
        active[n] *= factor
    account.tracking = error * factor
    account.spread = factor * math.sqrt(squares / max(count, 1))
    account.aversion = max(account.information, rules.enough) / budget


@kernel
def _stretch(forecast: float, recent: np.ndarray, span: tuple[int, int]) -> float:
    """A forecast over the deviation of a symbol's own returns; 1 where `deviation` takes σ."""
    first = max(span[0], span[1] - YEAR_WINDOW)
    if span[1] - first < VOLATILITY_WINDOW:
        return 1.0
    own = float(np.std(recent[first : span[1]]))
    return forecast / own if own > 0 else 1.0


@kernel
def cap_groups(
    rules: Parameters,
    account: Account,
    active: np.ndarray,
    groups: np.ndarray,
    able: np.ndarray,
    rows: Array[Decision],
) -> None:
    """Scale down each group of symbols to its share of the tilt.

    Where there are few groups, a group may have 1.5 times an equal share. A symbol of no group
    (below 0) is one by itself.
    """
    account.group_cap = rules.group_cap
    if math.isinf(rules.group_cap):
        return
    gross = np.zeros(len(active))
    known = np.zeros(len(active), np.int64)
    count, total = 0, 0.0
    for n in range(len(active)):
        group = groups[n]
        total += abs(active[n])
        if group < 0:
            count += able[n] > 0
            continue
        gross[group] += abs(active[n])
        if able[n] and known[group] == 0:
            known[group] = 1
            count += 1
    account.group_cap = max(rules.group_cap, 1.5 / max(count, 1))
    cap = account.group_cap * total
    for n in range(len(active)):
        group = groups[n]
        if group >= 0 and gross[group] > cap:
            active[n] *= cap / gross[group]
            if active[n] != 0:
                rows[n].reasons |= GROUP_CAP
