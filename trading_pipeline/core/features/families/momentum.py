"""Momentum indicators: how fast price has been moving, on bounded scales."""

import numpy as np

from trading_pipeline.core.features.feature import FRACTION, Family, Scale
from trading_pipeline.core.features.series import (
    FLAT,
    WILDER_MEMORY,
    SymbolSeries,
    direction,
)
from trading_pipeline.core.features.windows import (
    Array,
    change,
    highest,
    lowest,
    mean,
    mean_deviation,
    relative_change,
    total,
    wilder,
)

FAMILY = Family("momentum")


def share(part: Array, whole: Array) -> Array:
    """part / whole of non-negative series; 1/2 where the whole is nothing, NaN where missing."""
    return np.where(whole == 0.0, 0.5, part / np.where(whole == 0.0, 1.0, whole))


@FAMILY.feature(
    name="rsi_14",
    formula="average gain / (average gain + average loss)",
    lookback=WILDER_MEMORY,
    scale=FRACTION,
    source="Wilder (1978) ch. 6; TA-Lib RSI",
)
def rsi(series: SymbolSeries, window: int = 14, memory: int = WILDER_MEMORY) -> Array:
    """Relative strength index / 100; (T,), in [0, 1]. A market that has not moved reads 1/2."""
    moves = change(series.close)
    gain = wilder(np.maximum(moves, 0.0), window, memory - 1)
    loss = wilder(np.maximum(-moves, 0.0), window, memory - 1)
    return share(gain, gain + loss)


def raw_stochastic(series: SymbolSeries, window: int) -> Array:
    """(C - lowest low) / (highest high - lowest low); (T,), in [0, 1], 1/2 without a range."""
    place: Array = series.once(_place_in_range, "high", "low", "close", window)
    return place


def _place_in_range(high: Array, low: Array, close: Array, window: int) -> Array:
    floor = lowest(low, window)
    return share(close - floor, highest(high, window) - floor)


@FAMILY.feature(
    name="stochastic_k",
    formula="SMA slow of (C - lowest L) / (highest H - lowest L)",
    lookback=16,
    scale=FRACTION,
    source="Lane (1984); TA-Lib STOCH",
)
def stochastic_k(series: SymbolSeries, window: int = 14, slow: int = 3) -> Array:
    """Slow %K / 100: the raw stochastic averaged over `slow` bars; (T,), in [0, 1]."""
    return mean(raw_stochastic(series, window), slow)


@FAMILY.feature(
    name="stochastic_d",
    formula="SMA signal of stochastic_k",
    lookback=18,
    scale=FRACTION,
    source="Lane (1984); TA-Lib STOCH",
)
def stochastic_d(series: SymbolSeries, window: int = 14, slow: int = 3, signal: int = 3) -> Array:
    """%D / 100: slow %K averaged over `signal` bars; (T,), in [0, 1]."""
    return mean(stochastic_k(series, window, slow), signal)


@FAMILY.feature(
    name="williams_r_14",
    formula="(C - highest H) / (highest H - lowest L)",
    lookback=14,
    scale=Scale("fraction", -1, 0),
    source="Williams (1979); TA-Lib WILLR",
)
def williams_r(series: SymbolSeries, window: int = 14) -> Array:
    """Williams %R / 100; (T,), in [-1, 0], -1/2 without a range."""
    return raw_stochastic(series, window) - 1.0


@FAMILY.feature(
    name="cci_20",
    formula="(TP - SMA of TP) / (0.015 × mean deviation of TP) / 100",
    lookback=20,
    scale=Scale("CCI / 100", -7, 7),
    source="Lambert (1980); TA-Lib CCI",
)
def cci(series: SymbolSeries, window: int = 20) -> Array:
    """Commodity channel index / 100; (T,). A market that has not moved reads 0."""
    middle = mean(series.typical, window)
    away = np.maximum(mean_deviation(series.typical, window), FLAT * middle)
    return (series.typical - middle) / (0.015 * 100.0 * away)


@FAMILY.feature(
    name="roc_10",
    formula="C[t] / C[t-window] - 1",
    lookback=11,
    scale=Scale("fraction", -1, 2),
    source="TA-Lib ROCP",
)
def roc(series: SymbolSeries, window: int = 10) -> Array:
    """Rate of change, C[t] / C[t-window] - 1; (T,), > -1."""
    return relative_change(series.close, window)


@FAMILY.feature(
    name="mfi_14",
    formula="TP volume on rises of TP / TP volume on rises and falls",
    lookback=15,
    scale=FRACTION,
    source="Quong and Soudack (1989); TA-Lib MFI",
)
def money_flow_index(series: SymbolSeries, window: int = 14) -> Array:
    """Money flow index / 100; (T,), in [0, 1], 1/2 when no money flowed either way."""
    flow = series.typical * series.volume
    way = direction(series.typical)
    inflow = total(np.where(way > 0, flow, 0.0 * way), window)
    outflow = total(np.where(way < 0, flow, 0.0 * way), window)
    return share(inflow, inflow + outflow)
