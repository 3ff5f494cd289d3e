"""What the command line runs: only what is not up to date, and refusals with their reason."""

import os
from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.leakage.experiment import Examined, Leak
from trading_pipeline.defs.instance import PROCESS_TAG, this_process
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.defs.runs import Runner, backtest, download, landed, runner, train
from trading_pipeline.errors import (
    HistoryTooShort,
    SourceUnavailable,
    StoreError,
    TradingPipelineError,
    UnknownSymbol,
)
from trading_pipeline.steps import leakage
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.defs.short_market import MARKET as FIVE_MONTHS
from trading_pipeline_tests.defs.short_market import FakeSources, TableSource
from trading_pipeline_tests.fakes.table import TableVenue

# Every day is a partition, and every partition some events: seven weeks are enough here.
MARKET = replace(FIVE_MONTHS, start=date(2000, 5, 30), end=date(2000, 7, 15))
PLAN = Plan(MARKET, preset="tiny")
ALL_DAYS = ("2000-05-30", "2000-07-14")
DAY = pd.Timestamp("2000-06-01", tz="UTC")
LEAKING = Examined(
    "features", "scrambling", "", 1, (Leak("features", "scrambling", "x", "A", DAY, 1, 2, DAY, 1),)
)


@pytest.fixture(scope="module")
def sample_bars(sample_bars):
    return sample_bars[sample_bars["timestamp"].between(*ALL_DAYS)].reset_index(drop=True)


@pytest.fixture
def run_on(home, instance, resources):
    """Makes a runner whose source holds these bars."""

    def make(bars: pd.DataFrame) -> Runner:
        sources = FakeSources(TableSource(bars))
        resources["sources"] = dg.ResourceDefinition.hardcoded_resource(sources)
        shared = dg.Definitions(resources=resources, executor=dg.in_process_executor)
        definitions = dg.Definitions.merge(shared, market_definitions(PLAN))
        return Runner(definitions, instance, home, sources)

    return make


@pytest.mark.slow
def test_a_download_does_what_is_missing_and_repairs_what_was_deleted(run_on, sample_bars, home):
    run = run_on(sample_bars)
    assert download(run, PLAN) == ALL_DAYS
    assert download(run, PLAN) is None
    assert run.instance.get_runs(limit=1)[0].tags[PROCESS_TAG] == this_process()
    home.features(MARKET).path.unlink()
    assert download(run, PLAN) == ALL_DAYS
    assert len(home.features(MARKET).read()) == len(sample_bars)
    (home.bars(MARKET).folder / "2000-05.parquet").unlink()
    assert download(run, PLAN) == ALL_DAYS
    pd.testing.assert_frame_equal(home.bars(MARKET).read(), sample_bars)


@pytest.mark.long
@pytest.mark.slow
def test_what_failed_its_checks_is_not_up_to_date(run_on, sample_bars, monkeypatch):
    """Features are recorded before their check runs: the next command must not take them."""
    run = run_on(sample_bars)
    with monkeypatch.context() as patch:
        patch.setattr(leakage, "examine_bars", lambda *_, **__: [LEAKING])
        for _ in range(2):
            with pytest.raises(TradingPipelineError, match="features_do_not_look_ahead"):
                download(run, PLAN)
    assert download(run, PLAN) == ALL_DAYS
    assert download(run, PLAN) is None


@pytest.mark.long
@pytest.mark.slow
def test_a_kill_between_bars_and_features_is_repaired(run_on, sample_bars, home):
    """Bars were replaced, their features were not: the bars alone look up to date."""
    download(run_on(sample_bars), PLAN)
    revised = sample_bars.assign(volume=sample_bars["volume"] * 2)
    home.bars(MARKET).merge(revised, datetime.now(UTC))
    run = run_on(revised)
    assert download(run, PLAN) == ALL_DAYS
    assert download(run, PLAN) is None


@pytest.mark.long
@pytest.mark.slow
def test_a_bar_that_the_source_took_back_is_removed(run_on, sample_bars, home):
    download(run_on(sample_bars), PLAN)
    fewer = sample_bars.drop(index=[40]).reset_index(drop=True)
    run = run_on(fewer)
    assert download(run, PLAN) == ALL_DAYS
    pd.testing.assert_frame_equal(home.bars(MARKET).read(), fewer)
    assert len(home.features(MARKET).read()) == len(fewer)
    assert download(run, PLAN) is None


def test_bars_outside_the_settings_are_not_read(sample_bars, home):
    """Moving `end` back holds the later bars out."""
    home.bars(MARKET).merge(sample_bars, datetime.now(UTC))
    home.bars(MARKET).write_actions(None)
    earlier = replace(MARKET, end=date(2000, 6, 1))
    assert read_panel(home, earlier).timestamps[-1] == pd.Timestamp("2000-05-31", tz="UTC")


