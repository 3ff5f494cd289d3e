"""The sensor that tells what went wrong in runs of Dagster, and when it works again."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.adapters.alerts import (
    CHECK_FAILED,
    DOWNLOAD_FAILED,
    MODEL_REFUSED,
    RUN_FAILED,
    SESSION_DIED,
    Alerts,
    News,
)
from trading_pipeline.defs.assets.market import ACTIONS_FETCHED, FETCHED
from trading_pipeline.defs.checks.models import ACCEPTED
from trading_pipeline.defs.jobs import BY_FOLD

AT_ONCE = 100  # runs of a tick
_READ = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_DOWNLOADED = ("raw_bars", "corporate_actions")
_PAPER_JOB, _PAPER_STEP = "_paper_trading", "_paper_session"  # after the name of a market


@dataclass(frozen=True)
class Outcome:
    """How one thing that a run did went."""

    kind: str  # of the alert that it is where it went wrong
    subject: str
    fold: str  # '': of no fold
    complaint: str | None  # None: it went well

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later end of the same kind is told by."""
        return self.kind, self.subject, self.fold


@dataclass(frozen=True)
class Cursor:
    """How far the sensor has read, and what is wrong by then."""

    after: int  # storage id of the last end of a run
    wrong: frozenset[tuple[str, str, str]] = frozenset()  # kind, subject and fold

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """A cursor of ours; None: there is none."""
        try:
            told = json.loads(text or "")
            wrong = frozenset((str(k), str(s), str(f)) for k, s, f in told["wrong"])
            return cls(int(told["after"]), wrong)
        except (ValueError, TypeError, KeyError):
            return None

    def write(self) -> str:
        """What `read` reads."""
        return json.dumps({"after": self.after, "wrong": sorted(self.wrong)})


def alerts_sensor(clock: Callable[[], datetime]) -> dg.SensorDefinition:
    """One for all markets: reads the runs that ended, and sends what was not sent before."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the log, and every address of TP_ALERT_URLS, once that a run, a step "
        "or a check failed or a model was refused, and once that it works again. What happened "
        "before the sensor's first look is not told.",
    )
    def alerts_sent(
        context: dg.SensorEvaluationContext, alerts: dg.ResourceParam[Alerts]
    ) -> dg.SensorResult:
        instance, cursor = context.instance, Cursor.read(context.cursor)
        if cursor is None:
            newest = [each.storage_id for each in _ended(instance, None)]
            cursor = Cursor(max(newest, default=0))
        news: list[News] = []
        new = cursor
        for end in _ended(instance, cursor.after):
            run = instance.get_run_by_id(end.run_id)
            if run is not None:
                new = _followed(new, news, run, outcomes(instance, run))
            new = replace(new, after=end.storage_id)
        journalled = alerts.report(news, clock())
        said = f"{len(news)} outcomes looked at" if news else "nothing went wrong"
        return dg.SensorResult(
            skip_reason=said if journalled else "the ledger cannot be used; tried again",
            cursor=(new if journalled else cursor).write(),
        )

    return alerts_sent


def _ended(instance: dg.DagsterInstance, after: int | None) -> list[dg.EventLogRecord]:
    """The ends of runs after one, in their order; without one, the newest."""
    of, kinds = dg.RunStatusChangeRecordsFilter, dg.DagsterEventType
    ends = [
        of(kinds.RUN_FAILURE, after_storage_id=after),
        of(kinds.RUN_SUCCESS, after_storage_id=after),
    ]
    limit, ascending = (1, False) if after is None else (AT_ONCE, True)
    found = [
        record
        for end in ends
        for record in instance.fetch_run_status_changes(end, limit, ascending=ascending).records
    ]
    return sorted(found, key=lambda each: each.storage_id)[:AT_ONCE]


def _followed(
    cursor: Cursor, news: list[News], run: dg.DagsterRun, seen: Sequence[Outcome]
) -> Cursor:
    """The cursor after a run, whose news are added.

    A subject is over when all of its folds are that were wrong: the next fold going well says
    nothing of the one before.
    """
    wrong = set(cursor.wrong)
    where = f" ({run.job_name}, run {run.run_id[:8]})"
    for each in seen:
        if each.complaint is not None:
            wrong.add(each.key)
            fold = f"fold {each.fold}: " if each.fold else ""
            news.append(News(each.kind, each.subject, f"{fold}{each.complaint}{where}"))
        elif each.key in wrong:
            wrong.remove(each.key)
            if not any(key[:2] == each.key[:2] for key in wrong):
                news.append(News(each.kind, each.subject, f"it works again{where}", over=True))
    return replace(cursor, wrong=frozenset(wrong))


def outcomes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Outcome]:
    """How the steps and the checks of a run that ended went, and the run itself."""
    fold = run.tags.get(PARTITION_NAME_TAG, "")
    records = instance.get_records_for_run(run.run_id, of_type=_READ).records
    seen = [
        outcome
        for record in records
        if (event := record.event_log_entry.dagster_event) is not None
        for outcome in _outcomes_of(event, fold)
    ]
    failed = run.status == dg.DagsterRunStatus.FAILURE
    if not failed or not any(each.complaint for each in seen):  # what failed in it says more
        seen.append(_outcome_of_run(instance, run, failed))
    return seen


def _outcomes_of(event: dg.DagsterEvent, fold: str) -> Iterator[Outcome]:
    """What an event of a step or a check says."""
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        market, asset = check.asset_key.path[0], check.asset_key.path[-1]
        wrong = not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
        kind, subject = CHECK_FAILED, f"{market}/{asset}: {check.check_name}"
        if check.check_name == ACCEPTED:
            kind, subject = MODEL_REFUSED, market
        elif check.check_name in (FETCHED, ACTIONS_FETCHED):
            kind = DOWNLOAD_FAILED
        said = check.description or "it failed" if wrong else None
        yield Outcome(kind, subject, _fold_of(asset, fold), said)
        return
    step, said = event.step_key or "", None
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
        if error is not None and error.cls_name == DagsterAssetCheckFailedError.__name__:
            return  # the check says it
        while error is not None and error.cause is not None:
            error = error.cause
        said = (error.message.strip() if error else "") or "it failed"
        said = said.removeprefix(_module_of(said))
    market, named, rest = step.rpartition("__")
    kind, subject = RUN_FAILED, f"{market}/{rest}" if named else step
    if rest in _DOWNLOADED:
        kind, subject = DOWNLOAD_FAILED, market
    elif step.endswith(_PAPER_STEP):
        kind, subject = SESSION_DIED, step.removesuffix(_PAPER_STEP)
    yield Outcome(kind, subject, _fold_of(rest, fold), said)


def _module_of(message: str) -> str:
    """'package.module.' of 'package.module.Error: text'."""
    name = message.partition(":")[0]
    return name[: name.rfind(".") + 1] if " " not in name else ""


def _outcome_of_run(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: bool) -> Outcome:
    said = None
    if failed:
        of_type = dg.DagsterEventType.RUN_FAILURE
        records = instance.get_records_for_run(run.run_id, of_type=of_type).records
        ends = [each.event_log_entry.get_dagster_event().message for each in records]
        said = (ends[-1] if ends else None) or "it failed"
    kind, subject = RUN_FAILED, run.job_name
    if subject.endswith(_PAPER_JOB):
        kind, subject = SESSION_DIED, subject.removesuffix(_PAPER_JOB)
    return Outcome(kind, subject, "", said)


def _fold_of(asset: str, partition: str) -> str:
    """The fold that an asset was made for; days are no such parts: a later night makes up."""
    return partition if asset.startswith(BY_FOLD) or "_predictions" in asset else ""
