"""Alpaca's bars: the contract of every source, sessions, feeds, and what is not over yet."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.set_aside import Sifted
from trading_pipeline.errors import SourceError, UnknownSymbol
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import NOW, source_at
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract
from trading_pipeline_tests.fakes import alpaca, stocks
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca
from trading_pipeline_tests.fakes.venue import FOREVER, Fault

EVER = (stocks.FIRST, stocks.LAST + pd.Timedelta(days=1))


class TestDays(BarSourceContract):
    timeframe, now = "1d", NOW

    @pytest.fixture(scope="class")
    def venue(self):
        with FakeAlpaca(self.now) as venue:
            yield venue

    @pytest.fixture
    def source(self, venue):
        return source_at(venue, self.timeframe)

    @pytest.fixture
    def clock(self):
        return "XNYS", self.timeframe, self.now


class TestHours(TestDays):
    timeframe = "1h"


class TestMinutes(TestDays):
    """Three days are enough, and NEWCO does not exist yet."""

    timeframe, now = "1m", pd.Timestamp("2024-10-30 15:00:20", tz="UTC")

    @pytest.fixture
    def asked(self):
        return ["AAPL", "MSFT"]


@pytest.fixture
def venue():
    with FakeAlpaca(NOW) as venue:
        yield venue


def bars_of(venue, timeframe, symbol="AAPL", **settings):
    return source_at(venue, timeframe, **settings).bars([symbol], *EVER)


def test_days_are_stamped_by_their_session(venue):
    """Also after the clocks went back on 2024-11-03: the venue's stamp moves from 04:00 to 05:00.

    The session of today is not over, and so not there.
    """
    bars = bars_of(venue, "1d")
    sessions = trading_calendar("XNYS", "1d").sessions(stocks.FIRST, NOW.normalize())
    assert pd.DatetimeIndex(bars["timestamp"]).equals(sessions)


def test_a_day_is_that_of_the_venue(venue):
    """Regular prices, and the volume of the whole day, as its daily bars have it."""
    day = stocks.minutes("AAPL", "iex").tz_convert(stocks.NEW_YORK).loc["2024-11-06"]
    regular = day.between_time("09:30", "15:59")
    bar = bars_of(venue, "1d").set_index("timestamp").loc[pd.Timestamp("2024-11-06", tz="UTC")]
    expected = [regular["o"].iloc[0], regular["h"].max(), regular["l"].min(), regular["c"].iloc[-1]]
    assert bar[["open", "high", "low", "close"]].tolist() == expected
    assert bar["volume"] == day["v"].sum()


@pytest.mark.parametrize(
    ("timeframe", "day", "opens"),
    [
        ("1h", "2024-11-01", ["13:30", "14:30", "15:30", "16:30", "17:30", "18:30", "19:30"]),
        ("1h", "2024-11-04", ["14:30", "15:30", "16:30", "17:30", "18:30", "19:30", "20:30"]),
        ("1h", "2024-11-29", ["14:30", "15:30", "16:30", "17:30"]),
        ("4h", "2024-11-04", ["14:30", "18:30"]),
        ("4h", "2024-11-29", ["14:30"]),
    ],
)
def test_hours_count_from_the_bell(venue, timeframe, day, opens):
    """Before and after the clocks went back, and on a half day, whose last hour is half of one."""
    stamps = pd.DatetimeIndex(bars_of(venue, timeframe)["timestamp"])
    assert [f"{stamp:%H:%M}" for stamp in stamps[stamps.floor("D") == day]] == opens


@pytest.mark.parametrize(("timeframe", "step"), [("1h", 60), ("4h", 240), ("30m", 30), ("5m", 5)])
@pytest.mark.parametrize("day", ["2024-11-04", "2024-11-29"])
def test_longer_bars_are_their_minutes_put_together(venue, timeframe, step, day):
    """By hand, from the minutes of the regular session: vwap weighted by volume, trades summed."""
    until = "20:59" if day == "2024-11-04" else "17:59"
    minutes = stocks.minutes("AAPL", "sip").loc[day].between_time("14:30", until)
    nth = (minutes.index - minutes.index[0]) // pd.Timedelta(minutes=step)
    bars = bars_of(venue, timeframe, feed="sip")
    bars = bars[bars["timestamp"].dt.floor("D") == day]
    assert len(bars) == nth[-1] + 1
    for n, bar in enumerate(bars.itertuples()):
        part = minutes[nth == n]
        assert bar.timestamp == part.index[0]
        assert (bar.open, bar.close) == (part["o"].iloc[0], part["c"].iloc[-1])
        assert (bar.high, bar.low) == (part["h"].max(), part["l"].min())
        assert (bar.volume, bar.trade_count) == (part["v"].sum(), part["n"].sum())
        assert bar.vwap == pytest.approx(np.average(part["vw"], weights=part["v"]), abs=1e-6)


@pytest.mark.parametrize(("timeframe", "opens"), [("30m", "15:00"), ("1h", "14:30")])
def test_a_bar_with_an_impossible_part_is_impossible(venue, timeframe, opens):
    """The rest of an hour is not the hour: its bar is set aside whole, for the part's own rule."""
    right = bars_of(venue, timeframe)

    def spoilt(rows):
        return [row | {"v": -1} if row["t"].startswith("2024-11-04T15:00") else row for row in rows]

    venue.misbehave(Fault(rows=spoilt), FOREVER)
    sifted = Sifted.of({"alpaca": bars_of(venue, timeframe)})
    stamp = pd.Timestamp(f"2024-11-04T{opens}", tz="UTC")
    assert sifted.aside[["timestamp", "rule"]].to_numpy().tolist() == [
        [stamp, "volume is negative"]
    ]
    others = right[right["timestamp"] != stamp].reset_index(drop=True)
    pd.testing.assert_frame_equal(sifted.bars, others)


