"""What each feature is said to be made from is what moves it."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.features.catalog import NAMES, compute_features
from trading_pipeline.core.features.inputs import inputs
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline_tests.core.features.wild_bars import bars_of

PRICES = ("open", "high", "low", "close")
# What is read and changes nothing: the true range cancels out of ADX, and a rank that is known
# stays known whatever the numbers are.
UNMOVED = {"close": {"adx_14", "rank_missing"}, "volume": {"rank_missing"}}


@pytest.fixture(scope="module")
def bars():
    """As many shares as ranks need."""
    parts = [bars_of("calm", 300, n, f"S{n}") for n in range(MIN_CROSS_SECTION)]
    return pd.concat(parts).sort_values(["timestamp", "symbol"], ignore_index=True)


@pytest.fixture(scope="module")
def features(bars):
    return compute_features(bars, "XNYS")


def moved(bars: pd.DataFrame, column: str) -> pd.DataFrame:
    """Bars in which one column says something else, row by row, and no rule is broken."""
    noise = np.random.default_rng(7).uniform(0.2, 0.8, len(bars))
    top, bottom = bars[["open", "close"]].max(axis=1), bars[["open", "close"]].min(axis=1)
    others = {
        "open": bars["low"] + noise * (bars["high"] - bars["low"]),
        "close": bars["low"] + noise * (bars["high"] - bars["low"]),
        "high": top * (1 + noise / 50),
        "low": bottom * (1 - noise / 50),
        "volume": bars["volume"] * noise,
        "timestamp": bars["timestamp"] + pd.Timedelta(days=40, hours=3),
    }
    return bars.assign(**{column: others[column]})


@pytest.mark.parametrize("column", [*PRICES, "volume", "timestamp"])
def test_the_features_that_a_column_moves_are_those_that_read_it(bars, features, column):
    after = compute_features(moved(bars, column), "XNYS")
    found = {name for name in NAMES if not after[name].equals(features[name])}
    read = {name for name, columns in inputs().items() if column in columns}
    assert found == read - UNMOVED.get(column, set())
    assert read >= UNMOVED.get(column, set())


def test_every_feature_is_made_from_something():
    assert list(inputs()) == list(NAMES)
    assert all(inputs().values())
    assert inputs()["gap"] == {"open", "close"}
    assert inputs()["time_of_day"] == {"timestamp"}
