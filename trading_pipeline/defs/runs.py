"""Running the jobs from this process, so that the UI shows what the command line did."""

import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError
from dagster._core.storage.tags import PARTITION_NAME_TAG
from sqlalchemy.exc import SQLAlchemyError

from trading_pipeline.adapters.faults import naming_faults
from trading_pipeline.adapters.processes import run_each
from trading_pipeline.adapters.store.files import clear_drafts, one_writer
from trading_pipeline.adapters.store.home_version import settle
from trading_pipeline.adapters.timed_progress import duration
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.set_aside import lines_of
from trading_pipeline.defs.checks.passed import checks_passed
from trading_pipeline.defs.instance import PROCESS_TAG, local_instance, prepare_home, this_process
from trading_pipeline.defs.jobs import BY_DAY, job_name
from trading_pipeline.defs.one_run import QUIET, command
from trading_pipeline.defs.origin import origin_in
from trading_pipeline.defs.partitions import known_days, range_tags
from trading_pipeline.defs.resources import DUCKDB_POOL, TRAINING_POOL
from trading_pipeline.errors import StoreError, TradingPipelineError
from trading_pipeline.steps.freshness import (
    DAY,
    days_to_download,
    features_are_current,
    lacking,
    missing_days,
    refuse_without_predictions,
    without_rivals,
)
from trading_pipeline.steps.home import Home, Sources
from trading_pipeline.steps.inputs import read_panel
from trading_pipeline.steps.lineage import report_is_current
from trading_pipeline.steps.plan import Plan

_LOG = logging.getLogger(__name__)
# What a run ends with on purpose, and Dagster's records, of which `runner` tells.
_NO_FAULTS = (TradingPipelineError, DagsterAssetCheckFailedError, SQLAlchemyError)
_FULL = 1 << 20  # bytes: a disk with fewer left is said to be full
_GRAVE = ("severe", "warnings")  # of the metadata of `bars_are_plausible`


