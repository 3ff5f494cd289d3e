"""One session trades a market at a time, whatever clocks and processes do."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from trading_pipeline.adapters.store.lease import Lease, tenure_of
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import LeaseHeld, LeaseLost, LedgerError

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TTL = timedelta(minutes=3)
SECOND = timedelta(seconds=1)


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


def take(ledger: Ledger, holder: str, now: datetime = NOW, market: str = "sample") -> Lease:
    return Lease.take(ledger, market, holder, now, TTL)


def test_while_one_holds_it_nobody_else_may_trade(ledger):
    """The refusal says who, since when, and what to do; the market's neighbour is free."""
    take(ledger, "first on host a")
    with pytest.raises(LeaseHeld) as refused:
        take(ledger, "second", NOW + TTL - SECOND)
    said = str(refused.value)
    assert "sample is traded by first on host a since 2030-01-01T12:00:00+00:00 (lease 1)" in said
    assert "stop that one" in said
    assert "if it is dead, from 2030-01-01 12:03:00+00:00 on" in said
    take(ledger, "second", market="crypto")


def test_the_same_name_is_refused_as_well(ledger):
    """Two processes with one name are two; a restarted one waits for the lease of the dead one."""
    take(ledger, "session")
    with pytest.raises(LeaseHeld):
        take(ledger, "session")


def test_a_released_lease_is_free_at_once(ledger):
    first = take(ledger, "first")
    first.release(NOW + SECOND)
    second = take(ledger, "second", NOW + SECOND)
    assert second.token > first.token
    with pytest.raises(LeaseLost, match=r"lease 1 of first was taken over by second \(lease 3\)"):
        first.renew(NOW + 2 * SECOND)
    second.renew(NOW + 2 * SECOND)


def test_an_expired_lease_is_free_and_its_token_is_fenced(ledger):
    first = take(ledger, "first")
    second = take(ledger, "second", NOW + TTL)
    assert (first.token, second.token) == (1, 2)
    with pytest.raises(LeaseLost, match="taken over by second"):
        first.renew(NOW + SECOND)  # its own clock has stood still


def test_an_expired_lease_is_lost_though_nobody_took_it(ledger):
    """A machine that slept does not go on where it was: bars and orders may have changed."""
    lease = take(ledger, "first")
    lease.renew(NOW + TTL - SECOND)
    with pytest.raises(LeaseLost, match=r"expired at 2030-01-01 12:05:59.*start it again"):
        lease.renew(NOW + 2 * TTL - SECOND)


def test_a_lease_lasts_as_long_as_it_is_renewed(ledger):
    lease, now = take(ledger, "first"), NOW
    for _ in range(10):
        now += TTL / 2
        lease.renew(now)
        with pytest.raises(LeaseHeld):
            take(ledger, "second", now)
    assert take(ledger, "second", now + TTL).token > lease.token
    assert ledger.verify("lease/sample") == 2


@pytest.mark.slow
@pytest.mark.sampled(2)
def test_renewing_for_months_makes_no_event(ledger):
    """Asked before each order and at each beat; it writes to the ledger at every third of the ttl,
    over what it wrote before."""
    lease, written = take(ledger, "first"), set()
    for second in range(600):
        lease.renew(NOW + second * SECOND)
        newest, alive, _ = tenure_of(ledger, "sample")
        written.add(alive)
    assert len(written) == 1 + 599 // 60
    assert newest.kind == "taken"
    assert ledger.verify("lease/sample") == 1


@pytest.mark.parametrize("before", [0, 0.5])
def test_a_beat_at_the_last_moment_keeps_the_lease(ledger, monkeypatch, before):
    """Of a holder whose clock is behind, after the taker has looked and before it takes."""
    lease = take(ledger, "first")
    lease.renew(NOW + before * TTL)
    append = Ledger.append

    def slowly(ledger, *given, **rest):
        lease.renew(NOW + 0.9 * TTL)
        return append(ledger, *given, **rest)

    monkeypatch.setattr(Ledger, "append", slowly)
    with pytest.raises(LeaseHeld):
        take(ledger, "second", NOW + TTL * 1.6)
    lease.renew(NOW + TTL)


def test_after_a_renewal_two_thirds_of_the_ttl_are_left(ledger):
    lease = take(ledger, "first")
    for second in range(0, 600, 7):
        now = NOW + second * SECOND
        lease.renew(now)
        with pytest.raises(LeaseHeld):
            take(ledger, "second", now + TTL * 2 / 3)


