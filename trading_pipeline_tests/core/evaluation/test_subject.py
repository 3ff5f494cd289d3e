"""What a report is about, and what became of the money."""

from datetime import date

import pytest

from trading_pipeline.core.evaluation.subject import currency
from trading_pipeline.core.evaluation.summary import evaluate
from trading_pipeline.core.market.market import Market
from trading_pipeline_tests.core.evaluation.books import inputs


@pytest.mark.parametrize(
    ("symbols", "calendar", "expected"),
    [
        (("AAPL", "IBM"), "XNYS", "USD"),
        (("BTC/USDT", "ETH/USDT"), "24/7", "USDT"),
        (("BTC/USDT:USDT",), "24/7", "USDT"),
        (("BTC/USDT", "ETH/EUR"), "24/7", None),
        (("7203",), "XTKS", None),
    ],
)
def test_the_currency_is_that_of_the_pairs_or_of_new_york(symbols, calendar, expected):
    market = Market(
        name="m", source="s", symbols=symbols, start=date(2020, 1, 1), calendar=calendar
    )
    assert currency(market) == expected


def test_the_end_value_is_the_equity_and_its_interval_that_of_the_return_a_year():
    given = inputs()
    summary = evaluate(given)
    years = summary["period"]["days"] / 252
    for name, account in (("strategy", given.strategy), *given.baselines.items()):
        if name not in summary["end_value"]:
            continue
        numbers = summary["strategy"] if name == "strategy" else summary["baselines"][name]
        start, end = account.equity[0], summary["end_value"][name]
        for place in ("value", "low", "high"):
            compounded = start * (1 + numbers["annual_return"][place]) ** years
            assert end[place] == pytest.approx(compounded)
    assert set(summary["end_value"]) == {"strategy", "buy_and_hold"}
