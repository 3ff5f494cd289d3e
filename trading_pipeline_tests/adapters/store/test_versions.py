"""Bars as they were known at any instant, against a plain copy of every state there was."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.bars import KEY, check_bars, empty_bars

FIRST = pd.Timestamp("2024-01-29", tz="UTC")  # days 0 to 2 are in January, 3 to 5 in February
DAY, MINUTE = pd.Timedelta(days=1), pd.Timedelta(minutes=1)
START = pd.Timestamp("2024-03-01", tz="UTC")
DAYS = 6

keys = st.tuples(st.integers(0, DAYS - 1), st.sampled_from(["AAA", "BBB"]))
spans = st.none() | st.tuples(st.integers(0, DAYS), st.integers(0, DAYS))
prices = st.dictionaries(keys, st.sampled_from([10.0, 11.0]), max_size=8)
extras = st.sampled_from([{}, {"vwap": 10.0}, {"vwap": np.nan, "trade_count": 7}])


def table(prices, extra):
    rows = [(FIRST + day * DAY, symbol, price) for (day, symbol), price in prices.items()]
    if not rows:
        return empty_bars()
    bars = pd.DataFrame(rows, columns=["timestamp", "symbol", "close"]).assign(volume=5.0, **extra)
    return check_bars(bars.assign(open=bars["close"], high=bars["close"], low=bars["close"]))


@pytest.mark.slow
@settings(max_examples=5)
@given(st.lists(st.tuples(prices, spans, extras), min_size=2, max_size=4))
def test_every_state_can_be_read_back_from_disk(merges):
    """The oracle for values is a dictionary; that of as-known is a full copy of each state."""
    state, copies = {}, [(START - DAY, empty_bars())]
    with tempfile.TemporaryDirectory() as folder:
        store = BarStore(Path(folder))
        for n, (given_prices, days, extra) in enumerate(merges):
            now = START + n * MINUTE
            span = None if days is None else tuple(FIRST + day * DAY for day in sorted(days))
            before = dict(state)
            if span is not None:
                first, last = sorted(days)
                state = {key: p for key, p in state.items() if not first <= key[0] < last}
            state |= given_prices
            merged = store.merge(table(given_prices, extra), now, span)
            stored = store.read()
            pd.testing.assert_frame_equal(
                stored[[*KEY, "close"]], table(state, {})[[*KEY, "close"]]
            )
            assert merged.added == len(given_prices.keys() - before.keys())
            assert merged.removed == len(before.keys() - state.keys())
            same = {k for k in before.keys() & state.keys() if before[k] == state[k]}
            assert merged.changed >= len(before.keys() & state.keys()) - len(same)
            copies.append((now, stored))
        for at, copy in copies:
            for instant in (at, at + MINUTE / 2):
                pd.testing.assert_frame_equal(store.read_as_known(instant), copy)
        middle = (FIRST + 2 * DAY, FIRST + 4 * DAY)
        for at, copy in copies:
            inside = copy["timestamp"].between(*middle, inclusive="left")
            known = store.read_as_known(at, *middle)[[*KEY, "close"]]
            expected = copy[inside].reset_index(drop=True)[[*KEY, "close"]]
            pd.testing.assert_frame_equal(known, expected)


def test_a_revision_keeps_both_values_and_times(tmp_path):
    store, later = BarStore(tmp_path), START + MINUTE
    store.merge(table({(0, "AAA"): 10.0, (1, "AAA"): 10.0, (2, "AAA"): 10.0}, {}), START)
    span = (FIRST + DAY, FIRST + 3 * DAY)
    merged = store.merge(table({(1, "AAA"): 11.0}, {}), later, span)
    assert (merged.changed, merged.removed, merged.first_changed) == (1, 1, FIRST + DAY)
    revisions = store.revisions()
    assert revisions["timestamp"].tolist() == [FIRST + DAY, FIRST + 2 * DAY]
    assert revisions["close"].tolist() == [10.0, 10.0]
    np.testing.assert_array_equal(revisions["new_close"], [11.0, np.nan])
    assert (revisions["ingested_at"] == START).all()
    assert (revisions["revised_at"] == later).all()


def test_a_bar_that_is_the_same_again_keeps_its_time(tmp_path):
    store = BarStore(tmp_path)
    store.merge(table({(0, "AAA"): 10.0}, {}), START)
    store.merge(table({(0, "AAA"): 10.0, (1, "AAA"): 10.0}, {}), START + MINUTE)
    assert len(store.read_as_known(START)) == 1
    assert store.revisions().empty


def test_a_store_from_before_there_were_versions_was_known_for_ever(tmp_path):
    """Such files have no `ingested_at`, pandas wrote them, and the next merge gives them one."""
    store, long_ago = BarStore(tmp_path), pd.Timestamp("1990-01-01", tz="UTC")
    old = table({(0, "AAA"): 10.0, (1, "AAA"): 10.0}, {"vwap": 10.0, "trade_count": 7})
    path = tmp_path / "2024-01.parquet"
    old.to_parquet(path, index=False)
    pd.testing.assert_frame_equal(store.read(), old)
    pd.testing.assert_frame_equal(store.read_as_known(long_ago), old)
    whole = path.read_bytes()
    store.merge(old, START)
    assert path.read_bytes() == whole
    newer = table({(1, "AAA"): 11.0}, {"vwap": 10.0, "trade_count": 7})
    store.merge(newer, START)
    assert pd.read_parquet(path)["ingested_at"].tolist() == [pd.NaT, START]
    pd.testing.assert_frame_equal(store.read_as_known(long_ago), old)
    assert store.read_as_known(START)["close"].tolist() == [10.0, 11.0]
