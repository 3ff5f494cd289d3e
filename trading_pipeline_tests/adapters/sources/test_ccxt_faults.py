"""What a venue may do to a download of its bars: every fault there is, and what comes of it.

The unmodified ccxt client speaks to a loopback Binance.
"""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.core.market.set_aside import Sifted, describe_first
from trading_pipeline.errors import SourceError, SourceUnavailable
from trading_pipeline_tests.fakes.binance import FakeBinance, source_of
from trading_pipeline_tests.fakes.venue import (
    CHANGES_HISTORY,
    FAULTS,
    FOREVER,
    HTML,
    Answer,
    Fault,
    TestClock,
    refusal,
)

START, END = (pd.Timestamp(day, tz="UTC") for day in ("2020-01-01", "2030-01-01"))


@pytest.fixture
def venue():
    """Pages of 120 bars: a history of a few hundred takes several."""
    with FakeBinance(page_limit=120) as binance:
        yield binance


@pytest.fixture(scope="module")
def truth():
    """What a well-behaved venue tells of two pairs."""
    with FakeBinance(page_limit=120) as binance:
        return source_of(binance).bars(["ADA/USDT", "BTC/USDT"], START, END)


@pytest.mark.parametrize(
    "after",
    [pytest.param("at the first request", marks=pytest.mark.slow), "between its pages"],
)
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.sampled(3)
def test_a_fault_of_the_venue_does_not_show_in_the_bars(venue, truth, name, after):
    source = source_of(venue)
    if after == "between its pages":
        # Everything but the middle of the history has been asked before.
        pd.testing.assert_frame_equal(source.bars(["ADA/USDT", "BTC/USDT"], START, END), truth)
    FAULTS[name](venue)
    bars = source.bars(["ADA/USDT", "BTC/USDT"], START, END)
    if name in CHANGES_HISTORY:
        assert not bars.equals(truth)
        truth = source_of(venue).bars(["ADA/USDT", "BTC/USDT"], START, END)
    pd.testing.assert_frame_equal(bars, truth)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.sampled(3)
def test_a_fault_does_not_show_in_listings_and_spans(venue, name):
    names = ["ADA/USDT", "LUNA/USDT"]
    good = source_of(venue)
    listings, span = good.listings(names), good.span(names)
    source = source_of(venue)
    # The page that may be repeated is one from the middle of the history.
    middle = [pd.Timestamp(day, tz="UTC") for day in ("2021-03-01", "2021-03-09")]
    source.bars(names, *middle)
    FAULTS[name](venue)
    pd.testing.assert_frame_equal(source.listings(names), listings)
    source.bars(names, *middle)
    FAULTS[name](venue)
    assert source.span(names) == span


def test_faults_while_several_symbols_are_fetched_at_once_do_not_show_either(venue, truth):
    clock = TestClock()
    patience = Patience(tries=60, limit=1e9, sleep=clock.sleep, clock=clock.time, timeout=0.2)
    source = CcxtSource("binance", "1d", venue.url, patience=patience)
    for name in sorted(FAULTS.keys() - CHANGES_HISTORY):
        FAULTS[name](venue)
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda symbol: source.bars([symbol], START, END), ["ADA/USDT", "BTC/USDT"])
    bars = pd.concat(parts).sort_values(["timestamp", "symbol"], ignore_index=True)
    pd.testing.assert_frame_equal(bars, truth)


def test_an_empty_answer_is_not_believed_at_once(venue, truth):
    """A listed pair without bars is rare, a cache that has nothing yet is not."""
    for _ in range(3):
        venue.misbehave(Fault(rows=lambda rows: []), where="symbol=BTCUSDT")
        bars = source_of(venue).bars(["ADA/USDT", "BTC/USDT"], START, END)
        pd.testing.assert_frame_equal(bars, truth)


def test_a_hole_in_an_answer_is_asked_for_again(venue, truth):
    venue.misbehave(Fault(rows=lambda rows: rows[:3] + rows[7:]))
    bars = source_of(venue).bars(["ADA/USDT", "BTC/USDT"], START, END)
    pd.testing.assert_frame_equal(bars, truth)


