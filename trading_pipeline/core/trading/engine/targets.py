"""The targets of a managed account: benchmark and tilt, exposure, and what is worth trading."""

import math

import numpy as np

from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW
from trading_pipeline.core.trading.engine.compiled import kernel
from trading_pipeline.core.trading.engine.dtypes import (
    ACTIVE,
    BENCHMARK,
    BETA,
    CAPPED,
    INVESTED,
    TILT,
    Account,
    Array,
    Decision,
    Parameters,
    Position,
)
from trading_pipeline.core.trading.engine.reasons import (
    GROSS_CAP,
    KELLY_CAP,
    LONG_ONLY,
    NO_TRADE_BAND,
)
from trading_pipeline.core.trading.engine.region import (
    exposure_band,
    fading,
    half_widths,
    place,
    place_all,
)
from trading_pipeline.core.trading.engine.risk import (
    CLOSING,
    DRAWDOWN_CONTROL,
    DRAWDOWN_HALF,
    allowed_size,
)
from trading_pipeline.core.trading.engine.sizing import (
    cap_symbols,
    deviation,
    hold_benchmark,
    invest,
    may_hold,
    precisions,
    smooth,
    total_exposure,
)
from trading_pipeline.core.trading.engine.tilt import (
    cap_groups,
    scale_to_tracking_error,
    unit_tilt,
)

_WORK = 11  # rows of working space that a decision takes


@kernel
def managed_targets(
    rules: Parameters,
    account: Account,
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
    groups: np.ndarray,
    half_life: float,
    rows: Array[Decision],
    trace: np.ndarray,
) -> None:
    """Aims and targets of all symbols under the profile, into `rows`; their weights are held."""
    N = len(rows)
    work, able = np.zeros((_WORK, N)), np.zeros(N, np.int64)
    tilt, active, benchmark, precision = work[0], work[1], work[2], work[3]
    wanted, cap, invested, held, widths = work[4], work[5], work[6], work[7], work[8]
    inverse = work[9]  # 1/σ of symbols that may be held, else 0
    sigma = work[10]  # what is sized by
    account.eligible, account.bound = 0, 0
    for n in range(N):
        smooth(rules, positions[n], score[n], weight[n])
        rows[n].signal = positions[n].signal
        sigma[n] = volatility[n] if math.isnan(forecast[n]) else forecast[n]
        able[n] = may_hold(rules, positions[n], close[n], volatility[n], eligible[n], rows[n])
        if able[n]:
            inverse[n] = 1 / sigma[n]
            account.eligible += 1
    theta, gain = fading(rules.horizon if math.isnan(half_life) else half_life, rules.horizon)
    count = unit_tilt(rules, positions, inverse, beta, able, tilt, rows) if rules.scored else 0
    scale_to_tracking_error(
        rules, account, tilt, active, count, inverse, sigma, forecast, recent, span
    )
    account.aversion *= gain
    keep(trace, TILT, tilt)
    keep(trace, ACTIVE, active)
    cap_groups(rules, account, active, groups, able, rows)
    keep(trace, CAPPED, active)
    precisions(inverse, precision)
    if not rules.scored:
        _asked(rules, positions, able, wanted, cap, rows)
    elif rules.neutral:
        cap_symbols(rules, account, active, cap, rows)
        wanted[:] = active
    else:
        hold_benchmark(weight, able, benchmark)
        invest(rules, account, active, benchmark, precision, wanted, cap, rows)
    for n in range(N):
        invested[n] = wanted[n] if rules.neutral else min(max(wanted[n], 0.0), cap[n])
        if active[n] != 0 and account.kelly < 1:
            rows[n].reasons |= KELLY_CAP
    keep(trace, BENCHMARK, benchmark)
    keep(trace, INVESTED, invested)
    keep(trace, BETA, beta)
    moved = deviation(invested, recent, span, VOLATILITY_WINDOW, volatility)
    account.exposure = total_exposure(rules, account, invested, moved)
    _resize(account, invested, rows)
    account.forecast = account.exposure * moved
    _to_targets(
        rules, account, close, sigma, able, theta, wanted, invested, precision, cap, held,
        widths, rows,
    )  # fmt: skip


