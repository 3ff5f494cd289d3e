"""An exchange that is not Binance, through the same source: Kraken, and one with strict pages."""

import pandas as pd
import pytest

from trading_pipeline.adapters.sources.ccxt_spot import CcxtSource
from trading_pipeline.adapters.sources.retry import Patience
from trading_pipeline.errors import SourceError, SourceUnavailable, VenueDown
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract
from trading_pipeline_tests.fakes.kraken import BUSY, RATE_LIMITED, FakeKraken
from trading_pipeline_tests.fakes.venue import ANSWER_FAULTS, FOREVER, Answer, Fault, TestClock

NOW = "2021-06-15 10:20:30"
START, END = (pd.Timestamp(day, tz="UTC") for day in ("2013-01-01", "2030-01-01"))


def source_of(venue, timeframe):
    clock = TestClock()
    patience = Patience(sleep=clock.sleep, clock=clock.time, timeout=0.2)
    return CcxtSource("kraken", timeframe, venue.url, patience=patience)


class TestContract(BarSourceContract):
    windows = False

    @pytest.fixture(scope="class")
    def source(self):
        with FakeKraken(NOW, "2021-06-02 05:00", windows=self.windows) as kraken:
            yield source_of(kraken, "1h")

    @pytest.fixture
    def clock(self):
        return "24/7", "1h", pd.Timestamp(NOW, tz="UTC")


class TestContractOfStrictPages(TestContract):
    windows = True


def test_years_without_bars_are_passed_over_where_pages_are_strict():
    """The listing is looked for by days: two years in a page, where hours would be a month."""
    with FakeKraken(NOW, "2021-03-02 05:00", windows=True) as venue:
        source = source_of(venue, "1h")
        span = source.span(["BTC/USD"])
        assert span[0] == pd.Timestamp("2021-03-02 05:00", tz="UTC")
        assert len(venue.asked("interval=1440")) < 10
        bars = source.bars(["BTC/USD"], *span)
        assert len(bars) == (span[1] - span[0]) / pd.Timedelta(hours=1)
        early = source.bars(["BTC/USD"], pd.Timestamp("2020-06-01", tz="UTC"), span[1])
        pd.testing.assert_frame_equal(early, bars)


def test_where_only_the_newest_bars_can_be_had_these_are_given():
    with FakeKraken(NOW, "2015-01-01") as venue:
        source = source_of(venue, "1h")
        bars = source.bars(["BTC/USD"], START, END)
        # One of the 720 is still open.
        assert len(bars) == 719
        assert source.span(["BTC/USD"])[0] == bars["timestamp"].iloc[0]
        assert bars.columns.tolist()[-1] == "volume"


@pytest.mark.parametrize("fault", [BUSY, RATE_LIMITED])
@pytest.mark.parametrize("where", ["AssetPairs", "Time", "OHLC"])
def test_errors_that_come_with_http_200_are_waited_out(fault, where):
    with FakeKraken(NOW, "2021-05-01") as venue:
        venue.misbehave(fault, 3, where)
        assert len(source_of(venue, "1d").bars(["BTC/USD"], START, END)) == 45


def test_and_given_up_in_the_end():
    with FakeKraken(NOW, "2021-05-01") as venue:
        venue.misbehave(BUSY, FOREVER, "OHLC")
        with pytest.raises(
            SourceUnavailable, match=r"kraken BTC/USD: .*EService:Unavailable.* \(8"
        ):
            source_of(venue, "1d").bars(["BTC/USD"], START, END)
        assert len(venue.asked("OHLC")) == 8


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_command_gives_them_up_within_a_minute(jitter):
    """The venue says that it is too busy: that holds for every question."""
    with FakeKraken(NOW, "2021-05-01") as venue:
        clock = TestClock()
        patience = Patience(sleep=clock.sleep, clock=clock.time, outage=60.0, random=lambda: jitter)
        source = CcxtSource("kraken", "1d", venue.url, patience=patience)
        venue.misbehave(BUSY, FOREVER, "OHLC")
        with pytest.raises(VenueDown, match=r"EService:Unavailable.*or with --wait"):
            source.bars(["BTC/USD"], START, END)
        assert clock.now <= 60 + 5  # the questions before it keep the pace that the venue asks for


def test_another_error_is_not_asked_again():
    with FakeKraken(NOW, "2021-05-01") as venue:
        invalid = Answer({"error": ["EQuery:Invalid asset pair"]})
        venue.misbehave(Fault(answer=invalid), FOREVER, "OHLC")
        with pytest.raises(SourceError, match=r"kraken BTC/USD: .*EQuery:Invalid asset pair"):
            source_of(venue, "1d").bars(["BTC/USD"], START, END)
        assert len(venue.asked("OHLC")) == 1


@pytest.mark.parametrize("name", ANSWER_FAULTS)
def test_faults_of_answers_do_not_show_in_the_bars(name):
    with FakeKraken(NOW, "2021-05-01") as venue:
        source = source_of(venue, "1d")
        good = source.bars(["BTC/USD"], START, END)
        ANSWER_FAULTS[name](venue)
        pd.testing.assert_frame_equal(source.bars(["BTC/USD"], START, END), good)
