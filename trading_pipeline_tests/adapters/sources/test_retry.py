"""Patience with a venue, against a real HTTP server that fails in every way we know."""

import threading
import time
import traceback
from datetime import UTC, datetime

import pytest
import requests

from trading_pipeline.adapters.sources.retry import Pace, Patience, PatientSession
from trading_pipeline.errors import SourceError, SourceUnavailable, VenueDown
from trading_pipeline_tests.fakes.venue import (
    ANSWER_FAULTS,
    FOREVER,
    HTML,
    Answer,
    Fault,
    TestClock,
    Venue,
    refusal,
)

HTML_FAULT = Fault(answer=HTML)
WORDS = {"words": list(range(500))}


class Library(Venue):
    """Answers everything with the same words; has no bars."""

    def answer(self, request, *, half=False):
        return Answer(WORDS)

    def is_page(self, request):
        return False


@pytest.fixture
def venue():
    with Library() as library:
        yield library


@pytest.fixture
def clock():
    return TestClock()


@pytest.fixture
def patience(clock):
    return Patience(sleep=clock.sleep, clock=clock.time, random=lambda: 1.0, timeout=0.15)


@pytest.fixture
def session(patience):
    return PatientSession("library", Pace(0.0, patience), patience)


@pytest.mark.parametrize("name", ANSWER_FAULTS)
def test_a_venue_that_recovers_is_waited_for(venue, session, name):
    ANSWER_FAULTS[name](venue)
    assert session.get(f"{venue.url}/words").json() == WORDS


def test_pauses_double_up_to_the_longest_and_are_jittered():
    full, half = Patience(random=lambda: 1.0), Patience(random=lambda: 0.0)
    assert [full.pause(n) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [half.pause(n) for n in range(3)] == [0.5, 1, 2]


def test_back_off_sleeps_between_tries(venue, session, clock):
    venue.misbehave(refusal(500), times=3)
    session.get(venue.url)
    assert clock.slept == [1, 2, 4]


@pytest.mark.parametrize(("wish", "waited"), [("7", 7), ("0", 1), ("nonsense", 1), ("-5", 1)])
def test_the_venues_own_wish_is_honoured_if_longer(venue, session, clock, wish, waited):
    venue.misbehave(Fault(answer=Answer({}, 429, {"Retry-After": wish})))
    session.get(venue.url)
    assert clock.now == waited


def test_a_wish_may_be_a_date(venue, session, clock):
    """RFC 9110 allows both; a date long gone asks for nothing."""
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    venue.misbehave(Fault(answer=Answer({}, 503, past)))
    session.get(venue.url)
    assert clock.now == 1


def test_a_venue_that_wants_a_day_is_not_waited_for(venue, session, clock):
    venue.misbehave(refusal(418, retry_after=86_400))
    with pytest.raises(SourceUnavailable, match=r"HTTP 418 .*wants a pause of 86400 s \(1 try"):
        session.get(venue.url)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refusal(503), r"library answered HTTP 503 \(Service Unavailable\)"),
        (Fault(cut=0.0), "library broke the connection: Remote end closed"),
        (Fault(cut=0.5), r"library broke the connection: .*bytes read"),
        pytest.param(
            Fault(silent=True), r"library did not answer within 0\.15 s", marks=pytest.mark.slow
        ),
        (Fault(answer=HTML), "library answered with something that is no JSON: '<html>.*maint"),
    ],
)
def test_a_venue_that_stays_down_is_given_up_with_the_time_it_had(venue, session, fault, reason):
    venue.misbehave(fault, FOREVER)
    with pytest.raises(SourceUnavailable, match=rf"{reason}.* \(8 tries in 123 s\); run it again"):
        session.get(venue.url)
    assert len(venue.requests) == 8


def test_patience_is_bounded_altogether(venue, session, clock):
    """A venue that is rate-limiting for ever, politely."""
    venue.misbehave(refusal(429, retry_after=200), FOREVER)
    with pytest.raises(SourceUnavailable, match=r"5 tries in 800 s"):
        session.get(venue.url)


def test_where_nobody_listens_the_system_says_why(session):
    with Library() as closed:
        pass
    with pytest.raises(SourceUnavailable, match="Connection refused"):
        session.get(closed.url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 451])
def test_a_wrong_question_is_not_asked_again(venue, session, status):
    """The client knows what such an answer means."""
    venue.misbehave(refusal(status, payload={"code": -1121}))
    answer = session.get(venue.url)
    assert (answer.status_code, answer.json()) == (status, {"code": -1121})
    assert len(venue.requests) == 1


