"""The night, and what follows when new bars land."""

from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)

from trading_pipeline.core.learning.walkforward import fold_starts
from trading_pipeline.core.market.market import Market, WalkForward
from trading_pipeline.core.market.sessions import exchange
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.defs.assets.rivals import rival_asset
from trading_pipeline.defs.jobs import AGAIN, FOLLOWS, asset_jobs
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.partitions import days, folds, known_days, range_tags
from trading_pipeline.defs.schedules import hour_of_night
from trading_pipeline.steps.freshness import last_closed_day, missing_days
from trading_pipeline.steps.plan import Plan

LIVE = Market(name="live", source="sample", symbols=("IBM",), start=date(2008, 1, 2))
COINS = replace(LIVE, name="coins", calendar="24/7", start=date(2019, 8, 17))
FRIDAY_NIGHT = datetime(2015, 3, 6, 21, 30, tzinfo=UTC)  # half past four in New York


def definitions(market, running=False):
    from trading_pipeline.core.progress import Progress
    from trading_pipeline.steps.home import ConfiguredSources, Home

    shared = dg.Definitions(
        resources={
            "home": Home(root="nowhere"),
            "alerts": Home(root="nowhere").alerts(),
            "brokers": {},
            "sources": dg.ResourceDefinition.hardcoded_resource(ConfiguredSources({})),
            "progress": dg.ResourceDefinition.hardcoded_resource(Progress()),
        }
    )
    return dg.Definitions.merge(shared, market_definitions(Plan(market, nightly=running)))


def land(instance, asset, partitions):
    for partition in partitions:
        key = dg.AssetKey(["live", asset])
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))


def evaluate_schedule(instance, at=FRIDAY_NIGHT, market=LIVE):
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
    schedule = definitions(market).resolve_schedule_def(f"{market.name}_nightly")
    return schedule.evaluate_tick(context)


def test_a_day_has_closed_when_its_market_has():
    assert last_closed_day(LIVE, FRIDAY_NIGHT) == "2015-03-06"
    assert last_closed_day(LIVE, FRIDAY_NIGHT.replace(hour=20)) == "2015-03-05"
    assert last_closed_day(COINS, datetime(2020, 1, 2, 0, 10, tzinfo=UTC)) == "2020-01-01"


def test_the_night_comes_after_the_close_of_the_exchange():
    """Half an hour later on its own clock; ten minutes after midnight where nothing closes."""
    tokyo = replace(LIVE, calendar="XTKS", start=date(2023, 1, 4))
    assert hour_of_night("XNYS") == ("30 16 * * 1-5", "America/New_York")
    assert hour_of_night("XTKS") == ("0 16 * * 1-5", "Asia/Tokyo")
    assert hour_of_night("XSAU") == ("30 15 * * *", "Asia/Riyadh")  # open on Sundays
    assert hour_of_night("24/5") == ("10 0 * * 2-6", "UTC")
    assert hour_of_night("24/7") == ("10 0 * * *", "UTC")
    before, after = (datetime(2023, 3, 6, hour, 45, tzinfo=UTC) for hour in (5, 6))
    assert last_closed_day(tokyo, before) == "2023-03-05"
    assert last_closed_day(tokyo, after) == "2023-03-06"
    assert "2023-03-06" in days(tokyo).get_partition_keys(after)
    assert (
        definitions(tokyo).resolve_schedule_def("live_nightly").execution_timezone == "Asia/Tokyo"
    )


def test_weekdays_close_at_midnight():
    currencies = replace(LIVE, calendar="24/5", start=date(2023, 1, 2))
    assert last_closed_day(currencies, datetime(2023, 3, 7, 0, 10, tzinfo=UTC)) == "2023-03-06"


@pytest.mark.parametrize("calendar", ["XNYS", "XTKS", "XETR", "XASX", "24/5", "24/7"])
def test_days_are_the_sessions_of_the_calendar(calendar):
    """A holiday would be green in the web UI, and have no bars."""
    for end in (None, date(2026, 9, 20)):  # a Sunday
        market = replace(LIVE, calendar=calendar, start=date(2019, 1, 3), end=end)
        keys = days(market).get_partition_keys(datetime(2026, 9, 22, tzinfo=UTC))
        first, last = (pd.Timestamp(day, tz="UTC") for day in (keys[0], keys[-1]))
        open_days = exchange(calendar).sessions.loc[first:last].index
        assert keys == list(open_days.strftime("%Y-%m-%d"))
        assert keys[0] == "2019-01-03" or calendar == "XTKS"


