"""Every one of the sixty against TA-Lib, scipy, pandas or the standard library, to 1e-9.

What depends on the whole path (averages that never quite forget, SAR) is restarted on a rolling
window, so TA-Lib is given the same window; on the whole history it must agree to what such an
average has forgotten.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import talib

from trading_pipeline.core.features.catalog import NAMES, compute_features
from trading_pipeline.core.features.clock import Clock
from trading_pipeline.core.features.families.market import MarketSeries, equal_weight_return
from trading_pipeline.core.features.families.momentum import rsi
from trading_pipeline.core.features.families.trend import macd
from trading_pipeline.core.features.series import BarSeries, SymbolSeries
from trading_pipeline.core.features.wilder import (
    directional_index,
    directional_movement,
    parabolic_sar,
)
from trading_pipeline.core.features.windows import ema
from trading_pipeline_tests.core.features.oracles import (
    EXACT,
    FEATURES,
    IN_ATR,
    RANKED,
    RESTARTED,
    SHARED,
    Panel,
    atr,
    cut,
    rolling_sigma,
)
from trading_pipeline_tests.core.features.real_bars import SYMBOLS, adjusted_bars, symbol_series


def test_every_feature_has_just_one_oracle():
    """A new feature cannot come without a proof."""
    names = [*EXACT, *RESTARTED, *SHARED]
    assert sorted(names) == sorted(NAMES)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", EXACT)
def test_indicators_that_forget_equal_their_oracle(name, symbol):
    s = symbol_series(symbol)
    feature = FEATURES[name]
    expected = np.clip(np.asarray(EXACT[name](s)), *feature.scale[1:])
    got = np.clip(feature.compute(s), *feature.scale[1:])
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


# Short windows: what a seed or a first smoothing step does is not forgotten yet.
SHORT = {
    "ema": (lambda s: ema(s.close, 12, 15), lambda s: talib.EMA(s.close, 12), 15),
    "wilder": (lambda s: s.average_range(14, 18), atr, 18),
    "rsi": (lambda s: rsi(s, 14, 17), lambda s: talib.RSI(s.close, 14) / 100, 17),
    "macd": (lambda s: macd(s.close, 12, 26, 9, 36)[0], lambda s: talib.MACD(s.close)[0], 36),
    "signal": (lambda s: macd(s.close, 12, 26, 9, 36)[1], lambda s: talib.MACD(s.close)[1], 36),
    "adx": (
        lambda s: directional_index(*directional_movement(s.high, s.low), s.true_range, 14, 30)[0],
        lambda s: talib.ADX(s.high, s.low, s.close, 14) / 100,
        30,
    ),
    "sar": (
        lambda s: parabolic_sar(s.high, s.low, 0.02, 0.2, 6),
        lambda s: talib.SAR(s.high, s.low, 0.02, 0.2),
        6,
    ),
}


@pytest.mark.parametrize("name", SHORT)
def test_seeds_equal_talibs_where_they_still_show(name):
    ours, theirs, window = SHORT[name]
    s = symbol_series("AAPL", last=300)
    got = ours(s)
    for t in range(window - 1, 300, 7):
        expected = np.asarray(theirs(cut(s, t + 1 - window, t + 1)))[-1]
        np.testing.assert_allclose(got[t], expected, rtol=1e-9, atol=1e-9)


@cache
def panel() -> Panel:
    """Twelve stretches of real bars side by side: one is listed late, another misses weeks."""
    dates = pd.DatetimeIndex(adjusted_bars()["timestamp"].unique())[-400:]
    tables = []
    for place, symbol in enumerate(SYMBOLS):
        whole = symbol_series(symbol)
        for stretch in range(3):
            last = whole.close.size - 400 * stretch
            bars = cut(whole, last - 400, last).bars
            name = f"{symbol}{stretch}"
            table = pd.DataFrame(bars._asdict()).assign(timestamp=dates, symbol=name)
            kept = np.ones(400, bool)
            kept[: 120 if (place, stretch) == (1, 1) else 0] = False
            kept[200 : 230 if (place, stretch) == (2, 0) else 200] = False
            tables.append(table[kept])
    bars = pd.concat(tables).sort_values(["timestamp", "symbol"], ignore_index=True)
    return Panel(bars, compute_features(bars, "XNYS"))


class Section:
    """The stored columns by date, as ranks and breadth read them."""

    def __init__(self, given: Panel) -> None:
        self.given = given
        counts = given.bars.groupby("timestamp").size().to_numpy()
        self.starts = np.append(0, np.cumsum(counts)).astype(np.int64)

    def column(self, name: str) -> np.ndarray:
        return self.given.features[name].to_numpy(np.float32)


def market_series(given: Panel) -> MarketSeries:
    codes, names = pd.factorize(given.bars["symbol"], sort=True)
    section, closes = Section(given), given.bars["close"].to_numpy()
    together = equal_weight_return(closes, codes.astype(np.int64), section.starts, len(names))
    return MarketSeries(together, section)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHARED if name != "rank_missing"])
@pytest.mark.sampled(4)
def test_what_symbols_share_equals_its_oracle_before_it_is_rounded(name):
    """The mask is 0 or 1, which rounding leaves alone; it is compared below."""
    given, feature = panel(), FEATURES[name]
    source = {"cross_section": Section, "market": market_series}.get(feature.family)
    made = source(given) if source else Clock(given.dates, "XNYS")
    expected = np.clip(SHARED[name](given), *feature.scale[1:])
    got = np.clip(feature.compute(made), *feature.scale[1:])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    assert not np.isnan(got[-1])
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_intraday_clocks_follow_new_york_through_its_changes_of_time():
    """Every half hour of a year: two changes of the clock, month ends, a leap day."""
    stamps = pd.date_range("2020-01-01 00:30", "2020-12-31 23:30", freq="30min", tz="UTC")
    stamps = stamps[stamps != stamps.normalize()]
    given = Panel.__new__(Panel)
    given.dates = stamps
    for name in ("time_of_day", "day_of_week", "day_of_month"):
        got = FEATURES[name].compute(Clock(stamps, "XNYS"))
        np.testing.assert_allclose(got, SHARED[name](given), atol=1e-12)


def oracle_of(name: str, mine: SymbolSeries, rows: np.ndarray) -> np.ndarray:
    """What a feature of one symbol should be at some rows of its own bars; NaN before warm-up."""
    if name in EXACT:
        return np.asarray(EXACT[name](mine))[rows]
    oracle, memory, _ = RESTARTED[name]
    found = []
    for t in rows:
        value = np.asarray(oracle(cut(mine, t + 1 - memory, t + 1)))[-1]
        found.append(value / (atr(cut(mine, t - 239, t + 1))[-1] if name in IN_ATR else 1.0))
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_table_equals_the_oracles_row_by_row(name):
    """From bars to columns: no symbol, date or column is another's."""
    given, feature = panel(), FEATURES[name]
    stored = given.features[name].to_numpy()
    if name in SHARED:
        shared = SHARED[name](given)
        if feature.family != "cross_section":
            shared = shared[given.dates.get_indexer(given.bars["timestamp"])]
        expected, got = np.clip(shared, *feature.scale[1:]), stored
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        return
    for _, mine in given.bars.groupby("symbol"):
        own = SymbolSeries(BarSeries(*(mine[column].to_numpy() for column in BarSeries._fields)))
        rows = np.array([feature.lookback + 1, 258, len(mine) - 20, len(mine) - 1])
        expected = np.clip(oracle_of(name, own, rows), *feature.scale[1:])
        np.testing.assert_allclose(stored[mine.index[rows]], expected, rtol=1e-6, atol=1e-6)


def test_the_oracles_of_ranks_name_their_columns():
    for name, column in RANKED.items():
        assert FEATURES[name].parameters["column"] == column
