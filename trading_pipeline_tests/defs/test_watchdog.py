"""The watchdog: starts again what died, and never what was stopped; each death is told."""

import os
import signal
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from trading_pipeline.adapters import kill_points
from trading_pipeline.adapters.alerts import DOWNLOAD_FAILED, SESSION_DIED, addresses_of
from trading_pipeline.adapters.kill_switch import HALTED, TRADING, record_intent
from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.instance import local_instance
from trading_pipeline.defs.paper import paper_job
from trading_pipeline.defs.watchdog import watchdog
from trading_pipeline.steps.guard import TTL
from trading_pipeline.steps.incidents import Incidents
from trading_pipeline.steps.inputs import folds_of, read_dataset
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.watchdog import MOST, Attendance, stop_session, wanted_session
from trading_pipeline_tests.core.learning.checkpoints import untrained
from trading_pipeline_tests.defs.small_market import (
    FIRST,
    MARKET,
    SmallMarket,
    bars_until,
)
from trading_pipeline_tests.fakes.inbox import Inbox
from trading_pipeline_tests.steps.kills import in_a_process, killing

COINS = Market(
    name="coins",
    source="ccxt",
    symbols=("AAA",),
    start=date(2020, 1, 1),
    calendar="24/7",
)
CONFIG = {"session": "s", "capital": 5.0}
STARTED = dg.DagsterRunStatus.STARTED


class Desk:
    """An instance in memory, a ledger, and the sensor of a market with a clock set by hand."""

    def __init__(self, home, instance, inbox, market=COINS, now=None):
        self.home, self.instance, self.inbox, self.market = home, instance, inbox, market
        self.plan, self.now = Plan(market), now or datetime.now(UTC)
        self.alerts = home.alerts(addresses_of(inbox.at("json")))

    def run(self, status=STARTED):
        """A run of the paper job, as Dagster knows it."""
        return self.instance.add_run(
            dg.DagsterRun(job_name=f"{self.market.name}_paper_trading", status=status)
        )

    def killed(self):
        """A session and its run, whose process is gone."""
        run = self.run()
        with self.home.ledger() as ledger:
            Lease.take(ledger, self.market.name, "s", self.now, TTL)
            clock = lambda: self.now  # noqa: E731
            Attendance(ledger, self.market.name, "s", run.run_id, CONFIG, "ann", "", clock)()
        return run

    def tick(self, **later):
        """One look of the sensor: what it asks for, and what arrived."""
        self.now += timedelta(**later)
        before = len(self.inbox.letters)
        sensor = watchdog(self.plan, paper_job(self.plan), lambda: self.now)
        context = dg.build_sensor_context(
            instance=self.instance, resources={"alerts": self.alerts, "home": self.home}
        )
        done = sensor.evaluate_tick(context)
        told = [each.removeprefix("trading-pipeline: ") for each in self.inbox.said[before:]]
        return done.run_requests or [], told

    def status(self, run):
        return self.instance.get_run_by_id(run.run_id).status


@pytest.fixture
def inbox():
    with Inbox() as made:
        yield made


@pytest.fixture
def desk(home, instance, inbox):
    return Desk(home, instance, inbox)


def test_without_a_session_there_is_nothing_to_do(desk):
    assert desk.tick() == ([], [])
    assert not desk.home.has_ledger


def test_a_session_that_died_is_started_with_the_configuration_that_it_had(desk):
    """Its run looks alive: nobody told Dagster that the process is gone."""
    run = desk.killed()
    assert desk.tick(seconds=100) == ([], [])
    (request,), (told,) = desk.tick(seconds=60)
    assert request.run_config == {"ops": {"coins_paper_session": {"config": CONFIG}}}
    assert request.tags["trading_pipeline/reason"].startswith("no sign of life")
    assert told.startswith("session died: coins\nsession s: no sign of life: its lease ended ")
    assert told.endswith("It is started again.")
    assert desk.status(run) == dg.DagsterRunStatus.FAILURE  # or it would fill the queue


