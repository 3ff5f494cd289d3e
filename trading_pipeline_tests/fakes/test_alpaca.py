"""The fake Alpaca speaks its venue's format: alpaca-py's own models read it, and it is pinned.

What is pinned here was written from the public API reference.
"""

import base64

import pandas as pd
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetCalendarRequest

from trading_pipeline_tests.fakes.alpaca import KEY, SECRET, FakeAlpaca

NOW = pd.Timestamp("2024-12-02 19:30:20", tz="UTC")


@pytest.fixture
def venue():
    with FakeAlpaca(NOW) as venue:
        yield venue


def client(venue, kind, **settings):
    return kind(KEY, SECRET, url_override=venue.url, **settings)


def asked_for(symbols=("AAPL",), timeframe=TimeFrame.Day, **settings):
    usual = {"start": pd.Timestamp("2024-11-04", tz="UTC"), "feed": DataFeed.IEX}
    wanted = usual | {"adjustment": Adjustment.RAW} | settings
    return StockBarsRequest(symbol_or_symbols=list(symbols), timeframe=timeframe, **wanted)


def raw_bars(venue, **query):
    """The payload itself, of a question as the address bar has it."""
    stocks = client(venue, StockHistoricalDataClient, raw_data=True)
    usual = {"symbols": "AAPL", "timeframe": "1Day", "start": "2024-11-04", "feed": "iex"}
    return stocks.get("/stocks/bars", usual | query)


def test_bars_have_the_fields_and_types_of_the_venue(venue):
    answer = raw_bars(venue, end="2024-11-04T23:00:00Z")
    assert list(answer) == ["bars", "next_page_token"]
    [bar] = answer["bars"]["AAPL"]
    types = {name: type(value) for name, value in bar.items()}
    prices = dict.fromkeys("ohlc", float) | {"vw": float}
    assert types == prices | {"v": int, "n": int, "t": str}
    assert bar["t"] == "2024-11-04T05:00:00Z"  # midnight in New York


def test_the_client_reads_bars(venue):
    """Several symbols and pages; a day in winter begins an hour later than one in summer."""
    venue.page = 9
    bars = client(venue, StockHistoricalDataClient).get_stock_bars(
        asked_for(["MSFT", "AAPL"], start=pd.Timestamp("2024-10-28", tz="UTC"))
    )
    table = bars.df
    assert set(table.index.unique("symbol")) == {"AAPL", "MSFT"}
    hours = table.loc["AAPL"].index.hour
    assert (hours[0], hours[-1]) == (4, 5)
    assert table.loc["AAPL"].index[-1].strftime("%Y-%m-%d") == "2024-12-02"  # which is open still


def test_nothing_found_is_an_empty_answer(venue):
    """Of a symbol that does not exist, too: no error."""
    for symbols in ("AAPL", "NOSUCH"):
        answer = raw_bars(venue, symbols=symbols, start="2024-11-09", end="2024-11-10")
        assert answer == {"bars": {}, "next_page_token": None}


def test_a_page_ends_with_a_token_for_the_next(venue):
    """Symbol by symbol; the token names the last bar."""
    answer = raw_bars(venue, symbols="MSFT,AAPL", limit=2)
    assert list(answer["bars"]) == ["AAPL"]
    assert base64.b64decode(answer["next_page_token"]) == b"AAPL|1Day|2024-11-05T05:00:00Z"
    following = raw_bars(venue, symbols="MSFT,AAPL", limit=1, page_token=answer["next_page_token"])
    assert following["bars"]["AAPL"][0]["t"] == "2024-11-06T05:00:00Z"


def test_the_ends_are_inclusive_and_the_order_is_as_asked(venue):
    days = {"start": "2024-11-04T05:00:00Z", "end": "2024-11-05T05:00:00Z"}
    stamps = [bar["t"][:10] for bar in raw_bars(venue, **days, sort="desc")["bars"]["AAPL"]]
    assert stamps == ["2024-11-05", "2024-11-04"]


def test_hours_begin_on_the_hour_and_minutes_before_the_bell(venue):
    hours = client(venue, StockHistoricalDataClient).get_stock_bars(
        asked_for(timeframe=TimeFrame.Hour, end=pd.Timestamp("2024-11-05", tz="UTC"))
    )
    local = hours.df.loc["AAPL"].index.tz_convert("America/New_York")
    assert set(local.minute) == {0}
    assert local.hour.min() < 9
    assert local.hour.max() > 16