def test_a_damaged_month_is_named_and_not_overwritten(run_on, sample_bars, home):
    run = run_on(sample_bars)
    home.bars(MARKET).merge(sample_bars, datetime.now(UTC))
    path = home.bars(MARKET).folder / "2000-05.parquet"
    path.write_bytes(b"PAR1 half of")
    with pytest.raises(StoreError, match=r"2000-05\.parquet.*Delete it"):
        download(run, PLAN)
    assert path.read_bytes() == b"PAR1 half of"


@pytest.mark.slow
def test_a_failed_check_is_the_error(run_on, sample_bars):
    """Sessions that nobody has are nobody's own gap: with what is left, nothing can be traded."""
    holed = sample_bars[~sample_bars["timestamp"].between("2000-06-14", "2000-07-04")]
    with pytest.raises(TradingPipelineError, match=r"no_session_is_missing .*2000-06-14"):
        download(run_on(holed.reset_index(drop=True)), PLAN)


@pytest.mark.slow
def test_a_bar_on_a_weekend_of_new_york_is_not_stored(run_on, sample_bars, home):
    """And the rest of the market is, though the source that has such a bar sets nothing aside."""
    stray = sample_bars.copy()
    stray.loc[4, "timestamp"] = pd.Timestamp("2000-06-03", tz="UTC")
    assert download(run_on(stray), PLAN)
    assert len(home.bars(MARKET).read()) == len(stray) - 1


def test_an_unknown_symbol_is_refused_before_anything_runs(run_on, sample_bars):
    run = run_on(sample_bars[sample_bars["symbol"] == "IBM"].reset_index(drop=True))
    with pytest.raises(UnknownSymbol, match="AAPL"):
        download(run, PLAN)
    assert not run.instance.get_runs()


def test_nothing_is_trained_or_tested_on_an_empty_home(run_on, sample_bars):
    run = run_on(sample_bars)
    for command in (lambda: train(run, PLAN), lambda: backtest(run, PLAN, 1e5)):
        with pytest.raises(StoreError, match="run `trading-pipeline download --market test`"):
            command()


@pytest.mark.slow
def test_too_short_a_history_is_refused_before_training(run_on, sample_bars):
    run = run_on(sample_bars)
    download(run, PLAN)
    with pytest.raises(HistoryTooShort, match=r"33 bars .* are needed"):
        train(run, PLAN)


@pytest.mark.parametrize(
    ("pool", "work"), [("duckdb", "working on the features"), ("training", "training")]
)
@pytest.mark.slow
def test_who_holds_the_pool_is_named(pool, work, home, sample_bars, no_dagster_home):
    """A run of the web UI may take minutes; the command that waits for it must say so."""
    said: list[str] = []
    sources = FakeSources(TableSource(sample_bars))
    with runner(dg.Definitions(), home, sources, said.append) as run:
        log = run.instance.event_log_storage
        log.initialize_concurrency_limit_to_default(pool)
        log.claim_concurrency_slot(pool, "0123456789", "test__features")
    assert not said
    with runner(dg.Definitions(), home, sources, said.append):
        pass
    assert len(said) == 1
    assert f"run 01234567 of the web UI or the daemon is {work};" in said[0]


def assets_made(run, since):
    """Last parts of the keys of the assets that the runs after the first `since` made."""
    runs = run.instance.get_runs()
    return [
        sorted(
            {
                record.event_log_entry.get_dagster_event().asset_key.path[-1]
                for record in run.instance.get_records_for_run(
                    each.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
                ).records
            }
        )
        for each in runs[: len(runs) - since][::-1]
    ]


@pytest.mark.long
@pytest.mark.slow
def test_a_venue_without_news_costs_no_features(run_on, sample_bars, home):
    """Its bars are asked for and checked; what is computed from them is left as it is."""
    run = run_on(sample_bars)
    venue = TableVenue(sample_bars, datetime.now(UTC), calendar="XNYS")
    run.sources.source = venue
    assert download(run, PLAN) == ALL_DAYS
    newest = (ALL_DAYS[1], ALL_DAYS[1])
    assert download(run, PLAN) == newest
    assert assets_made(run, since=1) == [["corporate_actions", "raw_bars"]]
    assert download(run, PLAN, refetch=True) == newest

    venue.table = sample_bars.assign(volume=sample_bars["volume"].where(sample_bars.index != 9, 1))
    before = home.features(MARKET).read()
    assert download(run, PLAN, refetch=True) == newest
    assert assets_made(run, since=3) == [["corporate_actions", "raw_bars"], ["features"]]
    assert not home.features(MARKET).read().equals(before)
    assert landed(run, MARKET).changed == 1
    assert landed(run, MARKET).severe == 0
    before = landed(run, MARKET).warnings

    venue.table = with_a_tick(sample_bars)
    download(run, PLAN, refetch=True)
    assert landed(run, MARKET).severe == 2  # there and back
    assert landed(run, MARKET).warnings == before


