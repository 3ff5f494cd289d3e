"""Volatility indicators: how much price moves, and whether that is changing."""

from functools import partial

import numpy as np

from trading_pipeline.core.features.families.momentum import share
from trading_pipeline.core.features.feature import FRACTION, LOG_RATIO, Feature, Scale
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

Volatility = partial(Feature, family="volatility")


def relative_range(series: SymbolSeries) -> Array:
    """ATR 14 / C, Wilder's average true range as a fraction of price; (T,), > 0."""
    return series.atr / series.close


def sigma(series: SymbolSeries) -> Array:
    """Standard deviation of the last 63 log returns, per bar; (T,), > 0."""
    return series.sigma


def volatility_ratio(series: SymbolSeries, short: int, long: int) -> Array:
    """log(σ of `short` bars / σ of `long` bars); (T,). A market that has not moved reads 0."""
    return log_ratio(series.deviation_of_returns(short), series.deviation_of_returns(long))


def bollinger_position(series: SymbolSeries, window: int, width: float) -> Array:
    """(C - SMA) / (width × standard deviation); (T,): -1 on the lower band, 1 on the upper."""
    middle: Array = series.once(mean, "close", window)
    spread = np.maximum(series.once(deviation, "close", window, 0), FLAT * middle)
    position: Array = (series.close - middle) / (width * spread)
    return position


def bollinger_width(series: SymbolSeries, window: int, width: float) -> Array:
    """(upper band - lower band) / SMA; (T,), >= 0."""
    spread: Array = series.once(deviation, "close", window, 0)
    middle: Array = series.once(mean, "close", window)
    return 2.0 * width * spread / middle


def keltner_position(
    series: SymbolSeries, span: int, memory: int, range_window: int, width: float
) -> Array:
    """(C - EMA of typical price) / (width × ATR); (T,): -1 on the lower line, 1 on the upper."""
    half_channel = np.maximum(series.average_range(range_window, memory), FLAT * series.close)
    return (series.close - ema(series.typical, span, memory)) / (width * half_channel)


def downside_share(series: SymbolSeries, window: int) -> Array:
    """Part of the squared log returns that fell; (T,), in [0, 1], 1/2 in a flat market."""
    squares = series.log_return**2
    falls = np.where(series.log_return < 0.0, squares, 0.0 * squares)
    return share(total(falls, window), total(squares, window))


def skew(series: SymbolSeries, window: int) -> Array:
    """Skewness of the log returns; (T,), 0 in a flat market."""
    return skewness(series.log_return, window, FLAT)


_BOLLINGER = {"window": 20, "width": 2.0}

FEATURES = (
    Volatility(
        name="atr_14",
        formula="ATR 14 / C",
        lookback=WILDER_MEMORY,
        scale=Scale("fraction of price", 0, 1),
        of=relative_range,
        source=f"Wilder (1978) ch. 3; TA-Lib NATR of {ATR_BARS}",
    ),
    Volatility(
        name="volatility_63",
        formula="standard deviation of 63 log returns",
        lookback=VOLATILITY_WINDOW + 1,
        scale=Scale("log return per bar", 0, 1),
        of=sigma,
        source="σ of the whole pipeline",
    ),
    *(
        Volatility(
            name=f"volatility_{short}_{long}",
            formula="log(σ short / σ long)",
            parameters={"short": short, "long": long},
            lookback=long + 1,
            scale=LOG_RATIO,
            of=volatility_ratio,
            source="Engle (1982): volatility clusters",
        )
        for short, long in ((5, 63), (21, 252))
    ),
    Volatility(
        name="bollinger_position",
        formula="(C - SMA) / (width × standard deviation)",
        parameters=_BOLLINGER,
        lookback=20,
        scale=Scale("half band", -3, 3),
        of=bollinger_position,
        source="Bollinger (2001); TA-Lib BBANDS",
    ),
    Volatility(
        name="bollinger_width",
        formula="(upper band - lower band) / SMA",
        parameters=_BOLLINGER,
        lookback=20,
        scale=Scale("fraction of price", 0, 4),
        of=bollinger_width,
        source="Bollinger (2001); TA-Lib BBANDS",
    ),
    Volatility(
        name="keltner_position",
        formula="(C - EMA of TP) / (width × ATR 10)",
        parameters={"span": 20, "memory": 200, "range_window": 10, "width": 2.0},
        lookback=200,
        scale=Scale("half channel", -5, 5),
        of=keltner_position,
        source="Keltner (1960), Raschke; TA-Lib KC",
    ),
    Volatility(
        name="downside_63",
        formula="squared falls / squared returns",
        parameters={"window": 63},
        lookback=64,
        scale=FRACTION,
        of=downside_share,
        source="Barndorff-Nielsen, Kinnebrock and Shephard (2010)",
    ),
    Volatility(
        name="skew_63",
        formula="third standardised moment of log returns",
        parameters={"window": 63},
        lookback=64,
        scale=Scale("standardised", -8, 8),
        of=skew,
        source="Amaya et al. (2015)",
    ),
)
