"""What the sensor tells of runs that really failed: once, and once more when it is over."""

import dataclasses
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest
from dagster._core.storage.tags import PARTITION_NAME_TAG

from trading_pipeline.adapters.alerts import addresses_of
from trading_pipeline.adapters.store.production import NIGHTLY, REFUSED, Decision, record
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.definitions import assemble
from trading_pipeline.defs import alerts as module
from trading_pipeline.defs.checks.models import candidate_is_accepted
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.errors import SourceError, SourceUnavailable
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.defs.short_market import FakeSources
from trading_pipeline_tests.fakes.inbox import Inbox
from trading_pipeline_tests.fakes.table import BARS, NAMES, NOW, TableVenue
from trading_pipeline_tests.fakes.venue import refusal

COINS = Market(
    name="coins",
    source="ccxt",
    symbols=NAMES,
    start=date(2020, 4, 10),
    end=date(2020, 4, 30),
    calendar="24/7",
)
PLAN = Plan(COINS, preset="tiny")
TODAY = datetime(2030, 1, 1, tzinfo=UTC)


class Venue(TableVenue):
    """One that may be down."""

    down = False

    def bars(self, symbols, start, end):
        if self.down:
            raise SourceUnavailable("the venue did not answer")
        return super().bars(symbols, start, end)


class Desk:
    """A market of a venue in memory, its jobs, the sensor, and where its messages arrive."""

    def __init__(self, home, instance, inbox):
        self.home, self.instance, self.inbox = home, instance, inbox
        self.venue = Venue(BARS[BARS["timestamp"] >= "2020-04-10"].reset_index(drop=True), NOW)
        self.alerts = home.alerts(addresses_of(inbox.at("json")))
        sources = FakeSources(self.venue)
        self.definitions = assemble([PLAN], home, sources, Progress(), alerts=self.alerts)
        self.cursor, self.now, self.said = None, TODAY, ""
        self.tick()

    def run(self, job, only=None, **tags):
        """A run of the job, which may fail; whether it did not."""
        done = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=tags, asset_selection=only
        )
        return done.success

    def download(self):
        """Of bars, with their checks; features would take their time."""
        bars = [dg.AssetKey(["coins", "raw_bars"])]
        return self.run("coins_download", bars, **range_tags("2020-04-10", "2020-04-29"))

    def tick(self):
        """One look of the sensor, a minute after the last; what arrived since then."""
        before, self.now = len(self.inbox.letters), self.now + timedelta(minutes=1)
        sensor = module.alerts_sensor(lambda: self.now)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"alerts": self.alerts}
        )
        done = sensor.evaluate_tick(context)
        self.cursor, self.said = done.cursor, done.skip_message
        return [each.removeprefix("trading-pipeline: ") for each in self.inbox.said[before:]]


@pytest.fixture
def desk(home, instance):
    with Inbox() as inbox:
        yield Desk(home, instance, inbox)


@pytest.mark.slow
def test_a_venue_that_is_down_for_an_hour_is_one_message_and_one_that_it_is_back(desk):
    desk.venue.down = True
    heard = []
    for _ in range(4):
        assert not desk.download()
        heard += desk.tick()
    (told,) = heard
    assert told.startswith("download failed: coins\nSourceUnavailable: ")
    assert "the venue did not answer" in told
    assert "(coins_download, run " in told
    desk.venue.down = False
    assert desk.download()
    assert [each.partition(" (")[0] for each in desk.tick()] == [
        "over: download failed: coins\nit works again"
    ]
    assert desk.tick() == []


@pytest.mark.slow
def test_a_symbol_that_failed_in_a_run_that_went_well_is_told(desk):
    desk.venue.errors, desk.venue.forever = {"BBB": [SourceError("BBB is broken")]}, True
    assert desk.download()
    (told,) = desk.tick()
    assert told.startswith("download failed: coins/raw_bars: every_symbol_was_fetched\nBBB: BBB is")
    desk.venue.errors.clear()
    assert desk.download()
    assert desk.tick()[0].startswith("over: download failed: coins/raw_bars: every_symbol")


@pytest.mark.slow
def test_a_check_that_blocks_is_told_as_itself_and_not_as_a_failed_run(desk):
    table = desk.venue.table
    hole = table["timestamp"].between(
        *(pd.Timestamp(f"2020-04-{day}", tz="UTC") for day in (15, 22))
    )
    desk.venue.table = table[~hole].reset_index(drop=True)
    assert not desk.download()
    (told,) = desk.tick()
    assert told.startswith("check failed: coins/raw_bars: no_session_is_missing\n")
    assert "every symbol lacks" in told
    assert not desk.run("coins_weekly_quality")
    assert desk.tick() == []
    desk.venue.table = table
    desk.download()
    assert desk.tick()[0].startswith("over: check failed: coins/raw_bars: no_session_is_missing\n")


