"""One session trades a market at a time, and stops when it may not any more."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters import threads
from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import LeaseHeld, LeaseLost
from trading_pipeline.steps.guard import TTL, guarded
from trading_pipeline.steps.watchdog import Attendance, wanted_session
from trading_pipeline_tests.steps import kills


class Clock:
    """Goes on only while somebody sleeps."""

    def __init__(self):
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def holding(ledger, clock, session="one", **how):
    return guarded(ledger, "m", session, clock, clock.sleep, **how)


def test_the_second_of_two_sessions_waits_in_vain_and_is_refused(ledger, clock, caplog):
    """It waits as long as a dead one's lease lasts; this one lives, and goes on renewing."""
    with holding(ledger, clock) as first:

        def sleep(seconds):
            clock.sleep(seconds)
            first()

        with pytest.raises(LeaseHeld, match="is traded by one, process"):
            guarded(ledger, "m", "two", clock, sleep).__enter__()
        first()
    assert [each.message[:23] for each in caplog.records] == ["waiting for the lease o"]


def test_a_session_is_known_as_soon_as_it_holds_the_lease(ledger, clock):
    """Killed before its first sign of life, it was never started for the watchdog."""
    told = Attendance(ledger, "m", "one", "run", {}, "somebody", "", clock)
    with told, holding(ledger, clock, running=told):
        assert wanted_session(ledger, "m").payload["session"] == "one"


def test_a_session_takes_over_from_one_that_died(ledger, clock):
    """As soon as the lease has expired, and the dead one, should it wake, may not go on."""
    left_open = holding(ledger, clock)  # were it collected, it would be released
    dead = left_open.__enter__()
    before = clock()
    with holding(ledger, clock, "two") as second:
        assert TTL <= clock() - before <= TTL + timedelta(seconds=2)
        second()
        with pytest.raises(LeaseLost, match="taken over by two"):
            dead()


def test_a_session_that_ends_leaves_the_market_free(ledger, clock):
    with pytest.raises(KeyboardInterrupt), holding(ledger, clock):
        raise KeyboardInterrupt
    before = clock()
    with holding(ledger, clock, "two"):
        assert clock() == before


def test_a_run_that_was_ended_from_outside_trades_no_more(ledger, clock):
    """A force-cancelled run leaves its process alive."""
    wanted = [True, True, True, False]
    with holding(ledger, clock, running=lambda: wanted.pop(0)) as guard:
        guard()
        guard()
        with pytest.raises(LeaseLost, match=r"the run of one, process .* was ended from outside"):
            guard()


def test_waiting_for_a_bar_keeps_the_lease(ledger, clock):
    """Longer than the lease lasts, as from one day's close to the next."""
    with holding(ledger, clock) as guard:
        before = clock()
        guard.wait(3600, clock.sleep)
        assert clock() - before == timedelta(hours=1)
        guard()


def test_work_that_takes_long_keeps_the_lease(ledger, clock, monkeypatch):
    """A year of minutes is read again at a restart: longer than a lease lasts."""
    monkeypatch.setattr(threads, "_WATCH", 0.01)
    beats = []

    def goes_on():
        beats.append(clock.sleep(TTL.total_seconds() / 2))
        return len(beats) < 9

    def read():
        while len(beats) < 5:
            time.sleep(0.001)
        return "read"

    with holding(ledger, clock, running=goes_on) as guard:
        assert guard.during(read) == "read"
        guard()
        with pytest.raises(LeaseLost, match="ended from outside"):
            guard.during(lambda: time.sleep(1))


@pytest.mark.slow
def test_a_session_without_its_lease_sends_no_more_orders(tmp_path, monkeypatch):
    """Another one takes over between two orders of one decision."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    left, _ = kills.undisturbed(whole)
    sent = 40

    class Interrupted(kills.Venue):
        def submit(self, order):
            answer = super().submit(order)
            if len(self.orders) == sent:
                later = kills.BEGIN + timedelta(days=1)
                with Ledger(cut / "ledger.sqlite") as other:
                    Lease.take(other, kills.MARKET.name, "two", later, TTL)
            return answer

    with monkeypatch.context() as patched:
        patched.setattr(kills, "Venue", Interrupted)
        with pytest.raises(LeaseLost, match="taken over by two"):
            kills.trade(cut, 0)
    assert len(kills.Venue(cut / "venue.jsonl").orders) == sent
    kills.trade(cut, 100)  # two days later
    kills.check(left, kills.Left.of(cut), "after losing the lease")
