"""Alpaca fails in every way that we know of: the same bars, or an error that says what to do.

And in none of them do its keys get out.
"""

import base64
import json
import logging
import threading
import traceback

import pandas as pd
import pytest
from pydantic import SecretStr

from trading_pipeline.errors import CredentialsError, SourceError, SourceUnavailable
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import NOW, source_at
from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.alpaca import KEY, RECENT_SIP, SECRET, FakeAlpaca
from trading_pipeline_tests.fakes.venue import (
    CHANGES_HISTORY,
    FAULTS,
    FOREVER,
    HTML,
    Answer,
    Fault,
    refusal,
)

EVER = (stocks.FIRST, stocks.LAST + pd.Timedelta(days=1))
SYMBOLS = ["AAPL", "DEAD", "MSFT"]
PAGES = {"1d": 20, "1h": 300}  # some four pages


@pytest.fixture
def venue():
    with FakeAlpaca(NOW) as venue:
        yield venue


def answer_of(venue, timeframe="1d", name=""):
    venue.page = PAGES[timeframe]
    return source_at(venue, timeframe, timeout=overdue(name)).bars(SYMBOLS, *EVER)


def overdue(name):
    """Seconds until an answer is overdue: few only where there will be none."""
    return 0.7 if name == "silence" else 10.0


@pytest.fixture(scope="module")
def right():
    """What a venue that behaves answers, with its history as it was and as it is changed."""
    found = {}
    for changed in (False, True):
        with FakeAlpaca(NOW) as venue:
            if changed:
                venue.change_history()
            found |= {(timeframe, changed): answer_of(venue, timeframe) for timeframe in PAGES}
    return found


@pytest.mark.parametrize("timeframe", ["1d", pytest.param("1h", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.sampled(4)
def test_a_venue_that_misbehaves_gives_the_same_bars(venue, right, name, timeframe):
    """It comes back; from a history that was changed we read the new one."""
    FAULTS[name](venue)
    told = answer_of(venue, timeframe, name)
    pd.testing.assert_frame_equal(told, right[timeframe, name in CHANGES_HISTORY])
    assert all(plan.times > FOREVER / 2 for plan in venue._plans), "the fault did not happen"


def test_the_changed_history_is_another(right):
    assert not right["1d", True].equals(right["1d", False])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FAULTS.keys() - CHANGES_HISTORY))
@pytest.mark.sampled(18)
def test_corporate_actions_and_listings_come_through_too(venue, name):
    def ask():
        source = source_at(venue, timeout=overdue(name))
        return source.actions(SYMBOLS), source.listings(SYMBOLS), source.span(SYMBOLS)

    expected = ask()
    FAULTS[name](venue)
    told = ask()
    pd.testing.assert_frame_equal(told[0], expected[0])
    pd.testing.assert_frame_equal(told[1], expected[1])
    assert told[2] == expected[2]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refusal(500), r"answered HTTP 500 \(Internal Server Error\) \(8 tries in \d+ s\)"),
        (refusal(429), r"answered HTTP 429.*8 tries"),
        (refusal(429, retry_after=86400), r"wants a pause of 86400 s \(1 try in 0 s\)"),
        (Fault(cut=0.0), "broke the connection"),
        (Fault(cut=0.5), "broke the connection"),
        pytest.param(Fault(silent=True), r"did not answer within 0\.7 s", marks=pytest.mark.slow),
        (Fault(answer=HTML), "something that is no JSON: '<html>.*Down for maintenance"),
    ],
)
def test_a_venue_that_stays_away_is_given_up(venue, fault, reason):
    """After tries and pauses, by a clock that nobody waits for."""
    venue.misbehave(fault, FOREVER, where="/v2/stocks/bars")
    with pytest.raises(SourceUnavailable, match=f"Alpaca.*{reason}.*asked for AAPL, DEAD, MSFT"):
        answer_of(venue, name="silence" if fault.silent else "")


def test_a_pause_that_the_venue_wants_is_told_with_the_error(venue):
    """Whoever tries again later keeps to it: to ask during a ban makes it longer."""
    venue.misbehave(refusal(429, retry_after=7200), FOREVER, where="/v2/stocks/bars")
    with pytest.raises(SourceUnavailable, match="wants a pause of 7200 s") as refused:
        answer_of(venue)
    assert refused.value.retry_after == 7200


@pytest.mark.parametrize("payload", [[], {}, {"bars": []}, {"bars": None}, {"bars": {"A": 7}}, 7])
def test_another_answer_is_shown(venue, payload):
    said = Answer(json.dumps(payload).encode())
    venue.misbehave(Fault(answer=said), where="/v2/stocks/bars")
    with pytest.raises(SourceError, match=r"answered /stocks/bars with something unknown"):
        answer_of(venue)