@dataclass(frozen=True)
class Runner:
    """Runs jobs of one code location on one local instance."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    home: Home
    sources: Sources
    variables: Mapping[str, str] = field(default_factory=dict)  # by which others read the settings

    def run(
        self,
        job: str,
        partition_key: str | None = None,
        tags: Mapping[str, str] | None = None,
        ops: Mapping[str, Any] | None = None,
        only: Sequence[dg.AssetKey] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job to its end, or `only` some of its assets with their checks.

        Raises:
            TradingPipelineError: whatever stopped it on purpose, a failed check included.
            KeyboardInterrupt: Ctrl-C or SIGTERM; Dagster has recorded the run as stopped.
        """
        resolved = self.definitions.resolve_job_def(job)
        try:
            with naming_faults(self._broken_step, _NO_FAULTS), origin_in(self.instance, job):
                return resolved.execute_in_process(
                    instance=self.instance,
                    partition_key=partition_key,
                    asset_selection=only,
                    tags={PROCESS_TAG: this_process(), **(tags or {})},
                    run_config={**QUIET, **({"ops": ops} if ops else {})},
                )
        except DagsterAssetCheckFailedError as error:
            raise TradingPipelineError(self._failed_checks() or str(error)) from error
        except DagsterExecutionInterruptedError as error:
            raise KeyboardInterrupt from error

    def run_folds(
        self,
        jobs: Mapping[str, str],
        workers: int,
        say: Callable[[str], object] = _LOG.info,
        only: Sequence[dg.AssetKey] = (),
    ) -> None:
        """Run a job for each of some folds, `workers` at a time, each in a process of its own.

        Where its steps are executed, the settings say, which every process reads anew.

        Args:
            jobs: by the fold's key. say: told of each as it ends. only: some assets of the jobs.

        Raises:
            TradingPipelineError: why runs failed; all others have ended by then.
        """
        assets = [key.to_user_string() for key in only]
        commands = {fold: command(job, fold, assets) for fold, job in jobs.items()}

        def ended(fold: str, succeeded: bool) -> None:
            say(f"{jobs[fold]} of {fold}: {'done' if succeeded else 'failed'}")

        with training_slots(self.instance, workers):
            failed = run_each(commands, workers, ended, self.variables)
        if failed:
            told = "; ".join(f"{fold}: {why.strip()}" for fold, why in sorted(failed.items()))
            raise TradingPipelineError(
                f"{len(failed)} of {len(jobs)} folds failed: {told}. The same command tries them "
                "again, and keeps the others"
            )

    def _broken_step(self) -> str:
        """The step of the newest run that broke, and where its traceback is."""
        newest = self.instance.get_runs(limit=1)[0]
        records = self.instance.get_records_for_run(
            newest.run_id, of_type=dg.DagsterEventType.STEP_FAILURE
        ).records
        steps = ", ".join(str(record.event_log_entry.step_key) for record in records)
        fold = newest.tags.get(PARTITION_NAME_TAG)
        return (
            f"{steps or newest.job_name}{f' of {fold}' if fold else ''} broke, and nothing that "
            f"waits for it was made (run {newest.run_id[:8]} of the web UI has the traceback)"
        )

    def _failed_checks(self) -> str:
        """What the checks of the newest run complained about."""
        newest = self.instance.get_runs(limit=1)[0]
        records = self.instance.get_records_for_run(
            newest.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        evaluations = [
            record.event_log_entry.get_dagster_event().asset_check_evaluation_data
            for record in records
        ]
        return "; ".join(
            f"check {each.check_name} of {each.asset_key.to_user_string()} failed: "
            f"{each.description}"
            for each in evaluations
            if each.blocking and not each.passed
        )


@contextmanager
def runner(
    definitions: dg.Definitions,
    home: Home,
    sources: Sources,
    say: Callable[[str], object] = _LOG.warning,
    alone: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Runner]:
    """A runner on the instance below the home's root.

    Args:
        say: told what is waited for, if anything.
        alone: wait until no other such runner works in this home. Two that train at once would
            each do the work of both.
        variables: by which other processes read the settings of this one.

    Raises:
        StoreError: the home cannot be written, or Dagster's records in it cannot be read.
    """
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    root = Path(home.root)
    settle(root, say)
    prepare_home(root)
    for folder in home.folders:
        clear_drafts(folder)
    busy = f"another command works in {root}; waiting until it ends (Ctrl-C gives up)"
    with one_writer(root, lambda: say(busy)) if alone else nullcontext():
        try:
            with local_instance(root, alone) as instance:
                if alone:
                    _name_holder(instance, say)
                yield Runner(definitions, instance, home, sources, variables or {})
        except SQLAlchemyError as error:
            advice = (
                "The disk is full: make room, and run this again"
                if shutil.disk_usage(root).free < _FULL
                else "If the web UI is busy, try again; damaged ones can be moved away: "
                "bars, models and reports are not in there"
            )
            raise StoreError(
                f"Dagster's records in {root / 'dagster'} cannot be used: "
                f"{getattr(error, 'orig', None) or error}. {advice}"
            ) from error


def _name_holder(instance: dg.DagsterInstance, say: Callable[[str], object]) -> None:
    """Say which runs hold the pools that ours will wait for, such as one of the web UI."""
    for pool, work in {DUCKDB_POOL: "working on the features", TRAINING_POOL: "training"}.items():
        for slot in instance.event_log_storage.get_concurrency_info(pool).claimed_slots:
            say(
                f"run {slot.run_id[:8]} of the web UI or the daemon is {work}; what needs the same "
                "waits for its end. If its process is gone, terminate the run in the web UI"
            )


@contextmanager
def training_slots(instance: dg.DagsterInstance, slots: int) -> Iterator[None]:
    """As many trainings at a time, of all that share the instance, unless more are allowed now."""
    storage = instance.event_log_storage
    before = storage.get_concurrency_info(TRAINING_POOL).slot_count
    storage.set_concurrency_slots(TRAINING_POOL, max(slots, before))
    try:
        yield
    finally:
        storage.set_concurrency_slots(TRAINING_POOL, max(before, 1))


@dataclass(frozen=True)
class Landed:
    """What the newest download of a market did, in bars; `failed` says why, mostly by symbol."""

    added: int
    changed: int
    removed: int
    rows: int  # stored by now
    last: str  # stamp of the newest stored bar
    failed: Mapping[str, str]
    severe: int = 0  # findings about all that is stored
    warnings: int = 0
    set_aside: tuple[str, ...] = ()  # what came and is no bar, of all that is stored; for a person


def download(
    run: Runner, plan: Plan, start: date | None = None, refetch: bool = False
) -> tuple[str, str] | None:
    """Bars, actions and features of the days that are missing or changed; their range, or None.

    A venue is always asked: what it may still correct is known to nobody else. Where no day is
    missing, features are computed, and looked over for leaks, only if it had news.

    Args:
        start: earlier days are left alone; those before the market's own start always are.
        refetch: ask a venue for everything again.
    """
    market, now = plan.market, run.home.clock.now()
    source, known = run.sources.open(market), known_days(market, now)
    stored = run.instance.get_materialized_partitions(dg.AssetKey([market.name, "features"]))
    checked = checks_passed(run.instance, market)
    wanted = days_to_download(run.home, market, source, known, stored, checked, now)
    is_whole = source.live and wanted is None
    if is_whole and (everything := missing_days(market, known, set(), now)):
        wanted = everything[1], everything[1]  # so that the venue is asked
    if wanted is not None and start is not None:
        wanted = missing_days(market, known, set(), now, max(wanted[0], f"{start:{DAY}}"))
    if wanted is None:
        return None
    config = {"refetch": refetch, "start": f"{start:{DAY}}" if start else ""}
    job, tags = job_name(market, "download"), range_tags(*wanted)
    ops = {f"{market.name}__raw_bars": {"config": config}}
    bars, actions, features = (dg.AssetKey([market.name, asset]) for asset in BY_DAY)
    run.run(job, tags=tags, ops=ops, only=[bars, actions] if is_whole else None)
    is_known = run.home.bars(market).stale_actions() is None
    if is_whole and is_known and not _features_are_right(run, market):
        run.run(job, tags=tags, only=[features])
    return wanted


def landed(run: Runner, market: Market) -> Landed:
    """What the newest download did, as its asset says."""
    event = run.instance.get_latest_materialization_event(dg.AssetKey([market.name, "raw_bars"]))
    if event is None or event.asset_materialization is None:
        raise StoreError(f"{market.name}: nothing was ever downloaded")
    told = {name: each.value for name, each in event.asset_materialization.metadata.items()}
    failed = told["failed"]
    reasons = {str(k): str(v) for k, v in failed.items()} if isinstance(failed, Mapping) else {}
    if (stale := run.home.bars(market).stale_actions()) is not None:
        reasons["splits and dividends"] = str(stale)
    added, changed, removed, rows = (
        int(str(told[name])) for name in ("added", "changed", "removed", "rows")
    )
    severe, warnings = _findings(run, market)
    aside = tuple(lines_of(run.home.bars(market).set_aside()))
    last = str(told["last"])
    return Landed(added, changed, removed, rows, last, reasons, severe, warnings, aside)


def _findings(run: Runner, market: Market) -> tuple[int, int]:
    """How many severe findings and warnings the newest look at the bars' quality made."""
    key = dg.AssetCheckKey(dg.AssetKey([market.name, "raw_bars"]), "bars_are_plausible")
    storage = run.instance.event_log_storage
    record = storage.get_latest_asset_check_execution_by_key([key]).get(key)
    event = record.event.dagster_event if record and record.event else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return 0, 0  # planned, and what it waits for failed
    told = event.asset_check_evaluation_data.metadata
    severe, warnings = (int(str(told[name].value)) if name in told else 0 for name in _GRAVE)
    return severe, warnings


def train(
    run: Runner,
    plan: Plan,
    tell: Callable[[str], object] = _LOG.info,
    *,
    workers: int | None = None,
) -> dict[str, str]:
    """Whatever the folds lack, models, predictions or rivals; by key, the job that brought it.

    Args:
        tell: hears which fold it is at, and how long the others will take; of folds that are
            processes, each as it ends.
        workers: folds at a time, each a process that reads the settings anew, and executes steps
            where those say; None: one after the other, in this process.
    """

    def bring(lacks: Mapping[str, str]) -> None:
        jobs = {key: job_name(plan.market, job) for key, job in lacks.items()}
        if workers:
            run.run_folds(jobs, workers, tell)
        else:
            for key in _told(jobs, plan, tell):
                run.run(jobs[key], partition_key=key)

    lacks = lacking(run.home, plan, read_panel(run.home, plan.market))
    bring({key: lack.job for key, lack in lacks.items()})
    alone = without_rivals(run.home, plan, read_panel(run.home, plan.market))
    bring(dict.fromkeys(alone, "rivals"))
    return dict.fromkeys(alone, "rivals") | {key: lack.job for key, lack in lacks.items()}


def _told(keys: Collection[str], plan: Plan, tell: Callable[[str], object]) -> Iterator[str]:
    """The keys of folds, one after the other, and beforehand which of how many each is."""
    began = time.monotonic()
    for done, key in enumerate(keys):
        left = (time.monotonic() - began) / max(done, 1) * (len(keys) - done)
        more = f", about {duration(left)} left" if done else ""
        tell(f"{plan.market.name}: fold {done + 1} of {len(keys)}, {key}{more}")
        yield key


def backtest(run: Runner, plan: Plan, capital: float) -> bool:
    """The report, if anything it is made from has changed; whether it was."""
    refuse_without_predictions(run.home, plan.market)
    if report_is_current(run.home, plan, capital):
        return False
    step = {f"{plan.market.name}__backtest_report": {"config": {"capital": capital}}}
    run.run(job_name(plan.market, "backtest"), ops=step)
    return True


def produce(run: Runner, plan: Plan) -> None:
    """A model of all stored bars, put in service where nothing speaks against it."""
    run.run(job_name(plan.market, "production"))


def refits(run: Runner, plan: Plan, capital: float) -> None:
    """Compare how often a model is fitted; what was fitted before is kept."""
    step = {f"{plan.market.name}__refit_comparison": {"config": {"capital": capital}}}
    run.run(job_name(plan.market, "refits"), ops=step)


def _features_are_right(run: Runner, market: Market) -> bool:
    """Whether the features are this catalog's, of the stored bars, and all checks passed."""
    return features_are_current(run.home, market) and checks_passed(run.instance, market)
