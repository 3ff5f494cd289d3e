"""The night, and what follows when new bars land."""

from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from trading_pipeline.core.learning.walkforward import fold_starts
from trading_pipeline.core.market.market import Market, WalkForward
from trading_pipeline.defs import sensors
from trading_pipeline.defs.inputs import Plan
from trading_pipeline.defs.jobs import asset_jobs
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.partitions import days, folds
from trading_pipeline.defs.schedules import (
    hour_of_night,
    last_closed_day,
    missing_days,
    range_tags,
)
from trading_pipeline.defs.sensors import folds_to_run

LIVE = Market(name="live", source="sample", symbols=("IBM",), start=date(2008, 1, 2))
COINS = replace(LIVE, name="coins", calendar="24/7", start=date(2019, 8, 17))
FRIDAY_NIGHT = datetime(2015, 3, 6, 21, 30, tzinfo=UTC)  # half past four in New York


def definitions(market, running=False):
    from trading_pipeline.core.progress import Progress
    from trading_pipeline.defs.resources import ConfiguredSources, Home

    shared = dg.Definitions(
        resources={
            "home": Home(root="nowhere"),
            "sources": dg.ResourceDefinition.hardcoded_resource(ConfiguredSources({})),
            "progress": dg.ResourceDefinition.hardcoded_resource(Progress()),
        }
    )
    return dg.Definitions.merge(shared, market_definitions(Plan(market, nightly=running)))


def land(instance, asset, partitions):
    for partition in partitions:
        key = dg.AssetKey(["live", asset])
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))


def evaluate_schedule(instance, at=FRIDAY_NIGHT):
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
    return definitions(LIVE).resolve_schedule_def("live_nightly").evaluate_tick(context)


@pytest.fixture(autouse=True)
def passed(monkeypatch):
    """Checks of bars and features, as the sensor sees them; True unless a test says otherwise."""
    answers = {"passed": True}
    monkeypatch.setattr(sensors, "checks_passed", lambda instance, market: answers["passed"])
    return answers


def evaluate_sensor(instance, cursor=None):
    repository = definitions(LIVE).get_repository_def()
    context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
    return definitions(LIVE).resolve_sensor_def("live_new_bars").evaluate_tick(context)


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


def test_an_exchange_that_is_open_on_sundays_has_partitions_of_them():
    riyadh = replace(LIVE, calendar="XSAU", start=date(2023, 1, 1))
    keys = days(riyadh).get_partition_keys(datetime(2023, 1, 10, tzinfo=UTC))
    assert keys[:2] == ["2023-01-01", "2023-01-02"]


def test_a_night_fetches_every_day_since_the_last_that_was_stored():
    """Three nights were missed: one run makes up for all of them."""
    known = [day for day in days(LIVE).get_partition_keys(FRIDAY_NIGHT) if day < "2015-03-03"]
    assert missing_days(LIVE, set(known), FRIDAY_NIGHT) == ("2015-03-03", "2015-03-06")
    assert (
        missing_days(
            LIVE, {*known, "2015-03-03", "2015-03-04", "2015-03-05", "2015-03-06"}, FRIDAY_NIGHT
        )
        is None
    )


