"""Markets of venues through Dagster: what fails is said, and keys are said nowhere."""

from base64 import b64encode
from dataclasses import replace
from datetime import date, timedelta

import dagster as dg
import pandas as pd
import pytest
from pydantic import SecretStr

from trading_pipeline import definitions
from trading_pipeline.adapters.sources.factory import SourceFactory
from trading_pipeline.adapters.sources.retry import HURRY, Patience
from trading_pipeline.core.market.actions import empty_actions
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets.market import (
    ACTIONS_FETCHED,
    FETCHED,
    corporate_actions,
    raw_bars,
)
from trading_pipeline.defs.checks.market import no_session_is_missing
from trading_pipeline.defs.instance import local_instance
from trading_pipeline.defs.partitions import range_tags
from trading_pipeline.errors import CredentialsError, SourceError
from trading_pipeline.settings import Settings
from trading_pipeline.settings_markets import MarketSettings
from trading_pipeline.steps.home import ConfiguredSources, Home
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import source_at
from trading_pipeline_tests.defs.short_market import sources_of
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca
from trading_pipeline_tests.fakes.table import BARS, NOW, UNSETTLED, TableVenue
from trading_pipeline_tests.fakes.venue import FOREVER, Answer, Fault, refusal

COINS = Market(
    name="coins",
    source="ccxt",
    symbols=("AAA", "BBB", "CCC"),
    start=date(2020, 1, 1),
    end=date(2020, 4, 30),
    calendar="24/7",
)
COINS_OF_BINANCE = replace(COINS, source="binance", symbols=("BTC/USDT",))
CANARY = SecretStr("PKcanary2718281828"), SecretStr("canarysecret3141592653")
# As they are, and as the client sends them.
SECRETS = (
    "canary",
    b64encode(":".join(key.get_secret_value() for key in CANARY).encode()).decode(),
)


def land(market, home, instance, sources, first="2020-04-29", last="2020-04-29", **config):
    """A night, in which a venue is asked for all days since the market's first."""
    return dg.materialize(
        [raw_bars(market), corporate_actions(market)],
        tags=range_tags(first, last),
        resources={
            "home": home,
            "sources": sources,
            "progress": dg.ResourceDefinition.hardcoded_resource(Progress()),
        },
        run_config={"ops": {f"{market.name}__raw_bars": {"config": config}}} if config else {},
        instance=instance,
        raise_on_error=False,
    )


@pytest.fixture
def venue():
    return TableVenue(BARS, NOW)


@pytest.mark.slow
def test_a_symbol_that_fails_is_red_and_stops_nothing(home, instance, venue):
    venue.errors, venue.forever = {"BBB": [SourceError("BBB is broken")]}, True
    done = land(COINS, home, instance, sources_of(venue))
    assert done.success
    told, actions = sorted(done.get_asset_check_evaluations(), key=lambda each: each.check_name)
    assert (actions.check_name, actions.passed) == (ACTIONS_FETCHED, True)
    assert (told.check_name, told.passed, told.blocking) == (FETCHED, False, False)
    assert told.severity == dg.AssetCheckSeverity.ERROR
    assert told.description == "BBB: BBB is broken"
    metadata = done.asset_materializations_for_node("coins__raw_bars")[-1].metadata
    assert metadata["failed"].value == {"BBB": "BBB is broken"}
    assert set(home.bars(COINS).read()["symbol"]) == {"AAA", "CCC"}


@pytest.mark.slow
def test_one_night_repairs_what_is_missing_anywhere(home, instance, venue):
    venue.now += timedelta(days=UNSETTLED)
    land(COINS, home, instance, sources_of(venue))
    (home.bars(COINS).folder / "2020-02.parquet").unlink()
    venue.asked.clear()
    assert land(COINS, home, instance, sources_of(venue)).success
    pd.testing.assert_frame_equal(home.bars(COINS).read(), BARS)
    assert venue.bars_asked() == 29 * 3


