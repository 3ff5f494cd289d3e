"""Bars as they close: when they are asked for, which ones, and what is waited for."""

import logging
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.store.ledger import Ledger
from trading_pipeline.core.market.actions import check_actions, empty_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import CredentialsError, SourceUnavailable, UnknownSymbol, VenueDown
from trading_pipeline.steps.feed import Feed, patience_of
from trading_pipeline.steps.incidents import Incidents
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import source_at
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca, dividend
from trading_pipeline_tests.fakes.table import TableVenue
from trading_pipeline_tests.synthetic import panel as synthetic

NAMES = ("AAA", "BBB", "CCC")
BARS = check_bars(synthetic(120, NAMES, days="h"))
FIRST = BARS["timestamp"].min()
HOUR = pd.Timedelta(hours=1)
MARKET = Market(
    name="table",
    source="binance",
    symbols=NAMES,
    start=date(2020, 1, 1),
    calendar="24/7",
    timeframe="1h",
)
STORED = 100  # bars that are known


def at(hour, minutes=0.0):
    """So many hours after the first bar that is not known opens."""
    return FIRST + (STORED + hour) * HOUR + pd.Timedelta(minutes=minutes)


class Hours(TableVenue):
    """A venue at which time passes while somebody waits; `comes` says when late bars do."""

    def __init__(self):
        super().__init__(BARS, at(0, 20), timeframe="1h")
        self.comes = {}  # by symbol and stamp, the instant

    def wait(self, seconds):
        self.now += pd.Timedelta(seconds=seconds)
        assert self.now < at(20), "waited for ever"

    def bars(self, symbols, start, end):
        told = super().bars(symbols, start, end)
        keys = zip(told["symbol"], told["timestamp"], strict=True)
        there = [self.comes.get(key, self.now) <= self.now for key in keys]
        return told[np.array(there, dtype=bool)]


@pytest.fixture
def venue():
    return Hours()


