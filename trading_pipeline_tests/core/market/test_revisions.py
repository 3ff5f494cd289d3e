"""Revisions as a person reads them."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.revisions import REMOVED, contradictions, newest_changes
from trading_pipeline.core.market.versions import empty_revisions, merge_versions
from trading_pipeline_tests.synthetic import panel

BARS = check_bars(panel(6))
FIRST, SECOND = (pd.Timestamp(day, tz="UTC").as_unit("us") for day in ("2021-01-01", "2021-01-02"))


def revised(change, span=None):
    stored = BARS.assign(ingested_at=FIRST)
    return merge_versions(stored, change(BARS.copy()), span, SECOND).revisions


def test_only_the_numbers_that_differ_are_listed():
    def change(bars):
        bars.loc[3, "volume"] += 1.0
        bars.loc[4, ["close", "volume"]] *= 1.001
        return bars

    told = newest_changes(revised(change), 10)
    assert told["field"].tolist() == ["close", "volume", "volume"]
    newest = told.iloc[0]
    assert (newest["symbol"], newest["bar"]) == (BARS["symbol"][4], BARS["timestamp"][4])
    assert np.isclose(newest["new"] / newest["old"], 1.001)
    assert (newest["stored"], newest["revised"]) == (FIRST, SECOND)
    assert len(newest_changes(revised(change), 2)) == 2


def test_a_removed_bar_is_one_row():
    span = BARS["timestamp"].min(), BARS["timestamp"].max() + pd.Timedelta(days=1)
    told = newest_changes(revised(lambda bars: bars.drop(index=[5]), span), 10)
    assert told[["field", "old"]].values.tolist() == [[REMOVED, BARS["close"][5]]]
    assert told["new"].isna().all()


def test_no_revisions_are_an_empty_table():
    assert newest_changes(empty_revisions(), 5).empty


CLOSE = pd.Timestamp("2024-05-24 20:00", tz="UTC")  # of a Friday, Memorial Day after it


@pytest.mark.parametrize(
    ("name", "revised_at", "is_contradiction"),
    [
        ("volume", CLOSE + pd.Timedelta(minutes=45), False),
        ("vwap", CLOSE + pd.Timedelta(days=1), False),
        ("trade_count", CLOSE + pd.Timedelta(days=3), False),
        # The first night after the long weekend, which settles it.
        ("volume", pd.Timestamp("2024-05-28 20:30", tz="UTC"), False),
        ("volume", pd.Timestamp("2024-06-03 20:30", tz="UTC"), True),
        ("close", CLOSE + pd.Timedelta(minutes=45), True),
        ("bar", CLOSE + pd.Timedelta(minutes=45), True),
    ],
)
def test_a_volume_that_still_grows_takes_nothing_back(name, revised_at, is_contradiction):
    """Alpaca's grows for hours after the close: nobody was told anything wrong."""
    stamp = pd.DatetimeIndex([CLOSE.normalize()]).as_unit("us")
    bars = check_bars(BARS.iloc[:1].assign(timestamp=stamp, vwap=BARS["close"], trade_count=7))
    stored = bars.assign(ingested_at=(CLOSE + pd.Timedelta(minutes=30)).as_unit("us"))
    given = bars.iloc[:0] if name == "bar" else bars.assign(**{name: bars[name] * 1.0001})
    given = (
        given.astype({"trade_count": "int64"})
        if name != "trade_count"
        else bars.assign(trade_count=8)
    )
    if name == "close":
        given = given.assign(high=given["high"] * 2)
    span = CLOSE.normalize(), CLOSE
    merged = merge_versions(stored, given, span, revised_at)
    assert len(merged.revisions) == 1
    assert merged.is_news  # features of it are computed again
    found = contradictions(merged.revisions, trading_calendar("XNYS", "1d"))
    assert len(found) == is_contradiction


def test_no_revisions_contradict_nothing():
    assert contradictions(empty_revisions(), trading_calendar("24/7", "1h")).empty
