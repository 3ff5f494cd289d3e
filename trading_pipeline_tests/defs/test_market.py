import shutil
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.market.bars import empty_bars
from trading_pipeline.core.market.set_aside import Sifted
from trading_pipeline.defs.assets.features import features
from trading_pipeline.defs.assets.market import corporate_actions, raw_bars
from trading_pipeline.defs.checks.features import features_do_not_look_ahead
from trading_pipeline.defs.checks.market import bars_obey_market_invariants, market_checks
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.errors import BarsError, UnknownSymbol
from trading_pipeline.steps.home import Home
from trading_pipeline_tests.defs.short_market import (
    MARKET,
    TableSource,
    resources_of,
    sources_of,
    without_days,
)

DAYS = ("2000-03-10", "2000-07-31")
MAY, JULY = "2000-05-15", "2000-07-17"  # the first days of those fetched, where others are stored


def download(resources, instance, first=JULY, last=DAYS[1], only=None):
    assets = [
        raw_bars(MARKET),
        corporate_actions(MARKET),
        features(MARKET),
        *market_checks(MARKET),
        features_do_not_look_ahead(MARKET),
    ]
    return dg.materialize(
        assets,
        tags=range_tags(first, last),
        resources=resources,
        instance=instance,
        selection=only,
        raise_on_error=False,
    )


