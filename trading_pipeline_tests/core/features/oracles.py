"""What every feature should be, by TA-Lib, pandas, scipy or the standard library.

`EXACT` forgets completely, so its oracles read a symbol's whole history. `RESTARTED` depends on
the path, so its oracles read the rolling window that the feature is restarted on. `SHARED` comes
from all symbols of a date, or from the date alone.
"""

import calendar
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import talib
from scipy import stats

from trading_pipeline.core.features.catalog import CATALOG
from trading_pipeline.core.features.series import BarSeries, SymbolSeries

FEATURES = {feature.name: feature for feature in CATALOG}


def rolling_sigma(close, window=63):
    return pd.Series(np.log(close)).diff().rolling(window).std().to_numpy()


def returns(s, bars):
    closes = pd.Series(s.close)
    return (np.log(closes / closes.shift(bars)) / (rolling_sigma(s.close) * bars**0.5)).to_numpy()


def atr(s, window=14):
    return talib.ATR(s.high, s.low, s.close, window)


def impact(s, bars):
    moves = pd.Series(np.log(s.close)).diff().abs().rolling(bars).sum()
    return moves / pd.Series(s.close * s.volume).rolling(bars).sum()


def rolling(values, bars):
    return pd.Series(values).rolling(bars)


def momentum(s):
    closes = pd.Series(s.close)
    past = np.log(closes.shift(21) / closes.shift(252))
    return (past / (rolling_sigma(s.close) * 231**0.5)).to_numpy()


def downside(s):
    moves = pd.Series(np.log(s.close)).diff()
    return (moves.clip(upper=0) ** 2).rolling(63).sum() / (moves**2).rolling(63).sum()


def vwap(s):
    typical = pd.Series((s.high + s.low + s.close) / 3)
    paid = (typical * s.volume).rolling(20).sum() / rolling(s.volume, 20).sum()
    return np.log(s.close / paid) / (rolling_sigma(s.close) * 20**0.5)


