"""The sensor that starts a paper session again which died, and tells what a session has to tell."""

from collections.abc import Callable
from datetime import datetime

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, NOT_FINISHED_STATUSES

from trading_pipeline.adapters.alerts import SESSION_DIED, Alerts, News
from trading_pipeline.adapters.store.lease import holder_of
from trading_pipeline.adapters.store.ledger import Event, Ledger
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.paper import INSTEAD_TAG, REASON_TAG, paper_job_name, paper_op_name
from trading_pipeline.steps.guard import TTL
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.watchdog import (
    MOST,
    Dead,
    dead_session,
    note_restart,
    started_session,
    stop_session,
    wanted_session,
)

# After its start, for a run to load what it needs and to wait for a lease.
_GRACE = 3 * TTL
_CANCELLED = (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)


def watchdog(
    plan: Plan, job: dg.JobDefinition, clock: Callable[[], datetime]
) -> dg.SensorDefinition:
    """Of one market."""
    market = plan.market

    @dg.sensor(
        name=f"{market.name}_watchdog",
        job=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a paper session again that died although nobody stopped it, with the "
        f"same configuration, at most {MOST} times an hour. Whether it lives is told by its "
        "heartbeat. Alerts: session died, halted, limit hit, stale data, no answer, model "
        "refused, orders refused, a broker that differs.",
    )
    def watch(
        context: dg.SensorEvaluationContext,
        home: dg.ResourceParam[Home],
        alerts: dg.ResourceParam[Alerts],
    ) -> dg.SensorResult:
        if not home.has_ledger:
            return dg.SensorResult(skip_reason="there is no ledger, and so no session")
        with home.ledger() as ledger:
            requests, said, news = look(context.instance, ledger, market, clock())
        alerts.report(news, clock())
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else said)

    return watch


def look(
    instance: dg.DagsterInstance, ledger: Ledger, market: Market, now: datetime
) -> tuple[list[dg.RunRequest], str, list[News]]:
    """What to start, what to say where that is nothing, and what to tell."""
    from trading_pipeline.steps.session_news import session_news

    dead = dead_session(ledger, market.name, now)
    if dead is not None and _cancelled(instance, dead):
        stop_session(ledger, market.name, "the web UI", "its run was cancelled", now)
        dead = None
    started, holder = started_session(ledger, market.name), holder_of(ledger, market.name, now)
    stopped = wanted_session(ledger, market.name) is None
    session = started.payload["session"] if started else ""
    told = session_news(ledger, market, session, now, lives=bool(holder), stopped=stopped)
    news = list(told)
    if dead is not None:
        requests, said, died = _revived(instance, ledger, market, dead, now)
        return requests, said, [died, *news]
    if stopped or (holder and not _has_ended(instance, started)):
        text = f"{holder} trades" if holder else "it was stopped"
        subjects = (market.name, _for_good(market))
        news += [News(SESSION_DIED, subject, text, over=True) for subject in subjects]
    return [], "no session died", news


def _revived(
    instance: dg.DagsterInstance, ledger: Ledger, market: Market, dead: Dead, now: datetime
) -> tuple[list[dg.RunRequest], str, News]:
    """The run that follows one that died, if it is time for one; and what to tell."""
    where = f"session {dead.session}: {dead.why}"
    if dead.next_try is not None:
        text = (
            f"{where}. It was started {MOST} times within an hour and died again; the next try "
            f"is at {dead.next_try:%H:%M} UTC, unless you `trading-pipeline stop` it."
        )
        return [], text, News(SESSION_DIED, _for_good(market), text)
    if busy := _others(instance, market, dead, now):
        text = f"run {busy.run_id[:8]} is on its way"
        return [], text, News(SESSION_DIED, market.name, f"{where}. {text.capitalize()}.")
    note_restart(ledger, market.name, dead, now)
    request = dg.RunRequest(
        run_key=f"{dead.run} {now.isoformat()}",
        run_config={"ops": {paper_op_name(market): {"config": dead.config}}},
        tags={REASON_TAG: dead.why[:200], INSTEAD_TAG: dead.run},
    )
    return [request], "", News(SESSION_DIED, market.name, f"{where}. It is started again.")


def _for_good(market: Market) -> str:
    """Subject of the alert that a session is not started again for now."""
    return f"{market.name}, again and again"


def _cancelled(instance: dg.DagsterInstance, dead: Dead) -> bool:
    """Whether somebody ended its run in the web UI."""
    run = instance.get_run_by_id(dead.run)
    return run is not None and run.status in _CANCELLED


def _has_ended(instance: dg.DagsterInstance, started: Event | None) -> bool:
    """Whether the run of a session has: where its process was killed, it holds its lease still."""
    run = instance.get_run_by_id(started.payload["run"]) if started else None
    return run is not None and run.is_finished


def _others(
    instance: dg.DagsterInstance, market: Market, dead: Dead, now: datetime
) -> dg.DagsterRun | None:
    """A run that will trade the market, or may. Those that are dead are closed: the queue would
    let no other one pass."""
    waiting = None
    filters = dg.RunsFilter(job_name=paper_job_name(market), statuses=list(NOT_FINISHED_STATUSES))
    for record in instance.get_run_records(filters):
        run, began = record.dagster_run, record.start_time
        old = began is not None and now.timestamp() - began > _GRACE.total_seconds()
        if run.run_id == dead.run or (run.status in IN_PROGRESS_RUN_STATUSES and old):
            instance.report_run_failed(run, f"Its session died: {dead.why}.")
        else:
            waiting = run
    return waiting