def test_a_released_lease_cannot_be_renewed_and_is_released_once(ledger):
    lease = take(ledger, "first")
    lease.release(NOW)
    lease.release(NOW)
    with pytest.raises(LeaseLost, match="was released"):
        lease.renew(NOW)
    assert [event.kind for event in ledger.read("lease/sample")] == ["taken", "released"]


def test_releasing_what_was_lost_leaves_the_other_alone(ledger):
    first = take(ledger, "first")
    second = take(ledger, "second", NOW + TTL)
    first.release(NOW + TTL)
    second.renew(NOW + TTL)
    kinds = [(event.kind, event.payload["token"]) for event in ledger.read("lease/sample")]
    assert kinds == [("taken", first.token), ("taken", second.token)]


@pytest.mark.parametrize("skew", [timedelta(hours=-1), -TTL, timedelta(0), timedelta(hours=1)])
def test_a_wrong_clock_lengthens_a_lease_by_nothing_but_what_is_written(ledger, skew):
    """Until when it lasts for others is in the newest event, whatever the holder's clock says."""
    lease = take(ledger, "skewed", NOW + skew)
    lease.renew(NOW + skew + TTL / 2)
    written = tenure_of(ledger, "sample").end
    assert written == NOW + skew + TTL / 2 + TTL
    taken = take(ledger, "right", max(written, NOW + TTL / 2))
    for believed in (NOW + skew, NOW - timedelta(days=1), NOW + TTL / 2):
        with pytest.raises(LeaseLost, match="taken over by right"):
            lease.renew(believed)
    taken.renew(max(written, NOW + TTL / 2))


def test_a_clock_set_back_does_not_keep_a_lease(ledger):
    """Its renewals are in the past of all others, who may take it."""
    lease = take(ledger, "first")
    lease.renew(NOW - timedelta(hours=1))
    take(ledger, "second", NOW + SECOND)
    with pytest.raises(LeaseLost):
        lease.renew(NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("now", "ttl"), [(NOW, timedelta(0)), (NOW, -TTL), (NOW.replace(tzinfo=None), TTL)]
)
def test_a_lease_of_no_time_is_refused(ledger, now, ttl):
    with pytest.raises(LedgerError, match="give a time above 0 and a time zone"):
        Lease.take(ledger, "sample", "first", now, ttl)
    assert ledger.streams() == []


def test_a_lease_in_another_ledger_is_lost(ledger, url, tmp_path):
    lease = take(ledger, "first")
    with Ledger(tmp_path / "another.sqlite") as another, pytest.raises(LeaseLost, match="no more"):
        Lease(another, "sample", "first", lease.token, NOW, TTL).renew(NOW)


def test_a_fenced_session_cannot_write_on(ledger):
    """Its writes name the last event it knows, as its successor's do."""
    take(ledger, "first")
    ledger.append("paper/sample/s", "decision", NOW, {"by": "first"}, NOW, after=0)
    take(ledger, "second", NOW + TTL)
    ledger.append("paper/sample/s", "decision", NOW, {"by": "second"}, NOW, after=1)
    with pytest.raises(LedgerError, match="another writer"):
        ledger.append("paper/sample/s", "decision", NOW, {"by": "first"}, NOW, after=1)


TAKE_AT_ONCE = """
import sys
from datetime import UTC, datetime, timedelta
from trading_pipeline.adapters.store.lease import Lease
from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.errors import LeaseHeld
now = datetime(2030, 1, 1, tzinfo=UTC)
with Ledger(sys.argv[1]) as ledger:
    ledger.streams()
    print("ready", flush=True)
    for market in sys.stdin:
        try:
            print(Lease.take(ledger, market.strip(), sys.argv[2], now, timedelta(1)).token)
        except LeaseHeld as error:
            print(error)
        sys.stdout.flush()
"""


@pytest.mark.slow
def test_of_processes_that_take_a_lease_at_once_exactly_one_has_it(url):
    Ledger(url).close()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", TAKE_AT_ONCE, url]
    takers = [subprocess.Popen([*command, f"taker {n}"], **pipes) for n in range(2)]
    assert [taker.stdout.readline() for taker in takers] == ["ready\n"] * 2
    won = []
    for number in range(30):
        order = takers if number % 2 else takers[::-1]
        for taker in order:
            taker.stdin.write(f"market{number}\n")
            taker.stdin.flush()
        answers = [taker.stdout.readline() for taker in takers]
        won.append(answers.index("1\n"))
        assert f"is traded by taker {won[-1]} since" in answers[1 - won[-1]]
    for taker in takers:
        taker.communicate(timeout=60)
        assert taker.returncode == 0
    with Ledger(url) as ledger:
        assert [ledger.verify(f"lease/market{number}") for number in range(30)] == [1] * 30
