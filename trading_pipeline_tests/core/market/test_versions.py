"""Versions of bars in memory, against a full copy of every state there was."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import check_bars, empty_bars
from trading_pipeline.core.market.versions import (
    INGESTED,
    as_known,
    empty_revisions,
    joined,
    merge_versions,
)

FIRST, DAY = pd.Timestamp("2024-01-29", tz="UTC"), pd.Timedelta(days=1)
START, MINUTE = pd.Timestamp("2024-03-01", tz="UTC"), pd.Timedelta(minutes=1)
DAYS = 4

keys = st.tuples(st.integers(0, DAYS - 1), st.sampled_from(["AAA", "BBB"]))
prices = st.dictionaries(keys, st.sampled_from([10.0, 11.0]), max_size=8)
spans = st.none() | st.tuples(st.integers(0, DAYS), st.integers(0, DAYS)).map(sorted)
extras = st.sampled_from([{}, {"vwap": 10.0}, {"vwap": np.nan, "trade_count": 7}])
merges = st.tuples(prices, spans, extras, st.integers(0, 1))  # at the same instant, or later


def table(prices, extra):
    rows = [(FIRST + day * DAY, symbol, price) for (day, symbol), price in prices.items()]
    if not rows:
        return empty_bars()
    bars = pd.DataFrame(rows, columns=["timestamp", "symbol", "close"]).assign(volume=5.0, **extra)
    return check_bars(bars.assign(open=bars["close"], high=bars["close"], low=bars["close"]))


def values(bars):
    days = (bars["timestamp"] - FIRST) // DAY
    return dict(zip(zip(days, bars["symbol"], strict=True), bars["close"], strict=True))


@settings(max_examples=15)
@given(st.lists(merges, min_size=1, max_size=6))
@pytest.mark.slow
def test_every_state_can_be_told_again(merges):
    bars = empty_bars().assign(**{INGESTED: pd.Series([], dtype="datetime64[us, UTC]")})
    revisions, now, state, copies = empty_revisions(), START, {}, {START - MINUTE: empty_bars()}
    for price, days, extra, later in merges:
        now += later * MINUTE
        span = None if days is None else tuple(FIRST + day * DAY for day in days)
        before, state = state, dict(state)
        if days is not None:
            state = {key: p for key, p in state.items() if not days[0] <= key[0] < days[1]}
        state |= price
        merged = merge_versions(bars, table(price, extra), span, now)
        bars = merged.bars
        revisions = pd.concat([revisions, merged.revisions], ignore_index=True)

        assert values(bars) == state
        assert merged.added == len(state.keys() - before.keys())
        assert merged.removed == len(before.keys() - state.keys())
        assert merged.is_news == bool(merged.added or merged.changed or merged.removed)
        touched = {k for k in before.keys() | state.keys() if before.get(k) != state.get(k)}
        if touched:
            assert merged.first_changed <= FIRST + min(day for day, _ in touched) * DAY
        copies[now] = joined([bars])
    for at, copy in copies.items():
        for instant in (at, at + MINUTE / 2):
            pd.testing.assert_frame_equal(as_known([bars], revisions, instant), copy)


def test_the_same_bars_again_are_no_news():
    bars = table({(0, "AAA"): 10.0, (1, "AAA"): 11.0}, {"vwap": np.nan})
    stored = bars.assign(**{INGESTED: START})
    merged = merge_versions(stored, bars, (FIRST, FIRST + 9 * DAY), START + MINUTE)
    assert (merged.is_news, merged.unchanged, len(merged.revisions)) == (False, 2, 0)
    pd.testing.assert_frame_equal(merged.bars[[*bars, INGESTED]], stored)


def test_losing_a_column_is_a_change_of_every_bar():
    """The month has only columns that all its bars have; the old version still had it."""
    stored = table({(0, "AAA"): 10.0, (1, "AAA"): 10.0}, {"vwap": 10.0}).assign(**{INGESTED: START})
    merged = merge_versions(stored, table({(2, "AAA"): 10.0}, {}), None, START + MINUTE)
    assert (merged.added, merged.changed, merged.unchanged) == (1, 2, 0)
    assert "vwap" not in merged.bars
    assert merged.revisions["optional"].tolist() == ["vwap", "vwap"]