def test_minutes_are_those_of_the_regular_session(venue):
    """The venue tells of 04:00 to 20:00."""
    stamps = pd.DatetimeIndex(bars_of(venue, "1m", feed="sip")["timestamp"])
    expected = trading_calendar("XNYS", "1m").sessions(stocks.FIRST, NOW - timedelta(minutes=16))
    assert stamps.equals(expected)
    assert len(stocks.minutes("AAPL", "sip")) > len(stamps) + 500


@pytest.mark.parametrize(
    ("feed", "timeframe", "until", "last"),
    [
        ("iex", "1d", "2024-12-02 20:59:59", "2024-11-29"),
        ("iex", "1d", "2024-12-02 21:00:00", "2024-12-02"),
        ("sip", "1d", "2024-12-02 21:14:59", "2024-11-29"),
        ("sip", "1d", "2024-12-02 21:15:00", "2024-12-02"),
        ("iex", "1d", "2024-11-29 18:00:00", "2024-11-29"),
        ("iex", "1h", "2024-11-29 17:59:59", "2024-11-29 16:30"),
        ("iex", "1h", "2024-11-29 18:00:00", "2024-11-29 17:30"),
        ("sip", "1h", "2024-11-29 18:14:59", "2024-11-29 16:30"),
        ("sip", "1m", "2024-11-04 14:46:59", "2024-11-04 14:30"),
    ],
)
def test_a_bar_is_there_once_it_is_over(venue, feed, timeframe, until, last):
    """And, of all exchanges, a quarter of an hour later, half day or not."""
    venue.now = pd.Timestamp(until, tz="UTC")
    stamps = bars_of(venue, timeframe, feed=feed)["timestamp"]
    assert stamps.max() == pd.Timestamp(last, tz="UTC")


@pytest.mark.slow
def test_free_keys_never_ask_for_the_latest_of_all_exchanges(venue):
    source = source_at(venue, "1m", feed="sip")
    source.span(source.symbols())
    source.listings(source.symbols())
    asked = venue.asked("/v2/stocks/bars")
    assert len(asked) > 3
    assert max(pd.Timestamp(each.query["end"]) for each in asked) < NOW - timedelta(minutes=15)