def test_what_changes_something_is_sent_once(venue, session):
    """A second POST could be a second order."""
    venue.misbehave(refusal(500))
    assert session.post(venue.url, json={"side": "buy"}).status_code == 500
    venue.misbehave(Fault(cut=0.0))
    with pytest.raises(requests.ConnectionError):
        session.post(venue.url, json={"side": "buy"})
    assert len(venue.requests) == 2


def test_a_rate_limit_holds_all_threads(venue, clock, patience):
    """Binance bans the address that goes on asking after a 429."""
    pace = Pace(0.0, patience)
    first, second = (PatientSession("library", pace, patience) for _ in range(2))
    pace.hold(50)
    second.get(venue.url)
    assert clock.now == 50
    first.get(venue.url)
    assert clock.now == 50


def test_threads_share_one_pace(patience):
    """Six threads that want four turns each, of 10 ms: in real time, since it is about threads."""
    pace, turns, began = Pace(0.01, Patience()), [], time.monotonic()

    def work():
        for _ in range(4):
            pace.turn()
            turns.append(time.monotonic() - began)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # However late a thread is told of its turn, none is told before it is due.
    assert all(at >= nth * 0.01 - 1e-6 for nth, at in enumerate(sorted(turns)))
    assert len(turns) == 24


def test_a_request_may_cost_more(clock, patience):
    """exchangeInfo weighs as much as ten pages; others wait for it."""
    pace = Pace(0.1, patience)
    pace.price(10)
    pace.turn()
    assert clock.now == 0
    pace.price()
    pace.turn()
    assert clock.now == pytest.approx(1.0)
    pace.turn()
    assert clock.now == pytest.approx(1.1)


def test_retries_take_their_turns_too(venue, clock, patience):
    pace = Pace(5.0, patience)
    session = PatientSession("library", pace, patience)
    venue.misbehave(refusal(500), times=2)
    session.get(venue.url)
    assert clock.now == 10


def test_threads_share_no_cookies(venue, session):
    venue.misbehave(Fault(answer=Answer({}, 200, {"Set-Cookie": "a=b"})))
    session.get(venue.url)
    session.get(venue.url)
    assert "Cookie" not in venue.requests[-1].headers


# A venue that is down


def hurried(clock, **terms):
    """Patience of a command, by a clock on which only pauses and time-outs take time."""
    usual = {"sleep": clock.sleep, "clock": clock.time, "random": lambda: 1.0, "outage": 60.0}
    return Patience(**(usual | terms))


@pytest.mark.parametrize(
    "fault", [refusal(500), refusal(503, retry_after=5), refusal(429), Fault(cut=0.0), HTML_FAULT]
)
def test_a_venue_that_is_down_is_given_up_within_a_minute(venue, clock, fault):
    """Not after eight tries, which take two minutes, and with time-outs nearly five."""
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))
    venue.misbehave(fault, FOREVER)
    with pytest.raises(VenueDown, match="run it again later, or with --wait: what is stored stays"):
        session.get(f"{venue.url}/words")
    assert clock.now <= 60


def test_time_outs_count_towards_the_minute(clock, monkeypatch):
    """Twenty seconds each: a third try could not end in time."""
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))

    def silent(*_, timeout, **__):
        clock.sleep(timeout)
        raise requests.Timeout("timed out")

    monkeypatch.setattr(requests.Session, "request", silent)
    with pytest.raises(VenueDown, match=r"did not answer within 20 s \(2 tries in 41 s\)"):
        session.get("http://library/words")
    assert clock.now <= 60


def test_a_question_that_fails_alone_has_all_the_patience_there_is(venue, clock):
    """The venue answers others of its kind meanwhile, so it is not down."""
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))
    session.get(f"{venue.url}/words", params={"of": "Mann"})
    venue.misbehave(refusal(500), FOREVER, where="of=Kafka")
    with pytest.raises(SourceUnavailable, match=r"8 tries in \d+ s\); run it again later:") as said:
        session.get(f"{venue.url}/words", params={"of": "Kafka"})
    assert not isinstance(said.value, VenueDown)
    assert clock.now > 120
    assert 1 < len(venue.asked("of=Mann")) < 6


def test_a_question_that_comes_right_after_two_minutes_is_answered(venue, clock):
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))
    session.get(f"{venue.url}/words", params={"of": "Mann"})
    venue.misbehave(refusal(500), 7, where="of=Kafka")
    assert session.get(f"{venue.url}/words", params={"of": "Kafka"}).json() == WORDS
    assert clock.now == 123