@kernel
def keep(trace: np.ndarray, column: int, values: np.ndarray) -> None:
    """Write down a stage of the sizing; (0, S) `trace`: it is not kept."""
    for n in range(len(trace)):
        trace[n, column] = values[n]


@kernel
def _asked(
    rules: Parameters,
    positions: Array[Position],
    able: np.ndarray,
    wanted: np.ndarray,
    cap: np.ndarray,
    rows: Array[Decision],
) -> None:
    """Weights that were asked for, as they are, of symbols that may be held."""
    for n in range(len(wanted)):
        signal = positions[n].signal
        cap[n] = 0.0  # nothing of it is asked for, so nothing of it pays for others
        if able[n] and signal < 0 and not rules.shorts:
            rows[n].reasons |= LONG_ONLY
        elif able[n] and not math.isnan(signal) and signal != 0:
            wanted[n], cap[n] = signal, math.inf


@kernel
def _resize(account: Account, invested: np.ndarray, rows: Array[Decision]) -> None:
    """Lower the exposure after losses, and note on every symbol which rules changed it."""
    reason = account.exposure_rule
    if account.drawdown_share < 1:
        account.exposure *= account.drawdown_share
        reason |= DRAWDOWN_CONTROL
    size = allowed_size(account)
    if size < 1:
        account.exposure *= size
        reason |= DRAWDOWN_HALF if size > 0 else account.acting & CLOSING
    account.bound |= reason
    for n in range(len(rows)):
        if invested[n] != 0:
            rows[n].reasons |= reason


@kernel
def _to_targets(
    rules: Parameters,
    account: Account,
    close: np.ndarray,
    volatility: np.ndarray,
    able: np.ndarray,
    theta: float,
    wanted: np.ndarray,
    invested: np.ndarray,
    precision: np.ndarray,
    cap: np.ndarray,
    held: np.ndarray,
    widths: np.ndarray,
    rows: Array[Decision],
) -> None:
    """From what is held towards the aims, as far as it is worth its cost.

    A symbol without a bar keeps its weight, and one that may not be held goes.
    """
    gross, whole, waiting = 0.0, 0.0, 0.0
    for n in range(len(rows)):
        held[n] = 0.0
        rows[n].aim, rows[n].target, rows[n].band = 0.0, 0.0, 0.0
        if math.isnan(close[n]):
            rows[n].aim, rows[n].target = rows[n].weight, rows[n].weight
            waiting += abs(rows[n].weight)  # and pays for nothing
            able[n], precision[n] = 0, 0.0
        elif able[n]:
            held[n] = rows[n].weight
            gross += abs(held[n])
        whole += abs(invested[n])
    total = max(account.exposure * whole - (0.0 if rules.neutral else waiting), 0.0)
    account.exposure_band = exposure_band(rules, gross)
    if abs(gross - total) <= account.exposure_band and not rules.neutral:
        total = gross
    if whole == 0 or total == 0:
        return
    if gross > total + account.exposure_band or (gross != total and not rules.neutral):
        for n in range(len(rows)):
            held[n] *= total / gross if gross > 0 else 1.0
    half_widths(rules, account, theta, held, volatility, widths)
    if rules.neutral:
        _place_each(rules, account, held, wanted, widths, able, rows)
    else:
        place_all(held, wanted, precision, widths, cap, total / whole, total, rows)
    for n in range(len(rows)):
        if rows[n].target == rows[n].weight and rows[n].aim != rows[n].weight and able[n]:
            rows[n].reasons |= NO_TRADE_BAND


@kernel
def _place_each(
    rules: Parameters,
    account: Account,
    held: np.ndarray,
    wanted: np.ndarray,
    widths: np.ndarray,
    able: np.ndarray,
    rows: Array[Decision],
) -> None:
    """Targets of an account with shorts, each by itself, within the cap on all of them."""
    gross = 0.0
    for n in range(len(rows)):
        if able[n]:
            rows[n].aim, rows[n].band = account.exposure * wanted[n], widths[n]
            rows[n].target = place(held[n], rows[n].aim, widths[n])
            gross += abs(rows[n].target)
    most = min(rules.gross_cap, rules.leverage)
    for n in range(len(rows)):
        if gross > most and able[n]:
            rows[n].target *= most / gross
            rows[n].reasons |= GROSS_CAP
