"""Sensors: new bars have landed, so models, predictions and report are out of date."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Self

import dagster as dg
import pandas as pd
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from trading_pipeline.core.learning.walkforward import folds as possible_folds
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.inputs import Plan, checks_passed
from trading_pipeline.defs.partitions import days, folds
from trading_pipeline.errors import HistoryTooShort

_NEVER = "9999"  # later than any day
_LOOKED_AT = 1_000  # events; a landing of more days is a first one, and changes everything


@dataclass(frozen=True)
class Backlog:
    """What the sensor has still to start, one run after the other; its cursor.

    Folds go in order, since a report needs the models of all before: those to train (which also
    predicts), then those to predict again. The last of them all makes the report too.
    """

    landed: int = 0  # newest event of features that was looked at
    bars: int = 0  # newest event of bars that was looked at
    train: tuple[str, ...] = ()
    predict: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()  # folds whose run failed: tried again when new bars land
    asked: str = ""  # key of the run that was asked for, until it has ended

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        """A cursor of ours, or of a release that only kept the newest event."""
        told = json.loads(cursor or "{}")
        if not isinstance(told, dict):
            return cls()
        train, predict, failed = (
            tuple(told.get(name, ())) for name in ("train", "predict", "failed")
        )
        newest = int(told.get("landed", 0)), int(told.get("bars", 0))
        return cls(*newest, train, predict, failed, str(told.get("asked", "")))

    def write(self) -> str:
        return json.dumps(asdict(self))

    def next(self) -> tuple[str, str] | None:
        """Job and fold of the next run."""
        last = len(self.train) + len(self.predict) == 1
        if self.train:
            return "retrain" if last else "train", self.train[0]
        if self.predict:
            return "refresh" if last else "predict", self.predict[0]
        return None

    def done(self, succeeded: bool) -> Self:
        """Without the run that was asked for."""
        _, fold = self.next() or ("", "")
        train, predict = self.train[1:], self.predict if self.train else self.predict[1:]
        failed = self.failed if succeeded else (*self.failed, fold)
        return replace(self, train=train, predict=predict, failed=failed, asked="")

    def add(self, train: list[str], predict: list[str]) -> Self:
        """With more folds, each once, and those that failed before."""
        all_train = {*self.train, *train, *self.failed}
        all_predict = {*self.predict, *predict} - all_train
        return replace(
            self,
            train=tuple(sorted(all_train)),
            predict=tuple(sorted(all_predict)),
            failed=(),
            asked="",
        )


def new_bars(plan: Plan, jobs: dict[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """When features have landed: train and predict what they change, then make the report."""
    market = plan.market
    name = f"{market.name}_new_bars"

    @dg.sensor(
        name=name,
        jobs=[jobs[each] for each in ("train", "retrain", "predict", "refresh")],
        minimum_interval_seconds=60,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if plan.nightly else dg.DefaultSensorStatus.STOPPED
        ),
        description="New bars landed: train the folds that have become possible or whose bars "
        "were revised, predict again what came after a change, and make the report. One run "
        "after the other, in the order of time.",
    )
    def new_bars_landed(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        backlog, busy = _settled(context.instance, name, Backlog.read(context.cursor))
        if busy:
            return dg.SensorResult(skip_reason=busy, cursor=backlog.write())
        backlog, why = _with_landed(context.instance, plan, backlog)
        following = backlog.next()
        if following is None:
            return dg.SensorResult(skip_reason=why, cursor=backlog.write())
        job, fold = following
        key = f"{job} {fold} {backlog.landed}"
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=key, job_name=jobs[job].name, partition_key=fold)],
            cursor=replace(backlog, asked=key).write(),
        )

    return new_bars_landed


def _settled(
    instance: dg.DagsterInstance, sensor: str, backlog: Backlog
) -> tuple[Backlog, str | None]:
    """The backlog after the run that was asked for; or why it has to wait for it."""
    if not backlog.asked:
        return backlog, None
    asked = {RUN_KEY_TAG: backlog.asked, SENSOR_NAME_TAG: sensor}
    runs = instance.get_runs(dg.RunsFilter(tags=asked), limit=1)
    if not runs:  # it never began
        return replace(backlog, asked=""), None
    if runs[0].status in (*IN_PROGRESS_RUN_STATUSES, dg.DagsterRunStatus.QUEUED):
        return backlog, f"run {runs[0].run_id[:8]} ({backlog.asked}) is under way"
    return backlog.done(runs[0].status == dg.DagsterRunStatus.SUCCESS), None


def _with_landed(instance: dg.DagsterInstance, plan: Plan, backlog: Backlog) -> tuple[Backlog, str]:
    """The backlog with what features that have landed since call for, or why there are none."""
    market = plan.market
    features = dg.AssetKey([market.name, "features"])
    newest = instance.fetch_materializations(features, limit=1).records
    if not newest or newest[0].storage_id == backlog.landed:
        return backlog, "no new bars"
    if not checks_passed(instance, market):
        return backlog, "the newest checks of bars and features have not all passed"
    changed, first, bars = _changes(instance, market, backlog.bars)
    if _metadata_of(newest[0]).get("rebuilt", "no") != "no":  # the catalog is another one
        changed = first
    possible = _possible(plan, instance.get_materialized_partitions(features), first)
    trained = instance.get_materialized_partitions(dg.AssetKey([market.name, "model_checkpoint"]))
    train, predict = folds_to_run(possible, trained, changed)
    landed = replace(backlog, landed=newest[0].storage_id, bars=bars)
    return landed.add(train, predict), "no fold is possible yet"


def folds_to_run(
    possible: list[str], trained: set[str], changed: str | None
) -> tuple[list[str], list[str]]:
    """Folds to train, and folds to predict again with the model that they have.

    Args:
        possible: in order, those that the stored bars allow.
        changed: the first stamp or day whose bars are new or changed; None: nobody knows, so
            the last two are predicted again, as bars around the turn of a fold touch both.
    """
    train = [
        fold for fold in possible if fold not in trained or (changed is not None and fold > changed)
    ]
    if changed is None:
        touched = possible[-2:]
    else:
        touched = [fold for fold, end in pairwise([*possible, _NEVER]) if end > changed]
    return train, [fold for fold in touched if fold not in train]


def _changes(
    instance: dg.DagsterInstance, market: Market, seen: int
) -> tuple[str | None, str, int]:
    """First stamp that was changed since an event, first stored stamp, and the newest event."""
    bars, actions = (
        _events(instance, dg.AssetKey([market.name, asset]), seen)
        for asset in ("raw_bars", "corporate_actions")
    )
    records = [*bars, *actions]
    newest = max((record.storage_id for record in records), default=seen)
    first = next((_metadata_of(record).get("first", "none") for record in bars), "none")
    first = f"{market.start}" if first == "none" else first
    stamps = {_metadata_of(record).get("first_changed", "") for record in records} - {"none"}
    if "" in stamps or not bars:
        return None, first, newest
    return (first if len(bars) == _LOOKED_AT else min(stamps, default=_NEVER)), first, newest


def _events(
    instance: dg.DagsterInstance, key: dg.AssetKey, seen: int
) -> Sequence[dg.EventLogRecord]:
    """Newer materializations than an event, the newest first."""
    filters = dg.AssetRecordsFilter(key, after_storage_id=seen or None)
    return instance.fetch_materializations(filters, limit=_LOOKED_AT).records


def _metadata_of(record: dg.EventLogRecord) -> dict[str, str]:
    told = record.asset_materialization
    return {name: str(each.value) for name, each in told.metadata.items()} if told else {}


def _possible(plan: Plan, stored: set[str], first: str) -> list[str]:
    """Folds that the days stored by now allow, in order."""
    from trading_pipeline.core.features.catalog import LOOKBACK
    from trading_pipeline.core.model.config import ModelConfig

    market = plan.market
    newest = max(stored & set(days(market).get_partition_keys()), default="")
    if not newest:
        return []
    ends = pd.Timestamp(newest, tz="UTC") + pd.Timedelta(days=1)
    calendar = trading_calendar(market.calendar, market.timeframe)
    clock = calendar.sessions(pd.to_datetime(first, utc=True), ends)
    burn_in = LOOKBACK + ModelConfig.preset(plan.preset).n_steps - 1
    try:
        found = possible_folds(clock, market.walk_forward, market.horizon, burn_in)
    except HistoryTooShort:
        return []
    return [fold for fold in folds(market).get_partition_keys() if fold in found]
