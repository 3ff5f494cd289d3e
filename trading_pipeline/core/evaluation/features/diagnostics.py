"""Feature diagnostics for people: are the inputs there, are they still the same, do they say much?

None of this decides anything. Coverage and distribution are of all bars; drift and coefficients of
the bars that could be traded, which are those that a model learns from.

Letters: T dates, N symbols, F features, M months, K folds, Q quantiles, B bins, Y years.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.evaluation.features.correlation import Correlations, correlations
from trading_pipeline.core.evaluation.features.drift import SHIFTED, Drift, drift
from trading_pipeline.core.evaluation.features.predictive import Predictive, predictive
from trading_pipeline.core.features.feature import Feature

Array = NDArray[np.float64]
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 24
COMMON = ("market", "calendar")  # families that are the same for every symbol of a date


@dataclass(frozen=True, kw_only=True)
class History:
    """What the diagnostics look at."""

    timestamps: pd.DatetimeIndex  # (T,) UTC
    grid: NDArray[np.float32]  # features, (T, N, F), NaN where missing
    present: NDArray[np.bool_]  # (T, N), the symbol has a bar
    eligible: NDArray[np.bool_]  # (T, N), and could be traded
    target: Array  # (T, N), the price target, NaN where unknown
    market_target: Array  # (T,), the market's return that is taken out of it
    horizon: int  # bars that a target looks ahead
    folds: Mapping[str, tuple[slice, slice]]  # rows of the training and of the live window


@dataclass(frozen=True)
class Distribution:
    """Where the known values of a feature lie."""

    quantiles: Array  # (Q,)
    at_low: float  # share of known values on the lower bound of the declared range
    at_high: float
    edges: Array  # (B + 1,), from the 0.5 % to the 99.5 % quantile
    counts: NDArray[np.int64]  # (B,), the values beyond the edges in the outer bins


@dataclass(frozen=True)
class Diagnosis:
    """One feature."""

    feature: Feature
    coverage: float  # share of bars at which it is known
    by_month: Array  # (M,), the same by month
    distribution: Distribution | None  # None where it is never known
    drifts: dict[str, Drift]  # by fold
    predictive: Predictive


@dataclass(frozen=True)
class Diagnostics:
    """All features of one market."""

    months: list[str]  # M, as 2012-05
    features: list[Diagnosis]  # F, in the order of the catalog
    correlations: Correlations
    last_label: pd.Timestamp | None  # newest date whose target is known
    horizon: int

    def shifted(self, fold: str) -> list[str]:
        """Names of the features whose live window lies beyond the threshold, the farthest first."""
        far = [(each.drifts[fold].psi, each.feature.name) for each in self.features]
        return [name for psi, name in sorted(far, reverse=True) if psi > SHIFTED]

    @property
    def folds(self) -> list[str]:
        """Keys of the folds, oldest first."""
        return list(self.features[0].drifts)

    @property
    def years(self) -> list[int]:
        """Years in which any target is known."""
        return sorted({y for each in self.features for y in each.predictive.by_year})

    def by_chance(self) -> tuple[int, int]:
        """Yearly coefficients with an interval, and how many of the intervals exclude zero.

        Of intervals of 95 % about 5 % exclude zero where there is nothing to find.
        """
        cells = [e for each in self.features for e in each.predictive.by_year.values()]
        bounded = [e for e in cells if np.isfinite(e.low)]
        return len(bounded), sum(not e.low <= 0 <= e.high for e in bounded)


def diagnose(history: History, catalog: Sequence[Feature]) -> Diagnostics:
    """Everything about every feature.

    Args:
        catalog: the F features of the grid, in its order.
    """
    starts, months = _months(history.timestamps)
    labelled = np.flatnonzero(np.isfinite(history.target).any(axis=1))
    return Diagnostics(
        months=months,
        features=[
            _diagnosis(history, feature, np.ascontiguousarray(history.grid[..., place]), starts)
            for place, feature in enumerate(catalog)
        ],
        correlations=correlations(history.grid, history.present),
        last_label=history.timestamps[labelled[-1]] if labelled.size else None,
        horizon=history.horizon,
    )


def _months(timestamps: pd.DatetimeIndex) -> tuple[NDArray[np.int64], list[str]]:
    """First row of each month that has any, and the months."""
    month = np.asarray(timestamps.year * 12 + timestamps.month, dtype=np.int64)
    starts = np.flatnonzero(np.diff(month, prepend=-1))
    return starts.astype(np.int64), list(timestamps[starts].strftime("%Y-%m"))


def _diagnosis(
    history: History, feature: Feature, values: NDArray[np.float32], starts: NDArray[np.int64]
) -> Diagnosis:
    known = history.present & ~np.isnan(values)
    bars = np.add.reduceat(history.present.sum(axis=1), starts)
    have = np.add.reduceat(known.sum(axis=1), starts)
    common = feature.family in COMMON
    usable, columns = history.eligible, values
    if common:  # one value a date, not N copies of it
        usable = np.logical_or.reduce(history.eligible, axis=1, keepdims=True)
        columns = np.fmax.reduce(values, axis=1, keepdims=True)
    return Diagnosis(
        feature=feature,
        coverage=float(have.sum() / max(bars.sum(), 1)),
        by_month=np.where(bars > 0, have / np.maximum(bars, 1), np.nan),
        distribution=distribution(values[known], feature),
        drifts={
            key: drift(columns[training][usable[training]], columns[live][usable[live]])
            for key, (training, live) in history.folds.items()
        },
        predictive=_predictive(history, np.where(usable, columns, np.nan), common),
    )


def _predictive(history: History, values: NDArray[np.floating], common: bool) -> Predictive:
    """On the years with labels. What all symbols share is held against what all symbols did."""
    target = history.market_target[:, None] if common else history.target
    labelled = np.flatnonzero(np.isfinite(target).any(axis=1))
    rows = slice(labelled[0], labelled[-1] + 1) if labelled.size else slice(0)
    years = np.asarray(history.timestamps.year)[rows]
    return predictive(values[rows].astype(np.float64), target[rows], years, history.horizon, common)


def distribution(values: NDArray[np.floating], feature: Feature) -> Distribution | None:
    """Quantiles, share at the bounds and histogram of known values (R,); None if there are none."""
    if not values.size:
        return None
    ordered = np.sort(values).astype(np.float64)
    shares = (0.005, *QUANTILES, 0.995)
    low, *quantiles, high = np.quantile(ordered, shares, method="inverted_cdf")
    edges = np.linspace(low, high, BINS + 1) if high > low else low + np.linspace(-1, 1, BINS + 1)
    inside = np.searchsorted(ordered, edges[1:-1], side="right")
    bounds = np.array(feature.scale[1:], np.float32)  # values are stored so
    return Distribution(
        quantiles=np.array(quantiles),
        at_low=float(np.searchsorted(ordered, bounds[0], side="right") / ordered.size),
        at_high=float(1 - np.searchsorted(ordered, bounds[1], side="left") / ordered.size),
        edges=edges,
        counts=np.diff(inside, prepend=0, append=ordered.size),
    )
