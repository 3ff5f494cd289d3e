"""The clock of this machine may be wrong: the venue's own says which bars have closed.

With a clock that is ahead, an open bar stored as closed would be a look into a future that came
out differently; and bars noted as absent, that nobody could have yet, would never be asked for.
"""

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.adapters.sources.venue_clock import VenueClock, date_of
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.steps.download import download
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import NOW, source_at
from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca
from trading_pipeline_tests.fakes.binance import FakeBinance
from trading_pipeline_tests.fakes.downloads import CASES, COINS, SHARES
from trading_pipeline_tests.fakes.kraken import FakeKraken
from trading_pipeline_tests.fakes.venue import FOREVER, Answer, Fault, TestClock, refusal

WRONG = {
    "right": pd.Timedelta(0),
    "two hours ahead": pd.Timedelta(hours=2),
    "two days ahead": pd.Timedelta(days=2),
    "ten days ahead": pd.Timedelta(days=10),
    "two hours behind": pd.Timedelta(hours=-2),
    "ten days behind": pd.Timedelta(days=-10),
}


def source_of(venue, now):
    """A source of a machine whose clock says `now`."""
    if isinstance(venue, FakeAlpaca):
        return source_at(venue, now=lambda: now)
    clock = TestClock()
    patience = Patience(sleep=clock.sleep, clock=clock.time)
    exchange = "kraken" if isinstance(venue, FakeKraken) else "binance"
    return CcxtSource(exchange, "1d", venue.url, now=lambda: now, patience=patience)


def stored_with(case, folder, off):
    """What is stored, and noted, where the machine's clock is `off`."""
    store, first = BarStore(folder), pd.Timestamp(case.market.start, tz="UTC")
    with case.venue() as venue:
        now = case.today + off
        span = (first, case.today + pd.Timedelta(days=20))
        download(source_of(venue, now), store, case.market, span, lambda: now)
    return store.read(), store.absences(), store.watermarks(), store.listed()


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return {
        name: stored_with(case, tmp_path_factory.mktemp(name), WRONG["right"])
        for name, case in CASES.items()
    }


@pytest.mark.parametrize("off", WRONG)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_a_download_stores_the_same_whatever_the_machines_clock_says(tmp_path, right, name, off):
    told = stored_with(CASES[name], tmp_path, WRONG[off])
    for ours, theirs in zip(told, right[name], strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.slow
def test_the_open_bar_is_not_among_what_is_stored(right):
    """An hour and a half before the bell, and in the middle of a day."""
    assert right["alpaca"][0]["timestamp"].max() == pd.Timestamp("2024-11-29", tz="UTC")
    assert right["binance"][0]["timestamp"].max() == pd.Timestamp("2021-06-14", tz="UTC")


@pytest.mark.parametrize("off", WRONG)
@pytest.mark.parametrize("asked_how", ["its own clock", "the date of its answers"])
def test_other_exchanges_are_believed_too(off, asked_how):
    """ccxt cannot ask each for its time; all say in an answer when they made it."""
    now = "2021-06-15 10:20:30"
    with FakeKraken(now, "2021-05-01") as venue:
        source = source_of(venue, pd.Timestamp(now, tz="UTC") + WRONG[off])
        if asked_how != "its own clock":
            source._client._ccxt.has["fetchTime"] = False
        ever = (pd.Timestamp(day, tz="UTC") for day in ("2021-06-01", "2030-01-01"))
        stamps = source.bars(["BTC/USD"], *ever)["timestamp"]
        assert stamps.max() == pd.Timestamp("2021-06-14", tz="UTC")
        assert source.clock() == pd.Timestamp(now, tz="UTC")
        assert bool(venue.asked("Time")) == (asked_how == "its own clock")


def test_where_alpaca_has_no_clock_the_date_of_its_answer_is_one():
    """At a proxy that passes on only what is needed."""
    with FakeAlpaca(NOW) as venue:
        venue.misbehave(refusal(404), FOREVER, where="/v2/clock")
        assert source_of(venue, NOW + pd.Timedelta(days=3)).clock() == NOW


def test_where_no_answer_has_a_date_the_machines_clock_is_all_there_is():
    now = NOW + pd.Timedelta(minutes=1)
    with FakeAlpaca(NOW) as venue:
        venue.misbehave(Fault(answer=Answer({}, 404, {"Date": ""})), FOREVER, where="/v2/clock")
        assert source_of(venue, now).clock() == now


@pytest.mark.parametrize("market", [COINS, SHARES])
def test_the_clock_is_asked_once_a_minute(market):
    """Bars that close in a minute wait for the next download; requests are dear."""
    venue = FakeAlpaca(NOW) if market is SHARES else FakeBinance()
    with venue:
        clock = TestClock()
        told = VenueClock("venue", source_of(venue, NOW).clock, clock.time)
        for _ in range(5):
            told()
        path = "/v2/clock" if market is SHARES else "/api/v3/time"
        assert len(venue.asked(path)) == 1
        first = told()
        clock.sleep(61)
        assert told() == first


def test_time_is_never_later_than_the_venue_said():
    """Whatever passes here meanwhile: a bar is not over before the venue has said so."""
    clock, told = TestClock(), [stocks.FIRST, stocks.LAST]
    now = VenueClock("venue", lambda: told[0], clock.time)
    assert now() == stocks.FIRST
    clock.sleep(59)
    assert now() == stocks.FIRST
    told.pop(0)
    clock.sleep(2)
    assert now() == stocks.LAST


@pytest.mark.parametrize(
    "header",
    [None, "", "now", "0", "Wed, 99 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"],
)
def test_a_date_that_is_none_is_not_believed(header):
    assert date_of(header) is None
