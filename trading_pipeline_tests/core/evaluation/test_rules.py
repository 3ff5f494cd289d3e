"""What rules cost or saved: signs, zeros, and a stop whose worth follows from its fill."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.performance import Resampling
from trading_pipeline.core.evaluation.rules import COMPARED, price_of_rules
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.rules import RULES, without_each_rule
from trading_pipeline_tests.core.trading.markets import panel_of, simulated, stamps

DAYS = 40
CALM = 30  # bars before the fall


def priced(equity, without):
    """The rows of a table, with 200 replications."""
    dates = resampled_dates(len(equity) - 1, 5, 200, seed=0)
    resampling = Resampling(dates=dates, block=5, days_per_year=252.0, seed=0)
    return price_of_rules(stamps(len(equity)), equity, without, resampling)


def walk(seed, deviation=0.01):
    return 100 * np.cumprod(1 + np.random.default_rng(seed).normal(0.0004, deviation, DAYS))


def test_a_rule_that_never_acted_changes_nothing():
    equity = walk(0)
    (row,) = priced(equity, {"turbulence": equity.copy()})
    assert not row["acted"]
    for name in COMPARED:
        assert row[f"{name}_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_rule_has_a_row_of_plain_numbers_in_the_order_given():
    rows = priced(walk(0), {"stop_loss": walk(1), "kelly_cap": walk(2)})
    assert [row["rule"] for row in rows] == ["stop_loss", "kelly_cap"]
    for row in rows:
        assert list(row) == [
            "rule",
            "acted",
            "without",
            *(f"{name}_difference" for name in COMPARED),
        ]
        assert list(row["without"]) == list(COMPARED)
        assert all(list(row[f"{name}_difference"]) == ["value", "low", "high"] for name in COMPARED)
    json.dumps(rows, allow_nan=False)


def test_differences_are_of_the_book_less_the_one_without_the_rule():
    """Worked by hand: 100, 110, 99, 99 with the rule, and 100, 110, 55, 55 without it."""
    one, other = np.array([100.0, 110, 99, 99]), np.array([100.0, 110, 55, 55])
    (row,) = priced(one, {"drawdown": other})
    assert row["acted"]
    assert row["without"]["max_drawdown"] == pytest.approx(-0.5)
    assert row["max_drawdown_difference"]["value"] == pytest.approx(-0.1 + 0.5)
    growth = 0.99 ** (252 / 3) - 0.55 ** (252 / 3)
    assert row["annual_return_difference"]["value"] == pytest.approx(growth)


def test_pairing_makes_a_small_steady_cost_certain():
    """A rule that costs a basis point a day is found, though the book itself may be luck."""
    equity = walk(3)
    (row,) = priced(equity, {"no_trade_band": equity * 1.0001 ** np.arange(DAYS)})
    assert row["annual_return_difference"]["high"] < 0


def test_a_book_that_never_moves_counts_as_a_sharpe_ratio_of_zero():
    equity = walk(4)
    (row,) = priced(equity, {"volatility_target": np.full(DAYS, 100.0)})
    assert row["without"]["sharpe"] is None
    assert row["sharpe_difference"]["value"] is not None


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.sampled(2)
def test_a_rule_that_is_worth_nothing_is_told_from_nothing_once_in_twenty(share):
    """Two books alike, of which less or more is their own: 90 to 97 % of the intervals hold 0. That
    of a drawdown is wider."""
    rng, held = np.random.default_rng(1), dict.fromkeys(COMPARED, 0)
    dates = resampled_dates(500, 22, 200, seed=0)
    drawn = Resampling(dates=dates, block=22, days_per_year=252.0, seed=0)
    for _ in range(200):
        common = 0.0003 + 0.01 * rng.standard_t(5, 500)
        own, other = common + share * 0.006 * rng.standard_normal((2, 500))
        curves = [np.cumprod(np.append(100.0, 1 + each)) for each in (own, other)]
        (row,) = price_of_rules(stamps(501), curves[0], {"stop_loss": curves[1]}, drawn)
        for name in COMPARED:
            numbers = row[f"{name}_difference"]
            held[name] += numbers["low"] <= 0 <= numbers["high"]
    assert all(0.90 <= held[name] / 200 <= 0.975 for name in ("sharpe", "annual_return")), held
    assert held["max_drawdown"] / 200 >= 0.90


@pytest.mark.parametrize("afterwards", [40.0, 100.0], ids=["the fall goes on", "it was a blip"])
def test_a_stop_saved_or_cost_what_its_fill_says(afterwards):
    """A long position is stopped out on one day; what follows decides what the stop was worth."""
    close = np.r_[np.full(CALM, 100.0), 80.0, np.full(3, afterwards)]
    low = close.copy()
    low[CALM] = 60.0
    profile = PROFILES["moderate"]
    for rule, off in RULES.items():
        if rule != "stop_loss" and "band" not in off:
            profile = replace(profile, **off)
    books = {
        name: simulated(
            panel_of(close, low=low, high=np.maximum(close, np.r_[close[0], close[:-1]])),
            start=0,
            stop=len(close),
            capital=1e5,
            costs=Costs(fee=0.001, slippage=0, borrow=0, debit=0, min_notional=0, leverage=1.5),
            bars_per_year=252,
            horizon=4,
            mandate="neutral",
            shortable=True,
            profile=each,
            weights=np.where(np.arange(len(close)) == 0, 0.5, np.nan)[:, None],
            volatility=np.full((len(close), 1), 0.05),
        )
        for name, each in {"with": profile, **without_each_rule(profile)}.items()
    }
    stop = books["with"].fills("s").iloc[-1]
    assert stop["kind"] == "stop_loss"
    held, bare = books["with"].equity[-1], books["stop_loss"].equity[-1]
    saved = -stop["quantity"] * (stop["price"] - afterwards) - stop["fee"]
    later = books["stop_loss"].fees[2:].sum()  # it trades back to its weight, at the last price
    assert held - bare == pytest.approx(saved + later, abs=1e-6)
    equity = {name: book.equity for name, book in books.items()}
    (row,) = priced(equity["with"], {"stop_loss": equity["stop_loss"]})
    assert (row["annual_return_difference"]["value"] > 0) == (afterwards < stop["price"])
    assert row["acted"]


def test_the_dates_may_be_hours():
    """Bars of an hour are compared by the day, as everything in a report is."""
    hours = pd.date_range("2024-01-01", periods=DAYS * 24, freq="1h", tz="UTC")
    equity = 100 * np.cumprod(1 + np.random.default_rng(5).normal(0, 0.002, len(hours)))
    dates = resampled_dates(DAYS, 5, 50, seed=0)
    resampling = Resampling(dates=dates, block=5, days_per_year=365.0, seed=0)
    (row,) = price_of_rules(hours, equity, {"breaker": equity}, resampling)
    assert row["sharpe_difference"]["value"] == 0
