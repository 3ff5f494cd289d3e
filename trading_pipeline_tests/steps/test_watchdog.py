"""Which session is wanted, and which one died: by what the ledger says, minute by minute."""

from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import LeaseHeld, LedgerError, TradingError
from trading_pipeline.steps import watchdog
from trading_pipeline.steps.guard import TTL, guarded
from trading_pipeline.steps.watchdog import (
    MOST,
    Attendance,
    dead_session,
    how_it_stands,
    note_restart,
    stop_session,
    wanted_session,
)

MARKET, NOON = "coins", datetime(2030, 1, 1, 12, tzinfo=UTC)
CONFIG = {"session": "s", "capital": 5.0}


class Desk:
    """A ledger, a clock that is set by hand, and sessions that live for one beat."""

    def __init__(self, ledger):
        self.ledger, self.now = ledger, NOON

    def later(self, **span):
        self.now += timedelta(**span)
        return self

    def attended(self, run, goes_on=lambda: True, instead_of=""):
        def clock():
            return self.now

        return Attendance(
            self.ledger, MARKET, "s", run, CONFIG, "ann", "", clock, goes_on, instead_of
        )

    def live(self, run, end=None, goes_on=lambda: True, instead_of=""):
        """One beat of a session, which then ends as it should, or as `end` says."""
        with (
            self.attended(run, goes_on, instead_of) as wanted,
            guarded(
                self.ledger, MARKET, "s", lambda: self.now, lambda _: None, running=wanted
            ) as g,
        ):
            g()
            if callable(end):
                end()
                g()
            elif end is not None:
                raise end

    def killed(self, run):
        """A session of which nothing is left but what it wrote while it lived."""
        Lease.take(self.ledger, MARKET, "s", self.now, TTL)
        self.attended(run)()

    def dead(self):
        return dead_session(self.ledger, MARKET, self.now)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog, "_LOOK", 0.0)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Desk(ledger)


def test_a_session_that_was_killed_is_dead_once_its_lease_is_over(desk):
    desk.killed("one")
    assert desk.later(seconds=100).dead() is None  # it may live
    found = desk.later(seconds=40).dead()
    assert (found.session, found.run, found.config) == ("s", "one", CONFIG)
    assert found.why == "no sign of life: its lease ended 12:02:00 UTC"
    assert found.next_try is None


def test_a_session_that_broke_is_dead_and_says_what_of(desk):
    with pytest.raises(TradingError):
        desk.live("one", TradingError("no such bar"))
    assert desk.dead() is None  # it may not have said yet how it ended
    assert desk.later(seconds=20).dead().why == "TradingError: no such bar"
    assert how_it_stands(desk.ledger, MARKET) == "died 2030-01-01 12:00: TradingError: no such bar"


@pytest.mark.parametrize("end", [None, KeyboardInterrupt()])
def test_a_session_that_came_to_its_end_or_was_interrupted_is_not_wanted(desk, end):
    """Ctrl-C, SIGTERM and the web UI reach it as exceptions that are no errors."""
    if end is None:
        desk.live("one")
    else:
        with pytest.raises(KeyboardInterrupt):
            desk.live("one", end)
    assert desk.later(hours=1).dead() is None
    assert wanted_session(desk.ledger, MARKET) is None
    assert "stopped 2030-01-01 12:00 by ann: " in how_it_stands(desk.ledger, MARKET)


def test_a_restart_that_was_called_off_before_it_began_does_not_begin(desk):
    """The watchdog has asked for a run, and the operator stops the session before that trades."""
    desk.killed("one")
    desk.later(minutes=5)
    stop_session(desk.ledger, MARKET, "bob", "holiday", desk.now)
    desk.live("two", instead_of="one")  # ends well
    assert wanted_session(desk.ledger, MARKET) is None
    assert how_it_stands(desk.ledger, MARKET) == "stopped 2030-01-01 12:05 by bob: holiday"


def test_a_word_of_the_operator_ends_a_session_and_keeps_a_dead_one_dead(desk):
    def stop():
        assert stop_session(desk.ledger, MARKET, "bob", "holiday", desk.now) == "s"

    desk.live("one", stop)  # ends well
    assert how_it_stands(desk.ledger, MARKET) == "stopped 2030-01-01 12:00 by bob: holiday"
    with pytest.raises(LedgerError, match="coins has no paper session that was started and not"):
        stop()
    desk.later(hours=1).killed("two")
    assert desk.later(hours=1).dead().run == "two"
    stop()
    assert desk.dead() is None


def test_a_run_that_was_ended_from_outside_died(desk):
    """Its process noticed; whether a person cancelled it is Dagster's to know."""
    with pytest.raises(LedgerError, match="ended from outside"):
        desk.live("one", goes_on=lambda: False)
    assert "ended from outside" in desk.later(minutes=1).dead().why


def test_a_second_session_that_is_refused_leaves_the_first_one_wanted(desk):
    """Else a mistake at the terminal would keep the watchdog from the session that trades."""
    first = Lease.take(desk.ledger, MARKET, "s", desk.now, TTL)
    desk.attended("one")()

    def sleep(_):
        first.renew(desk.later(seconds=50).now)

    with (
        pytest.raises(LeaseHeld),
        desk.attended("two") as wanted,
        guarded(desk.ledger, MARKET, "s", lambda: desk.now, sleep, running=wanted),
    ):
        raise AssertionError("it has the lease of another one")
    assert wanted_session(desk.ledger, MARKET).payload["run"] == "one"


def test_the_session_that_took_over_is_the_one_that_counts(desk):
    desk.killed("one")
    desk.later(minutes=3).live("two")
    assert desk.later(hours=1).dead() is None


def test_no_more_restarts_an_hour_than_allowed(desk):
    for number in range(MOST):
        desk.killed(f"run {number}")
        found = desk.later(minutes=3).dead()
        assert found.next_try is None
        note_restart(desk.ledger, MARKET, found, desk.now)
    desk.killed("the last")
    found = desk.later(minutes=3).dead()
    assert found.next_try == NOON + timedelta(minutes=63)
    assert desk.later(minutes=51, seconds=1).dead().next_try is None
