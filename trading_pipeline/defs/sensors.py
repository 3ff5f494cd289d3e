"""Sensors: new bars have landed, so models, predictions and report may be out of date."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.checks.passed import checks_passed
from trading_pipeline.defs.jobs import FOLLOWS
from trading_pipeline.errors import HistoryTooShort
from trading_pipeline.steps.freshness import Lack, lacking
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.plan import Plan

_WITH_REPORT = {"train": "retrain", "predict": "refresh"}


@dataclass(frozen=True)
class Cursor:
    """How far the sensor has come with the newest landing of features.

    What is to be done is in no cursor: it is asked of what is stored, so that a lost cursor, or
    one of an earlier release, costs a look and no training.
    """

    done: int = 0  # newest landing that everything was done for
    landed: int = 0  # newest landing that was looked at
    tried: tuple[str, ...] = ()  # folds that a run was asked for since then
    asked: str = ""  # key of the run that was asked for, until it has ended

    @classmethod
    def read(cls, text: str | None) -> Self:
        """A cursor of ours; of anything else as much as is known, or an empty one."""
        try:
            told = json.loads(text or "{}")
            return cls(
                int(told.get("done", 0)),
                int(told.get("landed", 0)),
                tuple(map(str, told.get("tried", ()))),
                str(told.get("asked", "")),
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def write(self) -> str:
        """What `read` reads."""
        return json.dumps(asdict(self))

    def at(self, landed: int) -> Self:
        """After a landing: a newer one than the last gives every fold another try."""
        return self if landed == self.landed else replace(self, landed=landed, tried=())


def new_bars(plan: Plan, jobs: dict[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """When features have landed: bring the folds up to date one by one, then the report."""
    market = plan.market
    name = f"{market.name}_new_bars"

    @dg.sensor(
        name=name,
        jobs=[jobs[each] for each in (*_WITH_REPORT, *_WITH_REPORT.values())],
        minimum_interval_seconds=60,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if plan.nightly else dg.DefaultSensorStatus.STOPPED
        ),
        description="New bars landed: train and predict the folds that were made from other bars "
        "or settings than those of now, one run after the other in the order of time; the last "
        "one makes the report. Folds that are up to date are left alone.",
    )
    def new_bars_landed(
        context: dg.SensorEvaluationContext, home: dg.ResourceParam[Home]
    ) -> dg.SensorResult:
        instance = context.instance
        cursor, busy = _settled(instance, name, Cursor.read(context.cursor))
        if busy:
            return dg.SensorResult(skip_reason=busy, cursor=cursor.write())
        cursor = cursor.at(_newest_landing(instance, market))
        if cursor.landed == cursor.done:
            return dg.SensorResult(skip_reason="no new bars", cursor=cursor.write())
        if not checks_passed(instance, market):
            why = "the newest checks of bars and features have not all passed"
            return dg.SensorResult(skip_reason=why, cursor=cursor.write())
        lacks, why = _lacking(home, plan)
        left = [(fold, lack.job) for fold, lack in lacks.items() if fold not in cursor.tried]
        if not left:
            finished = replace(cursor, done=cursor.landed)
            return dg.SensorResult(skip_reason=why, cursor=finished.write())
        fold, lacking_job = left[0]
        job = _WITH_REPORT[lacking_job] if len(left) == 1 else lacking_job
        key = f"{job} {fold} {cursor.landed}"
        asking = replace(cursor, tried=(*cursor.tried, fold), asked=key)
        request = dg.RunRequest(key, job_name=jobs[job].name, partition_key=fold, tags=FOLLOWS)
        return dg.SensorResult(run_requests=[request], cursor=asking.write())

    return new_bars_landed


def _lacking(home: Home, plan: Plan) -> tuple[dict[str, Lack], str]:
    """What the folds lack, and what to say where no run is asked for."""
    try:
        lacks = lacking(home, plan, read_panel(home, plan.market))
    except HistoryTooShort as error:
        return {}, f"no fold is possible yet: {error}"
    if not lacks:
        return {}, "all folds are up to date"
    return lacks, f"{', '.join(lacks)} could not be mended; tried again when new bars land"


def _newest_landing(instance: dg.DagsterInstance, market: Market) -> int:
    """The newest event that features of this market were made; 0: there is none."""
    features = dg.AssetKey([market.name, "features"])
    newest = instance.fetch_materializations(features, limit=1).records
    return newest[0].storage_id if newest else 0


def _settled(
    instance: dg.DagsterInstance, sensor: str, cursor: Cursor
) -> tuple[Cursor, str | None]:
    """The cursor after the run that was asked for; or why it has to wait for it."""
    if not cursor.asked:
        return cursor, None
    asked = {RUN_KEY_TAG: cursor.asked, SENSOR_NAME_TAG: sensor}
    runs = instance.get_runs(dg.RunsFilter(tags=asked), limit=1)
    if not runs:  # it never began, so its fold, the last one, was not tried
        return replace(cursor, asked="", tried=cursor.tried[:-1]), None
    if runs[0].status in (*IN_PROGRESS_RUN_STATUSES, dg.DagsterRunStatus.QUEUED):
        return cursor, f"run {runs[0].run_id[:8]} ({cursor.asked}) is under way"
    return replace(cursor, asked=""), None
