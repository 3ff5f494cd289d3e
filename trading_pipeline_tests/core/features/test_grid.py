"""Features laid out by date and symbol."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from trading_pipeline.core.features.catalog import NAMES, compute_features
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline_tests.core.features.wild_bars import bars_of, together, wild_bars


@given(wild_bars(max_bars=60))
@settings(max_examples=15)
@pytest.mark.slow
def test_every_value_lands_on_its_date_and_symbol(bars):
    features = compute_features(bars)
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    symbols = sorted(bars["symbol"].unique())
    grid = feature_grid(features, stamps, symbols)
    assert grid.dtype == np.float32
    assert grid.flags.c_contiguous
    assert grid.shape == (len(stamps), len(symbols), len(NAMES))
    keys = pd.MultiIndex.from_product([stamps, symbols], names=["timestamp", "symbol"])
    dense = features.set_index(["timestamp", "symbol"]).reindex(keys)
    np.testing.assert_array_equal(grid.reshape(-1, len(NAMES)), dense)


def test_the_order_is_the_callers_and_the_rest_is_left_out():
    bars = together([bars_of("calm", 5, seed, name) for seed, name in enumerate("ABC")])
    features = compute_features(bars)[["timestamp", "symbol", "close_location"]].sample(
        frac=1, random_state=1
    )
    stamps = pd.DatetimeIndex(bars["timestamp"].unique()[[3, 1]])
    future = stamps.append(pd.DatetimeIndex(["2030-01-01"], tz="UTC"))
    grid = feature_grid(features, future, ["C", "X", "A"])
    assert grid.shape == (3, 3, 1)
    rows = features.set_index(["timestamp", "symbol"])["close_location"]
    assert grid[0, 0, 0] == rows[stamps[0], "C"]
    assert grid[1, 2, 0] == rows[stamps[1], "A"]
    assert np.isnan(grid[2]).all()
    assert np.isnan(grid[:, 1]).all()