@pytest.mark.slow
def test_a_paper_session_that_died_is_told(desk):
    desk.download()
    assert not desk.run("coins_paper_trading")
    (told,) = desk.tick()
    assert told.startswith("session died: coins\n")
    assert "(coins_paper_trading, run " in told


@pytest.mark.slow
def test_a_refused_model_is_told_although_nothing_failed(desk):
    decision = Decision(
        kind=REFUSED, model="a" * 64, fingerprint="b", last_target="2020-04-29T00:00:00+00:00",
        instead_of=None, by=NIGHTLY, reasons=("it orders the symbols otherwise",),
    )  # fmt: skip
    check = candidate_is_accepted(PLAN)
    for kind, expected in ((REFUSED, "model refused: coins\nit orders"), ("accepted", "over: ")):
        with desk.home.ledger() as ledger:
            record(ledger, "coins", dataclasses.replace(decision, kind=kind), TODAY)
        done = dg.materialize(
            [check],
            instance=desk.instance,
            resources={"home": desk.home},
            selection=dg.AssetSelection.checks(check),
        )
        assert done.success
        assert desk.tick()[0].startswith(expected)


def fold_job(fails):
    """A job that makes predictions of a fold, or breaks."""

    @dg.op(name="coins__predictions")
    def predictions():
        if fails:
            raise ValueError("no such bars")

    @dg.job(name="coins_train")
    def train():
        predictions()

    return train


@pytest.mark.slow
def test_the_next_fold_going_well_says_nothing_of_the_one_that_failed(desk):
    for fold, fails, expected in (
        ("2019-01-01", True, "run failed: coins/predictions\nfold 2019-01-01: ValueError: no such"),
        ("2020-01-01", True, None),
        ("2020-01-01", False, None),
        ("2019-01-01", False, "over: run failed: coins/predictions\n"),
    ):
        fold_job(fails).execute_in_process(
            instance=desk.instance, raise_on_error=False, tags={PARTITION_NAME_TAG: fold}
        )
        heard = desk.tick()
        assert [each[: len(expected or "")] for each in heard] == ([expected] if expected else [])


def test_a_run_whose_process_was_killed_is_told_and_one_that_was_stopped_is_not(desk):
    started = dg.DagsterRunStatus.STARTED
    killed, stopped = (dg.DagsterRun(job_name="coins_refits", status=started) for _ in range(2))
    for each in (killed, stopped):
        desk.instance.add_run(each)
    desk.instance.report_run_canceled(stopped)
    assert desk.tick() == []
    desk.instance.report_run_failed(killed, "The process of this run was killed.")
    assert desk.tick()[0].startswith("run failed: coins_refits\nThe process of this run was killed")


@pytest.mark.slow
def test_what_was_before_the_first_look_is_not_told(desk):
    desk.venue.down = True
    desk.download()
    desk.cursor = None
    assert desk.tick() == []
    assert desk.said == "nothing went wrong"


def test_many_runs_are_read_tick_by_tick(desk, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 2)
    for number in range(5):
        run = dg.DagsterRun(job_name=f"job_{number}", status=dg.DagsterRunStatus.STARTED)
        desk.instance.add_run(run)
        desk.instance.report_run_failed(run, "killed")
    heard = [desk.tick() for _ in range(4)]
    assert [[said.partition("\n")[0] for said in each] for each in heard] == [
        ["2 alerts"],
        ["2 alerts"],
        ["run failed: job_4"],
        [],
    ]


@pytest.mark.slow
def test_an_address_that_is_down_is_tried_again_at_the_next_tick(desk):
    desk.venue.down = True
    desk.download()
    desk.inbox.misbehave(refusal(500), 2)
    first, again, then = desk.tick(), desk.tick(), desk.tick()
    assert first == again == then
    assert desk.tick() == []


@pytest.mark.slow
def test_runs_are_read_again_once_the_ledger_can_be_used(desk, home):
    desk.venue.down = True
    desk.download()
    place = home.path / "ledger.sqlite"
    place.unlink(missing_ok=True)
    place.write_bytes(b"not a database" * 100)
    before = desk.cursor
    assert len(desk.tick()) == 2  # the download, and the ledger
    assert (desk.cursor, desk.said) == (before, "the ledger cannot be used; tried again")
    assert desk.tick() == []
    place.unlink()
    assert len(desk.tick()) == 1
    assert desk.cursor != before