def skew(s):
    moves = np.diff(np.log(s.close), prepend=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(moves, 63)
    return np.concatenate([np.full(62, np.nan), stats.skew(windows, axis=1)])


# Those that forget completely: the whole history at once.
EXACT = {
    **{f"ret_{bars}": lambda s, bars=bars: returns(s, bars) for bars in (1, 5, 21, 63, 126, 252)},
    "momentum_252_21": momentum,
    "gap": lambda s: np.log(s.open / pd.Series(s.close).shift()) / rolling_sigma(s.close),
    "body": lambda s: np.log(s.close / s.open) / rolling_sigma(s.close),
    "bar_range": lambda s: np.log(s.high / s.low) / rolling_sigma(s.close),
    "close_location": lambda s: talib.STOCHF(s.high, s.low, s.close, 1, 1)[0] / 100,
    "high_252": lambda s: (
        np.log(s.close / talib.MAX(s.high, 252)) / rolling_sigma(s.close) / 252**0.5
    ),
    **{
        f"sma_{n}": lambda s, n=n: (
            np.log(s.close / talib.SMA(s.close, n)) / rolling_sigma(s.close) / n**0.5
        )
        for n in (20, 50, 200)
    },
    "aroon_up_25": lambda s: talib.AROON(s.high, s.low, 25)[1] / 100,
    "aroon_down_25": lambda s: talib.AROON(s.high, s.low, 25)[0] / 100,
    "stochastic_k": lambda s: talib.STOCH(s.high, s.low, s.close, 14, 3, 0, 3, 0)[0] / 100,
    "stochastic_d": lambda s: talib.STOCH(s.high, s.low, s.close, 14, 3, 0, 3, 0)[1] / 100,
    "williams_r_14": lambda s: talib.WILLR(s.high, s.low, s.close, 14) / 100,
    "cci_20": lambda s: talib.CCI(s.high, s.low, s.close, 20) / 100,
    "roc_10": lambda s: talib.ROCP(s.close, 10),
    "mfi_14": lambda s: talib.MFI(s.high, s.low, s.close, s.volume, 14) / 100,
    "volatility_63": lambda s: rolling_sigma(s.close),
    "volatility_5_63": lambda s: np.log(rolling_sigma(s.close, 5) / rolling_sigma(s.close)),
    "volatility_21_252": lambda s: np.log(rolling_sigma(s.close, 21) / rolling_sigma(s.close, 252)),
    "bollinger_position": lambda s: (
        (s.close - talib.SMA(s.close, 20)) / (2 * talib.STDDEV(s.close, 20, 1))
    ),
    "bollinger_width": lambda s: (
        np.subtract(*talib.BBANDS(s.close, 20, 2, 2, 0)[::2]) / talib.SMA(s.close, 20)
    ),
    "downside_63": downside,
    "skew_63": skew,
    "vwap_20": vwap,
    "cmf_20": lambda s: talib.CMF(s.high, s.low, s.close, s.volume, 20),
    "volume_surprise_20": lambda s: np.log(
        s.volume / pd.Series(talib.SMA(s.volume, 20)).shift().to_numpy()
    ),
    "volume_5_63": lambda s: np.log(talib.SMA(s.volume, 5) / talib.SMA(s.volume, 63)),
    "illiquidity_21_252": lambda s: np.log(impact(s, 21) / impact(s, 252)),
}


def keltner(s):
    """The channel from its parts: inside KC, TA-Lib starts the average range nine bars later."""
    _, middle, _ = talib.KC(s.high, s.low, s.close, 20, 10, 2)
    return (s.close - middle) / (2 * atr(s, 10))


def on_balance(s):
    gathered = talib.OBV(s.close, s.volume)
    return (gathered - gathered[0]) / s.volume[1:].sum()


def force(s):
    effort = np.abs(np.diff(s.close)) * s.volume[1:]
    return talib.EFI(s.close, s.volume, 13) / np.r_[np.nan, talib.EMA(effort, 13)]


def sigma_of_last(s):
    return np.diff(np.log(s.close[-64:])).std(ddof=1)


def ema_distance(s, span):
    return np.log(s.close / talib.EMA(s.close, span)) / (sigma_of_last(s) * span**0.5)


# Those that depend on the path: (oracle, bars of the window it is given, forgotten to).
RESTARTED = {
    "ema_12": (lambda s: ema_distance(s, 12), 120, 1e-6),
    "ema_26": (lambda s: ema_distance(s, 26), 240, 1e-6),
    "macd": (lambda s: talib.MACD(s.close)[0], 250, 1e-6),
    "macd_histogram": (lambda s: talib.MACD(s.close)[2], 250, 1e-6),
    "adx_14": (lambda s: talib.ADX(s.high, s.low, s.close, 14) / 100, 250, 1e-6),
    "di_14": (
        lambda s: (
            (talib.PLUS_DI(s.high, s.low, s.close, 14) - talib.MINUS_DI(s.high, s.low, s.close, 14))
            / 100
        ),
        250,
        1e-6,
    ),
    "sar": (lambda s: s.close - talib.SAR(s.high, s.low, 0.02, 0.2), 63, None),
    "rsi_14": (lambda s: talib.RSI(s.close, 14) / 100, 240, 1e-6),
    "atr_14": (lambda s: talib.NATR(s.high, s.low, s.close, 14) / 100, 240, 1e-6),
    "keltner_position": (keltner, 200, 1e-6),
    "obv_63": (on_balance, 64, None),
    "force_13": (force, 130, 1e-6),
}
IN_ATR = ("macd", "macd_histogram", "sar")  # divided by an average range of its own memory, 240


def cut(s: SymbolSeries, first: int, last: int) -> SymbolSeries:
    return SymbolSeries(BarSeries(*(column[first:last] for column in s.bars)))


class Panel:
    """Bars of many symbols, and their stored features, as the oracles read them."""

    def __init__(self, bars: pd.DataFrame, features: pd.DataFrame) -> None:
        self.bars, self.features = bars, features
        self.dates = pd.DatetimeIndex(bars["timestamp"].unique())
        self.closes = bars.pivot(index="timestamp", columns="symbol", values="close")
        simple = self.closes.pct_change(fill_method=None).mean(axis=1)
        self.returns = np.log1p(simple)


def ranked(panel: Panel, column: str) -> np.ndarray:
    """Rank among the symbols of a date, of the stored numbers; (R,)."""
    values = panel.features[column].astype(np.float64)
    by_date = values.groupby(panel.features["timestamp"])
    others = by_date.transform("count") - 1
    return ((by_date.rank() - 1) / others - 0.5).where(others >= 7).to_numpy()


RANKED = {
    "rank_ret_5": "ret_5",
    "rank_ret_21": "ret_21",
    "rank_momentum": "momentum_252_21",
    "rank_volatility": "volatility_63",
    "rank_volume": "volume_surprise_20",
}


def trend(returns: pd.Series, bars: int) -> np.ndarray:
    return (returns.rolling(bars).sum() / returns.rolling(63).std() / bars**0.5).to_numpy()


def above_average(panel: Panel) -> np.ndarray:
    """Symbol by symbol over its own bars; a symbol counts once σ is known, at its 64th bar."""
    above = {}
    for symbol, closes in panel.closes.items():
        own = closes.dropna()
        known = (own > talib.SMA(own, 50)).astype(float)
        above[symbol] = known.where(np.arange(len(own)) >= 63)
    return pd.DataFrame(above).reindex(panel.dates).mean(axis=1).to_numpy()


def on_clock(panel: Panel, read) -> np.ndarray:
    """New York's wall clock, except of bars stamped midnight UTC, which are session dates."""
    shown = []
    for stamp in panel.dates:
        at: datetime = stamp.to_pydatetime()
        midnight = (at.hour, at.minute, at.second) == (0, 0, 0)
        shown.append(read(at if midnight else at.astimezone(ZoneInfo("America/New_York"))))
    return np.array(shown)


# By row of the bars, (R,), or by date, (T,).
SHARED = {
    **{name: lambda p, column=column: ranked(p, column) for name, column in RANKED.items()},
    "rank_missing": lambda p: np.any([np.isnan(ranked(p, c)) for c in RANKED.values()], axis=0),
    "market_ret_21": lambda p: trend(p.returns, 21),
    "market_volatility_21_252": lambda p: np.log(
        p.returns.rolling(21).std() / p.returns.rolling(252).std()
    ).to_numpy(),
    "breadth_50": above_average,
    "benchmark_trend_126": lambda p: trend(p.returns, 126),
    "time_of_day": lambda p: on_clock(
        p, lambda at: (at.hour * 3600 + at.minute * 60 + at.second) / 86400
    ),
    "day_of_week": lambda p: on_clock(p, lambda at: at.weekday() / 7),
    "day_of_month": lambda p: on_clock(
        p, lambda at: (at.day - 1) / calendar.monthrange(at.year, at.month)[1]
    ),
}
