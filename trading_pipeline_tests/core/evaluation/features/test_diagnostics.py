"""Diagnostics of a whole market: what is counted where, and that it describes and no more."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.features.diagnostics import (
    BINS,
    QUANTILES,
    History,
    diagnose,
    distribution,
)
from trading_pipeline.core.evaluation.features.predictive import CROSS_SECTION, OVER_TIME
from trading_pipeline.core.features.catalog import CATALOG, NAMES, compute_features
from trading_pipeline.core.features.feature import Feature, Scale
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline_tests.core.features.wild_bars import bars_of, together

DATES = 420
SIGNAL = Feature(
    name="signal",
    family="price",
    formula="x",
    lookback=1,
    scale=Scale("x", -2, 2),
    source="x",
    of=lambda s: s,
)
COMMON = replace(SIGNAL, name="common", family="market")


def history(values, target=None, **changes):
    """A history of (T, N, F) features on business days of 2020 and 2021."""
    noise = np.random.default_rng(0)
    dates, symbols = values.shape[:2]
    stamps = pd.date_range("2020-01-01", periods=dates, freq="B", tz="UTC")
    given = {
        "timestamps": stamps,
        "grid": values.astype(np.float32),
        "present": np.ones((dates, symbols), bool),
        "eligible": np.ones((dates, symbols), bool),
        "target": noise.normal(size=(dates, symbols)) if target is None else target,
        "market_target": noise.normal(size=dates),
        "horizon": 5,
        "folds": {"2021": (slice(0, 250), slice(262, dates))},
    }
    return History(**given | changes)


def noise_of(symbols=10, features=1, seed=1):
    return np.random.default_rng(seed).normal(size=(DATES, symbols, features)).clip(-2, 2)


def test_coverage_counts_bars_and_not_the_dates_without_one():
    values = noise_of(symbols=2)
    values[:30, 0] = np.nan
    values[100:, 1] = np.nan
    present = np.ones((DATES, 2), bool)
    present[100:, 1] = False
    found = diagnose(history(values, present=present), [SIGNAL])
    each = found.features[0]
    assert found.months[:2] == ["2020-01", "2020-02"]
    assert each.coverage == pytest.approx(1 - 30 / (DATES + 100))
    january = int((history(values).timestamps.strftime("%Y-%m") == "2020-01").sum())
    assert each.by_month[0] == pytest.approx(0.5)
    assert each.by_month[1] == pytest.approx(1 - (30 - january) / 40)
    assert (each.by_month[2:] == 1).all()


def test_a_month_without_any_bar_of_the_symbols_is_not_available():
    present = np.ones((DATES, 1), bool)
    present[:23] = False
    values = noise_of(symbols=1)
    values[:23] = np.nan
    assert np.isnan(diagnose(history(values, present=present), [SIGNAL]).features[0].by_month[0])


def test_a_distribution_worked_by_hand():
    values = np.r_[np.full(10, -2.0), np.linspace(-1, 1, 181), np.full(9, 2.0)]
    found = distribution(values.astype(np.float32), SIGNAL)
    assert found.at_low == pytest.approx(0.05)
    assert found.at_high == pytest.approx(0.045)
    assert found.quantiles[QUANTILES.index(0.01)] == -2
    assert found.quantiles[QUANTILES.index(0.5)] == pytest.approx(
        np.quantile(values, 0.5), abs=0.02
    )
    assert found.counts.sum() == 200
    assert len(found.counts) == BINS
    np.testing.assert_allclose(found.edges[[0, -1]], [-2, 2])
    assert found.counts[0] == 10


@pytest.mark.parametrize("level", [0.0, 1.5])
def test_a_constant_has_a_distribution_and_nothing_has_none(level):
    found = distribution(np.full(50, level, np.float32), SIGNAL)
    assert (found.quantiles == level).all()
    assert found.counts.max() == 50
    assert distribution(np.empty(0, np.float32), SIGNAL) is None


def test_drift_compares_the_windows_of_each_fold():
    values = noise_of()
    values[262:] += 1.0
    folds = {"early": (slice(0, 100), slice(100, 250)), "late": (slice(0, 250), slice(262, DATES))}
    found = diagnose(history(values, folds=folds), [SIGNAL])
    assert found.folds == ["early", "late"]
    assert found.shifted("early") == []
    assert found.shifted("late") == ["signal"]


def test_bars_that_could_not_be_traded_do_not_drift_and_have_no_coefficient():
    values = noise_of()
    values[262:, :5] = 2.0
    eligible = np.ones((DATES, 10), bool)
    eligible[262:, :5] = False
    assert diagnose(history(values, eligible=eligible), [SIGNAL]).shifted("2021") == []
    assert diagnose(history(values), [SIGNAL]).shifted("2021") == ["signal"]
    eligible[:, :5] = False
    each = diagnose(history(values, eligible=eligible), [SIGNAL]).features[0]
    assert each.predictive.kind == OVER_TIME


def test_a_signal_is_found_in_the_year_that_has_it():
    values = noise_of()
    target = np.random.default_rng(5).normal(size=(DATES, 10))
    target[:200] += 0.5 * values[:200, :, 0]
    each = diagnose(history(values, target), [SIGNAL]).features[0].predictive
    assert each.kind == CROSS_SECTION
    assert each.by_year[2020].low > 0.2
    assert each.by_year[2021].low < 0 < each.by_year[2021].high


def test_what_all_share_is_held_against_what_the_market_did():
    shared = np.broadcast_to(noise_of(symbols=1), (DATES, 10, 1))
    given = history(shared, market_target=shared[:, 0, 0] ** 3)
    each = diagnose(given, [COMMON]).features[0].predictive
    assert each.kind == OVER_TIME
    assert each.whole.value == pytest.approx(1)


def test_years_end_with_the_last_label():
    target = np.random.default_rng(5).normal(size=(DATES, 10))
    target[240:] = np.nan
    found = diagnose(history(noise_of(), target), [SIGNAL])
    assert found.years == [2020]
    assert found.last_label == history(noise_of()).timestamps[239]


def test_a_market_without_labels_has_no_coefficients():
    nothing = np.full((DATES, 10), np.nan)
    found = diagnose(history(noise_of(), nothing, folds={}), [SIGNAL])
    assert found.last_label is None
    assert found.years == found.folds == []
    assert found.by_chance() == (0, 0)


def test_chance_alone_makes_as_many_exclude_zero_as_it_says():
    """Sixty unrelated features in two years: 120 intervals of 95 %."""
    catalog = [replace(SIGNAL, name=f"f{n}") for n in range(60)]
    told, outside = diagnose(history(noise_of(features=60)), catalog).by_chance()
    assert told == 120
    assert 1 <= outside <= 13


@pytest.mark.parametrize("symbols", [1, 9])
def test_all_sixty_features_of_real_looking_bars(symbols):
    bars = together([bars_of("calm", DATES, n, f"S{n}") for n in range(symbols)])
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    names = sorted(bars["symbol"].unique())
    grid = feature_grid(compute_features(bars), stamps, names)
    found = diagnose(replace(history(grid), timestamps=stamps), CATALOG)
    assert [each.feature.name for each in found.features] == list(NAMES)
    assert sorted(found.correlations.order) == list(range(60))
    for each in found.features:
        assert 0 <= each.coverage <= 1, each.feature.name
        if each.distribution is None:
            assert each.feature.family == "cross_section"
            continue
        assert each.distribution.quantiles[0] >= each.feature.scale.low
        assert each.distribution.quantiles[-1] <= each.feature.scale.high
        assert each.distribution.at_low + each.distribution.at_high <= 1 + 1e-9
