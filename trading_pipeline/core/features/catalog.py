"""The catalog: sixty causal features, and the one function that computes them.

Every feature uses bars at or before its own, declares how many (`lookback`), and is the same
whatever came before those; unchanged when all prices or all volumes of a symbol are multiplied by
a constant; and missing (NaN) where it cannot be known. Order here is the order of the columns.
"""

import hashlib
import json

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading_pipeline.core.features import (
    clock,
    cross_section,
    market,
    momentum,
    price,
    trend,
    volatility,
    volume,
)
from trading_pipeline.core.features.clock import Clock
from trading_pipeline.core.features.cross_section import CrossSection, Index, Values
from trading_pipeline.core.features.feature import Feature
from trading_pipeline.core.features.market import MarketSeries, equal_weight_return
from trading_pipeline.core.features.series import Bars, SymbolSeries
from trading_pipeline.core.features.windows import Array, log_change
from trading_pipeline.errors import BarsError

REVISION = 1  # raise it when the code makes other numbers though no row of the catalog changed
_OF_SYMBOLS = (
    *price.FEATURES,
    *trend.FEATURES,
    *momentum.FEATURES,
    *volatility.FEATURES,
    *volume.FEATURES,
)
CATALOG: tuple[Feature, ...] = (
    *_OF_SYMBOLS,
    *cross_section.FEATURES,
    *market.FEATURES,
    *clock.FEATURES,
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in CATALOG)
LOOKBACK: int = max(feature.lookback for feature in CATALOG)
_PLACES = {name: place for place, name in enumerate(NAMES)}


def catalog_hash() -> str:
    """SHA-256 of the whole catalog: a table made under another one cannot be read as this one."""
    rows = [feature.described() for feature in CATALOG]
    text = json.dumps([REVISION, rows], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def compute_features(
    bars: pd.DataFrame, calendar: str | None = None, benchmark: pd.Series | None = None
) -> pd.DataFrame:
    """All features of all bars.

    Args:
        bars: adjusted bars in the data format, sorted by (timestamp, symbol); R rows.
        calendar: "XNYS" or "24/7", whose clock the calendar features read; None is UTC.
        benchmark: adjusted closes indexed by timestamp; None is the equally weighted market.

    Returns:
        R rows in the order of `bars`: timestamp, symbol, then one float32 column per feature, each
        within its declared range or NaN. Cutting off later bars changes no bit of earlier rows.

    Raises:
        BarsError: a column is missing, or the rows are not sorted.
        ValueError: the calendar is unknown.
    """
    rows = _Rows(bars)
    values = np.full((len(bars), len(CATALOG)), np.nan, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        _fill_symbols(values, rows)
        _fill_dates(values, rows, benchmark, calendar)
    keys = bars[["timestamp", "symbol"]].reset_index(drop=True)
    return pd.concat([keys, pd.DataFrame(values, columns=list(NAMES), copy=False)], axis=1)


class _Rows:
    """How the rows of bars fall into dates and symbols."""

    def __init__(self, bars: pd.DataFrame) -> None:
        wanted = ("timestamp", "symbol", *Bars._fields)
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
        self.prices = Bars(*(bars[name].to_numpy(np.float64) for name in Bars._fields))

    @property
    def date(self) -> Index:
        """Number of each row's date, (R,)."""
        return np.repeat(np.arange(self.timestamps.size), np.diff(self.starts))

    def of_symbols(self) -> list[Index]:
        """The rows of each symbol, oldest first."""
        order = np.argsort(self.symbol, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.symbol))[:-1]) if order.size else []


def _codes(symbols: pd.Series) -> tuple[Index, int]:
    codes, names = pd.factorize(symbols, sort=True)
    return codes.astype(np.int64), len(names)


def _fill_symbols(values: Values, rows: _Rows) -> None:
    for mine in rows.of_symbols():
        series = SymbolSeries(Bars(*(column[mine] for column in rows.prices)))
        block = np.stack([_clipped(feature, series) for feature in _OF_SYMBOLS], axis=1)
        values[mine, : len(_OF_SYMBOLS)] = block


def _fill_dates(
    values: Values, rows: _Rows, benchmark: pd.Series | None, calendar: str | None
) -> None:
    section = CrossSection(values, NAMES, rows.starts)
    for feature in cross_section.FEATURES:
        values[:, _PLACES[feature.name]] = _clipped(feature, section)
    together = _market(rows, benchmark, section)
    date = rows.date
    for feature in market.FEATURES:
        values[:, _PLACES[feature.name]] = _clipped(feature, together)[date]
    hours = Clock(rows.timestamps, calendar)
    for feature in clock.FEATURES:
        values[:, _PLACES[feature.name]] = _clipped(feature, hours)[date]


def _market(rows: _Rows, benchmark: pd.Series | None, section: CrossSection) -> MarketSeries:
    everyone = equal_weight_return(rows.prices.close, rows.symbol, rows.starts, rows.symbols)
    if benchmark is None:
        return MarketSeries(everyone, everyone, section)
    closes = benchmark.reindex(rows.timestamps).to_numpy(np.float64)
    return MarketSeries(everyone, log_change(closes, 1), section)


def _clipped(feature: Feature, source: object) -> npt.NDArray[np.float64]:
    values: Array = feature.compute(source)
    return np.clip(values, feature.low, feature.high)
