"""Trend indicators: where price stands against its averages, and how straight it runs."""

import math
from functools import cache

import numpy as np

from trading_pipeline.core.features.feature import FRACTION, SIGMAS, Family, Scale
from trading_pipeline.core.features.series import WILDER_MEMORY, SymbolSeries
from trading_pipeline.core.features.wilder import (
    directional_index,
    directional_movement,
    parabolic_sar,
)
from trading_pipeline.core.features.windows import (
    Array,
    age_of_highest,
    ema,
    kernel,
    log_ratio,
    mean,
    weighted,
)
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW

FAMILY = Family("trend")


def sma_distance(series: SymbolSeries, window: int) -> Array:
    """log(C / SMA) / (σ √window); (T,)."""
    average = series.once(mean, "close", window)
    return log_ratio(series.close, average) / (series.sigma * math.sqrt(window))


for window in (20, 50, 200):
    FAMILY.feature(
        name=f"sma_{window}",
        formula="log(C / SMA) / (σ √window)",
        parameters={"window": window},
        lookback=max(window, VOLATILITY_WINDOW + 1),
        scale=SIGMAS,
        source="Brock, Lakonishok and LeBaron (1992)",
    )(sma_distance)


def ema_distance(series: SymbolSeries, span: int, memory: int) -> Array:
    """log(C / EMA) / (σ √span), the average restarted on the last `memory` bars; (T,)."""
    average = ema(series.close, span, memory)
    return log_ratio(series.close, average) / (series.sigma * math.sqrt(span))


for span, memory in ((12, 120), (26, 240)):
    FAMILY.feature(
        name=f"ema_{span}",
        formula="log(C / EMA) / (σ √span)",
        parameters={"span": span, "memory": memory},
        lookback=memory,
        scale=SIGMAS,
        source="TA-Lib EMA",
    )(ema_distance)


@cache
def histogram_weights(fast: int, slow: int, signal: int, memory: int) -> Array:
    """What each of the last `memory` closes, newest first, adds to MACD line - signal line.

    Both lines are linear in the closes, so their answer to a single one says it all, and a
    weighted sum takes a fifth of the time of three averages restarted at every bar.
    """
    single = np.zeros(2 * memory - 1)
    single[memory - 1] = 1.0
    line, smooth = macd(single, fast, slow, signal, memory)
    return np.ascontiguousarray((line - smooth)[memory - 1 :])


@kernel
def macd(close: Array, fast: int, slow: int, signal: int, memory: int) -> tuple[Array, Array]:
    """MACD line and its signal line, in price; both (T,), NaN for the first memory - 1.

    Restarted on the last `memory` bars and seeded as TA-Lib seeds a history of that length: each
    average by a simple one, the fast one's ending on the same bar as the slow one's.

    Source: Appel, The Moving Average Convergence-Divergence Method (1979).
    """
    line, smooth = np.full(close.size, np.nan), np.full(close.size, np.nan)
    n = close.size - memory + 1
    if n <= 0:
        return line, smooth
    quick, lazy, average = np.zeros(n), np.zeros(n), np.zeros(n)
    for lag in range(slow):
        part = close[lag : lag + n]
        late = 1.0 if lag >= slow - fast else 0.0
        for j in range(n):
            lazy[j] += part[j] / slow
            quick[j] += late * part[j] / fast
    average += (quick - lazy) / signal
    for lag in range(slow, memory):
        part = close[lag : lag + n]
        seeding = lag < slow + signal - 1
        for j in range(n):
            quick[j] += 2.0 / (fast + 1.0) * (part[j] - quick[j])
            lazy[j] += 2.0 / (slow + 1.0) * (part[j] - lazy[j])
            now = quick[j] - lazy[j]
            average[j] += now / signal if seeding else 2.0 / (signal + 1.0) * (now - average[j])
    line[memory - 1 :] = quick - lazy
    smooth[memory - 1 :] = average
    return line, smooth