def test_the_schedule_asks_for_one_run_over_the_missing_days(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        stored = [day for day in days(LIVE).get_partition_keys(FRIDAY_NIGHT) if day < "2015-03-05"]
        land(instance, "features", stored[-3:])
        tick = evaluate_schedule(instance)
    (request,) = tick.run_requests
    assert request.tags.items() >= range_tags("2008-01-02", "2015-03-06").items()


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


def bars_land(instance, day, first_changed=None, first="2008-01-02 00:00:00+00:00", **more):
    """A night: bars with what they say of themselves, then their features."""
    told = {"first_changed": first_changed or f"{day} 00:00:00+00:00", "first": first}
    for asset, metadata in (("raw_bars", told), ("features", more)):
        key = dg.AssetKey(["live", asset])
        event = dg.AssetMaterialization(key, partition=day, metadata=metadata)
        instance.report_runless_asset_event(event)


class Daemon:
    """Ticks of the sensor, whose runs end as they are told to."""

    def __init__(self, instance):
        self.instance, self.cursor = instance, None

    def tick(self, status=dg.DagsterRunStatus.SUCCESS):
        """What was asked for, as (job, fold); its run has the status at once."""
        done = evaluate_sensor(self.instance, self.cursor)
        self.cursor = done.cursor
        for request in done.run_requests or ():
            tags = {"dagster/run_key": request.run_key, "dagster/sensor_name": "live_new_bars"}
            run = dg.DagsterRun(job_name=request.job_name, tags=tags, status=status)
            self.instance.add_run(run)
        return [(each.job_name, each.partition_key) for each in done.run_requests or ()]

    def all(self, status=dg.DagsterRunStatus.SUCCESS):
        """All runs of one landing, in their order."""
        found = []
        while asked := self.tick(status):
            assert len(asked) == 1
            found += asked
        return found


@pytest.fixture
def daemon():
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(instance)


def test_new_bars_refresh_the_running_fold_once(daemon):
    land(daemon.instance, "model_checkpoint", ["2013-01-01", "2014-01-01", "2015-01-01"])
    bars_land(daemon.instance, "2015-03-06")
    assert daemon.all() == [("live_refresh", "2015-01-01")]
    assert daemon.all() == []
    bars_land(daemon.instance, "2015-03-09")
    assert daemon.all() == [("live_refresh", "2015-01-01")]


def test_bars_of_a_release_that_said_less_refresh_the_last_two(daemon):
    land(daemon.instance, "model_checkpoint", ["2013-01-01", "2014-01-01", "2015-01-01"])
    land(daemon.instance, "features", ["2015-03-05", "2015-03-06"])
    daemon.cursor = "123"  # of that release
    assert daemon.all() == [("live_predict", "2014-01-01"), ("live_refresh", "2015-01-01")]


def test_new_bars_of_a_new_year_train_its_fold(daemon):
    """The last bars of the old year land with the first of the new one."""
    land(daemon.instance, "model_checkpoint", ["2013-01-01", "2014-01-01"])
    bars_land(daemon.instance, "2015-01-02", first_changed="2014-12-31 00:00:00+00:00")
    assert daemon.all() == [("live_train", "2015-01-01"), ("live_refresh", "2014-01-01")]


def test_a_first_landing_trains_one_fold_after_the_other_and_reports_once(daemon):
    bars_land(daemon.instance, "2015-03-06", first_changed="2008-01-02 00:00:00+00:00")
    assert daemon.all() == [
        ("live_train", "2013-01-01"),
        ("live_train", "2014-01-01"),
        ("live_retrain", "2015-01-01"),
    ]


def test_a_run_is_waited_for(daemon):
    bars_land(daemon.instance, "2015-03-06")
    assert daemon.tick(dg.DagsterRunStatus.STARTED) == [("live_train", "2013-01-01")]
    assert daemon.tick() == []
    bars_land(daemon.instance, "2015-03-09")
    assert daemon.tick() == []
    (run,) = daemon.instance.get_runs()
    daemon.instance.report_run_failed(run)
    assert daemon.tick() == [("live_train", "2013-01-01")]  # a new night tries it again


def test_a_fold_that_fails_does_not_stop_the_others_and_is_tried_again(daemon):
    land(daemon.instance, "model_checkpoint", ["2013-01-01", "2014-01-01"])
    bars_land(daemon.instance, "2015-03-06", first_changed="2014-06-02 00:00:00+00:00")
    assert daemon.tick(dg.DagsterRunStatus.FAILURE) == [("live_train", "2015-01-01")]
    assert daemon.all() == [("live_refresh", "2014-01-01")]
    bars_land(daemon.instance, "2015-03-09")
    assert daemon.all() == [("live_retrain", "2015-01-01")]


def test_a_revised_bar_trains_what_learned_from_it_and_predicts_what_saw_it(daemon):
    folds_of_years = [f"{year}-01-01" for year in range(2013, 2016)]
    land(daemon.instance, "model_checkpoint", folds_of_years)
    bars_land(daemon.instance, "2015-03-06", first_changed="2014-06-02 00:00:00+00:00")
    assert daemon.all() == [("live_train", "2015-01-01"), ("live_refresh", "2014-01-01")]
    bars_land(daemon.instance, "2015-03-09", first_changed="2009-06-02 00:00:00+00:00")
    assert [fold for _, fold in daemon.all()] == folds_of_years


def test_a_new_catalog_trains_everything(daemon):
    folds_of_years = [f"{year}-01-01" for year in range(2013, 2016)]
    land(daemon.instance, "model_checkpoint", folds_of_years)
    bars_land(daemon.instance, "2015-03-06", rebuilt="the catalog has changed")
    assert [fold for _, fold in daemon.all()] == folds_of_years


def test_a_late_split_is_a_change_too(daemon):
    land(daemon.instance, "model_checkpoint", ["2013-01-01", "2014-01-01", "2015-01-01"])
    key = dg.AssetKey(["live", "corporate_actions"])
    told = {"first_changed": "2014-06-02 00:00:00+00:00"}
    daemon.instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=told))
    bars_land(daemon.instance, "2015-03-06")
    assert daemon.all() == [("live_train", "2015-01-01"), ("live_refresh", "2014-01-01")]