def test_it_is_over_once_a_session_trades_again(desk):
    desk.killed()
    desk.tick(minutes=3)
    desk.killed()  # the next one, which lives for now
    requests, (over,) = desk.tick(seconds=30)
    assert requests == []
    assert over.startswith("over: session died: coins\n")
    assert desk.tick(seconds=30) == ([], [])


@pytest.mark.slow
def test_a_session_whose_run_failed_does_not_trade_while_its_lease_lasts(desk):
    """The alert of the failed run was told as over, and half a minute later once more."""
    run = desk.killed()
    desk.instance.report_run_failed(run, "its process is gone")
    desk.alerts.tell(SESSION_DIED, desk.market.name, "its process is gone", desk.now)
    assert desk.tick(seconds=60) == ([], [])
    (request,), told = desk.tick(seconds=90)
    assert (request.tags["trading_pipeline/instead_of"], told) == (run.run_id, [])
    desk.killed()  # the next one, which lives
    _, (over,) = desk.tick(seconds=30)
    assert over.startswith("over: session died: coins\n")


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING])
def test_a_run_that_was_cancelled_in_the_web_ui_stays_stopped(desk, status):
    """Also by force, when its process could write nothing; and after the run is forgotten."""
    run = desk.killed()
    event = dg.DagsterEventType.PIPELINE_CANCELING
    if status == dg.DagsterRunStatus.CANCELED:
        event = dg.DagsterEventType.PIPELINE_CANCELED
    desk.instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=event.value, job_name=run.job_name), run.run_id
    )
    assert desk.status(run) == status
    assert desk.tick(minutes=3) == ([], [])
    desk.instance.delete_run(run.run_id)
    assert desk.tick(minutes=3) == ([], [])


def test_a_run_that_waits_for_its_turn_is_waited_for(desk):
    """The one that died is told, and is closed: the queue would let no other one pass."""
    died = desk.killed()
    waiting = desk.run(dg.DagsterRunStatus.NOT_STARTED)
    requests, (told,) = desk.tick(minutes=3)
    assert requests == []
    assert told.startswith("session died: coins\nsession s: no sign of life")
    assert told.endswith(f"Run {waiting.run_id[:8]} is on its way.")
    assert desk.status(died) == dg.DagsterRunStatus.FAILURE
    assert desk.tick(seconds=30) == ([], [])
    desk.instance.report_run_canceled(waiting)
    assert len(desk.tick(seconds=30)[0]) == 1


def say(desk, intent):
    with desk.home.ledger() as ledger:
        record_intent(ledger, "coins", intent, "odd prices", desk.now, "ann")


def test_a_market_is_halted_whether_or_not_a_session_lives(desk):
    """By an operator, while the session is dead and while it is stopped: told once, and once that
    it may trade again."""
    desk.killed()
    desk.tick(minutes=3)
    say(desk, HALTED)
    (told,) = desk.tick(seconds=30)[1]
    assert told.startswith("halted: coins\nsince ")
    assert "by ann: odd prices" in told
    assert desk.tick(seconds=30)[1] == []
    with desk.home.ledger() as ledger:
        stop_session(ledger, "coins", "ann", "", desk.now)
    assert desk.tick(seconds=30)[1] == ["over: session died: coins\nit was stopped"]
    say(desk, TRADING)
    assert desk.tick(seconds=30)[1] == ["over: halted: coins\nit may trade again"]
    say(desk, HALTED)
    assert desk.tick(seconds=30)[1][0].startswith("halted: coins\n")


def test_a_venue_that_does_not_answer_a_session_is_told_once_and_that_it_does(desk):
    """As the night's download is, of which it is another alert."""
    desk.killed()
    with desk.home.ledger() as ledger:
        met = Incidents(ledger, "coins", "s", lambda: desk.now)
        met.begin(DOWNLOAD_FAILED, "binance does not answer")
        assert desk.tick(seconds=30)[1] == ["download failed: coins/s\nbinance does not answer"]
        assert desk.tick(seconds=30)[1] == []
        met.end(DOWNLOAD_FAILED, "binance answers again")
        assert desk.tick(seconds=30)[1] == ["over: download failed: coins/s\nbinance answers again"]


