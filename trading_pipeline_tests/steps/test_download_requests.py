"""How many requests a download makes: what may have changed is asked for, and once.

Counted at the venues. Every number is what the venue's API makes the least: a list of what it
trades, its clock, and bars; a symbol a request at Binance, a hundred of them at Alpaca.
"""

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import HURRY
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.errors import VenueDown
from trading_pipeline.steps.download import actions_of, download, notices_of
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import source_at
from trading_pipeline_tests.fakes import binance
from trading_pipeline_tests.fakes.binance import Pair
from trading_pipeline_tests.fakes.downloads import CASES
from trading_pipeline_tests.fakes.venue import FOREVER, HTML, Fault, SharedClock, refusal

LIVE = tuple(Pair(name) for name in ("AAA", "BBB", "CCC", "DDD", "EEE"))
GONE = Pair("LUNA", since="2020-08-21", until="2021-05-13 01:00", status="BREAK")


@pytest.fixture
def coins():
    """A market of five coins that are traded and one that is not any more, and its venue."""
    case = CASES["binance"]
    symbols = tuple(sorted(pair.name for pair in (*LIVE, GONE)))
    case = replace(case, market=replace(case.market, symbols=symbols))
    with binance.FakeBinance(str(case.today.tz_localize(None)), (*LIVE, GONE)) as venue:
        yield case, venue


@pytest.fixture
def shares():
    with CASES["alpaca"].venue() as venue:
        venue.page = 10_000
        yield CASES["alpaca"], venue


def night(case, venue, store, instant, **options):
    """Bars and corporate actions, as a run asks for them; the requests of it by path."""
    case.at(venue, instant)
    venue.requests.clear()
    source, first = case.source(venue, 10.0), pd.Timestamp(case.market.start, tz="UTC")
    span = (first, instant.normalize() + pd.Timedelta(days=1))
    done = download(source, store, case.market, span, lambda: instant, **options)
    actions, unknown = actions_of(source, store, case.market)
    notices_of(source, case.market, unknown)
    store.write_actions(actions)
    assert not done.failures
    return Counter(request.path.rsplit("/", 1)[1] for request in venue.requests)


@pytest.mark.slow
def test_binance_is_asked_for_each_traded_coins_newest_bars(tmp_path, coins):
    """First night: two questions for a listing, and one for the bars, of each of five coins.

    Of the one that is not traded also two for its last bar, and two for what may come after it: an
    empty answer is not believed at once. From then on one a coin, and those two.
    """
    (case, venue), store = coins, BarStore(tmp_path)
    first = night(case, venue, store, case.before)
    assert first == {"exchangeInfo": 1, "time": 1, "klines": 5 * (2 + 1) + (2 + 1) + 2 + 2}
    second = night(case, venue, store, case.today)
    assert second == {"exchangeInfo": 1, "time": 1, "klines": 5 + 2}


@pytest.mark.slow
def test_alpaca_is_asked_for_all_shares_at_once(tmp_path, shares):
    """The corporate actions come twice: those of the tickers that the answer names as former.

    What one answer said is not believed: NEWCO's listing, which is after the market's start, and
    that DEAD has no more bars are asked for again on the first nights (three questions and one).
    """
    (case, venue), store = shares, BarStore(tmp_path)
    first = night(case, venue, store, case.before)
    assert first.pop("bars") <= 12
    assert first == {"assets": 1, "clock": 1, "corporate-actions": 2}
    second = night(case, venue, store, case.today)
    assert second == {"assets": 1, "clock": 1, "bars": 1 + 3 + 1, "corporate-actions": 2}
    for days in range(1, 3):
        later = night(case, venue, store, case.today + pd.Timedelta(days=days))
    assert later == {"assets": 1, "clock": 1, "bars": 1 + 1, "corporate-actions": 2}