def test_a_plan_without_recent_data_is_told_what_to_do(venue):
    with pytest.raises(SourceError, match=r"does not permit.*take the feed iex") as caught:
        bars_of(venue, "1m", feed="sip", delay=timedelta(0))
    assert type(caught.value) is SourceError


def test_with_a_subscription_there_is_no_delay(venue):
    venue.subscribed = True
    bars = bars_of(venue, "1m", feed="sip", delay=timedelta(0))
    assert bars["timestamp"].max() == NOW.floor("min") - timedelta(minutes=1)


def test_feeds_differ_and_say_so(venue):
    """Volume on IEX is a fiftieth."""
    volumes = [bars_of(venue, "1d", feed=feed)["volume"].mean() for feed in ("sip", "iex")]
    assert 50 < volumes[0] / volumes[1] < 150
    feeds = {feed: source_at(venue, "1Day", feed=feed).identity() for feed in ("sip", "iex")}
    assert feeds["sip"] == {"source": "alpaca", "feed": "sip", "timeframe": "1d"}
    assert feeds["iex"]["feed"] == "iex"
    assert {each.query["feed"] for each in venue.asked("/v2/stocks/bars")} == {"sip", "iex"}
    assert {each.query["adjustment"] for each in venue.asked("/v2/stocks/bars")} == {"raw"}


def test_an_unknown_feed_is_refused(venue):
    with pytest.raises(ValueError, match="feed must be one of iex, sip, was 'otc'"):
        source_at(venue, feed="otc")


@pytest.mark.slow
def test_pages_make_one_answer(venue):
    whole = source_at(venue, "1h").bars(["AAPL", "MSFT"], *EVER)
    venue.page = 30
    pd.testing.assert_frame_equal(source_at(venue, "1h").bars(["AAPL", "MSFT"], *EVER), whole)
    assert len(venue.asked("page_token")) > 10


def test_many_symbols_are_asked_for_in_parts(venue):
    """An address of thousands of letters is refused on the way."""
    names = [f"Q{n:03d}" for n in range(230)]
    venue.assets |= {name: alpaca.asset(name) for name in names}
    bars = source_at(venue).bars([*names, "AAPL"], *EVER)
    assert set(bars["symbol"]) == {"AAPL"}
    asked = [each.query["symbols"].split(",") for each in venue.asked("/v2/stocks/bars")]
    assert [len(part) for part in asked] == [100, 100, 31]


def test_a_typo_is_told_from_a_symbol_without_bars(venue):
    """The data API has nothing to say of either."""
    source = source_at(venue)
    venue.assets["NOBARS"] = alpaca.asset("NOBARS")
    assert source.bars(["NOBARS"], *EVER).empty
    with pytest.raises(SourceError, match="Alpaca has no bars of NOBARS"):
        source.span(["NOBARS"])
    with pytest.raises(UnknownSymbol, match=r"Alpaca has no AAPLE \(similar: AAPL\)"):
        source.bars(["AAPLE"], *EVER)


def test_the_delisted_keep_their_history(venue):
    source = source_at(venue)
    assert "DEAD" not in source.symbols()
    assert source.span(["DEAD"])[1] == stocks.LIVES["DEAD"][1] + pd.Timedelta(days=1)
    venue.assets["MSFT"]["tradable"] = False
    venue.assets["NOBARS"] = alpaca.asset("NOBARS")
    listings = source_at(venue).listings(["NEWCO", "DEAD", "MSFT", "NOBARS"])
    assert listings["status"].tolist() == ["trading", "delisted", "halted", "not yet traded"]
    first = [stocks.LIVES["NEWCO"][0], stocks.FIRST, stocks.FIRST, pd.NaT]
    assert listings["listed"].tolist() == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("until", "timeframe"), [("15:00", "1d"), ("14:30", "1h"), ("13:00", "1m")]
)
def test_the_newest_listing_may_have_no_bar_yet(venue, until, timeframe):
    """On its first day, before its first bar is over, or before the bell."""
    venue.now = pd.Timestamp(f"2024-11-07 {until}", tz="UTC")
    source = source_at(venue, timeframe, feed="sip", delay=timedelta(0))
    venue.subscribed = True
    assert source.span(["DEAD", "NEWCO"]) == source.span(["DEAD"])
    assert source.listings(["NEWCO"])["listed"].isna().all()
    with pytest.raises(SourceError, match="Alpaca has no bars of NEWCO"):
        source.span(["NEWCO"])


