"""The sensor that runs a failed night again, in the same night."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import SENSOR_NAME_TAG

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.assets.market import ACTIONS_FETCHED, FETCHED, NOT_BEFORE_TAG
from trading_pipeline.defs.jobs import AGAIN, job_name
from trading_pipeline.defs.partitions import known_days, range_tags
from trading_pipeline.steps.freshness import missing_days

PAUSES = tuple(timedelta(minutes=each) for each in (5, 10, 20, 40, 80, 120))  # the last goes on
_ASKED = 8  # times for a symbol alone: perhaps its venue does not know it
_OVERDUE = timedelta(hours=2)  # after a close, by when its night has begun
_FETCHED = (("raw_bars", FETCHED), ("corporate_actions", ACTIONS_FETCHED))


def second_tries(
    market: Market,
    job: UnresolvedAssetJobDefinition,
    running: bool,
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """Of one market; `job` is its night."""
    name = f"{market.name}_second_tries"

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=60,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
        ),
        description="A night whose bars did not come, or that never began, is run again after 5, "
        "10, 20, 40, 80 minutes, then every two hours until it has them, and not before the venue "
        f"wants to be asked; {_ASKED} times where a symbol alone is missing, and once where all "
        "bars are there and something else failed. What is missing then, the next night makes up.",
    )
    def failed_night(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return look(context.instance, market, name, clock())

    return failed_night


def look(
    instance: dg.DagsterInstance, market: Market, sensor: str, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """The newest night once more, or why not; `sensor` is what such runs are tagged with."""
    nights = instance.get_run_records(
        dg.RunsFilter(job_name=job_name(market, "nightly")), limit=_ASKED + 1
    )
    if not nights:
        return dg.SkipReason("there was no night yet")
    newest = nights[0].dagster_run
    if why := _left_alone(newest):
        return dg.SkipReason(why)
    ended = datetime.fromtimestamp(nights[0].end_time or now.timestamp(), UTC)
    # A day that has closed since then is the next night's, which waits until its bars are final.
    closed = max(ended, now - _OVERDUE)
    known, features = known_days(market, closed), dg.AssetKey([market.name, "features"])
    missing = missing_days(market, known, instance.get_materialized_partitions(features), closed)
    unfetched = _unfetched(instance, market)
    lack = "failed" if newest.status == dg.DagsterRunStatus.FAILURE else unfetched
    if not lack and missing:
        lack = f"of {missing[1]} did not come"
    if not lack:
        return dg.SkipReason("the newest night brought everything")
    everything = missing_days(market, known, set(), closed)
    if everything is None:
        return dg.SkipReason(f"the night {lack}, and no day of the market is over yet")
    # Bars come by waiting; a training that fails on bars that are there fails again.
    tries, most = _tries(nights, sensor), _ASKED if unfetched else 1
    if not missing and tries >= most:
        return dg.SkipReason(f"the night {lack}, {tries + 1} times; the next night makes up for it")
    due = ended + PAUSES[min(tries, len(PAUSES) - 1)]
    if wish := newest.tags.get(NOT_BEFORE_TAG):
        due = max(due, datetime.fromisoformat(wish))
    if now < due:
        return dg.SkipReason(f"the night {lack}; it is tried again at {due:%H:%M} UTC")
    tags = {**range_tags(*(missing or (everything[1], everything[1]))), **AGAIN}
    return dg.RunRequest(run_key=f"{market.name} after {newest.run_id}", tags=tags)


def _left_alone(night: dg.DagsterRun) -> str:
    """Why such a night is not looked at; empty: it is over by itself."""
    if night.status in NOT_FINISHED_STATUSES:
        return f"run {night.run_id[:8]} is under way"
    if night.status == dg.DagsterRunStatus.CANCELED:
        return f"run {night.run_id[:8]} was cancelled"
    return ""


def _unfetched(instance: dg.DagsterInstance, market: Market) -> str:
    """What the newest night said that it did not get; empty: nothing."""
    keys = [dg.AssetCheckKey(dg.AssetKey([market.name, asset]), name) for asset, name in _FETCHED]
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    failed = [
        key.name.replace("_", " ")
        for key in keys
        if key in newest and newest[key].status == AssetCheckExecutionRecordStatus.FAILED
    ]
    return f"was not whole (not so: {', '.join(failed)})" if failed else ""


def _tries(nights: Sequence[dg.RunRecord], sensor: str) -> int:
    """How many of the newest runs were second tries, since the last night of the schedule."""
    ours = [each.dagster_run.tags.get(SENSOR_NAME_TAG) == sensor for each in nights]
    return ours.index(False) if False in ours else len(ours)