@pytest.mark.slow
def test_without_former_tickers_there_is_one_request_of_each_kind(tmp_path, shares):
    case, venue = shares
    case, store = (
        replace(case, market=replace(case.market, symbols=("AAPL", "MSFT"))),
        BarStore(tmp_path),
    )
    night(case, venue, store, case.before)
    assert night(case, venue, store, case.today) == {
        "assets": 1, "clock": 1, "bars": 1, "corporate-actions": 1,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.slow
def test_a_listing_is_asked_again_after_a_month_and_by_refetch(tmp_path, coins):
    """A venue that told a date too late once must not be believed for ever."""
    (case, venue), store = coins, BarStore(tmp_path)
    night(case, venue, store, case.before)
    pd.testing.assert_series_equal(
        store.listed()["symbol"], pd.Series(case.market.symbols, name="symbol")
    )
    month = case.before + pd.Timedelta(days=31)
    listings = 6 * 2 + 2
    assert night(case, venue, store, month)["klines"] == listings + 5 + 2
    assert night(case, venue, store, month)["klines"] <= 5 + 2
    again = night(case, venue, store, month, refetch=True)
    assert again["klines"] == listings + 6 + 2


@pytest.mark.slow
def test_a_clock_that_was_ahead_leaves_no_listing_from_the_future(tmp_path, coins):
    (case, venue), store = coins, BarStore(tmp_path)
    night(case, venue, store, case.today)
    assert night(case, venue, store, case.before)["klines"] >= 6 * 2


@pytest.mark.slow
def test_one_symbol_whose_listing_fails_does_not_lose_the_others(tmp_path, coins):
    """Nor are they asked in vain for long: others of its kind are answered."""
    (case, venue), store = coins, BarStore(tmp_path)
    venue.misbehave(refusal(500), FOREVER, where="symbol=CCCUSDT")
    source = case.source(venue, 10.0)
    span = (pd.Timestamp(case.market.start, tz="UTC"), case.today)
    done = download(source, store, case.market, span, lambda: case.today)
    assert list(done.failures) == ["CCC/USDT"]
    assert set(store.read()["symbol"]) == set(case.market.symbols) - {"CCC/USDT"}


@pytest.mark.slow
def test_a_symbol_that_is_listed_no_more_costs_no_requests(tmp_path, shares):
    """Its name alone says so; the others are asked for together, as ever."""
    (case, venue), store = shares, BarStore(tmp_path)
    night(case, venue, store, case.before)
    case.at(venue, case.today)
    del venue.assets["NEWCO"]
    venue.requests.clear()
    span = (pd.Timestamp(case.market.start, tz="UTC"), case.today)
    done = download(case.source(venue, 10.0), store, case.market, span, lambda: case.today)
    assert list(done.failures) == ["NEWCO"]
    assert len(venue.asked("/bars")) == 2  # the newest, and those that DEAD may have all the same


# A venue that is down

DOWN = {
    "500": refusal(500),
    "silence": Fault(silent=True),
    "a page of HTML": Fault(answer=HTML),
    "connections cut": Fault(cut=0.0),
    "429": refusal(429),
    "a ban of two hours": refusal(418, retry_after=7200),
}
# The others are fast in the tests of the sources.
QUICK = {"500", "a ban of two hours"}


def hurried_source(case, venue, clock):
    patience = replace(HURRY, sleep=clock.sleep, clock=clock.time, timeout=0.2)
    if case.market.source == "alpaca":
        return source_at(venue, patience=patience)
    return CcxtSource("binance", "1d", venue.url, patience=patience)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["from the start", "when bars are asked for"])
@pytest.mark.parametrize(
    "fault",
    [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in DOWN],
)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(12)
def test_a_venue_that_is_down_is_one_error_within_a_minute(tmp_path, name, fault, moment):
    """By a clock on which only pauses take time; the store stays as it was."""
    case, store, clock = CASES[name], BarStore(tmp_path), SharedClock()
    span = (pd.Timestamp(case.market.start, tz="UTC"), case.today)
    bars = "/stocks/bars" if name == "alpaca" else "klines"
    with case.venue() as venue:
        night(case, venue, store, case.before)
        case.at(venue, case.today)
        before = store.read()
        venue.requests.clear()
        venue.misbehave(DOWN[fault], FOREVER, "" if moment == "from the start" else bars)
        source = hurried_source(case, venue, clock)
        wish = "and not before" if "ban" in fault else "or with --wait"
        with pytest.raises(VenueDown, match=rf"(Alpaca|binance).*run it again.*{wish}"):
            download(source, store, case.market, span, lambda: case.today)
        assert clock.now <= 60
        assert len(venue.requests) <= 2 + 4 * 8
        if "ban" in fault:
            assert len(venue.asked(bars)) <= 4
    pd.testing.assert_frame_equal(store.read(), before)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_a_venue_that_answers_others_keeps_all_the_patience_there_is(tmp_path, name):
    """Two minutes for one request: then it comes right, and nothing has failed."""
    case, store, clock = CASES[name], BarStore(tmp_path), SharedClock()
    span = (pd.Timestamp(case.market.start, tz="UTC"), case.today)
    with case.venue() as venue:
        source = hurried_source(case, venue, clock)
        names = case.market.symbols
        source.bars(names, *span)
        where = f"symbol={names[1].replace('/', '')}"
        venue.misbehave(refusal(500), 7, where if name == "binance" else "timeframe=1Month")
        assert not download(source, store, case.market, span, lambda: case.today).failures
        assert clock.now > 60
