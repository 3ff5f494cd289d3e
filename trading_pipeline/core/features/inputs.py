"""From which columns of bars each feature is made: what its function reads, seen when it is run."""

from functools import cache
from typing import Any

import numpy as np

from trading_pipeline.core.features.catalog import CATALOG, NAMES
from trading_pipeline.core.features.families.cross_section import CrossSection
from trading_pipeline.core.features.families.market import MarketSeries
from trading_pipeline.core.features.feature import Feature
from trading_pipeline.core.features.series import BarSeries, SymbolSeries

_BARS = 300  # more than any lookback


class _Series(SymbolSeries):
    """Notes which columns are read. A new one for each feature: results are computed once."""

    def __init__(self, bars: BarSeries) -> None:
        self.read: set[str] = set()
        super().__init__(bars)

    def __getattribute__(self, name: str) -> Any:
        if name == "bars" or name in BarSeries._fields:
            self.read.update([name] if name != "bars" else BarSeries._fields)
        return super().__getattribute__(name)


class _Section(CrossSection):
    """Notes which features are read."""

    def __init__(self) -> None:
        ones = np.ones((len(NAMES), 3 * _BARS), np.float32)
        super().__init__(ones, NAMES, np.arange(0, 3 * _BARS + 1, 3))
        self.read: set[str] = set()

    def column(self, name: str) -> Any:
        self.read.add(name)
        return super().column(name)


class _Market(MarketSeries):
    """Notes whether the market's own return is read, which is made of closes."""

    def __init__(self, section: _Section) -> None:
        self.of_closes = False
        super().__init__(np.zeros(_BARS), section)

    def __getattribute__(self, name: str) -> Any:
        if name == "equal_weight":
            self.of_closes = True
        return super().__getattribute__(name)


@cache
def inputs() -> dict[str, frozenset[str]]:
    """By feature, the columns of adjusted bars that it is made from: open, high, low, close,
    volume; or timestamp alone."""
    read: dict[str, frozenset[str]] = {}
    with np.errstate(all="ignore"):
        for feature in CATALOG:  # what others are made from comes before them
            columns, features = _read_by(feature)
            read[feature.name] = columns.union(*(read[name] for name in features))
    return read


def _read_by(feature: Feature) -> tuple[frozenset[str], set[str]]:
    """The columns of bars and the other features that a feature's function reads."""
    if feature.family == "calendar":
        return frozenset(["timestamp"]), set()
    section = _Section()
    if feature.family == "cross_section":
        feature.compute(section)
        return frozenset(), section.read
    if feature.family == "market":
        market = _Market(section)
        feature.compute(market)
        return frozenset(["close"] if market.of_closes else []), section.read
    rising = np.linspace(1.0, 2.0, _BARS)
    series = _Series(BarSeries(*(rising.copy() for _ in BarSeries._fields)))
    series.read.clear()
    feature.compute(series)
    return frozenset(series.read), set()
