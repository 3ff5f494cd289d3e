"""Costs, capital, profiles, seeds and sides as a report states them."""

from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation.confidence import persistent, resampled_dates
from trading_pipeline.core.evaluation.metrics import of_volatility, sharpe
from trading_pipeline.core.evaluation.performance import Resampling, daily_returns
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings, earnings_of
from trading_pipeline.core.evaluation.variants import (
    by_seed,
    by_side,
    capacity,
    cost_figures,
    first_without,
)
from trading_pipeline.core.market.market import Costs
from trading_pipeline_tests.core.evaluation.books import paths, variants_at
from trading_pipeline_tests.core.trading.markets import random_panel, simulated

DAYS = 120
CLOSES = np.arange(1, DAYS)


def resampling(days=DAYS - 1):
    dates = resampled_dates(days, 5, 200, seed=0)
    return Resampling(dates=dates, block=5, days_per_year=252.0, seed=0)


def walk(mean, start=1000.0, seed=0):
    """A fixed walk about another mean, so that its Sharpe ratio is as good as linear in it."""
    steps = np.random.default_rng(seed).normal(0, 0.001, DAYS)
    steps -= steps[1:].mean()
    steps[0] = -mean
    return start * np.cumprod(1 + mean + steps)


def test_an_advantage_goes_on_a_straight_line_between_what_was_simulated():
    assert first_without((0, 1, 2, 4), (3, 2, 1, -1)) == 3.0
    assert first_without((0, 1), (1, 0)) == 1.0
    assert first_without((0, 1, 2), (-1, 2, 2)) == 0.0, "not even without costs"
    assert first_without((0, 1), (0.5, 0.1)) is None


def test_costs_say_what_is_left_and_where_it_breaks_even():
    """A day's mean of 1, 0.4 and -0.2 bp at 0, 1 and 2 times the costs: at 1.5 times it is the
    0.1 bp of a benchmark that pays none, and at 5 / 3 times nothing."""
    means, flat = (1e-4, 4e-5, -2e-5), walk(1e-5)
    found = cost_figures(variants_at([walk(m) for m in means], [flat] * 3), CLOSES, resampling())
    rows = found["multiples"]
    assert [row["multiple"] for row in rows] == [0.0, 1.0, 2.0]
    for row, mean in zip(rows, means, strict=True):
        own = sharpe(daily_returns(walk(mean), CLOSES), 252)
        assert row["sharpe"]["value"] == pytest.approx(own)
        assert row["sharpe"]["low"] < own < row["sharpe"]["high"]
        rival = sharpe(daily_returns(flat, CLOSES), 252)
        assert row["sharpe_difference"]["value"] == pytest.approx(own - rival)
        assert row["turnover"] == pytest.approx(2.52, rel=0.05)
    even = found["break_even"]
    assert even["sharpe_difference"] == pytest.approx(1.5, abs=0.01)
    assert even["annual_return"] == pytest.approx(5 / 3, abs=0.01)
    assert even["tested_to"] == 2.0
    late = found["one_bar_late"]
    own = sharpe(daily_returns(walk(means[1]), CLOSES), 252)
    assert late["sharpe_difference"]["value"] == pytest.approx(late["sharpe"]["value"] - own)


def test_what_never_pays_breaks_even_nowhere_and_what_always_pays_later():
    good, bad = [walk(1e-3)] * 2, [walk(-1e-3)] * 2
    found = cost_figures(variants_at(bad, good), CLOSES, resampling())["break_even"]
    assert (found["annual_return"], found["sharpe_difference"]) == (0.0, 0.0)
    found = cost_figures(variants_at(good, bad), CLOSES, resampling())["break_even"]
    assert (found["annual_return"], found["sharpe_difference"]) == (None, None)


def test_capacity_is_where_half_is_left_by_the_logarithm_of_the_capital():
    """Means of 0.8, 0.6 and 0.2 bp at 1, 10 and 100 thousand: half is left at 10 thousand × √10."""
    given = [walk(mean, 1000 * 10.0**k) for k, mean in enumerate((8e-5, 6e-5, 2e-5))]
    found = capacity(variants_at([walk(0)] * 2, [walk(0)] * 2, given), CLOSES, resampling())
    assert [row["capital"] for row in found["capitals"]] == [1e3, 1e4, 1e5]
    assert found["half_at"] == pytest.approx(10**4.5, rel=0.03)
    assert (found["cut_from"], found["impact"]) == (5e4, 1.0)
    for none in ([walk(8e-4), walk(7e-4)], [walk(-8e-4), walk(-9e-4)]):
        left = capacity(variants_at([walk(0)] * 2, [walk(0)] * 2, none), CLOSES, resampling())
        assert left["half_at"] is None


def test_no_interval_of_a_return_reaches_below_a_loss_of_all():
    wild = 1000 * np.cumprod(1 + np.random.default_rng(3).normal(-0.02, 0.1, DAYS))
    row = by_seed({0: paths(wild)}, CLOSES, resampling())["0"]["annual_return"]
    assert -1 <= row["low"] < row["value"] < row["high"]


def test_each_seed_has_a_row():
    found = by_seed({3: paths(walk(5e-4)), 4: paths(walk(-5e-4))}, CLOSES, resampling())
    assert list(found) == ["3", "4"]
    assert found["3"]["sharpe"]["value"] > 0 > found["4"]["sharpe"]["value"]


def test_sides_and_interest_add_up_to_the_account():
    panel = random_panel(9, T=160, N=4)
    rng = np.random.default_rng(1)
    weights = np.where(np.arange(160)[:, None] % 20 == 5, rng.normal(0, 0.4, (160, 4)), np.nan)
    account = simulated(
        panel,
        start=0,
        stop=160,
        weights=weights,
        capital=1000.0,
        costs=Costs(participation=inf, leverage=4.0),
        bars_per_year=252,
        mandate="neutral",
        shortable=True,
    )
    earnings = earnings_of(account)
    found = by_side(earnings, resampling(159))
    assert found["short"]["money"] != 0
    parts = found["long"]["money"] + found["short"]["money"] + earnings.interest.sum()
    assert parts == pytest.approx(account.equity[-1] - account.equity[0])
    long = earnings.money[:, 0].sum(axis=(0, 2)) / earnings.equity
    assert found["long"]["sharpe"]["value"] == pytest.approx(sharpe(long, 252))


def test_a_side_has_intervals_by_the_rules_of_every_other_account():
    """A drawdown that no reordering repeats, and a volatility that comes in spells."""
    days = 400
    rng = np.random.default_rng(2)
    returns = rng.normal(0, np.where(np.arange(days) % 200 < 100, 0.002, 0.02))
    returns[100:130] = -0.02
    money = np.zeros((1, 2, days, 1))
    money[0, 0, :, 0] = 1000 * returns
    earnings = Earnings(
        days=pd.date_range("2024-01-01", periods=days, tz="UTC"),
        symbols=("A",),
        kinds=("price",),
        money=money,
        interest=np.zeros(days),
        equity=np.full(days, 1000.0),
        unexplained=np.zeros(days),
    )
    drawn = resampling(days)
    found = by_side(earnings, drawn)["long"]
    fall, swing = found["max_drawdown"], found["annual_volatility"]
    known = persistent(swing["value"], of_volatility(returns, 252), (0.0, inf))
    assert (swing["low"], swing["high"]) == (known.low, known.high)
    assert fall["low"] <= fall["value"] <= fall["high"]
