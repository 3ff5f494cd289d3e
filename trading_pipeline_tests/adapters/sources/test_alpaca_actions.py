"""Alpaca's corporate actions: each record as a split, a dividend, or a notice; never nothing."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.adapters.sources.alpaca_actions import (
    actions_of,
    former_names,
    notices_of,
)
from trading_pipeline.core.market.actions import check_actions, empty_actions
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import SourceError
from trading_pipeline_tests.adapters.sources.alpaca_fixtures import NOW, source_at
from trading_pipeline_tests.fakes import stocks
from trading_pipeline_tests.fakes.alpaca import FakeAlpaca, dividend, name_change, split

TODAY = pd.Timestamp("2024-12-02", tz="UTC")


@pytest.fixture
def venue():
    with FakeAlpaca(NOW) as venue:
        yield venue


def told(records, *symbols):
    """Actions as tuples: date, symbol, kind, value."""
    table = actions_of(records, symbols, TODAY)
    pd.testing.assert_frame_equal(table, check_actions(table))
    return [(f"{row.timestamp:%Y-%m-%d}", *row[2:]) for row in table.itertuples()]


def noticed(records, *symbols):
    rows = notices_of(records, symbols).itertuples()
    return [(f"{row.timestamp:%Y-%m-%d}", *row[2:]) for row in rows]


@pytest.mark.parametrize(
    ("kind", "record", "event"),
    [
        ("forward_splits", {"new_rate": 3, "old_rate": 2}, ("split", 1.5)),
        ("reverse_splits", {"new_rate": 1, "old_rate": 50}, ("split", 0.02)),
        ("stock_dividends", {"rate": 0.05}, ("split", 1.05)),
        ("cash_dividends", {"rate": 0.125, "special": False}, ("dividend", 0.125)),
        ("cash_dividends", {"rate": 3.0, "special": True}, ("dividend", 3.0)),
    ],
)
def test_what_our_table_holds(kind, record, event):
    """By its ex-date, whatever the date of payment."""
    dates = {"ex_date": "2024-08-15", "process_date": "2024-08-30"}
    records = {kind: [{"symbol": "AAPL"} | dates | record]}
    assert told(records, "AAPL") == [("2024-08-15", "AAPL", *event)]
    assert noticed(records, "AAPL") == []


@pytest.mark.parametrize(
    ("kind", "record", "text"),
    [
        (
            "spin_offs",
            {"source_symbol": "AAPL", "source_rate": 3, "new_symbol": "KID", "new_rate": 1},
            "3 AAPL receive 1 KID",
        ),
        ("cash_mergers", {"acquiree_symbol": "AAPL", "rate": 5.37}, "AAPL is bought for 5.37"),
        (
            "stock_mergers",
            {
                "acquirer_symbol": "EXR",
                "acquirer_rate": 0.895,
                "acquiree_symbol": "AAPL",
                "acquiree_rate": 1,
            },
            "1 AAPL become 0.895 EXR",
        ),
        (
            "stock_and_cash_mergers",
            {
                "acquirer_symbol": "AAPL",
                "acquirer_rate": 0.7,
                "acquiree_symbol": "TGT",
                "acquiree_rate": 1,
                "cash_rate": 7.8,
            },
            "1 TGT become 0.7 AAPL and 7.8 in cash",
        ),
        ("redemptions", {"symbol": "AAPL", "rate": 0.14}, "AAPL is redeemed for 0.14"),
        ("worthless_removals", {"symbol": "AAPL"}, "AAPL is removed as worthless"),
        (
            "rights_distributions",
            {"source_symbol": "AAPL", "new_symbol": "AAPL.R", "rate": 1},
            "AAPL gives 1 rights AAPL.R a share",
        ),
        (
            "unit_splits",
            {
                "old_symbol": "AAPL",
                "old_rate": 1,
                "new_symbol": "NEW",
                "new_rate": 1,
                "alternate_symbol": "NEWW",
                "alternate_rate": 0.5,
            },
            "1 AAPL become 1 NEW and 0.5 NEWW",
        ),
        ("name_changes", {"old_symbol": "AAPL", "new_symbol": "PEAR"}, "AAPL is called PEAR"),
        ("partial_calls", {"symbol": "AAPL", "price": 7}, "price 7"),
        ("cash_dividends", {"symbol": "AAPL", "rate": 0}, "rate 0"),
        ("forward_splits", {"symbol": "AAPL", "new_rate": 2, "old_rate": 0}, "old_rate 0"),
    ],
)
def test_what_it_does_not_hold_is_a_notice(kind, record, text):
    """Also a kind that the venue invents tomorrow, and a value that is none."""
    records = {kind: [record | {"process_date": "2024-08-15"}]}
    assert told(records, "AAPL") == []
    [(date, symbol, found, said)] = noticed(records, "AAPL")
    assert (date, symbol, found + "s") == ("2024-08-15", "AAPL", kind)
    assert text in said


def test_nothing_of_others_is_told():
    records = {"cash_dividends": [dividend("MSFT", "2024-08-15", 1.0)]}
    records["spin_offs"] = [{"source_symbol": "IBM", "process_date": "2024-08-15"}]
    assert told(records, "AAPL") == noticed(records, "AAPL") == []
    pd.testing.assert_frame_equal(actions_of(records, ["AAPL"], TODAY), empty_actions())
    assert list(notices_of({}, ["AAPL"]).columns) == ["timestamp", "symbol", "kind", "text"]


def test_a_regular_and_a_special_dividend_of_one_day_are_one():
    usual, special = (dividend("MSFT", "2004-11-15", rate) for rate in (0.08, 3.0))
    records = {"cash_dividends": [usual, special | {"special": True}]}
    assert told(records, "MSFT") == [("2004-11-15", "MSFT", "dividend", 3.08)]


def test_two_splits_of_one_day_multiply():
    """20 for 1, and 5 % in shares."""
    shares = {"symbol": "AAPL", "rate": 0.05, "ex_date": "2024-08-15"}
    records = {
        "forward_splits": [split("AAPL", "2024-08-15", 20, 1)],
        "stock_dividends": [shares],
    }
    assert told(records, "AAPL") == [("2024-08-15", "AAPL", "split", 21.0)]


def test_a_record_that_comes_twice_counts_once():
    """As when a page comes again, or the venue has stored it twice."""
    paid = dividend("MSFT", "2024-08-15", 0.75)
    records = {"cash_dividends": [paid, dict(paid), paid | {"id": "another"}]}
    assert told(records, "MSFT") == [("2024-08-15", "MSFT", "dividend", 0.75)]


def test_what_is_announced_has_not_happened():
    records = {
        "cash_dividends": [dividend("AAPL", day, 0.25) for day in ("2024-12-02", "2024-12-03")]
    }
    assert told(records, "AAPL") == [("2024-12-02", "AAPL", "dividend", 0.25)]


META = {
    "name_changes": [
        name_change("FB", "META", "2022-06-09"),
        name_change("META", "METV", "2022-01-31"),  # a fund that had the ticker before
    ],
    "cash_dividends": [
        dividend("META", "2021-12-01", 0.1),  # of the fund
        dividend("FB", "2021-12-02", 0.2),
        dividend("META", "2024-02-21", 0.5),
        dividend("FB", "2024-02-22", 0.6),  # of who has the ticker now
    ],
}


def test_a_company_keeps_its_actions_when_its_ticker_changes():
    """Its own of before, and not those of who had the ticker before, or has the old one now."""
    assert former_names(META, ["META"]) == {"FB"}
    assert told(META, "META") == [
        ("2021-12-02", "META", "dividend", 0.2),
        ("2024-02-21", "META", "dividend", 0.5),
    ]
    assert noticed(META, "META") == [
        ("2022-06-09", "META", "name_change", "FB is called META from here on")
    ]


def test_a_ticker_may_change_more_than_once():
    chain = {
        "name_changes": [name_change("A", "B", "2020-01-02"), name_change("B", "C", "2021-01-04")],
        "forward_splits": [
            split("A", "2019-06-03", 2, 1),
            split("B", "2020-06-01", 3, 1),
            split("A", "2020-06-02", 7, 1),
        ],
    }
    assert former_names(chain, ["C"]) == {"A", "B"}
    assert told(chain, "C") == [
        ("2019-06-03", "C", "split", 2.0),
        ("2020-06-01", "C", "split", 3.0),
    ]


def test_two_companies_that_swap_tickers_do_not_go_round_in_circles():
    swap = {"name_changes": [name_change(*pair, "2020-01-02") for pair in ("AB", "BA")]}
    assert former_names(swap, ["A"]) == {"B"}
    assert told(swap, "A", "B") == []


def test_a_new_cusip_alone_changes_nothing():
    same = {"name_changes": [name_change("AAPL", "AAPL", "2020-01-02")]}
    assert former_names(same, ["AAPL"]) == set()


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("cash_dividends", {"symbol": "AAPL", "ex_date": "2024-08-15"}),
        ("cash_dividends", {"symbol": "AAPL", "ex_date": "2024-08-15", "rate": None}),
        ("forward_splits", {"symbol": "AAPL", "ex_date": "2024-08-15", "new_rate": 2}),
        ("spin_offs", {"source_symbol": "AAPL"}),
        ("spin_offs", {"source_symbol": "AAPL", "ex_date": "tomorrow"}),
        ("name_changes", {"new_symbol": "AAPL", "process_date": "2024-08-15"}),
    ],
)
def test_a_record_that_lacks_something_is_shown(kind, record):
    with pytest.raises(SourceError, match=f"{kind} has a record like no other: .*AAPL"):
        told({kind: [record]}, "AAPL")


def test_the_whole_history_is_asked_for_by_its_former_tickers_too(venue):
    """And as far ahead as what is paid after its ex-date: 2024-11-21 is paid on 2024-12-05."""
    actions = source_at(venue).actions(["AAPL", "MSFT", "NEWCO"])
    assert [(f"{row.timestamp:%m-%d}", *row[2:]) for row in actions.itertuples()] == [
        ("11-08", "AAPL", "dividend", 0.25),
        ("11-12", "AAPL", "split", 2.0),
        ("11-13", "NEWCO", "dividend", 0.05),
        ("11-21", "MSFT", "dividend", 3.83),
    ]
    notices = source_at(venue).notices(["AAPL", "NEWCO"])
    assert notices[["symbol", "kind"]].to_numpy().tolist() == [["NEWCO", "name_change"]]


def test_more_than_a_thousand_actions_are_all_there(venue):
    """The client's own request stops at a thousand, whatever the pages say."""
    days = pd.bdate_range("2018-01-01", periods=1500).strftime("%Y-%m-%d")
    venue.actions["cash_dividends"] = [dividend("MSFT", day, 0.01) for day in days]
    assert len(source_at(venue).actions(["MSFT"])) == 1500
    assert len(venue.asked("/v1/corporate-actions")) == 2


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "NEWCO"])
def test_adjusted_prices_and_raw_shares_earn_the_same(venue, symbol):
    """One share, its splits, and each dividend reinvested at that day's close; day by day.

    By hand, apart from the product's own arithmetic of factors.
    """
    source = source_at(venue, feed="sip")
    panel = Panel.of(source.bars([symbol], *source.span([symbol])), source.actions([symbol]))
    close, adjusted = panel.close[:, 0], panel.adjusted_close[:, 0]
    shares, wealth = 1.0, []
    for t in range(len(close)):
        shares *= panel.split[t, 0]
        shares += shares * panel.dividend[t, 0] / close[t]
        wealth.append(shares * close[t])
    np.testing.assert_allclose(adjusted / adjusted[0], np.array(wealth) / wealth[0], rtol=1e-12)
    assert (panel.split != 1).sum() + (panel.dividend != 0).sum() > 0


def test_the_split_explains_the_fall_of_the_price(venue):
    """Raw, AAPL halves on its ex-date; adjusted, it does not notice."""
    source = source_at(venue, feed="sip")
    panel = Panel.of(source.bars(["AAPL"], *source.span(["AAPL"])), source.actions(["AAPL"]))
    t = panel.timestamps.get_loc(stocks.SPLIT)
    raw, adjusted = (
        prices[t, 0] / prices[t - 1, 0] for prices in (panel.close, panel.adjusted_close)
    )
    assert raw == pytest.approx(0.5, abs=0.02)
    assert adjusted == pytest.approx(1.0, abs=0.04)
