"""The catalog: sixty causal features, and the one function that computes them.

Every feature uses bars at or before its own, declares how many (`lookback`), and is the same
whatever came before those; unchanged when all prices or all volumes of a symbol are multiplied by
a constant; and missing (NaN) where it cannot be known. Order here is the order of the columns.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading_pipeline.core.features import clock
from trading_pipeline.core.features.clock import Clock
from trading_pipeline.core.features.families import (
    cross_section,
    market,
    momentum,
    price,
    trend,
    volatility,
    volume,
)
from trading_pipeline.core.features.families.cross_section import CrossSection, Index, Values
from trading_pipeline.core.features.families.market import MarketSeries, equal_weight_return
from trading_pipeline.core.features.feature import Feature
from trading_pipeline.core.features.series import BarSeries, SymbolSeries
from trading_pipeline.core.features.windows import Array, kernel
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.errors import BarsError

REVISION = 2  # raise it when the code makes other numbers though no row of the catalog changed
_OF_SYMBOLS = (
    *price.FAMILY.features,
    *trend.FAMILY.features,
    *momentum.FAMILY.features,
    *volatility.FAMILY.features,
    *volume.FAMILY.features,
)
CATALOG: tuple[Feature, ...] = (
    *_OF_SYMBOLS,
    *cross_section.FAMILY.features,
    *market.FAMILY.features,
    *clock.FAMILY.features,
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in CATALOG)
LOOKBACK: int = max(feature.lookback for feature in CATALOG)
BATCH = 8192  # bars of a series
SHORT = 64  # bars; most features look back no further
_BY_SPAN = {  # places of the features that so many bars are enough for
    SHORT: [place for place, each in enumerate(_OF_SYMBOLS) if each.lookback <= SHORT],
    LOOKBACK: [place for place, each in enumerate(_OF_SYMBOLS) if each.lookback > SHORT],
}
_PLACES = {name: place for place, name in enumerate(NAMES)}


def catalog_hash() -> str:
    """SHA-256 of the whole catalog: a table made under another one cannot be read as this one."""
    rows = [feature.described() for feature in CATALOG]
    text = json.dumps([REVISION, rows], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def compute_features(
    bars: pd.DataFrame,
    calendar: str | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """All features of all bars.

    Args:
        bars: adjusted bars in the data format, sorted by (timestamp, symbol); R rows.
        calendar: of `exchanges`, such as "XNYS": calendar features read its clock; None is UTC.
        threads: how many share the symbols, which changes no bit; None is one for each core.

    Returns:
        R rows in the order of `bars`: timestamp, symbol, then one float32 column per feature, each
        within its declared range or NaN. Cutting off later bars changes no bit of earlier rows.

    Raises:
        BarsError: a column is missing, or the rows are not sorted.
        ValueError: the calendar is unknown.
    """
    rows = _Rows(bars)
    values = np.empty((len(CATALOG), len(bars)), dtype=np.float32)
    _fill_symbols(values, rows, threads or os.cpu_count() or 1)
    _fill_dates(values, rows.starts, rows.returns, rows.timestamps, calendar)
    keys = bars[KEY].reset_index(drop=True)
    return pd.concat([keys, pd.DataFrame(values.T, columns=list(NAMES), copy=False)], axis=1)


def returns_of_dates(bars: pd.DataFrame) -> Array:
    """(T,) `equal_weight_return` of each date of bars such as `compute_features` takes."""
    return _Rows(bars).returns


def newest_features(
    own: Array,
    bars: Index,
    traded: npt.NDArray[np.bool_],
    returns: Array,
    timestamps: pd.DatetimeIndex,
    calendar: str | None = None,
) -> Values:
    """All features of the newest date alone, as `compute_features` has them, bit for bit.

    Args:
        own: (5, L, N) open, high, low, close and volume of each symbol's own last bars, adjusted,
            the newest last; L >= LOOKBACK.
        bars: (N,) how many of them there are since its history began; those above say nothing.
        traded: (N,) which symbols have a bar at the date.
        returns: (K,) `equal_weight_return` of the last dates, K >= LOOKBACK or all of them.
        timestamps: those dates, as far back at least as it takes to tell hours from days.
        calendar: as of `compute_features`.

    Returns:
        float32 (N, F), NaN where a symbol has no bar.
    """
    there = np.flatnonzero(traded)
    values = np.empty((len(CATALOG), len(there)), dtype=np.float32)
    for span, places in _BY_SPAN.items():
        L, width = min(span, own.shape[1]), max(1, BATCH // span)
        for first in range(0, len(there), width):
            batch = there[first : first + width]
            counts = np.minimum(bars[batch], L)
            kept = np.arange(L) >= L - counts[:, None]
            columns = (np.ascontiguousarray(each[-L:, batch].T)[kept] for each in own)
            found = values[:, first : first + width]
            _fill_newest(found, places, SymbolSeries(BarSeries(*columns)), np.cumsum(counts))
    _fill_dates(values, np.array([0, len(there)]), returns, timestamps, calendar)
    newest = np.full((len(traded), len(CATALOG)), np.nan, dtype=np.float32)
    newest[there] = values.T
    return newest


def _fill_newest(found: Values, places: list[int], series: SymbolSeries, ends: Index) -> None:
    """Some features of symbols that follow one another, at the newest bar of each, (F, n)."""
    out, firsts = np.empty(len(series.close), np.float32), np.append(0, ends[:-1])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for place in places:
            feature = _OF_SYMBOLS[place]
            _settle(out, feature.compute(series), *feature.scale[1:])
            _withhold(out, firsts, feature.lookback - 1)
            found[place] = out[ends - 1]


class _Rows:
    """How the rows of bars fall into dates and symbols."""

    def __init__(self, bars: pd.DataFrame) -> None:
        wanted = ("timestamp", "symbol", *BarSeries._fields)
        if missing := [name for name in wanted if name not in bars]:
            raise BarsError(f"bars lack columns {missing}; expected {list(wanted)}")
        stamps = pd.DatetimeIndex(bars["timestamp"])
        self.symbol, self.symbols = _codes(bars["symbol"])
        later = np.diff(stamps.asi8)
        if (later < 0).any() or ((later == 0) & (np.diff(self.symbol) <= 0)).any():
            raise BarsError(
                "bars are not sorted by (timestamp, symbol): pass them through check_bars"
            )
        firsts = np.flatnonzero(np.concatenate([np.ones(min(len(bars), 1), bool), later > 0]))
        self.timestamps = stamps[firsts]
        self.starts: Index = np.append(firsts, len(bars)).astype(np.int64)
        self.prices = BarSeries(*(bars[name].to_numpy(np.float64) for name in BarSeries._fields))

    @property
    def returns(self) -> Array:
        """`equal_weight_return` of each date."""
        return equal_weight_return(self.prices.close, self.symbol, self.starts, self.symbols)

    @property
    def by_symbol(self) -> Index:
        """All rows, symbol after symbol, the oldest of each first; (R,)."""
        return np.argsort(self.symbol, kind="stable")


def _codes(symbols: pd.Series) -> tuple[Index, int]:
    codes, names = pd.factorize(symbols, sort=True)
    return codes.astype(np.int64), len(names)


def _fill_symbols(values: Values, rows: _Rows, threads: int) -> None:
    """Features of single symbols, computed symbol after symbol, then put in the order of bars."""
    order = rows.by_symbol
    counts = np.bincount(rows.symbol)
    listed = np.cumsum(counts) - counts
    batches = list(_batches(counts))
    with ThreadPoolExecutor(max(1, min(threads, len(batches)))) as pool:
        for done in [pool.submit(_fill_batch, values, rows, order, listed, b) for b in batches]:
            done.result()
    _reorder(values[: len(_OF_SYMBOLS)], order)


def _fill_batch(values: Values, rows: _Rows, order: Index, listed: Index, batch: slice) -> None:
    """Whole symbols, `batch` of `order`; `listed`: where in `order` each symbol begins, (n,).

    They follow one another in one series, as if they were one: what reaches back beyond its
    symbol's first bar has not its whole lookback, and is missing anyway.
    """
    series = SymbolSeries(BarSeries(*(column[order[batch]] for column in rows.prices)))
    firsts = listed[(listed >= batch.start) & (listed < batch.stop)] - batch.start
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # of this thread alone
        for feature, out in zip(_OF_SYMBOLS, values, strict=False):
            _settle(out[batch], feature.compute(series), *feature.scale[1:])
            _withhold(out[batch], firsts, feature.lookback - 1)


def _batches(counts: Index) -> Iterator[slice]:
    """Rows of whole symbols, about BATCH of them: few calls, and yet all arrays stay in cache."""
    first = last = 0
    for count in counts.tolist():
        if last > first and last + count - first > BATCH:
            yield slice(first, last)
            first = last
        last += count
    yield slice(first, last)


def _fill_dates(
    values: Values,
    starts: Index,
    returns: Array,
    timestamps: pd.DatetimeIndex,
    calendar: str | None,
) -> None:
    """Features of whole dates; `returns` and `timestamps` may be of older ones, too."""
    section, dates = CrossSection(values, NAMES, starts), len(starts) - 1
    together, hours = MarketSeries(returns, section), Clock(timestamps, calendar)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for feature in cross_section.FAMILY.features:
            _settle(values[_PLACES[feature.name]], feature.compute(section), *feature.scale[1:])
        for feature in (*market.FAMILY.features, *clock.FAMILY.features):
            source = together if feature.family == "market" else hours
            of_dates = np.clip(feature.compute(source), *feature.scale[1:])[-dates:]
            _spread(values[_PLACES[feature.name]], of_dates, starts)


@kernel
def _reorder(columns: Values, order: Index) -> None:
    """Put what was computed in some order of the rows back into theirs, column by column."""
    place = np.empty(order.size, np.int32)
    for k in range(order.size):
        place[order[k]] = k
    computed = np.empty(order.size, np.float32)
    for column in columns:
        computed[:] = column
        for row in range(place.size):
            column[row] = computed[place[row]]


@kernel
def _spread(out: Values, of_dates: Array, starts: Index) -> None:
    """Give every row the value of its date."""
    for date in range(of_dates.size):
        out[starts[date] : starts[date + 1]] = np.float32(of_dates[date])


@kernel
def _settle(out: Values, values: Array, low: float, high: float) -> None:
    """Write values into `out`, clipped into [low, high]."""
    for row in range(out.size):
        value = low if values[row] < low else values[row]
        out[row] = high if value > high else value


@kernel
def _withhold(out: Values, firsts: Index, bars: int) -> None:
    """Make the first `bars` of every symbol missing; `firsts`: the row each begins at, (n,)."""
    for k in range(firsts.size):
        end = firsts[k + 1] if k + 1 < firsts.size else out.size
        out[firsts[k] : min(firsts[k] + bars, end)] = np.nan
