"""A night that failed is run again in the same night, when the venue wants to be asked."""

import signal
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.storage.tags import SENSOR_NAME_TAG

from trading_pipeline.defs.jobs import AGAIN
from trading_pipeline.defs.markets import market_definitions
from trading_pipeline.defs.partitions import known_days, range_tags
from trading_pipeline.defs.second_tries import look
from trading_pipeline.errors import SourceUnavailable, VenueDown
from trading_pipeline.steps.plan import Plan
from trading_pipeline_tests.defs.short_market import MARKET, resources_of
from trading_pipeline_tests.fakes.table import TableVenue

FIRST, LAST = "2000-07-28", "2000-07-31"
BY_DAY = [
    dg.AssetKey([MARKET.name, each]) for each in ("raw_bars", "corporate_actions", "features")
]
SENSOR = f"{MARKET.name}_second_tries"
FAILED, WENT_WELL = dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS
PAUSES = (5, 10, 20, 40, 80, 120, 120, 120, 120, 120)  # minutes


class Nights:
    """Nights against a venue, run when the sensor says so; it looks some minutes from now."""

    def __init__(self, home, instance, bars):
        self.instance = instance
        self.venue = TableVenue(bars, datetime(2000, 8, 1, tzinfo=UTC), calendar="XNYS")
        shared = dg.Definitions(
            resources=resources_of(home, self.venue), executor=dg.in_process_executor
        )
        definitions = dg.Definitions.merge(shared, market_definitions(Plan(MARKET)))
        self.job = definitions.resolve_job_def(f"{MARKET.name}_nightly")

    def run(self, tags=None):
        """By the day alone: so short a history allows no model."""
        return self.job.execute_in_process(
            instance=self.instance,
            tags=tags or range_tags(FIRST, LAST),
            asset_selection=BY_DAY,
            raise_on_error=False,
        )

    def fail(self, error):
        """One night in which no symbol answers."""
        self.venue.errors = {symbol: [error] * 2 for symbol in MARKET.symbols}
        assert not self.run().success
        self.venue.errors = {}

    @property
    def days(self):
        return known_days(MARKET, datetime.now(UTC))

    def land(self, day):
        """Features of a day, made by somebody."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(BY_DAY[2], partition=day))

    def note(self, end, at=None, tags=None):
        """A night that ended at an instant: now, if none is given."""
        at = at or datetime.now(UTC)
        run = self.instance.create_run_for_job(self.job, tags=tags)
        event = dg.DagsterEvent(end.value, run.job_name, message="so")
        self.instance.report_dagster_event(event, run.run_id, timestamp=at.timestamp())

    def look(self, minutes):
        """The run that is asked for, or why there is none."""
        now = datetime.now(UTC) + timedelta(minutes=minutes)
        return look(self.instance, MARKET, SENSOR, now)

    def again(self, request):
        return self.run({**request.tags, SENSOR_NAME_TAG: SENSOR})


@contextmanager
def ended_after(seconds):
    """What goes on for longer is ended by an error, which is noted: Dagster makes a failed run of
    it."""
    noted = []

    def end(number, frame):
        noted.append(number)
        raise TimeoutError("it goes on and on")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield noted
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def nights(home, instance, sample_bars):
    return Nights(home, instance, sample_bars)


@pytest.mark.slow
def test_a_failed_night_is_run_again_the_same_night_and_then_left_alone(nights):
    assert "no night yet" in nights.look(0).skip_message
    nights.fail(SourceUnavailable("the table answered HTTP 500"))
    assert "the night failed; it is tried again at " in nights.look(4).skip_message
    request = nights.look(6)
    assert request.run_key == nights.look(7).run_key, "asked for once"
    assert request.tags.items() >= AGAIN.items(), "behind the nights of other markets"
    assert nights.again(request).success
    assert "brought everything" in nights.look(6000).skip_message
    stored = nights.instance.get_materialized_partitions(BY_DAY[2])
    assert {FIRST, LAST} <= stored, "the days of the night that failed"


@pytest.mark.long
@pytest.mark.slow
def test_a_night_in_which_the_venue_answers_nothing_at_all_ends(nights):
    """Neither bars nor corporate actions. Dagster went on for good, and nothing was tried again,
    where a step was to be skipped after others had been given up."""

    def silent(symbols):
        raise SourceUnavailable("the table answered HTTP 500")

    nights.venue.actions, told = silent, nights.venue.actions
    with ended_after(300) as endless:
        nights.fail(SourceUnavailable("the table answered HTTP 500"))
    assert not endless
    nights.venue.actions = told
    assert nights.again(nights.look(6)).success
    assert "brought everything" in nights.look(6000).skip_message


@pytest.mark.long
@pytest.mark.slow
def test_a_venue_that_wants_to_be_left_alone_is(nights):
    """A ban of two hours was a day without bars."""
    nights.fail(VenueDown("the table answered HTTP 418", retry_after=7200))
    assert "tried again at" in nights.look(119).skip_message
    assert nights.again(nights.look(121)).success


@pytest.mark.slow
def test_a_venue_that_wants_to_tell_no_corporate_actions_is_left_alone(nights):
    """Bars came, and the longest of the pauses that it wants holds."""

    def banned(symbols):
        raise VenueDown("the table answered HTTP 418", retry_after=7200)

    nights.venue.actions = banned
    nights.venue.errors = {"IBM": [VenueDown("the table answered HTTP 429", retry_after=60)] * 2}
    nights.run()
    assert "tried again at" in nights.look(119).skip_message
    assert isinstance(nights.look(121), dg.RunRequest)


@pytest.mark.long
@pytest.mark.slow
def test_a_symbol_that_did_not_come_is_asked_for_again(nights):
    nights.venue.errors = {"IBM": [SourceUnavailable("the table answered HTTP 500")] * 2}
    assert nights.run().success, "the others go on"
    assert "every symbol was fetched" in nights.look(4).skip_message
    assert nights.again(nights.look(6)).success
    assert "brought everything" in nights.look(6000).skip_message


@pytest.mark.long
@pytest.mark.slow
def test_pauses_grow_and_a_night_without_bars_is_run_until_it_has_them(nights):
    """A venue that was down until the morning left the bars to the next evening."""
    nights.fail(SourceUnavailable("the table answered HTTP 500"))
    nights.venue.forever = True
    for pause in PAUSES:
        nights.venue.errors = {
            symbol: [SourceUnavailable("the table answered HTTP 500")] for symbol in MARKET.symbols
        }
        assert isinstance(nights.look(pause - 1), dg.SkipReason)
        assert not nights.again(nights.look(pause + 1)).success
    nights.venue.errors = {}
    assert nights.again(nights.look(PAUSES[-1] + 1)).success
    assert "brought everything" in nights.look(6000).skip_message


@pytest.mark.long
@pytest.mark.slow
def test_a_symbol_that_never_comes_is_asked_for_eight_times_more(nights):
    """Perhaps its venue does not know it."""
    nights.venue.forever = True
    nights.venue.errors = {"IBM": [SourceUnavailable("the table answered HTTP 404")]}
    assert nights.run().success
    for pause in PAUSES[:8]:
        assert nights.again(nights.look(pause + 1)).success
    assert "was fetched), 9 times; the next night makes up for it" in nights.look(6000).skip_message


@pytest.mark.slow
def test_a_night_that_failed_on_bars_that_are_there_is_run_again_once(nights):
    """A training that failed is no venue that answers later: eight more would be a night's heat."""
    for day in nights.days:
        nights.land(day)
    nights.note(FAILED)
    request = nights.look(6)
    assert request.tags.items() >= range_tags(LAST, LAST).items(), "the newest day alone"
    nights.note(FAILED, tags={SENSOR_NAME_TAG: SENSOR})
    assert "failed, 2 times; the next night makes up" in nights.look(6000).skip_message