@pytest.fixture(scope="module")
def landed(tmp_path_factory, sample_bars):
    """A home with the bars before the 17th of July, and the run that brought the rest."""
    home = Home(root=str(tmp_path_factory.mktemp("landed")))
    home.bars(MARKET).merge(sample_bars[sample_bars["timestamp"] < JULY], datetime.now(UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        yield home, download(resources_of(home, TableSource(sample_bars)), instance)


@pytest.fixture
def stored(landed, home):
    """A copy of that home: every day is a partition, so that a download costs most of a test."""
    shutil.copytree(landed[0].root, home.root, dirs_exist_ok=True)
    return home


def failed_checks(result):
    return {
        each.check_name: each.description
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }


@pytest.mark.slow
def test_one_run_stores_every_day_and_its_features(resources, instance, home, sample_bars):
    result = download(resources, instance, first=DAYS[0])
    assert result.success
    assert {each.check_name for each in result.get_asset_check_evaluations()} >= {
        "bars_obey_market_invariants",
        "features_do_not_look_ahead",
        "every_symbol_was_fetched",
    }
    assert set(failed_checks(result)) == {"bars_are_plausible"}  # a split that the source withheld
    pd.testing.assert_frame_equal(home.bars(MARKET).read(), sample_bars)
    assert len(home.features(MARKET).read()) == len(sample_bars)
    stored = instance.get_materialized_partitions(dg.AssetKey(["test", "features"]))
    assert set(DAYS) <= stored


@pytest.mark.long
@pytest.mark.slow
def test_materializing_days_twice_leaves_one_copy(resources, instance, stored, sample_bars):
    """A night that runs again after a failure must not double its bars."""
    assert download(resources, instance, "2000-07-24").success
    pd.testing.assert_frame_equal(stored.bars(MARKET).read(), sample_bars)
    assert len(stored.features(MARKET).read()) == len(sample_bars)


def test_bars_that_no_market_could_make_are_not_stored(resources, instance, home, sample_bars):
    broken = sample_bars.copy()
    broken.loc[len(broken) - 5, "high"] = broken["low"].min() / 2
    resources["sources"] = sources_of(TableSource(broken))
    result = download(resources, instance)
    assert not result.success
    assert home.bars(MARKET).read().empty
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "high < low" in failure.step_failure_data.error.cause.message


@pytest.fixture
def holed(resources, home, sample_bars, tmp_path):
    """The panel as a file in which one bar of IBM is impossible."""
    table = sample_bars.copy()
    row = table.index[(table["symbol"] == "IBM") & (table["timestamp"] == "2000-06-14")][0]
    table.loc[row, "low"] = 0.0
    path = tmp_path / "panel.parquet"
    table.to_parquet(path, index=False)
    home.bars(MARKET).merge(table[table["timestamp"] < MAY], datetime.now(UTC))
    resources["sources"] = sources_of(ParquetSource(path))
    return path, table, row


@pytest.mark.slow
def test_an_impossible_row_becomes_a_gap_that_is_named(resources, instance, home, holed):
    """And its symbol, of which it is more than one in a thousand, is held out; no other is."""
    path, table, row = holed
    result = download(resources, instance, first=MAY)
    assert result.success
    made = home.bars(MARKET)
    assert len(made.read()) == len(table) - 1
    assert made.set_aside()[["file", "row", "rule"]].to_numpy().tolist() == [
        [str(path), row, "low is not positive"]
    ]
    event = instance.get_latest_materialization_event(dg.AssetKey(["test", "raw_bars"]))
    told = event.asset_materialization.metadata
    assert told["set_aside"].value == 1
    assert "low is not positive" in told["rows_set_aside"].value
    check = evaluation(result, "no_session_is_missing")
    assert check.metadata["missing"].value == {"IBM": "1: 2000-06-14; 1 row set aside"}
    assert "rows of it were set aside" in check.description
    features = home.features(MARKET).read()
    late = features["timestamp"] > pd.Timestamp("2000-06-14", tz="UTC")
    assert features[late & (features["symbol"] == "IBM")]["ret_5"].isna().all()
    assert features[late & (features["symbol"] == "AAPL")]["ret_5"].notna().all()


@pytest.mark.long
@pytest.mark.slow
def test_a_panel_that_was_mended_is_whole_again(resources, instance, home, holed, sample_bars):
    """Features of the days that were held out are computed, though one month's bars changed."""
    path, *_ = holed
    download(resources, instance, first=MAY)
    sample_bars.to_parquet(path, index=False)
    assert download(resources, instance, first=MAY).success
    assert home.bars(MARKET).set_aside().empty
    late = home.features(MARKET).read()
    assert late[late["timestamp"] >= "2000-06-15"]["ret_5"].notna().all()


@pytest.mark.slow
def test_a_store_with_too_many_rows_set_aside_blocks_what_follows(resources, instance, home, holed):
    """Of a venue they come night after night, each night a few."""
    _, table, _ = holed
    many = Sifted.of({"venue": table.assign(symbol="MSFT", volume=-1.0)}).aside[::50]
    download(resources, instance, first=MAY, only=[dg.AssetKey(["test", "raw_bars"])])
    home.bars(MARKET).merge(empty_bars(), datetime(2001, 1, 1, tzinfo=UTC), aside=many)
    told = bars_obey_market_invariants(MARKET)(home=home)
    assert not told.passed
    assert "5 of 202 rows of" in told.description
    assert "(2.48%), and at most 1% may be set aside" in told.description


@pytest.mark.slow
def test_a_stored_bar_that_went_bad_blocks_what_follows(resources, instance, stored):
    """The check reads the files, so it sees what happened to them after they were written."""
    path = stored.bars(MARKET).folder / "2000-05.parquet"
    month = pd.read_parquet(path)
    month.loc[3, "volume"] = -1.0
    month.to_parquet(path, index=False)
    result = download(resources, instance, "2000-07-24")
    assert not result.success
    assert "volume is negative" in failed_checks(result)["bars_obey_market_invariants"]
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert "features" not in made


def evaluation(result, name):
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    return found


@pytest.mark.long
@pytest.mark.slow
def test_a_symbol_that_lacks_sessions_is_quarantined_alone_and_named(
    resources, instance, home, sample_bars
):
    holed = without_days(sample_bars, "2000-06-14", "2000-07-04")
    home.bars(MARKET).merge(holed[holed["timestamp"] < MAY], datetime.now(UTC))
    resources["sources"] = sources_of(TableSource(holed))
    result = download(resources, instance, first=MAY)
    assert result.success
    check = evaluation(result, "no_session_is_missing")
    assert check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "IBM: in quarantine from 2000-07-05 to 2000-07-31, 19 bars" in check.description
    assert "fill them in the source" in check.description
    assert "AAPL" not in check.description
    assert check.metadata["missing"].value == {
        "IBM": "14: 2000-06-14, 2000-06-15, 2000-06-16, 2000-06-19, 2000-06-20 and 9 more"
    }
    features = home.features(MARKET).read()
    late = features["timestamp"] > pd.Timestamp("2000-07-04", tz="UTC")
    assert features[late & (features["symbol"] == "IBM")]["ret_5"].isna().all()
    assert features[late & (features["symbol"] == "AAPL")]["ret_5"].notna().all()


@pytest.mark.slow
def test_a_stored_feature_that_is_not_what_the_bars_give_blocks(stored):
    """Such as one computed by code that looked ahead."""
    store = stored.features(MARKET)
    table = store.read()
    name = table.columns[10]
    table[name] = table.groupby("symbol")[name].shift(-1)
    store.write(table, store.catalog_hash())
    result = features_do_not_look_ahead(MARKET)(home=stored)
    assert not result.passed
    assert f"features, stored: {name} of" in result.description


@pytest.mark.slow
def test_a_feature_that_looks_ahead_blocks(stored, monkeypatch):
    from trading_pipeline.core.learning import dataset

    compute_features = dataset.compute_features

    def leaking(bars, calendar=None):
        table = compute_features(bars, calendar=calendar)
        name = table.columns[5]
        table[name] = table.groupby("symbol")[name].shift(-1)
        return table

    monkeypatch.setattr(dataset, "compute_features", leaking)
    result = features_do_not_look_ahead(MARKET)(home=stored)
    assert not result.passed
    assert result.metadata["leaks"].value > 0
    assert "features, truncation: " in result.description


def test_an_unknown_symbol_is_named(resources, instance, sample_bars):
    resources["sources"] = sources_of(TableSource(sample_bars[sample_bars["symbol"] == "IBM"]))
    result = download(resources, instance)
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert failure.step_failure_data.error.cause.cls_name == UnknownSymbol.__name__
    assert "AAPL" in failure.step_failure_data.error.cause.message


@pytest.mark.slow
def test_a_source_without_actions_is_said_so(landed):
    home, result = landed
    event = result.asset_materializations_for_node("test__corporate_actions")[0]
    assert "total-return units" in event.metadata["note"].value
    assert home.bars(MARKET).read_actions() is None


@pytest.mark.slow
def test_actions_of_the_sample_are_stored(resources, instance, home, sample_bars):
    events = SampleSource().actions(list(MARKET.symbols))
    resources["sources"] = sources_of(TableSource(sample_bars, events))
    assert download(resources, instance).success
    assert len(home.bars(MARKET).read_actions()) == len(events)


def test_check_bars_names_the_source_of_a_bad_bar(sample_bars):
    from trading_pipeline.core.market.bars import check_bars

    doubled = pd.concat([sample_bars, sample_bars.iloc[[7]]])
    with pytest.raises(BarsError, match=r"sample: row \d+, .* duplicate"):
        check_bars(doubled, "sample")
