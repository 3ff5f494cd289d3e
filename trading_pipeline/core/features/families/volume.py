"""Volume indicators: whether trading confirms price. All free of the unit of volume."""

import math

import numpy as np

from trading_pipeline.core.features.feature import LOG_RATIO, SIGMAS, Family, Scale
from trading_pipeline.core.features.series import FLAT, SymbolSeries, direction
from trading_pipeline.core.features.windows import Array, change, ema, log_ratio, mean, total
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW

FAMILY = Family("volume")


def traded(volume: Array) -> Array:
    """A sum of volume as a divisor; (T,), NaN where nothing was traded: there is no answer then."""
    return np.where(volume > 0.0, volume, np.nan)


@FAMILY.feature(
    name="obv_63",
    formula="Σ(sign(ΔC) × V) / ΣV",
    lookback=64,
    scale=Scale("fraction of volume", -1, 1),
    source="Granville (1963); TA-Lib OBV",
)
def on_balance(series: SymbolSeries, window: int = 63) -> Array:
    """On-balance volume gathered over the window / volume of the window; (T,), in [-1, 1].

    Granville's OBV is a running total since the first bar; its change over a window is what does
    not depend on where the history starts.
    """
    way = direction(series.close)
    moved = total(way * series.volume, window)
    return moved / traded(total(series.volume + 0.0 * way, window))


@FAMILY.feature(
    name="vwap_20",
    formula="log(C / VWAP) / (σ √window)",
    lookback=VOLATILITY_WINDOW + 1,
    scale=SIGMAS,
    source="Berkowitz, Logue and Noser (1988); TA-Lib VWAP",
)
def vwap_distance(series: SymbolSeries, window: int = 20) -> Array:
    """log(C / volume-weighted typical price) / (σ √window); (T,)."""
    paid = total(series.typical * series.volume, window)
    vwap = paid / traded(series.once(total, "volume", window))
    return log_ratio(series.close, vwap) / (series.sigma * math.sqrt(window))


@FAMILY.feature(
    name="cmf_20",
    formula="Σ(((C - L) - (H - C)) / (H - L) × V) / ΣV",
    lookback=20,
    scale=Scale("fraction of volume", -1, 1),
    source="Chaikin; TA-Lib CMF",
)
def chaikin_money_flow(series: SymbolSeries, window: int = 20) -> Array:
    """Volume weighted by where each bar closed in its range / volume; (T,), in [-1, 1]."""
    span = series.high - series.low
    moved = span > FLAT * series.close
    place = (series.close - series.low) - (series.high - series.close)
    flow = np.where(moved, place / np.where(moved, span, 1.0), 0.0) * series.volume
    return total(flow, window) / traded(series.once(total, "volume", window))


@FAMILY.feature(
    name="force_13",
    formula="EMA(ΔC × V) / EMA(|ΔC| × V)",
    lookback=130,
    scale=Scale("fraction", -1, 1),
    source="Elder (1993); TA-Lib EFI",
)
def force(series: SymbolSeries, span: int = 13, memory: int = 130) -> Array:
    """EMA of (ΔC × volume) / EMA of (|ΔC| × volume); (T,), in [-1, 1], 0 when nothing moved.

    Elder's force index has the unit of price × volume; this is its share of the force at work.
    """
    push = change(series.close) * series.volume
    effort = ema(np.abs(push), span, memory - 1)
    return ema(push, span, memory - 1) / np.where(effort == 0.0, 1.0, effort)


@FAMILY.feature(
    name="volume_surprise_20",
    formula="log(V[t] / mean of the 20 volumes before)",
    lookback=21,
    scale=LOG_RATIO,
    source="Gervais, Kaniel and Mingelgrin (2001)",
)
def volume_surprise(series: SymbolSeries, window: int = 20) -> Array:
    """log(volume / mean volume of the `window` bars before); (T,), -inf for an idle bar."""
    usual = np.full(series.volume.size, np.nan)
    usual[1:] = traded(series.once(total, "volume", window)[:-1] / window)
    return log_ratio(series.volume, usual)


@FAMILY.feature(
    name="volume_5_63",
    formula="log(mean V short / mean V long)",
    lookback=63,
    scale=LOG_RATIO,
    source="Lee and Swaminathan (2000)",
)
def volume_trend(series: SymbolSeries, short: int = 5, long: int = 63) -> Array:
    """log(mean volume of `short` bars / mean volume of `long` bars); (T,)."""
    return log_ratio(mean(series.volume, short), traded(mean(series.volume, long)))


@FAMILY.feature(
    name="illiquidity_21_252",
    formula="log of Σ|r| / Σ(C × V), short against long",
    lookback=253,
    scale=LOG_RATIO,
    source="Amihud (2002)",
)
def illiquidity_trend(series: SymbolSeries, short: int = 21, long: int = 252) -> Array:
    """log(price impact over `short` bars / price impact over `long` bars); (T,).

    Impact is Σ|log return| / Σ(C × volume): Amihud's ratio with sums instead of a mean of ratios,
    so that one idle bar does not make it infinite. A market that has not moved reads 0.
    """
    moves = np.abs(series.log_return)
    money = series.close * series.volume
    return log_ratio(_impact(moves, money, short), _impact(moves, money, long))


def _impact(moves: Array, money: Array, window: int) -> Array:
    return np.maximum(total(moves, window), window * FLAT) / traded(total(money, window))
