"""Sensors: new bars have landed, so models, predictions and report may be out of date."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
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
_REPORT = ""  # stands among the folds for the report of all of them
# After each of the runs that did not mend a fold; then it waits for the next bars.
_PAUSES = tuple(timedelta(minutes=each) for each in (5, 20, 80))


@dataclass(frozen=True)
class Cursor:
    """How far the sensor has come with the newest landing of features.

    What is to be done is in no cursor: it is asked of what is stored, so that a lost cursor, or
    one of an earlier release, costs a look and no training.
    """

    done: int = 0  # newest landing that everything was done for
    landed: int = 0  # newest landing that was looked at
    # Folds that runs were asked for since then, the last one last: how many, and when they ended.
    tried: dict[str, tuple[int, float]] = field(default_factory=dict)
    asked: str = ""  # key of the run that was asked for, until it has ended

    @classmethod
    def read(cls, text: str | None) -> Self:
        """A cursor of ours; of anything else as much as is known, or an empty one."""
        try:
            told = json.loads(text or "{}")
            return cls(
                int(told.get("done", 0)),
                int(told.get("landed", 0)),
                {str(fold): (int(n), float(at)) for fold, (n, at) in told.get("tried", {}).items()},
                str(told.get("asked", "")),
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def write(self) -> str:
        """What `read` reads."""
        return json.dumps(asdict(self))

    def at(self, landed: int) -> Self:
        """After a landing: a newer one than the last gives every fold another try."""
        return self if landed == self.landed else replace(self, landed=landed, tried={})

    def asking(self, fold: str, key: str) -> Self:
        """With one more run for a fold."""
        tried = {each: self.tried[each] for each in self.tried if each != fold}
        return replace(self, tried=tried | {fold: (self.tries(fold) + 1, 0.0)}, asked=key)

    def answered(self, tries: int, ended: float = 0.0) -> Self:
        """After the end of the run that was asked for, which makes so many tries more than before,
        or fewer."""
        fold = next(reversed(self.tried), _REPORT)
        return replace(self, tried=self.tried | {fold: (self.tries(fold) + tries, ended)}, asked="")

    def tries(self, fold: str) -> int:
        """How many runs were asked for."""
        return self.tried.get(fold, (0, 0.0))[0]

    def due(self, fold: str) -> float | None:
        """From when on another run may be asked for, in seconds since 1970; None: not before new
        bars land."""
        tries, ended = self.tried.get(fold, (0, 0.0))
        if tries > len(_PAUSES):
            return None
        return ended + _PAUSES[tries - 1].total_seconds() if tries else 0.0


def new_bars(
    plan: Plan, jobs: dict[str, UnresolvedAssetJobDefinition], clock: Callable[[], datetime]
) -> dg.SensorDefinition:
    """When features have landed: bring the folds up to date one by one, then the report."""
    market = plan.market
    name = f"{market.name}_new_bars"

    @dg.sensor(
        name=name,
        jobs=[jobs[each] for each in (*_WITH_REPORT, *_WITH_REPORT.values(), "backtest")],
        minimum_interval_seconds=60,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if plan.nightly else dg.DefaultSensorStatus.STOPPED
        ),
        description="New bars landed: train and predict the folds that were made from other bars "
        "or settings than those of now, one run after the other in the order of time; the last "
        "one makes the report. Folds that are up to date are left alone; what a run could not mend "
        f"is tried {len(_PAUSES)} times more, after 5, 20 and 80 minutes.",
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
        wanted: dict[str, str] = {fold: lack.job for fold, lack in lacks.items()}
        if not lacks and _is_overtaken(instance, market):
            wanted[_REPORT] = "backtest"
        due = {fold: at for fold in wanted if (at := cursor.due(fold)) is not None}
        if not due:
            finished = replace(cursor, done=cursor.landed)
            return dg.SensorResult(
                skip_reason=_left_over(list(wanted)) or why, cursor=finished.write()
            )
        fold = min(due, key=lambda each: (due[each] > 0, due[each]))  # first in time, then again
        if clock().timestamp() < due[fold]:
            when = datetime.fromtimestamp(due[fold], UTC)
            said = f"{_named(fold)} is tried again at {when:%H:%M} UTC"
            return dg.SensorResult(skip_reason=said, cursor=cursor.write())
        job = _WITH_REPORT.get(wanted[fold], wanted[fold]) if len(due) == 1 else wanted[fold]
        times = f" {tries + 1}" if (tries := cursor.tries(fold)) else ""
        key = f"{job} {fold} {cursor.landed}{times}"
        request = dg.RunRequest(
            key, job_name=jobs[job].name, partition_key=fold or None, tags=FOLLOWS
        )
        return dg.SensorResult(run_requests=[request], cursor=cursor.asking(fold, key).write())

    return new_bars_landed


def _lacking(home: Home, plan: Plan) -> tuple[dict[str, Lack], str]:
    """What the folds lack, and what to say where they lack nothing."""
    try:
        return lacking(home, plan, read_panel(home, plan.market)), "all folds are up to date"
    except HistoryTooShort as error:
        return {}, f"no fold is possible yet: {error}"


def _named(fold: str) -> str:
    return f"fold {fold}" if fold else "the report"


def _left_over(wanted: Sequence[str]) -> str:
    """What to say of what no more runs are asked for; empty: of nothing."""
    names = ", ".join(map(_named, wanted))
    return names and f"{names} could not be mended; tried again when new bars land"


def _is_overtaken(instance: dg.DagsterInstance, market: Market) -> bool:
    """Whether predictions were made after the newest report, whose run has failed, perhaps."""
    report, predictions = (
        instance.fetch_materializations(dg.AssetKey([market.name, asset]), limit=1).records
        for asset in ("backtest_report", "predictions")
    )
    made = report[0].storage_id if report else 0
    return bool(predictions) and predictions[0].storage_id > made


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
    records = instance.get_run_records(dg.RunsFilter(tags=asked), limit=1)
    if not records:  # it never began, and was no try
        return cursor.answered(-1), None
    run = records[0].dagster_run
    if run.status in NOT_FINISHED_STATUSES:
        return cursor, f"run {run.run_id[:8]} ({cursor.asked}) is under way"
    stopped = run.status == dg.DagsterRunStatus.CANCELED  # by somebody who wants no other
    return cursor.answered(len(_PAUSES) if stopped else 0, records[0].end_time or 0.0), None