@pytest.mark.parametrize("payload", [{"corporate_actions": {"spin_offs": [7]}}, {"bars": {}}, []])
def test_other_corporate_actions_are_shown(venue, payload):
    said = Answer(json.dumps(payload).encode())
    venue.misbehave(Fault(answer=said), where="/v1/corporate-actions")
    with pytest.raises(SourceError, match=r"answered /corporate-actions with something unknown"):
        source_at(venue).actions(SYMBOLS)


@pytest.mark.parametrize("payload", [{}, [{}], [{"symbol": "AAPL"}], [7]])
def test_another_list_of_symbols_is_shown(venue, payload):
    venue.misbehave(Fault(answer=Answer(payload)), where="/v2/assets")
    with pytest.raises(SourceError, match=r"answered /assets with something unknown"):
        answer_of(venue)


# Pages


class Paging(FakeAlpaca):
    """A venue whose n-th page of bars is as the test says: payload of symbol → bars, token."""

    def __init__(self, page_of):
        super().__init__(NOW)
        self.page_of, self.told = page_of, 0

    def answer(self, request, *, half=False):
        if not self.is_page(request):
            return super().answer(request, half=half)
        self.told += 1
        bars, token = self.page_of(self.told)
        return Answer({"bars": bars, "next_page_token": token})


BAR = {"t": "2024-11-04T05:00:00Z", "o": 1, "h": 2, "l": 1, "c": 2, "v": 3, "n": 1, "vw": 1.5}


@pytest.mark.parametrize(
    "page_of",
    [
        lambda n: ({"AAPL": [BAR]}, "same"),
        lambda n: ({"AAPL": [BAR]}, f"new {n}"),
        lambda n: ({}, "same"),
        lambda n: ({}, f"new {n}"),
        lambda n: ({"AAPL": []}, f"new {n}"),
        lambda n: ({"AAPL": [BAR | {"v": n % 3}]}, f"three {n % 3}"),
        lambda n: ({"IBM": [BAR]}, None),
        lambda n: ({"AAPL": [BAR | {"t": "1999-11-04T05:00:00Z"}]}, None),
    ],
    ids=["one token", "one bar", "empty", "empties", "no bars", "a circle", "other symbol", "old"],
)
def test_pages_that_lead_nowhere_end(page_of):
    """A token for ever, the same bar for ever, nothing for ever, the answer to something else."""
    with Paging(page_of) as venue:
        with pytest.raises(SourceError, match=r"pages that lead nowhere.*asked for AAPL"):
            source_at(venue).bars(["AAPL"], *EVER)
        assert venue.told < 20


def test_empty_pages_before_the_bars_are_no_end():
    with Paging(lambda n: ({"AAPL": [BAR]}, None) if n == 4 else ({}, f"{n}")) as venue:
        assert len(source_at(venue).bars(["AAPL"], *EVER)) == 1


def test_the_answer_to_another_question_is_not_ours():
    """It comes in place of the first page, and says that nothing follows."""
    other = {"AAPL": [BAR | {"t": "2019-11-04T05:00:00Z"}]}
    with Paging(lambda n: (other if n == 1 else {"AAPL": [BAR]}, None)) as venue:
        bars = source_at(venue).bars(["AAPL"], *EVER)
    assert bars["timestamp"].tolist() == [pd.Timestamp("2024-11-04", tz="UTC")]


def test_a_token_that_is_refused_is_told(venue):
    venue.refused_tokens = True
    with pytest.raises(SourceError, match=r"HTTP 400.*invalid page_token.*asked for AAPL"):
        answer_of(venue)


# Keys


@pytest.mark.parametrize(("key", "secret"), [(None, SECRET), (KEY, None), ("", SECRET), (KEY, "")])
def test_missing_keys_say_which_variables_to_set(venue, key, secret):
    source = source_at(venue, key=key and SecretStr(key), secret=secret and SecretStr(secret))
    with pytest.raises(CredentialsError, match=r"TP_ALPACA_KEY and TP_ALPACA_SECRET in \.env"):
        source.symbols()
    assert not venue.requests


@pytest.mark.parametrize("key", [f"{KEY} ", f"'{KEY}'", f"{KEY}\n", f"{KEY}ü", f"{KEY}\x00"])
def test_keys_that_were_copied_with_more_are_told(venue, key):
    with pytest.raises(CredentialsError, match="a space or a quote") as caught:
        source_at(venue, key=SecretStr(key)).symbols()
    assert KEY not in str(caught.value)
    assert not venue.requests


def test_wrong_keys_say_which_variables_to_set(venue):
    """The trading API is asked first, and says 401; the data API says 403."""
    source = source_at(venue, key=SecretStr("WRONG"))
    with pytest.raises(CredentialsError, match=r"TP_ALPACA_KEY and TP_ALPACA_SECRET \(HTTP 401\)"):
        source.bars(["AAPL"], *EVER)
    assert len(venue.requests) == 1
    venue.misbehave(refusal(403, payload={"message": "forbidden."}), where="/v2/stocks/bars")
    with pytest.raises(CredentialsError, match=r"refused the keys of TP_ALPACA_KEY.*HTTP 403"):
        answer_of(venue)