def test_feeds_differ(venue):
    volume = {
        feed: raw_bars(venue, feed=feed, end="2024-11-05")["bars"]["AAPL"][0]["v"]
        for feed in ("iex", "sip")
    }
    assert volume["sip"] > 50 * volume["iex"]


def test_asof_follows_a_name_or_does_not(venue):
    def firsts(symbol, **query):
        bars = raw_bars(venue, symbols=symbol, start="2024-10-28", **query)["bars"]
        return bars[symbol][0]["t"][:10]

    assert firsts("NEWCO") == firsts("OLDCO") == "2024-11-07"
    assert firsts("NEWCO", asof="-") == "2024-11-20"


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"timeframe": "7Day"}, 400, "invalid timeframe: 7Day"),
        ({"limit": 10_001}, 400, "invalid limit"),
        ({"page_token": "nonsense"}, 400, "invalid page_token"),
        ({"feed": "sip"}, 403, "subscription does not permit querying recent SIP data"),
    ],
)
def test_what_the_venue_refuses(venue, query, status, message):
    with pytest.raises(APIError, match=message) as caught:
        raw_bars(venue, **query)
    assert caught.value.status_code == status


def test_a_longer_timeframe_is_taken(venue):
    quarters = asked_for(timeframe=TimeFrame(15, TimeFrameUnit.Minute))
    bars = client(venue, StockHistoricalDataClient).get_stock_bars(quarters)
    assert set(bars.df.loc["AAPL"].index.minute) == {0, 15, 30, 45}


def test_the_client_reads_corporate_actions(venue):
    """In pages of one; by date of processing, which of a dividend is the day it is paid."""
    venue.page = 1
    actions = client(venue, CorporateActionsClient).get_corporate_actions(
        CorporateActionsRequest(
            symbols=["AAPL", "MSFT", "NEWCO"],
            start=pd.Timestamp("2024-11-01").date(),
            end=pd.Timestamp("2024-12-31").date(),
        )
    )
    found = {kind: len(records) for kind, records in actions.data.items()}
    assert found == {"forward_splits": 1, "cash_dividends": 3, "name_changes": 1}
    [split] = actions.data["forward_splits"]
    assert (split.symbol, split.new_rate, split.old_rate) == ("AAPL", 2, 1)
    [change] = actions.data["name_changes"]
    assert (change.old_symbol, change.new_symbol) == ("OLDCO", "NEWCO")


def test_without_dates_only_today_counts(venue):
    data = client(venue, CorporateActionsClient, raw_data=True)
    assert data.get_corporate_actions(CorporateActionsRequest(symbols=["AAPL"])) == {}


def test_the_client_reads_the_trading_api(venue):
    """Its models are strict: a missing field is an error. Half a day after Thanksgiving."""
    trading = client(venue, TradingClient)
    assert {asset.symbol: asset.status.value for asset in trading.get_all_assets()} == {
        "AAPL": "active",
        "MSFT": "active",
        "NEWCO": "active",
        "DEAD": "inactive",
    }
    clock = trading.get_clock()
    assert clock.is_open
    assert clock.timestamp == NOW
    assert f"{clock.next_close:%Y-%m-%d %H:%M}" == "2024-12-02 16:00"
    week = GetCalendarRequest(
        start=pd.Timestamp("2024-11-27").date(), end=pd.Timestamp("2024-12-01").date()
    )
    days = [(str(day.date), f"{day.close:%H:%M}") for day in trading.get_calendar(week)]
    assert days == [("2024-11-27", "16:00"), ("2024-11-29", "13:00")]


def test_only_the_right_keys_open_it(venue):
    for kind, path, status in [
        (StockHistoricalDataClient, "/stocks/bars", 403),
        (CorporateActionsClient, "/corporate-actions", 403),
        (TradingClient, "/account", 401),
    ]:
        with pytest.raises(APIError) as caught:
            kind("WRONG", SECRET, url_override=venue.url).get(path)
        assert caught.value.status_code == status
    assert client(venue, TradingClient, raw_data=True).get_account()["status"] == "ACTIVE"