COINS = replace(MARKET, calendar="24/7", start=date(2026, 11, 1), end=None)


@pytest.fixture
def look_at(nights):
    """At an instant of December, when all days of November were made."""
    for day in range(1, 31):
        nights.land(f"2026-11-{day:02}")

    def look_at(day, hour, minute):
        now = datetime(2026, 12, day, hour, minute, tzinfo=UTC)
        return look(nights.instance, COINS, SENSOR, now)

    return look_at


@pytest.mark.slow
def test_a_night_that_never_began_is_made_up_for(nights, look_at):
    """The look of its schedule failed, and Dagster goes on with the next one: Friday to Monday."""
    nights.note(WENT_WELL, datetime(2026, 12, 1, 0, 11, tzinfo=UTC))
    assert "brought everything" in look_at(2, 0, 5).skip_message
    assert "brought everything" in look_at(2, 1, 59).skip_message, "it may be on its way"
    request = look_at(2, 2, 1)
    assert request.tags.items() >= range_tags("2026-12-01", "2026-12-01").items()
    assert look_at(4, 2, 1).tags.items() >= range_tags("2026-12-01", "2026-12-03").items()


@pytest.mark.slow
def test_days_that_closed_since_the_failure_are_left_to_their_own_night(nights, look_at):
    """Its bars are final some time after the close, and a second try may come before."""
    nights.note(FAILED, datetime(2026, 12, 2, 23, 50, tzinfo=UTC))
    request = look_at(3, 0, 1)
    assert request.tags.items() >= range_tags("2026-12-01", "2026-12-01").items()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (dg.DagsterRunStatus.STARTED, "is under way"),
        (dg.DagsterRunStatus.STARTING, "is under way"),
        (dg.DagsterRunStatus.CANCELED, "was cancelled"),
    ],
)
def test_a_night_that_runs_or_was_stopped_is_left_alone(nights, status, said):
    nights.fail(SourceUnavailable("the table answered HTTP 500"))
    nights.instance.add_run(dg.DagsterRun(job_name=f"{MARKET.name}_nightly", status=status))
    assert said in nights.look(6000).skip_message
