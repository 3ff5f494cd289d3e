"""Momentum indicators: how fast price has been moving, on bounded scales."""

from functools import partial

import numpy as np

from trading_pipeline.core.features.feature import FRACTION, Feature, Scale
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

Momentum = partial(Feature, family="momentum")


def share(part: Array, whole: Array) -> Array:
    """part / whole of non-negative series; 1/2 where the whole is nothing, NaN where missing."""
    return np.where(whole == 0.0, 0.5, part / np.where(whole == 0.0, 1.0, whole))


def rsi(series: SymbolSeries, window: int, memory: int) -> Array:
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


def stochastic_k(series: SymbolSeries, window: int, slow: int) -> Array:
    """Slow %K / 100: the raw stochastic averaged over `slow` bars; (T,), in [0, 1]."""
    return mean(raw_stochastic(series, window), slow)


def stochastic_d(series: SymbolSeries, window: int, slow: int, signal: int) -> Array:
    """%D / 100: slow %K averaged over `signal` bars; (T,), in [0, 1]."""
    return mean(stochastic_k(series, window, slow), signal)


def williams_r(series: SymbolSeries, window: int) -> Array:
    """Williams %R / 100; (T,), in [-1, 0], -1/2 without a range."""
    return raw_stochastic(series, window) - 1.0


def cci(series: SymbolSeries, window: int) -> Array:
    """Commodity channel index / 100; (T,). A market that has not moved reads 0."""
    middle = mean(series.typical, window)
    away = np.maximum(mean_deviation(series.typical, window), FLAT * middle)
    return (series.typical - middle) / (0.015 * 100.0 * away)


def roc(series: SymbolSeries, window: int) -> Array:
    """Rate of change, C[t] / C[t-window] - 1; (T,), > -1."""
    return relative_change(series.close, window)


def money_flow_index(series: SymbolSeries, window: int) -> Array:
    """Money flow index / 100; (T,), in [0, 1], 1/2 when no money flowed either way."""
    flow = series.typical * series.volume
    way = direction(series.typical)
    inflow = total(np.where(way > 0, flow, 0.0 * way), window)
    outflow = total(np.where(way < 0, flow, 0.0 * way), window)
    return share(inflow, inflow + outflow)


_STOCHASTIC = {"window": 14, "slow": 3}

FEATURES = (
    Momentum(
        name="rsi_14",
        formula="average gain / (average gain + average loss)",
        parameters={"window": 14, "memory": WILDER_MEMORY},
        lookback=WILDER_MEMORY,
        scale=FRACTION,
        of=rsi,
        source="Wilder (1978) ch. 6; TA-Lib RSI",
    ),
    Momentum(
        name="stochastic_k",
        formula="SMA slow of (C - lowest L) / (highest H - lowest L)",
        parameters=_STOCHASTIC,
        lookback=16,
        scale=FRACTION,
        of=stochastic_k,
        source="Lane (1984); TA-Lib STOCH",
    ),
    Momentum(
        name="stochastic_d",
        formula="SMA signal of stochastic_k",
        parameters={**_STOCHASTIC, "signal": 3},
        lookback=18,
        scale=FRACTION,
        of=stochastic_d,
        source="Lane (1984); TA-Lib STOCH",
    ),
    Momentum(
        name="williams_r_14",
        formula="(C - highest H) / (highest H - lowest L)",
        parameters={"window": 14},
        lookback=14,
        scale=Scale("fraction", -1, 0),
        of=williams_r,
        source="Williams (1979); TA-Lib WILLR",
    ),
    Momentum(
        name="cci_20",
        formula="(TP - SMA of TP) / (0.015 × mean deviation of TP) / 100",
        parameters={"window": 20},
        lookback=20,
        scale=Scale("CCI / 100", -7, 7),
        of=cci,
        source="Lambert (1980); TA-Lib CCI",
    ),
    Momentum(
        name="roc_10",
        formula="C[t] / C[t-window] - 1",
        parameters={"window": 10},
        lookback=11,
        scale=Scale("fraction", -1, 2),
        of=roc,
        source="TA-Lib ROCP",
    ),
    Momentum(
        name="mfi_14",
        formula="TP volume on rises of TP / TP volume on rises and falls",
        parameters={"window": 14},
        lookback=15,
        scale=FRACTION,
        of=money_flow_index,
        source="Quong and Soudack (1989); TA-Lib MFI",
    ),
)