def test_what_a_stopped_session_left_open_is_over(desk):
    """Nobody else would ever say so, if no session follows."""
    desk.killed()
    with desk.home.ledger() as ledger:
        Incidents(ledger, "coins", "s", lambda: desk.now).begin(DOWNLOAD_FAILED, "no answer")
        assert len(desk.tick(seconds=30)[1]) == 1
        stop_session(ledger, "coins", "ann", "", desk.now)
    over = "over: download failed: coins/s\nthe session s was stopped"
    assert desk.tick(seconds=30)[1] == [over]
    assert desk.tick(seconds=30)[1] == []


def test_more_deaths_than_allowed_are_told_and_wait(desk):
    heard = []
    for _ in range(MOST):
        desk.killed()
        requests, told = desk.tick(minutes=3)
        assert len(requests) == 1
        heard += told
    desk.killed()
    requests, (told,) = desk.tick(minutes=3)
    assert requests == []
    assert told.startswith("session died: coins, again and again\n")
    assert f"started {MOST} times within an hour and died again; the next try is at " in told
    assert desk.tick(minutes=1) == ([], [])
    assert len(desk.tick(minutes=52)[0]) == 1


@pytest.mark.slow
def test_a_run_process_that_is_killed_is_followed_by_a_run_that_goes_on(
    home, inbox, no_dagster_home
):
    """A real process, SIGKILL, Dagster's records on disk: the next run lives the other bars."""
    config = {"session": "s", "capital": 1e5}
    ops = {"ops": {"small_paper_session": {"config": config}}}

    def work():
        kill_points.hook = killing("before journal of decision", 4)
        with local_instance(home.path) as instance:
            job = SmallMarket(home, instance).definitions.resolve_job_def("small_paper_trading")
            job.execute_in_process(instance=instance, run_config=ops)

    small = SmallMarket(home, None)
    small.store(bars_until("2002-07-20"))
    data, recipe = read_dataset(home, small.plan), small.plan.recipe
    fold = folds_of(data.panel, recipe)[FIRST]
    home.checkpoints(MARKET).write(FIRST, untrained(data, fold, recipe))
    status = in_a_process(work)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL

    with local_instance(home.path) as instance:
        (killed,) = instance.get_runs(dg.RunsFilter(job_name="small_paper_trading"))
        assert killed.status == STARTED
        desk = Desk(home, instance, inbox, MARKET)
        assert desk.tick() == ([], [])
        (request,), (told,) = desk.tick(minutes=3)
        assert told.startswith("session died: small\n")
        assert desk.status(killed) == dg.DagsterRunStatus.FAILURE
        asked = request.run_config["ops"]["small_paper_session"]["config"]
        assert config.items() <= asked.items()

        with home.ledger() as ledger:
            seen = ledger.last("paper/small/s").seq
            held, now = ledger.last("lease/small").payload, datetime.now(UTC)
            ledger.append("lease/small", "released", now, held, now)  # its two minutes are over
        job = SmallMarket(home, instance).definitions.resolve_job_def("small_paper_trading")
        assert job.execute_in_process(instance=instance, run_config=request.run_config).success
        with home.ledger() as ledger:
            bars = [event.at for event in ledger.read("paper/small/s", kind="bar")]
            decisions = [event.at for event in ledger.read("paper/small/s", kind="decision")]
            assert ledger.verify("paper/small/s") > seen
            assert wanted_session(ledger, "small") is None  # all bars are lived through
        assert len(bars) == len(set(bars)) > 5
        assert bars == decisions
        requests, (over,) = desk.tick(minutes=5)
        assert requests == []
        assert over.startswith("over: session died: small\nit was stopped")
