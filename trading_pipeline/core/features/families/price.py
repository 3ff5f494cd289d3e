"""Price features: returns, bars and extremes, in units of the symbol's own volatility."""

import math

import numpy as np

from trading_pipeline.core.features.feature import FRACTION, SIGMAS, Family, Scale
from trading_pipeline.core.features.series import FLAT, SymbolSeries
from trading_pipeline.core.features.windows import Array, highest, log_change, log_ratio
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW

FAMILY = Family("price", source="Jegadeesh and Titman (1993); Moskowitz et al. (2012)")
NIGHT_AND_DAY = "Lou, Polk and Skouras (2019), overnight and intraday returns"


def scaled_return(series: SymbolSeries, bars: int, skip: int = 0) -> Array:
    """log(C[t-skip] / C[t-bars]) / (σ √(bars - skip)); (T,), NaN for the first `bars`."""
    past: Array = series.once(log_change, "close", bars)
    if skip:
        past = past - series.once(log_change, "close", skip)
    return past / (series.sigma * math.sqrt(bars - skip))


for bars in (1, 5, 21, 63, 126, 252):
    FAMILY.feature(
        name=f"ret_{bars}",
        formula="log(C[t] / C[t-bars]) / (σ √bars)",
        parameters={"bars": bars},
        lookback=max(bars, VOLATILITY_WINDOW) + 1,
        scale=SIGMAS,
    )(scaled_return)
FAMILY.feature(
    name="momentum_252_21",
    formula="log(C[t-skip] / C[t-bars]) / (σ √(bars - skip))",
    parameters={"bars": 252, "skip": 21},
    lookback=253,
    scale=SIGMAS,
)(scaled_return)


@FAMILY.feature(
    name="gap",
    formula="log(O[t] / C[t-1]) / σ",
    lookback=VOLATILITY_WINDOW + 1,
    scale=Scale("σ", -5, 5),
    source=NIGHT_AND_DAY,
)
def gap(series: SymbolSeries) -> Array:
    """log(O[t] / C[t-1]) / σ: what the night brought; (T,)."""
    night: Array = series.log_return - series.once(log_ratio, "close", "open")
    return night / series.sigma


@FAMILY.feature(
    name="body",
    formula="log(C / O) / σ",
    lookback=VOLATILITY_WINDOW + 1,
    scale=Scale("σ", -5, 5),
    source=NIGHT_AND_DAY,
)
def body(series: SymbolSeries) -> Array:
    """log(C / O) / σ: what the session brought; (T,)."""
    session: Array = series.once(log_ratio, "close", "open")
    return session / series.sigma


@FAMILY.feature(
    name="bar_range",
    formula="log(H / L) / σ",
    lookback=VOLATILITY_WINDOW + 1,
    scale=Scale("σ", 0, 10),
    source="Parkinson (1980)",
)
def bar_range(series: SymbolSeries) -> Array:
    """log(H / L) / σ; (T,), >= 0."""
    return log_ratio(series.high, series.low) / series.sigma


@FAMILY.feature(
    name="close_location",
    formula="(C - L) / (H - L); 1/2 without a range",
    lookback=1,
    scale=FRACTION,
    source="Chaikin's close location value",
)
def close_location(series: SymbolSeries) -> Array:
    """(C - L) / (H - L); (T,), in [0, 1]. A bar without a range has its close in the middle."""
    span = series.high - series.low
    return np.where(
        span > FLAT * series.close,
        (series.close - series.low) / np.where(span > 0, span, 1.0),
        0.5,
    )


@FAMILY.feature(
    name="high_252",
    formula="log(C / highest H of window) / (σ √window)",
    lookback=252,
    scale=Scale(SIGMAS.unit, -5, 0),
    source="George and Hwang (2004), the 52-week high",
)
def below_high(series: SymbolSeries, window: int = 252) -> Array:
    """log(C / highest high) / (σ √window); (T,), <= 0."""
    top = highest(series.high, window)
    return log_ratio(series.close, top) / (series.sigma * math.sqrt(window))