def test_a_ticker_that_trades_again_is_not_delisted(venue):
    """The list has both companies; the venue's bars are those of the one that has it now."""
    venue.assets = {"now": alpaca.asset("AAPL"), "before": alpaca.asset("AAPL", active=False)}
    assert source_at(venue).listings(["AAPL"])["status"].tolist() == ["trading"]


def test_a_new_name_has_the_bars_of_the_old_one(venue):
    stamps = bars_of(venue, "1d", symbol="NEWCO")["timestamp"]
    assert stamps.min() == stocks.LIVES["NEWCO"][0] < stocks.RENAMED


@pytest.mark.slow
def test_threads_share_a_source(venue):
    """Each gets what it would get alone."""
    source, venue.page = source_at(venue, "1h"), 200
    alone = {name: source.bars([name], *EVER) for name in stocks.LIVES}
    with ThreadPoolExecutor(8) as pool:
        asked = [(name, pool.submit(source.bars, [name], *EVER)) for name in [*stocks.LIVES] * 3]
        for name, answer in asked:
            pd.testing.assert_frame_equal(answer.result(), alone[name])


@pytest.mark.slow
def test_requests_keep_the_pace_of_the_plan(venue):
    """200 a minute: by the source's own clock, nobody waits here."""
    source, venue.page = source_at(venue, "1h"), 20
    clock = source._api._patience.clock
    source.bars(["AAPL"], *EVER)
    assert clock() == pytest.approx(0.3 * (len(venue.requests) - 1))


def test_the_list_of_symbols_is_asked_for_once_an_hour(venue):
    source = source_at(venue)
    for _ in range(3):
        source.bars(["AAPL"], *EVER)
    assert len(venue.asked("/v2/assets")) == 1
    source._patience.sleep(3601)
    source.symbols()
    assert len(venue.asked("/v2/assets")) == 2


def added(row):
    return Fault(rows=lambda rows: [*rows, rows[-1] | row])


def test_a_day_that_the_calendar_says_closed_is_left_out(venue):
    """Thanksgiving: no bar of it may stand for a session."""
    right = bars_of(venue, "1d")
    venue.misbehave(added({"t": "2024-11-28T05:00:00Z"}))
    pd.testing.assert_frame_equal(bars_of(venue, "1d"), right)


def test_two_bars_of_one_instant_are_refused(venue):
    venue.misbehave(added({"v": 1}))
    with pytest.raises(SourceError, match="two different bars of AAPL at 2024-11-29 05:00"):
        bars_of(venue, "1d")


def test_the_price_of_nothing_is_missing(venue):
    """A bar without volume says 0 of its volume-weighted price."""
    venue.misbehave(Fault(rows=lambda rows: [*rows[:-1], rows[-1] | {"v": 0, "n": 0, "vw": 0}]))
    bars = bars_of(venue, "1d")
    assert bars["vwap"].isna().tolist() == [False] * (len(bars) - 1) + [True]


@pytest.mark.parametrize(
    "change", [lambda row: {"t": row["t"]}, lambda row: row | {"t": "noon"}, lambda row: {}]
)
def test_bars_of_another_form_are_refused(venue, change):
    venue.misbehave(Fault(rows=lambda rows: [change(row) for row in rows]))
    with pytest.raises(SourceError, match="Alpaca answered with bars of an unknown form"):
        bars_of(venue, "1d")


def test_keys_are_not_pickled(venue):
    with pytest.raises(TypeError, match="keys are not written anywhere"):
        pickle.dumps(source_at(venue))