@pytest.mark.slow
def test_fetching_again_is_a_setting_of_the_run(home, instance, venue):
    land(COINS, home, instance, sources_of(venue))
    venue.table = BARS.assign(volume=BARS["volume"].where(BARS.index != 9, 1.0))
    done = land(COINS, home, instance, sources_of(venue))
    assert (
        done.asset_materializations_for_node("coins__raw_bars")[-1].metadata["changed"].value == 0
    )
    done = land(COINS, home, instance, sources_of(venue), refetch=True)
    metadata = done.asset_materializations_for_node("coins__raw_bars")[-1].metadata
    assert (metadata["changed"].value, metadata["revisions"].value) == (1, 1)
    assert "volume" in metadata["newest_revisions"].value


@pytest.mark.slow
def test_a_start_leaves_what_is_before_it(home, instance, venue):
    land(COINS, home, instance, sources_of(venue), first="2020-04-01", start="2020-04-01")
    assert home.bars(COINS).read()["timestamp"].min() == pd.Timestamp("2020-04-01", tz="UTC")


@pytest.mark.slow
def test_what_no_price_is_adjusted_for_is_shown(home, instance, venue):
    """A spin-off takes a part of the price away, and is neither a split nor a dividend."""
    row = (pd.Timestamp("2020-02-03", tz="UTC"), "BBB", "spin_off", "4 BBB receive 1 NEW")
    asked = []

    def notices(symbols):
        asked.append(list(symbols))
        return pd.DataFrame([row], columns=["timestamp", "symbol", "kind", "text"])

    venue.notices = notices
    venue.actions = lambda symbols: empty_actions()
    done = land(COINS, home, instance, sources_of(venue))
    metadata = done.asset_materializations_for_node("coins__corporate_actions")[-1].metadata
    assert metadata["notices"].value == 1
    assert "| 2020-02-03  | BBB      | spin_off | 4 BBB receive 1 NEW |" in str(
        metadata["newest_notices"].value
    )
    assert asked == [["AAA", "BBB", "CCC"]]


def test_a_plan_of_alpaca_is_the_markets_own():
    """SIP without the fifteen minutes that free keys wait, and more requests."""
    entry = MarketSettings(
        source="alpaca", symbols=("AAPL",), start=date(2020, 1, 1), feed="sip", delay=1.5,
        per_minute=1000,
    )  # fmt: skip
    sources = definitions.sources_of(Settings(markets={"shares": entry}))
    source = sources.open(entry.market("shares"))
    assert (source.feed, source.delay, source.at_once) == ("sip", timedelta(minutes=1.5), 100)
    assert source._api._pace.interval == 0.06
    free = entry.model_copy(update={"delay": None, "per_minute": None})
    source = definitions.sources_of(Settings(markets={"shares": free})).open(entry.market("shares"))
    assert (source.delay, source._api._pace.interval) == (timedelta(minutes=15), 0.3)


def test_a_market_without_keys_fails_only_when_it_downloads(home, instance):
    shares = replace(COINS, name="shares", source="alpaca", calendar="XNYS", symbols=("AAPL",))
    sources = ConfiguredSources({})
    assert sources.open(shares).live
    with pytest.raises(CredentialsError, match="TP_ALPACA_KEY"):
        sources.open(shares).listings(["AAPL"])


@pytest.mark.parametrize("fault", [None, refusal(422), refusal(403)])
@pytest.mark.slow
def test_keys_are_in_nothing_that_a_run_leaves_behind(tmp_path, capfd, fault, no_dagster_home):
    """The venue refuses, or answers with nonsense: events, logs, database and output are read."""
    market = replace(
        COINS, name="shares", source="alpaca", calendar="XNYS", symbols=("AAPL", "MSFT"),
        start=date(2024, 11, 1), end=date(2024, 11, 20),
    )  # fmt: skip
    now = pd.Timestamp("2024-12-02 19:30:20", tz="UTC")
    with FakeAlpaca(now) as venue, local_instance(tmp_path) as instance:
        if fault is not None:
            venue.misbehave(fault, FOREVER)
        key, secret = CANARY
        factory = SourceFactory(url=venue.url, trading_url=venue.url, key=key, secret=secret)
        sources = ConfiguredSources({"shares": factory})
        resource = dg.ResourceDefinition.hardcoded_resource(sources)
        done = land(
            market, Home(root=str(tmp_path)), instance, resource, "2024-11-01", "2024-11-19"
        )
        assert not done.success  # the venue does not know these keys
        sent = str([each.headers for each in venue.requests])
        assert any(secret in sent for secret in SECRETS)
        failures = [each.event_specific_data for each in done.all_events if each.is_failure]
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) > 5
    said = capfd.readouterr()
    texts = [path.read_bytes() for path in left]
    texts += [said.out.encode(), said.err.encode(), repr((sources, factory, failures)).encode()]
    assert not [text for text in texts for secret in SECRETS if secret.encode() in text]
    assert b"CredentialsError" in b"".join(texts) or b"SourceError" in b"".join(texts)


