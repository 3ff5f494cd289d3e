"""Revisions as a person reads them."""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.revisions import REMOVED, newest_changes
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