def test_an_exchange_that_is_open_on_sundays_has_partitions_of_them():
    """Riyadh rests on Fridays and Saturdays, and on the 22nd of February, a Wednesday."""
    riyadh = replace(LIVE, calendar="XSAU", start=date(2023, 1, 1))
    keys = days(riyadh).get_partition_keys(datetime(2023, 3, 1, tzinfo=UTC))
    assert keys[:6] == [f"2023-01-0{day}" for day in (1, 2, 3, 4, 5, 8)]
    assert {"2023-02-21", "2023-02-26"} < set(keys)
    assert not {"2023-02-22", "2023-02-24", "2023-02-25"} & set(keys)


def test_a_night_fetches_every_day_since_the_last_that_was_stored():
    """Three nights were missed: one run makes up for all of them."""
    known = [day for day in days(LIVE).get_partition_keys(FRIDAY_NIGHT) if day < "2015-03-03"]
    there, week = known_days(LIVE, FRIDAY_NIGHT), [f"2015-03-0{day}" for day in (3, 4, 5, 6)]
    missing = missing_days(LIVE, there, set(known), FRIDAY_NIGHT)
    assert missing == ("2015-03-03", "2015-03-06")
    assert missing_days(LIVE, there, {*known, *week}, FRIDAY_NIGHT) is None


@pytest.fixture
def on_disk(tmp_path):
    """Schedules want an instance that another process could open."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.mark.slow
def test_the_schedule_asks_for_one_run_over_the_missing_days(on_disk):
    stored = [day for day in days(LIVE).get_partition_keys(FRIDAY_NIGHT) if day < "2015-03-05"]
    land(on_disk, "features", stored[-3:])
    tick = evaluate_schedule(on_disk)
    (request,) = tick.run_requests
    assert request.tags.items() >= range_tags("2008-01-02", "2015-03-06").items()


THANKSGIVING, HALF_DAY = "2024-11-28", "2024-11-29"  # which ends at one o'clock
RECENT = replace(LIVE, start=date(2024, 11, 20))


def half_past_four(day):
    """Of New York, where it is winter."""
    return datetime.fromisoformat(f"{day}T21:30:00+00:00")


@pytest.mark.slow
def test_a_night_without_a_session_is_skipped(on_disk):
    """Thanksgiving is no partition; Friday's half session is."""
    land(on_disk, "features", [f"2024-11-{day}" for day in (20, 21, 22, 25, 26, 27)])
    tick = evaluate_schedule(on_disk, half_past_four(THANKSGIVING), RECENT)
    assert not tick.run_requests
    assert tick.skip_message == "XNYS has no session on 2024-11-28"
    (request,) = evaluate_schedule(on_disk, half_past_four(HALF_DAY), RECENT).run_requests
    assert request.tags.items() >= range_tags(HALF_DAY, HALF_DAY).items()
    land(on_disk, "features", [HALF_DAY])
    tick = evaluate_schedule(on_disk, half_past_four(HALF_DAY), RECENT)
    assert tick.skip_message == "all days of live are stored"


@pytest.mark.slow
def test_nights_that_were_missed_are_made_up_for_on_a_holiday(on_disk):
    """Dagster skips a request whose key it has met, and Wednesday's night has failed with its."""
    land(on_disk, "features", [f"2024-11-{day}" for day in (20, 21, 22, 25)])
    keys = set()
    for day in ("2024-11-27", THANKSGIVING):
        (request,) = evaluate_schedule(on_disk, half_past_four(day), RECENT).run_requests
        assert request.tags.items() >= range_tags("2024-11-26", "2024-11-27").items()
        keys.add(request.run_key)
    assert len(keys) == 2


@pytest.mark.slow
def test_a_market_that_never_closes_has_no_holidays(on_disk):
    coins = replace(RECENT, calendar="24/7")
    land(on_disk, "features", [f"2024-11-{day}" for day in range(20, 28)])
    after_midnight = datetime(2024, 11, 29, 0, 10, tzinfo=UTC)
    (request,) = evaluate_schedule(on_disk, after_midnight, coins).run_requests
    assert request.tags.items() >= range_tags(THANKSGIVING, THANKSGIVING).items()


def test_the_nightly_job_holds_bars_checks_features_and_a_production_model():
    job = definitions(LIVE).resolve_job_def("live_nightly")
    made = {key.path[-1] for key in job.asset_layer.executable_asset_keys}
    assert made == {"raw_bars", "corporate_actions", "features", "production_model"}
    checked = {key.name for key in job.asset_layer.asset_graph.asset_check_keys}
    assert checked >= {"bars_obey_market_invariants", "features_do_not_look_ahead"}