@pytest.fixture
def incidents(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Incidents(ledger, "table", "s", lambda: datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture
def feed(venue, incidents):
    return Feed(venue, MARKET, venue.wait, incidents)


def known(hours=0, bars=BARS):
    return Panel.of(bars[bars["timestamp"] < at(hours)], None, NAMES)


def warned(caplog):
    ours = [each for each in caplog.records if each.name.startswith("trading_pipeline.")]
    return [each.message for each in ours if each.levelno >= logging.WARNING]


def test_a_bar_is_taken_when_it_has_closed_and_not_before(venue, feed):
    seen = feed.after(known())
    assert seen.data_hash(STORED + 1) == known(1).data_hash(STORED + 1)
    assert len(seen.timestamps) == STORED + 1
    assert at(1) <= venue.now < at(1, 0.1)


@pytest.mark.slow
def test_only_bars_that_are_missing_are_asked_for(venue, feed):
    """One each in the usual case; after days away, those of the days, and nothing stored."""
    panel = known()
    for hour in range(3):
        panel = feed.after(panel)
        assert venue.asked[3 * hour :] == [
            ((name,), at(hour - 1) + pd.Timedelta("1us"), at(hour + 1)) for name in NAMES
        ]
    venue.asked.clear()
    venue.now = at(9, 30)
    assert len(feed.after(panel).timestamps) == STORED + 9
    assert venue.bars_asked() == 3 * 6


@pytest.mark.slow
def test_bars_that_come_late_are_waited_for(venue, feed, caplog):
    """As long as was said, and only for those that have not come."""
    venue.comes = {("BBB", at(0)): at(1, 2.5)}
    seen = feed.after(known())
    assert seen.traded[-1].all()
    assert at(1, 2.5) <= venue.now < at(1, 3)
    again = [symbols for symbols, _, _ in venue.asked[3:]]
    assert set(again) == {("BBB",)}
    assert not warned(caplog)


@pytest.mark.slow
def test_what_does_not_come_in_time_is_gone_without(venue, feed, caplog):
    """It is said once, is not waited for again, and may come back."""
    venue.comes = {("BBB", at(hour)): at(99) for hour in range(2)}
    panel = known()
    for hour, waited in ((0, 3), (1, 0), (2, 0), (3, 0)):
        panel = feed.after(panel)
        assert panel.traded[-1].tolist() == [True, hour > 1, True]
        assert at(hour + 1, waited) <= venue.now < at(hour + 1, waited + 0.5)
    gone, back = warned(caplog)
    assert "no bar of BBB at 2020-01-05 04:00:00+00:00 within 0 days 00:03:00" in gone
    assert "BBB has bars again, at 2020-01-05 06:00:00+00:00" in back


@pytest.mark.slow
def test_a_bar_that_comes_after_a_later_one_is_not_taken(venue, feed):
    """A session has decided without it; the past does not change."""
    venue.comes = {("BBB", at(0)): at(1, 30)}
    seen = feed.after(feed.after(known()))
    assert seen.traded[-2:].tolist() == [[True, False, True], [True, True, True]]


@pytest.mark.slow
def test_where_no_symbol_has_a_bar_there_is_none(venue, feed):
    """A halt of the whole venue; the first bar after it comes with those that came too late."""
    venue.table = BARS[~BARS["timestamp"].isin([at(0), at(1)])]
    venue.comes = {(name, at(2)): at(3, 1) for name in NAMES[1:]}
    seen = feed.after(known())
    assert seen.timestamps[-2:].tolist() == [at(-1), at(2)]
    assert seen.traded[-1].all()


@pytest.mark.slow
def test_a_venue_that_is_down_is_asked_until_it_answers(venue, feed, caplog):
    """The clock, then bars of all symbols: said once each, and no bar is lost."""
    told = venue.clock
    silent = [VenueDown("no answer")] * 200

    def clock(age=60.0):
        if silent:
            raise silent.pop()
        return told(age)

    venue.clock = clock
    venue.errors = {name: [SourceUnavailable(f"{name} is silent")] * 300 for name in NAMES}
    seen = feed.after(known())
    assert len(seen.timestamps) > STORED + 1
    assert seen.data_hash(len(seen.timestamps)) == Panel.of(
        BARS[BARS["timestamp"] <= seen.timestamps[-1]], None, NAMES
    ).data_hash(len(seen.timestamps))
    assert venue.now - seen.timestamps[-1] < 2 * HOUR, "the newest one when it came"
    texts = warned(caplog)
    assert [("does not answer" in each, "answers again" in each) for each in texts] == [
        (True, False),
        (False, True),
    ] * 2


@pytest.mark.slow
def test_bars_older_than_the_newest_wait_for_it(venue, feed):
    """Nothing is decided on them, so that nobody has to know before the next bar."""
    venue.comes = {(name, at(1)): at(99) for name in NAMES}
    venue.now = at(2)
    seen = feed.after(known())
    assert seen.timestamps[-2:].tolist() == [at(0), at(2)]


@pytest.mark.slow
def test_a_symbol_that_is_refused_does_not_stop_the_others(venue, feed, caplog):
    """A pair that a venue has removed from its list: told once, and once that it is there again."""
    venue.errors, venue.forever = {"BBB": [UnknownSymbol("no BBB")]}, True
    venue.at_once = 100
    seen = feed.after(feed.after(known()))
    assert seen.traded[-2:].tolist() == [[True, False, True]] * 2
    (gone,) = [each for each in warned(caplog) if "no BBB" in each]
    assert "tells nothing of some symbols, which are held: no BBB" in gone
    venue.errors = {}
    assert feed.after(seen).traded[-1].all()
    assert warned(caplog)[-2].endswith("answers again")
    venue.errors = {name: [UnknownSymbol(f"no {name}")] for name in NAMES}
    with pytest.raises(UnknownSymbol, match=r"no [ABC]"):
        feed.after(known())


def test_keys_that_are_refused_end_it(venue, feed):
    """Nobody can wait for that."""
    venue.errors = {"AAA": [CredentialsError("no key")]}
    with pytest.raises(CredentialsError):
        feed.after(known())


@pytest.mark.slow
def test_a_row_that_no_market_could_have_made_is_no_bar(venue, feed):
    """It is asked for until it is one, or too late."""
    broken = BARS.copy()
    broken.loc[(broken["timestamp"] == at(0)) & (broken["symbol"] == "AAA"), "high"] = 0.5
    venue.table = broken
    seen = feed.after(known())
    assert seen.traded[-1].tolist() == [False, True, True]


def test_the_newest_bar_is_the_last_one_that_has_closed(venue, feed):
    assert feed.newest() == at(-1)
    venue.now = at(1)
    assert feed.newest() == at(0)


@pytest.mark.parametrize(
    ("step", "patience"), [("1min", "9s"), ("15min", "45s"), ("1h", "3min"), ("1D", "5min")]
)
def test_longer_bars_are_waited_for_longer(step, patience):
    assert patience_of(pd.Timedelta(step)) == pd.Timedelta(patience)


def test_a_delay_of_the_venue_is_waited_for_first(venue, feed):
    """Free keys of Alpaca's SIP feed are told nothing of its last fifteen minutes."""
    venue.delay = pd.Timedelta(minutes=15)
    feed.after(known())
    assert at(1, 15) <= venue.now < at(1, 15.1)


SHARES = Market(
    name="shares", source="alpaca", symbols=("AAPL", "MSFT", "NEWCO"), start=date(2024, 10, 28)
)


@pytest.mark.long
@pytest.mark.slow
def test_splits_and_dividends_of_the_night_come_with_the_bar(incidents):
    """Day by day over a split, dividends, a half day and weekends, the panel is that of them all.

    A dividend that the venue knows only when it is due counts as much.
    """
    begin = pd.Timestamp("2024-11-07 22:00", tz="UTC")
    with FakeAlpaca(begin) as venue:
        source = source_at(venue)
        venue.actions["cash_dividends"] = []

        def wait(seconds):
            venue.now += pd.Timedelta(seconds=seconds)
            source._patience.sleep(seconds)
            if venue.now > pd.Timestamp("2024-11-21 20:00", tz="UTC"):
                venue.actions["cash_dividends"] = [dividend("MSFT", "2024-11-21", 3.83)]

        feed = Feed(source, SHARES, wait, incidents)
        whole = source.bars(SHARES.symbols, pd.Timestamp(SHARES.start, tz="UTC"), begin)
        panel = Panel.of(whole, empty_actions(), SHARES.symbols)
        closes = []
        while panel.timestamps[-1] < pd.Timestamp("2024-11-29", tz="UTC"):
            panel = feed.after(panel)
            closes.append(venue.now.tz_convert("America/New_York"))
        bars = source.bars(SHARES.symbols, panel.timestamps[0], venue.now)
        actions = check_actions(source.actions(SHARES.symbols))
    at_once = Panel.of(bars, actions, SHARES.symbols)
    for name in ("close", "split", "dividend", "factor"):  # volume grows after the bell
        np.testing.assert_array_equal(getattr(panel, name), getattr(at_once, name))
    n = [SHARES.symbols.index(name) for name in ("AAPL", "MSFT")]
    days = panel.timestamps.strftime("%m-%d").tolist()
    assert panel.split[days.index("11-12"), n[0]] == 2.0
    assert panel.dividend[days.index("11-21"), n[1]] == pytest.approx(3.83)
    assert len(closes) == 15
    assert {f"{close:%H:%M}" for close in closes[:-1]} == {"16:00"}
    assert f"{closes[-1]:%H:%M}" == "13:00", "the half day after Thanksgiving"
    assert np.isfinite(panel.close[-15:]).all()