def test_one_kind_of_question_may_be_down_alone(venue, clock):
    """A venue whose clock goes and whose bars do not come is of no use."""
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))
    session.get(f"{venue.url}/clock")
    venue.misbehave(refusal(500), FOREVER, where="/words")
    for _ in range(3):  # whoever asks next is told at once
        with pytest.raises(VenueDown):
            session.get(f"{venue.url}/words")
    assert clock.now <= 60
    session.get(f"{venue.url}/clock")
    venue.behave()
    clock.sleep(60)
    assert session.get(f"{venue.url}/words").json() == WORDS


def test_a_ban_says_how_long_it_is_and_nothing_is_asked_again(venue, clock):
    """Binance bans longer those who go on asking; nor is it asked whether it is there at all."""
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))
    session.get(f"{venue.url}/words")
    venue.misbehave(refusal(418, retry_after=7200), FOREVER)
    wish = r"wants a pause of 7200 s .*run it again in 120 minutes, and not before"
    with pytest.raises(VenueDown, match=wish) as first:
        session.get(f"{venue.url}/words")
    assert (len(venue.requests), clock.now) == (2, 0)
    clock.sleep(10)
    with pytest.raises(VenueDown, match="120 minutes") as second:
        session.get(f"{venue.url}/clock")
    assert (first.value.retry_after, second.value.retry_after) == (7200, 7190)
    assert len(venue.requests) == 2
    venue.behave()
    clock.sleep(7190)
    assert session.get(f"{venue.url}/words").json() == WORDS


def test_a_short_ban_is_waited_out_by_a_command_too(venue, clock):
    session = PatientSession("library", Pace(0.0, hurried(clock)), hurried(clock))
    venue.misbehave(refusal(429, retry_after=45))
    assert session.get(f"{venue.url}/words").json() == WORDS
    assert clock.now == 45


def test_who_waits_is_told_when_the_venue_is_down_at_last(venue, session):
    """After all tries of a night, if no other question is answered either."""
    session.get(f"{venue.url}/words")
    venue.misbehave(refusal(500), FOREVER)
    with pytest.raises(VenueDown, match=r"8 tries in 123 s\); run it again later:"):
        session.get(f"{venue.url}/words")
    assert len(venue.requests) == 1 + 8 + 1


def test_a_date_to_come_back_at_is_read_by_the_venues_clock(venue, session, clock):
    """A minute from when it answered, whatever this machine takes the time to be."""
    headers = {
        "Date": "Wed, 21 Oct 2099 07:28:00 GMT",
        "Retry-After": "Wed, 21 Oct 2099 07:29:00 GMT",
    }
    venue.misbehave(Fault(answer=Answer({}, 503, headers)))
    session.get(venue.url)
    assert clock.now == 60


@pytest.mark.parametrize(
    "wish", ["nan", "inf", "1e999", "Mon, 01 Jan 0001 00:00:00 +2359", "-" * 99, "٣", ""]
)
def test_whatever_a_wish_says_is_no_crash(venue, session, wish):
    venue.misbehave(Fault(answer=Answer({}, 503, {"Retry-After": wish.encode().decode("latin1")})))
    told = []
    try:
        told.append(session.get(venue.url).json())
    except SourceUnavailable as error:
        told.append(str(error))
    assert told == [WORDS] or "wants a pause of inf s" in told[0]


def test_the_date_of_the_last_answer_is_kept(venue, session):
    assert session.date is None
    for sent in ("Wed, 21 Oct 2015 07:28:00 GMT", "yesterday", "", "Wed, 99 Oct 2015 07:28:00 GMT"):
        venue.misbehave(Fault(answer=Answer(WORDS, 200, {"Date": sent})))
        session.get(venue.url)
        assert session.date == datetime(2015, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("quoted", ["canary", "bWU6Y2FuYXJ5"], ids=["as it is", "as it was sent"])
def test_an_answer_that_quotes_the_password_of_a_proxy_is_in_no_error(
    venue, session, monkeypatch, method, quoted
):
    """It would be in Dagster's records, and so in the web UI."""
    monkeypatch.setenv("http_proxy", venue.url.replace("//", "//me:canary@"))
    monkeypatch.setenv("no_proxy", "")
    venue.misbehave(Fault(answer=Answer({"sent": quoted}, 407)))
    with pytest.raises(SourceError, match=r"library's answer repeats .* \(HTTP 407\)") as refused:
        session.request(method, "http://library.example/words")
    assert quoted not in "".join(traceback.format_exception(refused.value))