def test_keys_for_data_alone_are_told_that_this_is_not_enough(venue):
    venue.misbehave(refusal(403), where="/v2/assets")
    with pytest.raises(CredentialsError, match="keys for data alone are not enough"):
        answer_of(venue)


def test_what_the_plan_lacks_is_no_matter_of_keys(venue):
    venue.misbehave(refusal(403, payload={"message": RECENT_SIP}), where="/v2/stocks/bars")
    with pytest.raises(SourceError, match="take the feed iex") as caught:
        answer_of(venue)
    assert not isinstance(caught.value, CredentialsError)


def echo(status):
    """A venue that says the keys back."""
    return Fault(answer=Answer({"message": f"no {KEY} with {SECRET}"}, status))


SHAMELESS = {
    "echo 400": echo(400),
    "echo 403": echo(403),
    "echo 500": echo(500),
    "echo 200": echo(200),
    "echo as text": Fault(answer=Answer(f"<p>{KEY}:{SECRET}</p>".encode())),
    "no trading": refusal(401),
    "nothing": refusal(404),
    "cut for ever": Fault(cut=0.5),
    "redirect": Fault(answer=Answer({}, 302, {"Location": f"http://127.0.0.1:1/?k={KEY}"})),
}


def everything_said(error):
    """An exception as the most talkative of loggers would show it, variables and all."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The frame of this test knows the keys; those of the product are the question.
    shown.stack[:] = [frame for frame in shown.stack if "trading_pipeline/" in frame.filename]
    chain, parts = error, ["".join(shown.format())]
    while chain:
        parts += [str(chain), repr(chain), repr(vars(chain)), repr(chain.args)]
        chain = chain.__cause__ or chain.__context__
    return "\n".join(parts)


def keys_in(text):
    tokens = [KEY, SECRET, base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()]
    return [token for token in tokens if token in text]


@pytest.mark.parametrize("name", [*FAULTS, *SHAMELESS])
def test_keys_never_get_out(venue, name, caplog):
    """Not into a log of any library, an error, what caused it, nor a variable on the way."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3")  # which other libraries make silent
    if name in FAULTS:
        FAULTS[name](venue)
    else:
        venue.misbehave(SHAMELESS[name], FOREVER)
    source, said, chained = source_at(venue, timeout=overdue(name)), [], []
    for ask in (
        source.symbols,
        lambda: answer_of(venue, name=name),
        lambda: source.actions(SYMBOLS),
    ):
        try:
            ask()
        except SourceError as error:
            said.append(everything_said(error))
            chained += [error.__cause__, error.__context__]
    assert not any(chained)
    assert bool(said) == (name in SHAMELESS)
    assert any("urllib3" in record.name for record in caplog.records)
    said += [caplog.text, repr(source), repr(vars(source)), str(source.identity())]
    said += [request.target for request in venue.requests]
    assert keys_in("\n".join(said)) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_keys_do_not_follow_a_redirect(venue, status):
    """`requests` would take its own header of keys from them, but not Alpaca's."""
    with FakeAlpaca(NOW) as thief:
        away = Answer({}, status, {"Location": f"{thief.url}/v2/assets"})
        venue.misbehave(Fault(answer=away), FOREVER)
        with pytest.raises(SourceError, match=r"sends us to 127\.0\.0\.1 instead"):
            source_at(venue).symbols()
        assert thief.requests == []
    assert len(venue.requests) == 1


def test_keys_go_to_the_two_addresses_and_nowhere_else(venue):
    with FakeAlpaca(NOW) as trading:
        source_at(venue, trading_url=trading.url).bars(["AAPL"], *EVER)
        assert {request.path for request in trading.requests} == {"/v2/assets", "/v2/clock"}
    assert {request.path for request in venue.requests} == {"/v2/stocks/bars"}


def test_one_failing_thread_leaves_the_others_their_answers(venue, right):
    """A refusal while others ask through the same session."""
    source = source_at(venue)
    venue.misbehave(refusal(400, payload={"message": "invalid symbol"}), FOREVER, where="=MSFT")
    told = {}

    def ask(symbol):
        try:
            told[symbol] = source.bars([symbol], *EVER)
        except SourceError as error:
            told[symbol] = error

    threads = [threading.Thread(target=ask, args=(symbol,)) for symbol in SYMBOLS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(told.pop("MSFT"), SourceError)
    for symbol, bars in told.items():
        expected = right["1d", False].groupby("symbol").get_group(symbol)
        pd.testing.assert_frame_equal(bars, expected.reset_index(drop=True))
