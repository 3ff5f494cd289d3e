"""Checks of stored bars: what blocks, what warns, and what a person sees."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.defs.assets.market import corporate_actions, raw_bars
from trading_pipeline.defs.checks.market import (
    CHECKS,
    bars_are_plausible,
    history_has_not_changed,
    market_checks,
    no_session_is_missing,
)
from trading_pipeline.defs.jobs import quality_job
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline_tests.defs.short_market import (
    MARKET,
    TableSource,
    resources_of,
    without_days,
)

NOW = datetime.now(UTC)
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@pytest.fixture
def actions():
    return SampleSource().actions(list(MARKET.symbols))


def store(home, bars, actions, now=NOW):
    home.bars(MARKET).merge(bars, now)
    home.bars(MARKET).write_actions(actions)


def test_sessions_that_every_symbol_lacks_block(home, sample_bars, actions):
    store(home, without_days(sample_bars, "2000-06-14", "2000-07-04", MARKET.symbols), actions)
    result = no_session_is_missing(MARKET)(home=home)
    assert not result.passed
    assert result.severity == ERROR
    assert "every symbol lacks more than 1%" in result.description
    assert "IBM: 14: 2000-06-14" in result.description


def test_a_single_missing_session_is_reported_and_does_not_block(home, sample_bars, actions):
    store(home, without_days(sample_bars, "2000-06-14", "2000-06-14"), actions)
    result = no_session_is_missing(MARKET)(home=home)
    assert result.passed
    assert result.description is None
    assert result.metadata["missing"].value == {"IBM": "1: 2000-06-14"}


@pytest.mark.slow
def test_bars_of_closed_days_are_named_by_the_checks_and_reach_no_model(home, sample_bars, actions):
    """They stay in the store, where a person can look at them, and quarantine nobody."""
    closed = {
        day: pd.Timestamp(day, tz="UTC") for day in ("2000-04-21", "2000-05-29", "2000-07-04")
    }
    before = sample_bars[sample_bars["symbol"] == "IBM"].iloc[: len(closed)]
    extra = before.assign(timestamp=pd.DatetimeIndex(list(closed.values())).as_unit("us"))
    store(home, check_bars(pd.concat([sample_bars, extra])), actions)
    result = no_session_is_missing(MARKET)(home=home)
    assert result.passed
    assert result.description is None
    assert result.metadata["quarantined"].value == "none"
    assert "3 bars on a holiday: 2000-04-21" in result.metadata["on_closed_days"].value
    plausible = bars_are_plausible(MARKET)(home=home)
    assert "Nothing severe; 1 warning" in plausible.description
    assert "IBM: 3 bars on a holiday" in plausible.description
    panel = read_panel(home, MARKET)
    assert not panel.timestamps.isin(list(closed.values())).any()
    assert not panel.quarantined.any()


def test_a_store_without_bars_has_nothing_missing(home):
    assert no_session_is_missing(MARKET)(home=home).passed
    empty = bars_are_plausible(MARKET)(home=home)
    assert not empty.passed
    assert "has no bars; run `trading-pipeline download --market test`" in empty.description


@pytest.mark.slow
def test_real_bars_with_their_actions_are_plausible(home, sample_bars, actions):
    store(home, sample_bars, actions)
    result = bars_are_plausible(MARKET)(home=home)
    assert result.passed
    assert "Nothing severe; 0 warnings" in result.description


@pytest.mark.slow
def test_a_first_download_is_judged_by_the_splits_that_come_with_it(home, sample_bars, actions):
    """Apple's split is one, and no amber check of a market that is as it should be."""
    check, resources = (
        bars_are_plausible(MARKET),
        resources_of(home, TableSource(sample_bars, actions)),
    )
    (spec,) = check.check_specs
    assert [each.asset_key for each in spec.additional_deps] == [
        dg.AssetKey(["test", "corporate_actions"])  # else it is chance which of the two comes first
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [raw_bars(MARKET), corporate_actions(MARKET), check],
            tags=range_tags("2000-03-10", "2000-07-31"),
            resources=resources,
            instance=instance,
        )
    judged = {each.check_name: each for each in done.get_asset_check_evaluations()}
    assert judged["bars_are_plausible"].passed, judged["bars_are_plausible"].description


