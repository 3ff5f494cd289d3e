"""Every indicator against TA-Lib, scipy or pandas, to 1e-9.

What depends on the whole path (averages that never quite forget, SAR) is restarted on a rolling
window, so TA-Lib is given the same window; on the whole history it must agree to what such an
average has forgotten.
"""

import numpy as np
import pandas as pd
import pytest
import talib
from scipy import stats

from trading_pipeline.core.features.catalog import CATALOG
from trading_pipeline.core.features.series import Bars, SymbolSeries
from trading_pipeline_tests.core.features.real_bars import SYMBOLS, symbol_series

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
    return SymbolSeries(Bars(*(column[first:last] for column in s.bars)))


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", EXACT)
def test_indicators_that_forget_equal_their_oracle(name, symbol):
    s = symbol_series(symbol)
    feature = FEATURES[name]
    expected = np.clip(np.asarray(EXACT[name](s)), feature.low, feature.high)
    got = np.clip(feature.compute(s), feature.low, feature.high)
    first = feature.lookback - 1
    assert np.isnan(got[:first]).all()
    assert not np.isnan(got[first])
    warm = slice(first + 2, None)  # TA-Lib shows slow %K only from where %D exists
    np.testing.assert_allclose(got[warm], expected[warm], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("symbol", ["AAPL", "IBM"])
@pytest.mark.parametrize("name", RESTARTED)
def test_path_dependent_indicators_equal_talib_on_the_same_window(name, symbol):
    s = symbol_series(symbol)
    oracle, memory, _ = RESTARTED[name]
    got = FEATURES[name].compute(s)
    for t in range(260, s.close.size, 37):
        expected = np.asarray(oracle(cut(s, t + 1 - memory, t + 1)))[-1]
        if name in IN_ATR:
            expected /= atr(cut(s, t + 1 - 240, t + 1))[-1]
        np.testing.assert_allclose(got[t], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, row in RESTARTED.items() if row[2]])
def test_restarting_loses_only_what_an_average_has_forgotten(name):
    s = symbol_series("MSFT")
    oracle, _, forgotten = RESTARTED[name]
    got = FEATURES[name].compute(s)[600:]
    if name.startswith("ema"):
        span = FEATURES[name].parameters["span"]
        whole = np.log(s.close / talib.EMA(s.close, span)) / (rolling_sigma(s.close) * span**0.5)
    else:
        whole = np.asarray(oracle(s)) / (atr(s) if name in IN_ATR else 1.0)
    np.testing.assert_allclose(got, whole[600:], rtol=0, atol=forgotten)


def test_every_feature_of_a_symbol_has_an_oracle():
    single = {f.name for f in CATALOG if f.family not in ("cross_section", "market", "calendar")}
    assert single == EXACT.keys() | RESTARTED.keys()