# What cannot be helped is said at once, or after bounded tries


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refusal(503), r"answered HTTP 503 \(Service Unavailable\)"),
        (refusal(429, retry_after=60), r"HTTP 429 .*wants a pause of 60 s"),
        pytest.param(Fault(silent=True), r"did not answer within 0\.2 s", marks=pytest.mark.slow),
        (Fault(cut=0.5), "broke the connection"),
        (Fault(answer=HTML), "no JSON: '<html>.*Down for maintenance"),
    ],
)
def test_a_venue_that_is_down_for_good_is_given_up(venue, fault, reason):
    source = source_of(venue)
    source.symbols()
    before = len(venue.requests)
    venue.misbehave(fault, FOREVER, where="klines")
    with pytest.raises(
        SourceUnavailable, match=rf"binance BTC/USDT: .*{reason}.* \(8 tries in \d+ s\); run it"
    ):
        source.bars(["BTC/USDT"], START, END)
    assert len(venue.requests) == before + 1 + 8


def test_a_pause_that_the_venue_wants_is_told_with_the_error(venue):
    """Whoever tries again later keeps to it: to ask during a ban makes it longer."""
    venue.misbehave(refusal(418, retry_after=7200), FOREVER, where="klines")
    with pytest.raises(SourceUnavailable, match="wants a pause of 7200 s") as refused:
        source_of(venue).bars(["BTC/USDT"], START, END)
    assert refused.value.retry_after == 7200


def test_one_symbol_that_fails_is_the_only_one(venue):
    source = source_of(venue)
    venue.misbehave(refusal(500), FOREVER, where="symbol=ADAUSDT")
    assert len(source.bars(["BTC/USDT"], START, END)) == 531
    with pytest.raises(SourceUnavailable, match="ADA/USDT"):
        source.bars(["ADA/USDT"], START, END)


@pytest.mark.parametrize("status", [403, 451])
@pytest.mark.parametrize("where", ["exchangeInfo", "time", "klines"])
def test_a_venue_closed_to_this_country_is_said_at_once(venue, status, where):
    """Binance answers 451 from some countries; trying again does not help, another host may."""
    restricted = {"code": 0, "msg": "Service unavailable from a restricted location"}
    for payload in (restricted, HTML.payload):
        venue.behave()
        venue.misbehave(refusal(status, payload=payload), FOREVER, where)
        clock = TestClock()
        with pytest.raises(SourceError, match=rf"HTTP {status}; .*`exchange`, or a mirror .*`url`"):
            source_of(venue, clock=clock).bars(["BTC/USDT"], START, END)
        assert sum(clock.slept) < 2  # the pace of the requests before, no retry


def test_another_refusal_names_venue_symbol_and_reason(venue):
    source = source_of(venue)
    source.symbols()
    del venue.pairs["BTCUSDT"]
    with pytest.raises(SourceError, match=r"binance BTC/USDT: \{.*Invalid symbol"):
        source.bars(["BTC/USDT"], START, END)


def test_a_page_that_comes_again_and_again_is_given_up(venue):
    source = source_of(venue)
    source.bars(["BTC/USDT"], START, pd.Timestamp("2020-02-01", tz="UTC"))
    venue.misbehave(Fault(repeat=True), FOREVER)
    with pytest.raises(
        SourceError, match=r"binance BTC/USDT: asked for bars from 2020-06-01 .*sent"
    ):
        source.bars(["BTC/USDT"], pd.Timestamp("2020-06-01", tz="UTC"), END)
    assert len(venue.asked("klines")) == 1 + 4