@pytest.mark.slow
def test_a_real_split_that_the_source_withheld_is_found(home, sample_bars):
    """Apple, two for one on 2000-06-21."""
    store(home, sample_bars, None)
    result = bars_are_plausible(MARKET)(home=home)
    assert not result.passed
    assert result.severity == WARN
    assert "AAPL: opens at 1/" in result.description
    assert "a split that the corporate actions lack: 2000-06-21" in result.description


@pytest.mark.slow
def test_a_change_of_unit_warns_and_is_shown(home, sample_bars, actions):
    cents = sample_bars.copy()
    late = (cents["symbol"] == "IBM") & (cents["timestamp"] >= "2000-06-14")
    cents.loc[late, ["open", "high", "low", "close"]] *= 100
    store(home, cents, actions)
    result = bars_are_plausible(MARKET)(home=home)
    assert not result.passed
    assert result.severity == WARN
    assert "IBM: opens at" in result.description
    assert result.metadata["severe"].value == 1
    assert "the unit of the price" in result.metadata["findings"].value
    assert result.metadata["coverage"].value.startswith("![coverage](data:image/svg")
    assert result.metadata["coverage_by_month"].value.startswith("![coverage](data:image/png")


@pytest.mark.parametrize(("days", "passed"), [(1, False), (8, True)])
@pytest.mark.slow
def test_changed_history_warns_for_a_week_and_stays_listed(
    home, sample_bars, actions, days, passed
):
    store(home, sample_bars, actions, NOW - timedelta(days=30))
    assert history_has_not_changed(MARKET)(home=home).passed
    revised = sample_bars.copy()
    revised.loc[11, "volume"] += 100
    store(home, revised, actions, NOW - timedelta(days=days))
    result = history_has_not_changed(MARKET)(home=home)
    assert result.passed == passed
    assert result.severity == WARN
    assert result.metadata["revisions"].value == 1
    assert "volume" in result.metadata["newest"].value
    if not passed:
        assert f"1 bars of {revised['symbol'][11]} were revised" in result.description


@pytest.mark.slow
def test_the_weekly_job_runs_the_checks_and_downloads_nothing(
    resources, instance, home, sample_bars, actions
):
    store(home, sample_bars, actions)
    location = dg.Definitions(
        assets=[raw_bars(MARKET)],
        asset_checks=market_checks(MARKET),
        jobs=[quality_job(MARKET, tuple(("raw_bars", name) for name in CHECKS))],
        resources=resources,
    )
    result = location.resolve_job_def("test_weekly_quality").execute_in_process(instance=instance)
    assert {each.check_name for each in result.get_asset_check_evaluations()} == set(CHECKS)
    assert not result.get_asset_materialization_events()


def test_a_volume_that_still_grows_after_the_close_is_no_alarm(home, sample_bars):
    """Alpaca's day goes on after hours: else every share of every night would be an alarm."""
    bars = sample_bars.iloc[:1].assign(timestamp=pd.Timestamp(NOW).floor("D").as_unit("us"))
    home.bars(MARKET).merge(bars, NOW - timedelta(hours=2))
    home.bars(MARKET).merge(bars.assign(volume=bars["volume"] * 1.01), NOW - timedelta(hours=1))
    result = history_has_not_changed(MARKET)(home=home)
    assert (result.passed, result.description) == (True, None)
    assert result.metadata["revisions"].value == 1
    assert result.metadata["volumes_that_settled"].value == 1
    home.bars(MARKET).merge(bars.assign(high=bars["high"] * 2), NOW)
    result = history_has_not_changed(MARKET)(home=home)
    assert not result.passed
    assert result.description.startswith("1 bars of ")