def with_a_tick(bars):
    """One bar of AAPL at a hundred times its price."""
    prices = ["open", "high", "low", "close"]
    stamp = pd.Timestamp("2000-07-05", tz="UTC")
    bad = (bars["symbol"] == "AAPL") & (bars["timestamp"] == stamp)
    return bars.assign(**{name: bars[name].where(~bad, bars[name] * 100) for name in prices})


@pytest.mark.long
@pytest.mark.slow
def test_a_venue_whose_bars_fail_their_check_gets_no_features(run_on, sample_bars):
    run = run_on(sample_bars)
    venue = TableVenue(sample_bars, datetime.now(UTC), calendar="XNYS")
    run.sources.source = venue
    download(run, PLAN)
    # A week that nobody has: no more than a halt explains, so that the answer itself is believed.
    week = sample_bars["timestamp"].between("2000-06-05", "2000-06-09")
    venue.table = sample_bars[~week].reset_index(drop=True)
    (run.home.bars(MARKET).folder / "2000-06.parquet").unlink()
    with pytest.raises(TradingPipelineError, match="no_session_is_missing"):
        download(run, PLAN)
    assert assets_made(run, since=1)[-1][-1] == "raw_bars"


@pytest.mark.long
@pytest.mark.slow
def test_bars_come_though_corporate_actions_do_not(run_on, sample_bars, home):
    """Kept is what was known; nothing goes on with bars that a split may have changed since."""
    run = run_on(sample_bars)
    events = SampleSource().actions(list(MARKET.symbols))
    split = pd.Timestamp("2000-06-21", tz="UTC")  # Apple, two for one
    before = sample_bars[sample_bars["timestamp"] < split].reset_index(drop=True)
    venue = TableVenue(before, datetime.now(UTC), calendar="XNYS")
    venue.actions = lambda symbols: events[events["timestamp"] < split]
    run.sources.source = venue
    plan = replace(PLAN, market=replace(MARKET, end=split.date()))
    download(run, plan)
    features = home.features(MARKET).read()
    known = home.bars(MARKET).folder / "corporate_actions.parquet"
    os.utime(known, (split.timestamp(), split.timestamp()))

    venue.table, venue.actions = sample_bars, refusing(SourceUnavailable("no actions today"))
    download(run, PLAN)
    pd.testing.assert_frame_equal(home.bars(MARKET).read(), sample_bars)
    pd.testing.assert_frame_equal(home.features(MARKET).read(), features)
    told = landed(run, MARKET).failed
    assert list(told) == ["splits and dividends"]
    assert "no actions today" in told["splits and dividends"]
    assert "those of 2000-06-21 00:00 UTC stay" in told["splits and dividends"]
    assert assets_made(run, since=1) == [["raw_bars"]]
    panel = read_panel(home, MARKET)
    assert panel.timestamps[-1] == before["timestamp"].max()
    assert not panel.total_return_units
    download(run, PLAN)  # and again: nothing has changed
    assert "those of 2000-06-21" in landed(run, MARKET).failed["splits and dividends"]
    with pytest.raises(StoreError, match="splits and dividends"):
        run.run(
            "test_download", tags=range_tags(*ALL_DAYS), only=[dg.AssetKey(["test", "features"])]
        )

    venue.actions = lambda symbols: events
    download(run, PLAN)
    assert not landed(run, MARKET).failed
    assert len(home.features(MARKET).read()) == len(sample_bars)
    panel = read_panel(home, MARKET)
    assert panel.timestamps[-1] == sample_bars["timestamp"].max()
    assert (panel.split == 2).sum() == 1


@pytest.mark.slow
def test_a_first_download_without_corporate_actions_takes_no_price_for_adjusted(
    run_on, sample_bars, home
):
    run = run_on(sample_bars)
    venue = TableVenue(sample_bars, datetime.now(UTC), calendar="XNYS")
    venue.actions = refusing(SourceUnavailable("no actions today"))
    run.sources.source = venue
    download(run, PLAN)
    assert len(home.bars(MARKET).read()) == len(sample_bars)
    assert "were never told" in landed(run, MARKET).failed["splits and dividends"]
    with pytest.raises(StoreError, match="splits and dividends of test were never told"):
        train(run, PLAN)


def refusing(error):
    def actions(symbols):
        raise error

    return actions