@pytest.mark.slow
def test_a_hole_that_all_have_stops_the_market_until_the_venue_fills_it(home, instance, venue):
    """The next run asks for it again, by itself, and the complaint says what else may help."""
    hole = BARS["timestamp"].between("2020-03-01", "2020-03-05")
    venue.table = BARS[~hole].reset_index(drop=True)
    land(COINS, home, instance, sources_of(venue))
    stuck = no_session_is_missing(COINS)(home=home)
    assert not stuck.passed
    assert "every symbol lacks more than 1%" in stuck.description
    assert "did not have bars of 3 symbols when it was last asked on" in stuck.description
    assert "with `--refetch` it asks for all bars now" in stuck.description
    venue.table = BARS
    assert land(COINS, home, instance, sources_of(venue)).success
    assert no_session_is_missing(COINS)(home=home).passed
    pd.testing.assert_frame_equal(home.bars(COINS).read(), BARS)


@pytest.mark.parametrize("fault", [refusal(500), refusal(403), Fault(answer=Answer({"news": 1}))])
@pytest.mark.slow
@pytest.mark.sampled(3)
def test_alpaca_without_corporate_actions_still_gives_bars(home, instance, fault):
    """Its actions are another endpoint; that it fails is red, and nothing else does."""
    market = replace(
        COINS, name="shares", source="alpaca", calendar="XNYS", symbols=("AAPL", "MSFT"),
        start=date(2024, 11, 1), end=date(2024, 11, 20),
    )  # fmt: skip
    with FakeAlpaca(pd.Timestamp("2024-12-02 19:30:20", tz="UTC")) as venue:
        venue.misbehave(fault, FOREVER, where="/v1/corporate-actions")
        done = land(
            market, home, instance, sources_of(source_at(venue)), "2024-11-01", "2024-11-19"
        )
        assert done.success
        assert len(home.bars(market).read()) == 2 * 13
        failed = [each for each in done.get_asset_check_evaluations() if not each.passed]
        assert [each.check_name for each in failed] == [ACTIONS_FETCHED]
        assert "splits and dividends were never told (Alpaca" in failed[0].description
        assert home.bars(market).stale_actions() is not None
        venue.behave()
        done = land(
            market, home, instance, sources_of(source_at(venue)), "2024-11-19", "2024-11-19"
        )
        assert all(each.passed for each in done.get_asset_check_evaluations())
    assert home.bars(market).stale_actions() is None
    assert len(home.bars(market).read_actions()) == 3


def test_the_assets_of_a_run_share_a_venue_and_read_files_anew():
    """What a venue listed is asked for once a run; a file may have changed meanwhile."""
    sources = ConfiguredSources({})
    assert sources.open(COINS_OF_BINANCE) is sources.open(COINS_OF_BINANCE)
    hourly = replace(COINS_OF_BINANCE, timeframe="1h")
    assert sources.open(hourly) is not sources.open(COINS_OF_BINANCE)
    sample = replace(COINS_OF_BINANCE, name="sample", source="sample")
    assert sources.open(sample) is not sources.open(sample)


def test_a_night_is_patient_and_a_command_is_not():
    """Nobody sits before a night."""
    entry = MarketSettings(source="binance", symbols=("BTC/USDT",), start=date(2020, 1, 1))
    settings, market = Settings(markets={"coins": entry}), replace(COINS_OF_BINANCE, name="coins")
    assert definitions.sources_of(settings).open(market)._patience == Patience()
    hurried = definitions.sources_of(settings, hurried=True).open(market)
    assert hurried._patience == HURRY
    assert HURRY.outage == 60
