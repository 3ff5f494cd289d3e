"""Impossible markets cannot be constructed."""

from dataclasses import replace
from datetime import date

import pytest

from trading_pipeline.core.market.market import Costs, Market, WalkForward

MARKET = Market(name="m", source="sample", symbols=("A", "B"), start=date(2000, 1, 3))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"symbols": ()}, "symbols must be one or more"),
        ({"symbols": ("A", "A")}, "each once"),
        ({"timeframe": "2d"}, "timeframe must be one of"),
        ({"calendar": "XLON"}, "calendar must be one of"),
        ({"book": "short"}, "book must be one of"),
        ({"book": "neutral"}, "needs shortable"),
        ({"benchmark": "SPY"}, "benchmark must be 'equal_weight'"),
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"end": date(2000, 1, 3)}, "not after start"),
    ],
)
def test_an_impossible_market_says_what_is_wrong(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(MARKET, **change)


@pytest.mark.parametrize(
    "costs", [{"fee": -0.001}, {"slippage": 0.05}, {"borrow": -1.0}, {"leverage": 0.0}]
)
def test_absurd_costs_are_refused(costs):
    with pytest.raises(ValueError, match=next(iter(costs))):
        Costs(**costs)


@pytest.mark.parametrize("spans", [{"test": 5}, {"first_train": 0}, {"embargo": -1}])
def test_spans_that_fit_no_calendar_are_refused(spans):
    with pytest.raises(ValueError, match=r"test must be|spans must be"):
        WalkForward(**spans)


@pytest.mark.parametrize(
    ("calendar", "timeframe", "bars"),
    [("XNYS", "1d", 252), ("24/7", "1d", 365), ("24/7", "1h", 8760), ("XNYS", "1h", 1764)],
)
def test_bars_per_year(calendar, timeframe, bars):
    assert replace(MARKET, calendar=calendar, timeframe=timeframe).bars_per_year == bars
