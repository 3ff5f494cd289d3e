"""Impossible markets cannot be constructed."""

from dataclasses import replace
from datetime import date

import pytest

from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.walkforward import minimum_decisions
from trading_pipeline.core.market.market import (
    TIMEFRAMES,
    Costs,
    Market,
    WalkForward,
    usual_terms,
)

MARKET = Market(name="m", source="sample", symbols=("A", "B"), start=date(2000, 1, 3))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"symbols": ()}, "symbols must be one or more"),
        ({"symbols": ("A", "A")}, "each once"),
        ({"calendar": "LSE"}, "'LSE' is spelled 'XLON'"),
        ({"calendar": "CMES", "timeframe": "1h"}, "sessions of CMES cross midnight UTC"),
        ({"measured_bars_per_year": 0}, "measured_bars_per_year must be at least 1"),
        ({"timeframe": "2d"}, "timeframe must be one of"),
        ({"calendar": "XLOM"}, "calendar must be one of"),
        ({"mandate": "short"}, "mandate must be one of"),
        ({"mandate": "neutral"}, "needs shortable"),
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
    [
        ("XNYS", "1d", 252),
        ("24/7", "1d", 365),
        ("24/7", "1h", 8760),
        ("XNYS", "1h", 1764),
        ("24/7", "4h", 2190),
        ("24/5", "1d", 261),
        ("XTKS", "1d", 245),
        ("XETR", "1d", 254),
        ("XETR", "1h", 9 * 254),
        ("XASX", "1d", 253),
        ("XBOM", "1d", 246),
    ],
)
def test_bars_per_year(calendar, timeframe, bars):
    assert replace(MARKET, calendar=calendar, timeframe=timeframe).bars_per_year == bars


def test_what_was_counted_outranks_the_calendar():
    """Bars from 04:00 to 18:00 in New York are 15 an hour and not 7."""
    extended = replace(
        MARKET, timeframe="1h", measured_bars_per_year=3787, measured_days_per_year=253, horizon=31
    )
    assert (extended.bars_per_year, extended.days_per_year) == (3787, 253)
    assert extended.horizon_in_days == 3
    assert replace(MARKET, timeframe="1h", horizon=15).horizon_in_days == 3


@pytest.mark.parametrize("timeframe", sorted(set(TIMEFRAMES.values())))
@pytest.mark.parametrize("calendar", ["XNYS", "24/7", "24/5", "XTKS"])
def test_the_usual_terms_of_every_clock_can_be_learned_from(calendar, timeframe):
    """The first training span holds the decisions that a fold needs, at 30 days a month."""
    horizon, spans = usual_terms(calendar, timeframe)
    market = replace(MARKET, calendar=calendar, timeframe=timeframe, horizon=horizon)
    assert spans.window * market.bars_per_year / 12 > minimum_decisions(horizon) + burn_in(60)
    assert horizon * market.days_per_year / market.bars_per_year >= 1 / 3


def test_the_terms_that_results_were_settled_on():
    assert usual_terms("XNYS", "1d") == (21, WalkForward(first_train=60, test=12, window=60))
    assert usual_terms("24/7", "1d") == (10, WalkForward(first_train=24, test=12, window=24))
    assert usual_terms("24/7", "1h")[0] == 120


def test_an_unknown_clock_has_no_terms():
    with pytest.raises(ValueError, match="calendar must be one of"):
        usual_terms("XLOM", "1d")