@FAMILY.feature(
    name="macd",
    formula="(EMA fast - EMA slow) / ATR 14",
    lookback=250,
    scale=Scale("ATR", -10, 10),
    source="Appel (1979); TA-Lib MACD",
)
def macd_line(
    series: SymbolSeries, fast: int = 12, slow: int = 26, signal: int = 9, memory: int = 250
) -> Array:
    """(EMA fast - EMA slow) / ATR; (T,). Both are seeded on the same bar."""
    quick = ema(series.close, fast, memory - slow + fast)
    return (quick - ema(series.close, slow, memory)) / series.atr


@FAMILY.feature(
    name="macd_histogram",
    formula="(MACD - EMA signal of MACD) / ATR 14",
    lookback=250,
    scale=Scale("ATR", -5, 5),
    source="Appel (1979); TA-Lib MACD",
)
def macd_histogram(
    series: SymbolSeries, fast: int = 12, slow: int = 26, signal: int = 9, memory: int = 250
) -> Array:
    """(MACD line - its signal line) / ATR; (T,)."""
    return weighted(series.close, histogram_weights(fast, slow, signal, memory)) / series.atr


def _directional(series: SymbolSeries, window: int, memory: int) -> tuple[Array, Array]:
    both: tuple[Array, Array] = series.once(_indices, "high", "low", "true_range", window, memory)
    return both


def _indices(high: Array, low: Array, span: Array, window: int, memory: int) -> tuple[Array, Array]:
    up, down = directional_movement(high, low)
    return directional_index(up, down, span, window, memory)


@FAMILY.feature(
    name="adx_14",
    formula="average directional index / 100",
    lookback=250,
    scale=FRACTION,
    source="Wilder (1978) ch. 4; TA-Lib ADX",
)
def adx(series: SymbolSeries, window: int = 14, memory: int = 250) -> Array:
    """Average directional index / 100; (T,), in [0, 1]."""
    return _directional(series, window, memory)[0]


@FAMILY.feature(
    name="di_14",
    formula="(+DI - -DI) / 100",
    lookback=250,
    scale=Scale("fraction", -1, 1),
    source="Wilder (1978) ch. 4; TA-Lib PLUS_DI, MINUS_DI",
)
def directional_spread(series: SymbolSeries, window: int = 14, memory: int = 250) -> Array:
    """(+DI - -DI) / 100; (T,), in [-1, 1]."""
    return _directional(series, window, memory)[1]


@FAMILY.feature(
    name="sar",
    formula="(C - parabolic SAR) / ATR 14",
    lookback=WILDER_MEMORY,
    scale=Scale("ATR", -10, 10),
    source="Wilder (1978) ch. 2; TA-Lib SAR",
)
def sar_distance(
    series: SymbolSeries, step: float = 0.02, limit: float = 0.2, memory: int = 63
) -> Array:
    """(C - SAR) / ATR; (T,), positive in an uptrend."""
    return (series.close - parabolic_sar(series.high, series.low, step, limit, memory)) / series.atr


@FAMILY.feature(
    name="aroon_up_25",
    formula="1 - bars since the highest high / window",
    lookback=26,
    scale=FRACTION,
    source="Chande (1995); TA-Lib AROON",
)
def aroon_up(series: SymbolSeries, window: int = 25) -> Array:
    """1 - bars since the highest high / window; (T,), in [0, 1]."""
    return 1.0 - age_of_highest(series.high, window + 1) / window


@FAMILY.feature(
    name="aroon_down_25",
    formula="1 - bars since the lowest low / window",
    lookback=26,
    scale=FRACTION,
    source="Chande (1995); TA-Lib AROON",
)
def aroon_down(series: SymbolSeries, window: int = 25) -> Array:
    """1 - bars since the lowest low / window; (T,), in [0, 1]."""
    return 1.0 - age_of_highest(-series.low, window + 1) / window
