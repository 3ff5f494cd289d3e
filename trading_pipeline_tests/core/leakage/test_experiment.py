"""The experiments must catch what is planted, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from trading_pipeline.core.features.catalog import CATALOG, compute_features
from trading_pipeline.core.leakage.experiment import (
    FEATURES,
    examine,
    find_leaks,
)
from trading_pipeline.core.leakage.perturbations import backfill_dates, even_dates, scrambled
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline_tests.core.features.wild_bars import bars_of, together, wild_bars

LOOKBACKS = {feature.name: feature.lookback for feature in CATALOG}


def panel(size=330):
    """Three symbols; one is listed late, one lacks three weeks."""
    tables = [bars_of("calm", size, seed, f"S{seed}") for seed in range(3)]
    tables[1] = tables[1][40:]
    tables[2] = tables[2].drop(index=range(150, 171))
    return together(tables)


def honest(bars):
    """Two features that deserve their lookbacks of 2 and 11."""
    closes = bars.groupby("symbol")["close"]
    features = bars[["timestamp", "symbol"]].assign(ret=closes.pct_change())
    mean = closes.transform(lambda close: close.rolling(10).mean().shift(1))
    return features.assign(distance=bars["close"] / mean - 1)


HONEST = {"ret": 2, "distance": 11}


def planted(change):
    """The honest features with column `ret` replaced, symbol by symbol."""

    def compute(bars):
        features = honest(bars)
        features["ret"] = features.groupby("symbol")["ret"].transform(change)
        return features

    return compute


def butterworth(x):
    taps = signal.butter(3, 0.2)
    return signal.filtfilt(*taps, x.fillna(0)) if len(x) > 20 else x


LEAKS = {
    "shift by minus one": (planted(lambda x: x.shift(-1)), {"truncation", "scrambling"}),
    "centred window": (
        planted(lambda x: x.rolling(5, center=True).mean()),
        {"truncation", "scrambling"},
    ),
    "full-sample scaler": (
        planted(lambda x: (x - x.mean()) / x.std()),
        {"truncation", "scrambling", "start"},
    ),
    "full-sample rank": (planted(lambda x: x.rank(pct=True)), {"truncation", "scrambling"}),
    "back-fill of the warm-up": (planted(lambda x: x.rolling(30).mean().bfill()), {"truncation"}),
    "two-sided filter": (planted(butterworth), {"truncation", "scrambling"}),
    "two-sided smoother": (
        planted(lambda x: np.convolve(x.fillna(0), np.ones(5) / 5)[2:][: len(x)]),
        {"truncation", "scrambling"},
    ),
    "running total since the start": (planted(lambda x: x.cumsum()), {"start"}),
    "average that never forgets": (planted(lambda x: x.expanding().mean()), {"start"}),
}


@pytest.mark.parametrize("name", LEAKS)
def test_planted_leaks_are_caught_and_named(name):
    compute, checks = LEAKS[name]
    leaks = find_leaks(compute, panel(), HONEST)
    assert {leak.column for leak in leaks} == {"ret"}
    assert {leak.check for leak in leaks} >= checks
    assert all(leak.values > 0 for leak in leaks)


def test_back_fill_over_a_gap_is_caught():
    """Rows on dates that a symbol missed can only come from its later bars."""

    def filled(bars):
        wide = bars.pivot(index="timestamp", columns="symbol", values="close").bfill()
        return wide.stack().rename("close").reset_index()

    leaks = find_leaks(filled, panel(), {})
    assert "rows" in {leak.column for leak in leaks}
    assert "S2" in {leak.symbol for leak in leaks}


def test_a_bar_labelled_before_it_ends_is_caught():
    """Weeks labelled by their first day show the whole week to that day."""

    def weekly(bars):
        week = bars["timestamp"].dt.tz_localize(None).dt.to_period("W")
        last = bars.groupby(["symbol", week])["close"].transform("last")
        return bars[["timestamp", "symbol"]].assign(week=last)

    assert {leak.check for leak in find_leaks(weekly, panel(), {})} >= {"truncation"}


def test_a_lookback_that_lies_is_caught():
    leaks = find_leaks(honest, panel(), HONEST | {"distance": 10})
    assert [(leak.check, leak.column) for leak in leaks] == [("start", "distance")] * 3


def test_honest_features_raise_no_alarm():
    assert find_leaks(honest, panel(), HONEST) == []


@given(wild_bars(min_bars=280, max_bars=330, max_symbols=4), st.integers(0, 9))
@settings(max_examples=5)
@pytest.mark.slow
def test_the_catalog_raises_no_alarm(bars, seed):
    assert find_leaks(compute_features, bars, LOOKBACKS, count=2, seed=seed) == []


def leaks_of(compute, bars, **experiments):
    examined = examine(lambda some: {FEATURES: compute(some)}, bars, **experiments)
    return [leak for each in examined for leak in each.leaks]


def test_a_leak_says_what_where_and_how_much():
    bars = panel()
    compute, _ = LEAKS["shift by minus one"]
    leak = leaks_of(compute, bars, truncate=[bars["timestamp"].unique()[200]])[0]
    assert leak.timestamp == bars["timestamp"].unique()[199]
    assert leak.values == 3
    text = str(leak)
    assert text.startswith("features, truncation: ret of S0 at 2020-07-23 00:00 is ")
    assert "but nan when the bars end before 2020-07-24 00:00 (3 values differ)" in text


def test_the_noise_is_possible_bars_and_leaves_the_past():
    bars = panel()
    cut = even_dates(bars, 1)[0]
    noisy = scrambled(bars, cut, seed=3)
    past = bars["timestamp"] < cut
    pd.testing.assert_frame_equal(check_bars(noisy), noisy)
    pd.testing.assert_frame_equal(noisy[past], bars[past])
    assert (noisy.loc[~past, "close"] != bars.loc[~past, "close"]).all()
    pd.testing.assert_frame_equal(noisy, scrambled(bars, cut, seed=3))


def test_even_dates_split_the_bars():
    bars = panel(330)
    stamps = bars["timestamp"].unique()
    assert even_dates(bars, 2) == [stamps[110], stamps[220]]
    assert even_dates(bars[:1], 3) == []
    at_gaps = backfill_dates(bars, 3)
    assert stamps[2] in at_gaps
    assert stamps[171] in at_gaps  # S2 trades again


def test_a_symbol_listed_after_the_start_needs_no_lookback():
    """Nothing of it was cut, so its young values count."""
    bars = panel()
    young = bars["timestamp"].unique()[39]

    def since_listing(rows):
        return honest(rows).assign(age=rows.groupby("symbol").cumcount().astype(float))

    leaks = leaks_of(since_listing, bars, starts=[young], lookbacks={"age": 5})
    assert leaks[0].symbol != "S1"
    assert leaks[0].column == "age"