def test_folds_that_the_first_bars_are_too_late_for_are_not_asked_for(daemon):
    """The market starts in 2008, and what its source has in 2012."""
    bars_land(daemon.instance, "2015-03-06", first="2012-01-03 00:00:00+00:00")
    assert daemon.all() == []
    bars_land(daemon.instance, "2019-03-06", first="2012-01-03 00:00:00+00:00")
    assert [fold for _, fold in daemon.all()][:2] == ["2017-01-01", "2018-01-01"]


def test_what_failed_its_checks_is_not_traded_on(passed):
    """Assets are recorded before their checks run, so that bars have landed says nothing."""
    passed["passed"] = False
    with dg.DagsterInstance.ephemeral() as instance:
        land(instance, "features", ["2015-03-06"])
        tick = evaluate_sensor(instance)
    assert not tick.run_requests
    assert "checks" in tick.skip_message


def test_nothing_happens_before_bars_land():
    with dg.DagsterInstance.ephemeral() as instance:
        assert not evaluate_sensor(instance).run_requests


@pytest.mark.parametrize(
    ("trained", "changed", "train", "predict"),
    [
        ((), "2014-02-03", "abc", ""),
        ("abc", "9999", "", ""),  # nothing has changed
        ("abc", "2012-12-31 00:00", "abc", ""),
        ("abc", "2013-01-01 00:00", "bc", "a"),  # the first bar of a fold is not trained on
        ("abc", "2014-12-31 20:30", "c", "b"),
        ("abc", "2015-01-01 00:00", "", "c"),
        ("abc", None, "", "bc"),
        ("b", "2015-06-01", "ac", ""),
    ],
)
def test_which_folds_a_change_concerns(trained, changed, train, predict):
    names = {"a": "2013-01-01", "b": "2014-01-01", "c": "2015-01-01"}
    told = folds_to_run(list(names.values()), {names[each] for each in trained}, changed)
    assert told == ([names[each] for each in train], [names[each] for each in predict])


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
    import pandas as pd

    spans = WalkForward(first_train=24, test=test_months, window=24)
    market = replace(LIVE, walk_forward=spans, start=date(2008, 2, 13), end=date(2012, 5, 20))
    first, last = pd.Timestamp("2008-02-13", tz="UTC"), pd.Timestamp("2012-05-19", tz="UTC")
    expected = [f"{start:%Y-%m-%d}" for start in fold_starts(first, last, spans)]
    assert folds(market).get_partition_keys() == expected


def test_a_fold_learns_from_the_days_before_it_and_predicts_its_own():
    market = replace(LIVE, end=date(2015, 3, 6))
    upstream = _days_of(market, "model_checkpoint", "2014-01-01")
    assert (upstream[0], upstream[-1]) == ("2009-01-01", "2013-12-31")
    own = _days_of(market, "predictions", "2014-01-01")
    assert (own[0], own[-1]) == ("2014-01-01", "2014-12-31")


def _days_of(market, asset, fold):
    definition = definitions(market).resolve_assets_def(dg.AssetKey([market.name, asset]))
    mapping = definition.get_partition_mapping(dg.AssetKey([market.name, "features"]))
    subset = folds(market).subset_with_partition_keys([fold])
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, folds(market), days(market)
    )
    return sorted(result.partitions_subset.get_partition_keys())


def test_every_asset_is_in_a_job():
    covered = {name for job in asset_jobs(LIVE).values() for name in _assets_of(job)}
    assert covered >= {
        "raw_bars",
        "corporate_actions",
        "features",
        "model_checkpoint",
        "predictions",
        "production_model",
        "backtest_report",
    }


def _assets_of(job):
    return {
        key.path[-1]
        for key in definitions(LIVE).resolve_job_def(job.name).asset_layer.executable_asset_keys
    }
