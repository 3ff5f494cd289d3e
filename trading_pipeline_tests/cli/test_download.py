"""The command that asks a venue: how often it asks, and for how long it waits."""

import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from trading_pipeline import definitions
from trading_pipeline.adapters.clock import Clock
from trading_pipeline.adapters.sources import retry
from trading_pipeline.adapters.sources.retry import HURRY, Patience
from trading_pipeline.cli import main
from trading_pipeline_tests.fakes.binance import FakeBinance, Pair
from trading_pipeline_tests.fakes.venue import FOREVER, TestClock, refusal

DAYS = 150
SYMBOLS = ("AAA/USDT", "BBB/USDT", "CCC/USDT")


@pytest.fixture
def clock(monkeypatch):
    """Time in which every source waits, so that nobody has to."""
    clock = TestClock()
    monkeypatch.setattr(retry, "HURRY", replace(HURRY, random=lambda: 1.0))
    monkeypatch.setattr(retry, "Patience", partial(Patience, random=lambda: 1.0))
    timed = Clock(sleep=clock.sleep, elapsed=clock.time)
    made = definitions.sources_of
    monkeypatch.setattr(
        definitions,
        "sources_of",
        lambda settings, *, hurried=False, **_: made(settings, hurried=hurried, clock=timed),
    )
    return clock


@pytest.fixture
def venue(folder, monkeypatch):
    """A venue of today, and a home with one market of it."""
    now = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    start = now - timedelta(days=DAYS)
    pairs = tuple(Pair(name.split("/")[0], since=f"{start:%Y-%m-%d}") for name in SYMBOLS)
    with FakeBinance(f"{now:%Y-%m-%d %H:%M:%S}", pairs) as venue:
        (folder / "pipeline.toml").write_text(
            f'[markets.coins]\nsource = "binance"\nurl = "{venue.url}"\ntimeframe = "1d"\n'
            f'symbols = {list(SYMBOLS)}\nstart = {start:%Y-%m-%d}\ncalendar = "24/7"\n'
        )
        monkeypatch.setenv("TP_CONFIG", str(folder / "pipeline.toml"))
        yield venue


@pytest.fixture
def download(monkeypatch, capsys):
    """Runs the command as a shell would; its exit code and what it said."""

    def command(*arguments):
        argv = ["trading-pipeline", "download", "--market", "coins", *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        return ended.value.code, " ".join((said.out + said.err).split())

    return command


def asked(venue):
    return Counter(request.path.rsplit("/", 1)[1] for request in venue.requests)


@pytest.mark.long
@pytest.mark.slow
def test_a_second_download_asks_for_each_coins_newest_bars_and_little_else(venue, download, clock):
    """The assets of a run share what was asked: nothing is listed twice."""
    code, said = download()
    assert (code, "450 bars added" in said) == (0, True), said
    assert asked(venue) == {"exchangeInfo": 1, "time": 1, "klines": 3 * (2 + 1)}
    venue.requests.clear()
    code, said = download()
    assert (code, "no news" in said) == (0, True), said
    assert asked(venue) == {"exchangeInfo": 1, "time": 1, "klines": 3}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "arguments", "least", "most"),
    [("", [], 20, 120), ("klines", ["--wait"], 100, 800)],
    ids=["hurried", "wait"],
)
@pytest.mark.sampled(2)
def test_a_venue_that_is_down_is_given_up_after_a_minute_or_waited_for(
    venue, download, clock, where, arguments, least, most
):
    """As a whole, or just its bars; by a clock on which pauses of threads add up: at most two."""
    assert download()[0] == 0
    venue.requests.clear()
    venue.misbehave(refusal(503), FOREVER, where)
    began = clock.now
    code, said = download(*arguments)
    assert code == 2
    assert "binance" in said
    assert "answered HTTP 503 (Service Unavailable)" in said
    assert said.count("error:") == 1
    assert ("or with --wait" in said) == (not arguments)
    assert least <= clock.now - began <= most
    venue.behave()
    clock.sleep(61)
    assert download()[0] == 0


def test_a_day_that_has_not_come_is_refused(venue, download):
    code, said = download("--start", "2999-01-01")
    assert (code, venue.requests) == (2, [])
    assert "error: no bar opens from 2999-01-01 on yet; give an earlier --start" in said


@pytest.mark.slow
def test_a_market_that_ended_before_is_no_market_that_is_up_to_date(run):
    code, said = run("download", "--market", "sample", "--start", "2020-01-01")
    assert code == 0
    assert "sample: no bars; it ends before 2020-01-01, so nothing was downloaded" in said
