"""Ranks and breadth, date by date."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trading_pipeline.core.features.catalog import CATALOG, compute_features
from trading_pipeline.core.features.families.cross_section import (
    RANKED,
    positive_share,
    ranks,
)
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline_tests.core.features.wild_bars import bars_of, together

VALUES = st.one_of(st.just(np.nan), st.sampled_from([0.0, 1.0, 2.0]), st.floats(-5, 5, width=32))
ROWS = hnp.arrays(np.float32, st.integers(0, 40), elements=VALUES)


def dates_of(size):
    """Dates of 10 rows, the last one shorter."""
    return np.append(np.arange(0, size, 10), size).astype(np.int64)


@given(ROWS)
def test_ranks_equal_pandas(values):
    starts = dates_of(values.size)
    date = pd.Series(np.arange(values.size) // 10)
    rank = pd.Series(values).groupby(date).rank(method="average")
    count = pd.Series(values).groupby(date).transform("count")
    expected = ((rank - 1) / (count - 1) - 0.5).where(count >= MIN_CROSS_SECTION)
    np.testing.assert_allclose(ranks(values, starts, MIN_CROSS_SECTION), expected, atol=1e-12)


@given(ROWS)
def test_shares_equal_pandas(values):
    date = pd.Series(np.arange(values.size) // 10)
    known = pd.Series(values).dropna()
    expected = (known > 1e-6).groupby(date).mean().reindex(date.unique())
    np.testing.assert_allclose(positive_share(values, dates_of(values.size)), expected)


def test_a_rank_worked_by_hand():
    """Nine values, the two highest equal: they share (7 + 8) / 2 of 8."""
    values = np.array([3, 1, 2, 9, 5, 4, 9, 0, np.nan, 6], dtype=np.float32)
    got = ranks(values, np.array([0, 10]), 8)
    expected = np.array([3, 1, 2, 7.5, 5, 4, 7.5, 0, np.nan, 6]) / 8 - 0.5
    np.testing.assert_allclose(got, expected)


def panel(symbols, size=280):
    return together([bars_of("calm", size, seed, f"S{seed}") for seed in range(symbols)])


def test_seven_symbols_have_no_ranks_and_eight_have():
    for symbols, missing in ((7, 1.0), (8, 0.0)):
        last = compute_features(panel(symbols)).iloc[-symbols:]
        assert (last["rank_missing"] == missing).all()
        assert (last[list(RANKED)].isna() == bool(missing)).all(axis=None)


def test_the_mask_is_set_where_a_single_rank_is_missing():
    """Ten symbols, one of them too young for its momentum to be ranked."""
    bars = panel(10)
    young = (bars["symbol"] == "S3") & (bars["timestamp"] < bars["timestamp"].unique()[150])
    features = compute_features(bars[~young].reset_index(drop=True))
    last = features.iloc[-10:].set_index("symbol")
    assert last["rank_missing"].to_dict() == {f"S{n}": float(n == 3) for n in range(10)}
    assert not np.isnan(last.loc["S3", "rank_ret_5"])
    assert np.isnan(last.loc["S3", "rank_momentum"])


def test_ranks_are_of_the_stored_columns():
    features = compute_features(panel(9))
    for feature in CATALOG:
        if feature.name not in RANKED:
            continue
        column = features[feature.parameters["column"]]
        rank = column.groupby(features["timestamp"]).rank()
        known = features[feature.name].notna()
        np.testing.assert_allclose(features[feature.name][known], (rank[known] - 1) / 8 - 0.5)
        assert known.sum() == 9 * (280 - feature.lookback + 1)
