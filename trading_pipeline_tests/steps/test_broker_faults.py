"""A session at a venue that fails in every way goes on: nothing lost, nothing doubled, and told.

Each run is held against one of the same session that nothing happened to: the same orders, fills,
vetoes and equity.
"""

import os
import random
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd
import pytest

from trading_pipeline.adapters.kill_switch import HALTED
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.adapters.store.recordings import RecordingStore
from trading_pipeline.errors import LedgerError
from trading_pipeline.steps.identity import compare
from trading_pipeline.steps.incidents import incidents
from trading_pipeline_tests.fakes.venue import Answer, Fault, refusal
from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.at_broker import (
    at_alpaca,
    at_binance,
    check_books,
    left_of,
    trade,
)
from trading_pipeline_tests.steps.exchanges import AlpacaExchange, BinanceExchange
from trading_pipeline_tests.steps.kills import FIRST

pytestmark = pytest.mark.slow


def quiet(folder, setting):
    """What a session leaves that nothing happens to."""
    left, _ = kills.undisturbed(folder, setting)
    assert len(left.fills) >= 100
    assert len(left.vetoes) >= 2
    return left


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return quiet(tmp_path_factory.mktemp("whole"), at_alpaca)


@pytest.fixture(scope="module")
def whole_at_binance(tmp_path_factory):
    return quiet(tmp_path_factory.mktemp("whole"), at_binance)


@pytest.fixture
def venue():
    with AlpacaExchange() as made:
        yield made


def survived(whole, venue, folder):
    """Nothing lost, nothing doubled; what it left."""
    left = left_of(venue, folder)
    check_books(venue, left)
    kills.check(whole, left, "by faults")
    return left


@pytest.mark.long
def test_a_session_at_a_broker_is_replayed_with_what_the_broker_did(whole, venue, tmp_path):
    """All orders and fills, and the equity from the fills alone; a forged execution is found."""
    trade(venue, tmp_path, 0)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        found = compare(
            ledger,
            venue.market,
            RecordingStore(tmp_path / "recordings"),
            "s",
            lambda panel: panel.traded,
        )
    assert found.same, found.differences[:3]
    assert (found.orders >= 50, found.fills >= 100, found.vetoes >= 2) == (True,) * 3
    survived(whole, venue, tmp_path)


