"""Volatility indicators: how much price moves, and whether that is changing."""

import numpy as np

from trading_pipeline.core.features.families.momentum import share
from trading_pipeline.core.features.feature import FRACTION, LOG_RATIO, Family, Scale
from trading_pipeline.core.features.series import (
    ATR_BARS,
    FLAT,
    WILDER_MEMORY,
    SymbolSeries,
)
from trading_pipeline.core.features.windows import (
    Array,
    deviation,
    ema,
    log_ratio,
    mean,
    skewness,
    total,
)
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW

FAMILY = Family("volatility")


@FAMILY.feature(
    name="atr_14",
    formula="ATR 14 / C",
    lookback=WILDER_MEMORY,
    scale=Scale("fraction of price", 0, 1),
    source=f"Wilder (1978) ch. 3; TA-Lib NATR of {ATR_BARS}",
)
def relative_range(series: SymbolSeries) -> Array:
    """ATR 14 / C, Wilder's average true range as a fraction of price; (T,), > 0."""
    return series.atr / series.close


@FAMILY.feature(
    name="volatility_63",
    formula="standard deviation of 63 log returns",
    lookback=VOLATILITY_WINDOW + 1,
    scale=Scale("log return per bar", 0, 1),
    source="σ of the whole pipeline",
)
def sigma(series: SymbolSeries) -> Array:
    """Standard deviation of the last 63 log returns, per bar; (T,), > 0."""
    return series.sigma


def volatility_ratio(series: SymbolSeries, short: int, long: int) -> Array:
    """log(σ of `short` bars / σ of `long` bars); (T,). A market that has not moved reads 0."""
    return log_ratio(series.deviation_of_returns(short), series.deviation_of_returns(long))


for short, long in ((5, 63), (21, 252)):
    FAMILY.feature(
        name=f"volatility_{short}_{long}",
        formula="log(σ short / σ long)",
        parameters={"short": short, "long": long},
        lookback=long + 1,
        scale=LOG_RATIO,
        source="Engle (1982): volatility clusters",
    )(volatility_ratio)


@FAMILY.feature(
    name="bollinger_position",
    formula="(C - SMA) / (width × standard deviation)",
    lookback=20,
    scale=Scale("half band", -3, 3),
    source="Bollinger (2001); TA-Lib BBANDS",
)
def bollinger_position(series: SymbolSeries, window: int = 20, width: float = 2.0) -> Array:
    """(C - SMA) / (width × standard deviation); (T,): -1 on the lower band, 1 on the upper."""
    middle: Array = series.once(mean, "close", window)
    spread = np.maximum(series.once(deviation, "close", window, 0), FLAT * middle)
    position: Array = (series.close - middle) / (width * spread)
    return position


@FAMILY.feature(
    name="bollinger_width",
    formula="(upper band - lower band) / SMA",
    lookback=20,
    scale=Scale("fraction of price", 0, 4),
    source="Bollinger (2001); TA-Lib BBANDS",
)
def bollinger_width(series: SymbolSeries, window: int = 20, width: float = 2.0) -> Array:
    """(upper band - lower band) / SMA; (T,), >= 0."""
    spread: Array = series.once(deviation, "close", window, 0)
    middle: Array = series.once(mean, "close", window)
    return 2.0 * width * spread / middle


@FAMILY.feature(
    name="keltner_position",
    formula="(C - EMA of TP) / (width × ATR 10)",
    lookback=200,
    scale=Scale("half channel", -5, 5),
    source="Keltner (1960), Raschke; TA-Lib KC",
)
def keltner_position(
    series: SymbolSeries,
    span: int = 20,
    memory: int = 200,
    range_window: int = 10,
    width: float = 2.0,
) -> Array:
    """(C - EMA of typical price) / (width × ATR); (T,): -1 on the lower line, 1 on the upper."""
    half_channel = np.maximum(series.average_range(range_window, memory), FLAT * series.close)
    return (series.close - ema(series.typical, span, memory)) / (width * half_channel)


@FAMILY.feature(
    name="downside_63",
    formula="squared falls / squared returns",
    lookback=64,
    scale=FRACTION,
    source="Barndorff-Nielsen, Kinnebrock and Shephard (2010)",
)
def downside_share(series: SymbolSeries, window: int = 63) -> Array:
    """Part of the squared log returns that fell; (T,), in [0, 1], 1/2 in a flat market."""
    squares = series.log_return**2
    falls = np.where(series.log_return < 0.0, squares, 0.0 * squares)
    return share(total(falls, window), total(squares, window))


@FAMILY.feature(
    name="skew_63",
    formula="third standardised moment of log returns",
    lookback=64,
    scale=Scale("standardised", -8, 8),
    source="Amaya et al. (2015)",
)
def skew(series: SymbolSeries, window: int = 63) -> Array:
    """Skewness of the log returns; (T,), 0 in a flat market."""
    return skewness(series.log_return, window, FLAT)
