"""Quality of files and stores: all that is wrong is listed, and the rest examined without it."""

import re
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from trading_pipeline.adapters.store.bars import ACTIONS_FILE
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import BarsError, SourceError
from trading_pipeline.steps.quality import examine_files, examine_store, write_quality
from trading_pipeline_tests.core.market.planted import clean_bars, scaled

BARS = clean_bars(240)


def test_every_broken_rule_of_every_file_is_listed(tmp_path):
    """`check_bars` stops at the first; whoever has to mend a file wants to know them all."""
    first, second = BARS.iloc[:400].copy(), BARS.iloc[400:].copy()
    first.loc[3, "volume"] = -1
    second.loc[405, "close"] = float("nan")
    second = pd.concat([second, BARS.iloc[[10]]])
    first.to_parquet(tmp_path / "a.parquet", index=False)
    second.to_parquet(tmp_path / "b.parquet", index=False)
    quality = examine_files(tmp_path)
    texts = [each.text for each in quality.severe]
    assert len(texts) == 3
    assert any("a.parquet: row 3 (" in text for text in texts)
    assert any("b.parquet: row 5 (" in text for text in texts)
    assert any("its files one after the other: row" in text for text in texts)
    assert quality.bars == len(BARS) - 2


def test_actions_beside_the_bars_explain_a_split(tmp_path):
    split = scaled(BARS, "BBB", 100, 0.1)
    split.to_parquet(tmp_path / "bars.parquet", index=False)
    assert [each.kind for each in examine_files(tmp_path).severe] == ["unit"]
    stamp = BARS["timestamp"].unique()[100]
    action = {"timestamp": [stamp], "symbol": ["BBB"], "kind": ["split"], "value": [10.0]}
    pd.DataFrame(action).to_parquet(tmp_path / ACTIONS_FILE, index=False)
    assert examine_files(tmp_path).findings == ()


def test_bars_stamped_with_midnight_in_new_york_are_of_their_session(tmp_path):
    stamps = BARS["timestamp"].dt.tz_localize(None).dt.tz_localize("America/New_York")
    BARS.assign(timestamp=stamps).to_parquet(tmp_path / "bars.parquet", index=False)
    assert [each.kind for each in examine_files(tmp_path).findings] == ["adjusted"]


@pytest.mark.slow
def test_a_store_of_extended_hours_is_told_that_its_years_are_longer(home):
    """15 bars a day and not 7: every annual figure of such a market would be wrong."""
    days = BARS["timestamp"].unique()
    hours = pd.timedelta_range("9h", periods=15, freq="h")
    stamps = pd.DatetimeIndex([day + hour for day in days for hour in hours])
    rows = {"timestamp": stamps, "symbol": "AAA", "volume": 1.0}
    bars = pd.DataFrame(rows | dict.fromkeys(("open", "high", "low", "close"), 10.0))
    market = Market(
        name="m",
        source="parquet",
        symbols=("AAA",),
        start=stamps[0].date(),
        end=stamps[-1].date() + timedelta(days=1),
        timeframe="1h",
    )
    home.bars(market).merge(check_bars(bars), stamps[-1])
    (pace,) = (each for each in examine_store(home, market).findings if each.kind == "pace")
    count = int(re.search(r"measured_bars_per_year = (\d+)", pace.text)[1])
    assert count == pytest.approx(15 * 252, rel=0.02)
    told = replace(market, measured_bars_per_year=count)
    assert "pace" not in [each.kind for each in examine_store(home, told).findings]


def test_what_cannot_be_examined_is_refused(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        examine_files(tmp_path / "none.parquet")
    path = tmp_path / "bars.parquet"
    BARS.drop(columns="close").to_parquet(path, index=False)
    with pytest.raises(BarsError, match="lacks column close"):
        examine_files(path)
    BARS.assign(volume=-1.0).to_parquet(path, index=False)
    with pytest.raises(BarsError, match="no row obeys the rules: 960 rows: volume is negative"):
        examine_files(path)


def test_the_report_is_written_as_text_table_and_picture(tmp_path):
    scaled(BARS, "BBB", 100, 100).to_parquet(tmp_path / "bars.parquet", index=False)
    quality = examine_files(tmp_path / "bars.parquet")
    text, page, table, picture = write_quality(tmp_path / "out", quality)
    assert "unit of the price" in " ".join(text.read_text().split())
    assert "unit of the price" in page.read_text(encoding="utf-8")
    rows = pd.read_csv(table)
    assert rows["kind"].tolist() == [each.kind for each in quality.findings]
    assert pd.Timestamp(rows["first"][0]) == quality.findings[0].first
    assert picture.read_bytes().startswith(b"\x89PNG")
