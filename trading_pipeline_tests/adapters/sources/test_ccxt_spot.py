"""Any ccxt exchange's spot bars: the contract of every source, and what a venue may do to it.

The unmodified ccxt client speaks to a loopback Binance; no test waits, except for time-outs.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.errors import (
    SettingsError,
    SourceError,
    UnknownSymbol,
)
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract
from trading_pipeline_tests.fakes.binance import PAIRS, FakeBinance, Pair, ms, source_of
from trading_pipeline_tests.fakes.venue import TestClock

START, END = (pd.Timestamp(day, tz="UTC") for day in ("2020-01-01", "2030-01-01"))


@pytest.fixture
def venue():
    """Pages of 120 bars: a history of a few hundred takes several."""
    with FakeBinance(page_limit=120) as binance:
        yield binance


class TestContractOfDays(BarSourceContract):
    timeframe, clock_reads, pairs = "1d", "2021-06-15 10:20:30", PAIRS

    @pytest.fixture(scope="class")
    def source(self):
        with FakeBinance(self.clock_reads, self.pairs) as binance:
            yield source_of(binance, self.timeframe)

    @pytest.fixture
    def asked(self):
        return ["ADA/USDT", "BTC/USDT", "LUNA/USDT"]

    @pytest.fixture
    def clock(self):
        return "24/7", self.timeframe, pd.Timestamp(self.clock_reads, tz="UTC")


class TestContractOfHours(TestContractOfDays):
    """With a month of them, a halt in it, and listings in the middle of a day."""

    timeframe, clock_reads = "1h", "2021-03-15 10:20:30"
    pairs = (
        Pair("BTC", since="2021-02-10 09:00"),
        Pair("ADA", since="2021-02-14 07:30", halts=(("2021-02-20 04:00", "2021-02-20 09:00"),)),
        Pair("LUNA", since="2021-02-11", until="2021-03-01 01:00", status="BREAK"),
    )


# Time


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2021-06-15 23:59:59.999", "2021-06-14"),
        ("2021-06-16 00:00:00", "2021-06-15"),
        ("2021-06-16 00:00:01", "2021-06-15"),
    ],
)
def test_a_bar_is_given_from_its_close_on_by_the_venues_clock(now, last):
    """Whatever the clock of this machine says."""
    with FakeBinance(now) as venue:
        source = source_of(venue, now=lambda: pd.Timestamp("2035-01-01", tz="UTC"))
        stamps = source.bars(["BTC/USDT"], pd.Timestamp("2021-06-10", tz="UTC"), END)["timestamp"]
        assert stamps.max() == pd.Timestamp(last, tz="UTC")
        assert source.span(["BTC/USDT"])[1] == stamps.max() + pd.Timedelta(days=1)


def test_time_goes_on_and_old_bars_stay(venue):
    clock = TestClock()
    source = source_of(venue, "1h", clock)
    since = pd.Timestamp("2021-06-14", tz="UTC")
    before = source.bars(["BTC/USDT"], since, END)
    venue.now = "2021-06-15 12:00:00"
    clock.sleep(6000)
    after = source.bars(["BTC/USDT"], since, END)
    assert len(after) == len(before) + 2
    pd.testing.assert_frame_equal(after.iloc[:-2], before)


@pytest.mark.parametrize("timeframe", ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1Day", "1Hour"])
def test_every_timeframe_is_paged_to_its_end(timeframe):
    with FakeBinance("2020-01-03 00:00:00", page_limit=700) as venue:
        source = source_of(venue, timeframe)
        bars = source.bars(["BTC/USDT"], START, END)
        step = source.span(["BTC/USDT"])[1] - bars["timestamp"].iloc[-1]
        assert bars["timestamp"].diff().dropna().eq(step).all() or len(bars) == 2
        assert len(bars) == pd.Timedelta(days=2) / step
        assert source.identity() == {"source": "binance", "timeframe": source._client.timeframe}


def test_a_range_between_two_bars_begins_with_the_next_one(venue):
    source = source_of(venue)
    noon = pd.Timestamp("2020-03-01 12:00", tz="UTC")
    bars = source.bars(["BTC/USDT"], noon, noon + pd.Timedelta(days=2))
    assert bars["timestamp"].dt.day.tolist() == [2, 3]


# Symbols and listings


def test_what_is_asked_is_what_is_needed(venue):
    """One for a page, one a minute for the clock, none for a symbol that was not asked for."""
    source = source_of(venue)
    day = pd.Timestamp("2021-06-14", tz="UTC")
    source.bars(["BTC/USDT"], day, END)
    source.bars(["BTC/USDT"], day, END)
    start, end = ms(day), ms("2021-06-14 10:20:30")
    page = f"/api/v3/klines?symbol=BTCUSDT&interval=1d&startTime={start}&endTime={end}&limit=1000"
    targets = [request.target for request in venue.requests]
    assert targets == ["/api/v3/exchangeInfo?", "/api/v3/time?", page, page]


def test_listings_tell_halts_from_delistings():
    """And both from a pair that is listed before its first trade, under the same word."""
    pairs = (
        Pair("BTC"),
        Pair("OLD", since="2020-02-03", until="2020-05-09 07:00", status="BREAK"),
        Pair("SICK", since="2020-04-01", until="2020-07-01 07:00", status="HALT"),
        Pair("NEXT", since="2020-07-08", status="TRADING"),
        Pair("SOON", since="2021-06-01", until="2021-06-01", status="BREAK"),
    )
    with FakeBinance("2020-07-08 05:00:00", pairs) as venue:
        clock = TestClock()
        source = source_of(venue, clock=clock)
        listings = source.listings(source.symbols()).set_index("symbol")
        assert listings["status"].to_dict() == {
            "BTC/USDT": "trading",
            "NEXT/USDT": "not yet traded",
            "OLD/USDT": "delisted",
            "SICK/USDT": "halted",
            "SOON/USDT": "not yet traded",
        }
        assert listings["listed"].dt.strftime("%Y-%m-%d").to_dict() == {
            "BTC/USDT": "2020-01-01",
            "NEXT/USDT": np.nan,
            "OLD/USDT": "2020-02-03",
            "SICK/USDT": "2020-04-01",
            "SOON/USDT": np.nan,
        }
        # History stays, down to the day it ended.
        assert len(source.bars(["OLD/USDT"], START, END)) == 97
        venue.pairs["OLDUSDT"] = Pair("OLD", since="2020-02-03")
        clock.sleep(3601)  # what the venue trades is asked for once an hour
        assert source.listings(["OLD/USDT"])["status"].tolist() == ["trading"]


def test_candles_of_a_halt_are_no_bars(venue):
    """Candles in which nothing traded stay only where the venue trades the pair."""

    def quiet(rows):
        return [*rows[:-3], *([*row[:5], "0.0", row[6], "0.0", 0, *row[9:]] for row in rows[-3:])]

    venue.edit = quiet
    span = pd.Timestamp("2021-05-01", tz="UTC"), END
    luna = source_of(venue).bars(["LUNA/USDT"], *span)
    btc = source_of(venue).bars(["BTC/USDT"], *span)
    assert luna["timestamp"].dt.day.tolist() == list(range(1, 11))
    assert len(btc) == 45
    assert btc["vwap"].isna().sum() == 3


def test_a_wrong_spelling_is_answered_with_similar_ones(venue):
    with pytest.raises(UnknownSymbol, match=r"binance has no BTC/USD \(similar: BTC/USDT"):
        source_of(venue).bars(["BTC/USD"], START, END)


def test_vwap_and_trades_are_the_venues(venue):
    bars = source_of(venue).bars(["BTC/USDT"], START, pd.Timestamp("2020-01-03", tz="UTC"))
    venue.requests.clear()
    kline = venue._kline(venue.pairs["BTCUSDT"], ms("2020-01-02"), 86_400_000)
    bar = bars.iloc[1]
    assert bar["trade_count"] == kline[8]
    assert bar["vwap"] == pytest.approx(float(kline[7]) / float(kline[5]))
    assert bar["low"] <= bar["vwap"] <= bar["high"]


# Rate limits, threads


@pytest.mark.slow
def test_threads_stay_within_the_rate_limit_together():
    """In real time: a window of 0.5 s that allows as much as Binance does in that time, 50."""
    with FakeBinance(weight_limit=50, window=0.5) as venue:
        source = CcxtSource("binance", "1d", venue.url)
        source.symbols()
        days = pd.date_range("2020-03-02", periods=40, tz="UTC")
        with ThreadPoolExecutor(8) as pool:
            parts = pool.map(
                lambda day: source.bars(["BTC/USDT"], day, day + pd.Timedelta(days=1)), days
            )
        assert sum(len(part) for part in parts) == 40
        assert max(used for _, used in venue.weights) <= 50
        assert len(venue.asked("klines")) == 40


def test_each_request_pays_what_it_costs_at_the_venue(venue):
    """At 80 % of 20 requests a second: exchangeInfo costs 4 of them, the time 0.2."""
    clock = TestClock()
    source = source_of(venue, clock=clock)
    source.bars(["BTC/USDT"], pd.Timestamp("2021-06-14", tz="UTC"), END)
    assert clock.slept == pytest.approx([4 / 16, 0.2 / 16])


# Configuration


def test_any_exchange_of_ccxt_can_be_named():
    for exchange in ("kraken", "coinbase", "binanceus", "okx", "bybit", "kucoin"):
        source = CcxtSource(exchange, "1h")
        assert source.identity() == {"source": exchange, "timeframe": "1h"}


def test_an_exchange_that_does_not_exist_is_answered_with_similar_ones():
    with pytest.raises(SettingsError, match=r"no exchange 'binanse' \(similar: binance"):
        CcxtSource("binanse")


def test_a_timeframe_that_the_exchange_lacks_is_answered_with_those_it_has():
    with pytest.raises(SettingsError, match=r"coinbase has no bars of '4h'; it has 1m, 5m, .* 1d"):
        CcxtSource("coinbase", "4h")


def test_an_address_that_is_none_is_named():
    with pytest.raises(SettingsError, match=r"^url must begin with https:// or http://$"):
        CcxtSource("binance", url="api.binance.us")


def test_the_path_below_another_address_stays():
    """A proxy may serve a venue below a path of its own."""
    with FakeBinance() as venue:
        source = CcxtSource("binance", url=f"{venue.url}/mirror/")
        with pytest.raises(SourceError, match=r"binance markets: .*404"):
            source.symbols()
        assert venue.requests[0].path == "/mirror/api/v3/exchangeInfo"