def test_two_versions_of_a_bar_are_asked_for_again_and_then_refused(venue, truth):
    """None of them can be preferred: which is the newer one, nobody says."""

    def doubled(rows):
        return [*rows[:5], [*rows[4][:5], "1.0", *rows[4][6:]], *rows[5:]]

    venue.misbehave(Fault(rows=doubled), times=2)
    bars = source_of(venue).bars(["ADA/USDT", "BTC/USDT"], START, END)
    pd.testing.assert_frame_equal(bars, truth)
    venue.misbehave(Fault(rows=doubled), FOREVER)
    with pytest.raises(SourceError, match=r"BTC/USDT: sent two versions of the bar of 2020-01-05"):
        source_of(venue).bars(["BTC/USDT"], START, END)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        (1, "-1.0", "open is not positive"),
        (2, "NaN", "high is NaN (missing)"),
        (3, None, "low is NaN (missing)"),
        (4, "soon", "close is NaN (missing)"),
        (4, "inf", "close is infinite"),
        (3, "99999999", "high < low"),
        (5, "-3", "volume is negative"),
        (8, "many", "trade_count is not a whole number"),
    ],
)
def test_an_impossible_kline_comes_as_it_is_for_the_download_to_set_aside(
    venue, truth, column, value, rule
):
    """One of them years back must not keep its symbol from all others."""

    def spoilt(rows):
        return [*rows[:7], [*rows[7][:column], value, *rows[7][column + 1 :]], *rows[8:]]

    venue.edit = spoilt
    end = pd.Timestamp("2020-02-01", tz="UTC")
    bars = source_of(venue).bars(["BTC/USDT"], START, end)
    sifted = Sifted.of({"binance": bars})
    assert f"BTC/USDT at 2020-01-08 00:00 UTC (1 row concerned): {rule}" in describe_first(
        sifted.aside
    )
    sound = truth[(truth["symbol"] == "BTC/USDT") & (truth["timestamp"] < end)]
    sound = sound[sound["timestamp"] != "2020-01-08"].reset_index(drop=True)
    pd.testing.assert_frame_equal(sifted.bars, sound)


@pytest.mark.parametrize(
    ("path", "payload", "what"),
    [
        ("klines", [[1577836800000, "1.0"]], "BTC/USDT"),
        ("klines", [5], "BTC/USDT"),
        ("klines", [None], "BTC/USDT"),
        ("klines", [["soon", *"123456789", "0", "0"]], "BTC/USDT"),
        ("time", {"time": 1}, "clock"),
        ("time", [], "clock"),
        ("exchangeInfo", [5], "markets"),
        ("exchangeInfo", {"symbols": [5]}, "markets"),
    ],
)
def test_answers_in_another_format_are_named(venue, path, payload, what):
    venue.misbehave(Fault(answer=Answer(payload)), FOREVER, path)
    # ccxt has words of its own for some markets.
    with pytest.raises(
        SourceError, match=f"binance {what}: .*(cannot be read|missing id|no spot pairs)"
    ):
        source_of(venue).bars(["BTC/USDT"], START, END)


def test_quiet_bars_that_come_twice_are_one_each(venue):
    """Their VWAP is NaN, which equals nothing."""
    venue.edit = lambda rows: [[*row[:5], "0.0", row[6], "0.0", 0, *row[9:]] for row in rows] * 2
    bars = source_of(venue).bars(["BTC/USDT"], START, pd.Timestamp("2020-02-01", tz="UTC"))
    assert len(bars) == 31


def test_a_page_of_html_is_not_a_message(venue):
    page = Answer(b"<html>" + b"<p>Not here</p>\n" * 999, 404, {"Content-Type": "text/html"})
    venue.misbehave(Fault(answer=page), FOREVER)
    with pytest.raises(SourceError, match=r"binance markets: .*404") as error:
        source_of(venue).symbols()
    assert len(str(error.value)) < 400


def test_a_server_that_is_no_exchange_is_named(venue):
    venue.pairs.clear()
    with pytest.raises(SourceError, match="binance lists no spot pairs; is its address right"):
        source_of(venue).symbols()


@pytest.mark.slow
def test_a_rate_limit_that_was_hit_is_waited_out(venue, truth):
    """Someone else at this address used it up."""
    with FakeBinance(page_limit=120, weight_limit=30, window=1.0) as strict:
        bars = CcxtSource("binance", "1d", strict.url).bars(["ADA/USDT", "BTC/USDT"], START, END)
        pd.testing.assert_frame_equal(bars, truth)
        assert max(used for _, used in strict.weights) > 30
