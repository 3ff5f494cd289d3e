"""The loopback Binance against what Binance documents: fields, types, limits, errors.

Types and counts are those of the examples in its REST documentation ("Kline/Candlestick data",
"Exchange information", "Check server time", "Limits", "Error codes").
"""

import pandas as pd
import pytest
import requests

from trading_pipeline_tests.fakes.binance import FakeBinance, Pair, ms, source_of
from trading_pipeline_tests.synthetic import panel

KLINE = (int, str, str, str, str, str, int, str, int, str, str, str)


@pytest.fixture
def venue():
    with FakeBinance("2021-06-15 10:20:30") as binance:
        yield binance


def get(venue, name, **query):
    return requests.get(f"{venue.url}/api/v3/{name}", query, timeout=5)


def klines(venue, **query):
    return get(venue, "klines", **({"symbol": "BTCUSDT", "interval": "1d"} | query)).json()


def test_a_kline_has_twelve_fields_of_their_types(venue):
    for row in klines(venue):
        assert tuple(type(field) for field in row) == KLINE
        assert all(len(text.split(".")[1]) == 8 for text in [*row[1:6], row[7]])
        assert row[-1] == "0"
        assert row[6] - row[0] == 86_400_000 - 1
        opened, high, low, close, volume = map(float, row[1:6])
        assert 0 < low <= min(opened, close) <= max(opened, close) <= high
        assert low <= float(row[7]) / volume <= high


def test_klines_have_500_rows_by_default_and_1000_at_most(venue):
    assert len(klines(venue, interval="1m")) == 500
    assert len(klines(venue, interval="1m", limit=5000)) == 1000
    assert len(klines(venue, limit=3)) == 3


def test_without_times_the_last_klines_come_with_the_open_one(venue):
    rows = klines(venue, limit=2)
    assert [row[0] for row in rows] == [ms("2021-06-14"), ms("2021-06-15")]
    before = rows[-1]
    venue.now = "2021-06-15 15:00:00"
    after = klines(venue, limit=2)
    assert after[0] == rows[0]
    assert after[1][0] == before[0]
    assert float(after[1][5]) > float(before[5])


def test_times_are_inclusive_and_the_first_rows_come(venue):
    start, end = ms("2021-01-02"), ms("2021-01-05")
    opens = [row[0] for row in klines(venue, startTime=start, endTime=end)]
    assert opens == [ms(f"2021-01-0{day}") for day in (2, 3, 4, 5)]
    assert [row[0] for row in klines(venue, startTime=start + 1, endTime=end - 1)] == opens[1:-1]
    assert [row[0] for row in klines(venue, startTime=start, limit=2)] == opens[:2]
    assert [row[0] for row in klines(venue, endTime=end, limit=2)] == opens[-2:]


def test_hours_make_up_their_day(venue):
    day = ms("2021-05-01")
    (whole,) = klines(venue, startTime=day, limit=1)
    hours = klines(venue, interval="1h", startTime=day, limit=24)
    assert hours[0][1] == whole[1]
    assert hours[-1][4] == whole[4]
    assert hours[-1][6] == whole[6]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "NOSUCH"}, -1121),
        ({"interval": "7m"}, -1120),
        ({"symbol": ""}, -1102),
        ({"interval": ""}, -1102),
    ],
)
def test_a_wrong_question_is_answered_with_400_and_a_code(venue, query, code):
    answer = get(venue, "klines", **({"symbol": "BTCUSDT", "interval": "1d"} | query))
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "msg"}
    assert answer.json()["code"] == code


def test_server_time_and_ping(venue):
    assert get(venue, "time").json() == {"serverTime": 1623752430000}
    assert get(venue, "ping").json() == {}


def test_exchange_info_has_the_documented_fields(venue):
    info = get(venue, "exchangeInfo").json()
    assert set(info) == {"timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"}
    assert {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 6000,
    } in info["rateLimits"]
    entry = info["symbols"][0]
    assert {
        name: type(entry[name]) for name in ("symbol", "status", "baseAsset", "quoteAsset")
    } == {
        "symbol": str,
        "status": str,
        "baseAsset": str,
        "quoteAsset": str,
    }
    assert entry["symbol"] == entry["baseAsset"] + entry["quoteAsset"]
    kinds = [each["filterType"] for each in entry["filters"]]
    assert {"PRICE_FILTER", "LOT_SIZE", "NOTIONAL"} <= set(kinds)


def test_weights_are_counted_and_too_much_is_refused():
    """A window is a minute at Binance; exchangeInfo weighs 20, klines 2, time 1."""
    with FakeBinance(weight_limit=22) as venue:
        used = [
            get(venue, name, symbol="BTCUSDT", interval="1d").headers["X-MBX-USED-WEIGHT-1M"]
            for name in ("time", "klines", "ping", "time")
        ]
        assert used == ["1", "3", "4", "5"]
        refused = get(venue, "exchangeInfo")
        assert refused.status_code == 429
        assert refused.json()["code"] == -1003
        assert 55 <= int(refused.headers["Retry-After"]) <= 60


def test_it_tells_given_bars():
    """A whole panel of one's own goes through the wire format and comes back the same."""
    bars = panel(40, symbols=("BTC/USDT", "ETH/USDT"), days="D")
    expected = bars.assign(vwap=bars["close"], trade_count=1)
    pairs = (Pair("BTC", since="2020-01-01"), Pair("ETH", since="2020-01-01"))
    with FakeBinance("2020-03-01", pairs, bars) as venue:
        source = source_of(venue)
        got = source.bars(source.symbols(), *source.span(source.symbols()))
    pd.testing.assert_frame_equal(got, expected, rtol=1e-9)