DISTURBANCES = {
    "cut": Fault(cut=0.0),
    "cut in the middle": Fault(cut=0.5),
    "mute": Fault(mute=True),
    "500": refusal(500),
    "503": refusal(503),
    "429": refusal(429, retry_after=3),
    "no JSON": Fault(answer=Answer(b"<html>", 200)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.sampled(3)
def test_disconnects_at_any_request_change_nothing(whole, venue, tmp_path, caplog, seed):
    """Orders, questions and cancels; once or three times in a row."""
    disconnected(whole, venue, tmp_path, seed)
    assert "it may have been done" in caplog.text or "asked again" in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.sampled(2)
def test_disconnects_from_binance_change_nothing(whole_at_binance, tmp_path, caplog, seed):
    """Where an order is filled as it comes, whether or not anybody hears of it."""
    with BinanceExchange() as venue:
        disconnected(whole_at_binance, venue, tmp_path, seed)
    assert "it may have been done" in caplog.text or "asked again" in caplog.text


def disconnected(whole, venue, folder, seed):
    rng = random.Random(seed)

    def disturb(row, ledger):
        venue.behave()
        for _ in range(rng.randint(1, 4)):
            fault = rng.choice(list(DISTURBANCES.values()))
            method = rng.choice(["", "POST", "GET", "DELETE"])
            given = {"times": rng.choice([1, 1, 3]), "after": rng.randint(0, 15)}
            venue.misbehave(fault, where=venue.api, method=method, **given)

    trade(venue, folder, 0, before=disturb)
    survived(whole, venue, folder)


@pytest.mark.long
def test_a_venue_that_answers_500_for_an_hour(whole, venue, tmp_path, caplog):
    """At a close, and in an evening when orders are sent: told once, and once that it is over."""
    hour = timedelta(hours=1)
    at_close = venue.close_of(FIRST + 3)
    in_the_evening = venue.close_of(FIRST + 5) + 3 * hour
    venue.outages = [(begin, begin + hour) for begin in (at_close, in_the_evening)]
    trade(venue, tmp_path, 0)
    assert not venue.outages
    survived(whole, venue, tmp_path)
    assert caplog.text.count("the venue does not answer, and is asked again") == 2
    assert caplog.text.count("the venue answers again") == 2
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        (told,) = incidents(ledger, venue.market.name, "s")
    assert (told.kind, told.over) == ("broker_down", True)


@pytest.mark.long
def test_trades_that_are_told_twice_and_late(whole, venue, tmp_path):
    """All of them twice; and those of some mornings only when the close is over by some seconds."""
    venue.twice = True

    def late(row, ledger):
        if row % 3 == 0:
            venue.quiet_until = pd.Timestamp(venue.close_of(row) + timedelta(seconds=12))

    trade(venue, tmp_path, 0, before=late)
    survived(whole, venue, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [-90, 90])
@pytest.mark.sampled(2)
def test_clocks_that_differ(whole, venue, tmp_path, seconds):
    """Ours is ahead or behind: no auction is missed, and no order is refused."""
    venue.ahead = pd.Timedelta(seconds=seconds)
    trade(venue, tmp_path, 0)
    survived(whole, venue, tmp_path)


@pytest.mark.long
def test_orders_that_the_venue_refuses_are_told_and_the_session_goes_on(venue, tmp_path, caplog):
    """One in seven: the account is another, and it is the venue's."""
    refused = set()
    accept = venue._complaint_about

    def strict(body, *others):
        if sum(body["client_order_id"].encode()) % 7 == 0:
            refused.add(body["client_order_id"])
            return 403, 40310000, "insufficient buying power"
        return accept(body, *others)

    venue._complaint_about = strict
    trade(venue, tmp_path, 0)
    left = left_of(venue, tmp_path)
    check_books(venue, left)
    rejected = {each["client_order_id"] for each in left.sent if each["status"] == "rejected"}
    assert rejected == refused
    assert len(refused) >= 5
    assert all(f"{each} is rejected" in caplog.text for each in refused)
    assert len(left.fills) >= 100
    assert len(left.vetoes) >= 2


@pytest.mark.long
def test_a_full_disk_stops_the_session_and_the_next_one_goes_on(whole, venue, tmp_path):
    def fill_up(row, ledger):
        if row == FIRST + 4:
            with ledger._table.writing() as connection:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4}")

    with pytest.raises(LedgerError, match="full"):
        trade(venue, tmp_path, 0, before=fill_up)
    trade(venue, tmp_path, 1)
    survived(whole, venue, tmp_path)


@pytest.mark.long
def test_a_locked_database_stops_the_session_and_the_next_one_goes_on(whole, venue, tmp_path):
    """Another process writes for longer than the session's patience."""
    import sqlite3

    others = []

    def lock(row, ledger):
        if row == FIRST + 4:
            other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            others.append(other)

    with pytest.raises(LedgerError, match="has been writing to it"):
        trade(venue, tmp_path, 0, before=lock, patience_of_ledger=1)
    others[0].execute("ROLLBACK")
    trade(venue, tmp_path, 1)
    survived(whole, venue, tmp_path)


@pytest.mark.long
def test_two_sessions_that_are_started_at_once(whole, venue, tmp_path):
    """One trades, the other has to wait for it."""
    begin = time.time() + 0.5

    def has_to_wait(seconds):
        os._exit(7)

    def started():
        time.sleep(max(begin - time.time(), 0))
        now = partial(datetime.now, UTC)
        trade(venue, tmp_path, 0, lease_clock=now, sleep=has_to_wait)

    children = [kills.started_in_a_process(started) for _ in range(2)]
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == [0, 7]
    survived(whole, venue, tmp_path)


def test_a_difference_halts_and_a_restart_does_not_forget_it(venue, tmp_path):
    """Shares that nobody here bought: told with who and why, and no order after that."""

    def give(row, ledger):
        if row == FIRST + 4:
            venue.books.positions["CCC"] = venue.books.positions.get("CCC", 0.0) + 300.0

    trade(venue, tmp_path, 0, before=give, last=FIRST + 6)
    trade(venue, tmp_path, 1, last=FIRST + 8)
    left = left_of(venue, tmp_path)
    (word,) = left.words
    assert word.kind == HALTED
    assert "CCC" in word.payload["reason"]
    assert [bool(each["orders"]) for each in left.decisions[4:]] == [False] * 5
    assert left.marks[-1]["positions"]