def test_a_night_cannot_be_one_run():
    """Why the sensor exists: days and folds do not fit into one job."""
    everything = dg.define_asset_job("everything", dg.AssetSelection.groups("live"))
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.Definitions.merge(definitions(LIVE), dg.Definitions(jobs=[everything])).resolve_job_def(
            "everything"
        )


@pytest.mark.parametrize("running", [True, False])
def test_nights_start_by_themselves_only_where_the_settings_say_so(running):
    made = definitions(LIVE, running)
    schedule, sensor = (
        made.resolve_schedule_def("live_nightly"),
        made.resolve_sensor_def("live_new_bars"),
    )
    assert (schedule.default_status == dg.DefaultScheduleStatus.RUNNING) == running
    assert (sensor.default_status == dg.DefaultSensorStatus.RUNNING) == running


@pytest.mark.parametrize("test_months", [1, 3, 12])
def test_partitions_and_fold_arithmetic_agree(test_months):
    """Dagster counts folds by cron, training by months: both must name the same days."""
    spans = WalkForward(first_train=24, test=test_months, window=24)
    market = replace(LIVE, walk_forward=spans, start=date(2008, 2, 13), end=date(2012, 5, 20))
    first, last = pd.Timestamp("2008-02-13", tz="UTC"), pd.Timestamp("2012-05-19", tz="UTC")
    expected = [f"{start:%Y-%m-%d}" for start in fold_starts(first, last, spans)]
    assert folds(market).get_partition_keys() == expected


def test_a_fold_learns_from_the_days_before_it_and_predicts_its_own():
    """New Year is a holiday, for which Dagster takes the session before."""
    market = replace(LIVE, end=date(2015, 3, 6))
    upstream = _days_of(market, "model_checkpoint", "2014-01-01")
    assert (upstream[0], upstream[-1]) == ("2008-12-31", "2013-12-31")
    own = _days_of(market, "predictions", "2014-01-01")
    assert (own[0], own[-1]) == ("2013-12-31", "2014-12-31")


def _days_of(market, asset, fold):
    definition = definitions(market).resolve_assets_def(dg.AssetKey([market.name, asset]))
    mapping = definition.get_partition_mapping(dg.AssetKey([market.name, "features"]))
    subset = folds(market).subset_with_partition_keys([fold])
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, folds(market), days(market)
    )
    return sorted(result.partitions_subset.get_partition_keys())


def test_rivals_depend_on_the_days_of_their_window_and_of_their_fold():
    """Learned from and predicted in one step: what a checkpoint and its predictions need."""
    fold = folds(LIVE).get_first_partition_key()
    both = {*_days_of(LIVE, "model_checkpoint", fold), *_days_of(LIVE, "predictions", fold)}
    assert both == set(_days_of(LIVE, "ridge_predictions", fold))


@pytest.mark.slow
def test_every_asset_is_in_a_job():
    covered = {name for job in asset_jobs(Plan(LIVE)).values() for name in _assets_of(job)}
    assert covered >= {
        "raw_bars",
        "corporate_actions",
        "features",
        "model_checkpoint",
        "predictions",
        "production_model",
        "backtest_report",
        "refit_comparison",
        *(rival_asset(model) for model in LEARNED_BASELINES),
    }


def _assets_of(job):
    return {
        key.path[-1]
        for key in definitions(LIVE).resolve_job_def(job.name).asset_layer.executable_asset_keys
    }


@pytest.mark.slow
def test_a_session_goes_before_a_night_and_that_before_what_follows_it(instance):
    """In the order in which Dagster's own daemon takes waiting runs; a backfill comes last."""
    defs = definitions(LIVE)
    named = ("backtest", "weekly_quality", "nightly", "paper_trading", "retrain")
    tags = {name: defs.resolve_job_def(f"live_{name}").run_tags for name in named}
    waiting = [
        instance.create_run_for_job(defs.resolve_job_def(f"live_{name}"), tags={**given})
        for name, given in (tags | {"retrain": FOLLOWS}).items()
    ]
    night = defs.resolve_job_def("live_nightly")
    again = instance.create_run_for_job(night, tags={**night.run_tags, **AGAIN, "again": "yes"})
    sorted_runs = QueuedRunCoordinatorDaemon(interval_seconds=5)._priority_sort([again, *waiting])
    order = [
        "again" if "again" in run.tags else run.job_name.removeprefix("live_")
        for run in sorted_runs
    ]
    assert order == [
        "paper_trading", "nightly", "again", "retrain", "weekly_quality", "backtest"
    ]  # fmt: skip
