"""Rule baselines: what they ask for, when, and that they never look ahead."""

import numpy as np
import pytest

from trading_pipeline.core.backtest.baselines import (
    RULE_BASELINES,
    Span,
    buy_and_hold,
    equal_weight,
    inverse_volatility,
    momentum,
    month_starts,
    reversal,
    trend,
)
from trading_pipeline.core.backtest.random_portfolios import random_portfolios
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.inputs import Inputs
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import FREE, panel_of, random_panel, simulated

YEAR = 24  # bars; a month is two of them
MARKET = {"capital": 1000.0, "bars_per_year": 24}
LONG_ONLY = {"horizon": 1, "mandate": "long_only", "shortable": False}


def trade(panel, weights, start, costs=FREE):
    stop = len(panel.timestamps)
    return simulated(
        panel, start=start, stop=stop, weights=weights, costs=costs, **MARKET, **LONG_ONLY
    )


def test_months_begin_at_the_start_and_at_first_bars():
    panel = panel_of(np.full(70, 10.0), start="2024-01-10")
    assert month_starts(panel, 5, 70).tolist() == [5, 22, 51]


@pytest.mark.parametrize("name", sorted(RULE_BASELINES))
def test_baselines_are_long_only_paid_for_and_blind_to_the_future(name):
    panel = random_panel(11, T=160)
    rule, eligible = RULE_BASELINES[name], panel.traded
    weights = rule(panel, eligible, Span(40, 160, YEAR))
    asked = weights[~np.isnan(weights).all(axis=1)]
    assert np.isnan(weights[:40]).all()
    assert (asked >= 0).all()
    assert (asked.sum(axis=1) <= 1 + 1e-12).all()
    assert (asked > 0).any() == (name != "cash")
    cut = rule(panel.until(100), eligible[:100], Span(40, 100, YEAR))
    np.testing.assert_array_equal(cut, weights[:100])


def test_equal_weight_is_restored_every_month_among_the_eligible():
    panel = random_panel(2, T=90, missing=0)
    weights = equal_weight(panel, panel.traded, Span(10, 90, YEAR))
    rows = np.flatnonzero(~np.isnan(weights).all(axis=1))
    assert rows.tolist() == [10, 31, 60]
    assert weights[10].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert weights[60].tolist() == pytest.approx([0.25] * 4)


def test_inverse_volatility_gives_the_calm_more():
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1, (80, 2)) * [0.01, 0.03], axis=0))
    panel = panel_of(close)
    (weights,) = inverse_volatility(panel, panel.traded, Span(79, 80, YEAR))[79:]
    returns = np.diff(np.log(close), axis=0)[-63:].std(axis=0, ddof=1)
    assert weights == pytest.approx((1 / returns) / (1 / returns).sum())


def test_momentum_skips_the_last_month_and_reversal_looks_at_it():
    """A year is 24 bars. E and F led until the last two, in which C fell most, then F and E."""
    close = np.full((30, 6), 100.0)
    close[20:] = 100 + 10 * np.arange(6)
    close[29] = close[27] * (1 - np.array([0, 0, 0.4, 0, 0.3, 0.35]))
    panel = panel_of(close)
    at = Span(29, 30, YEAR)
    assert momentum(panel, panel.traded, at)[29].tolist() == [0, 0, 0, 0, 0.5, 0.5]
    assert reversal(panel, panel.traded, at)[29].tolist() == [0, 0, 0.5, 0, 0, 0.5]


def test_trend_keeps_the_share_of_what_fell_in_cash():
    close = np.full((30, 4), 100.0)
    close[29] = [120, 90, 101, 100]
    panel = panel_of(close)
    weights = trend(panel, panel.traded, Span(29, 30, YEAR))[29]
    assert weights.tolist() == [0.25, 0, 0.25, 0]


def test_momentum_without_a_year_of_history_waits_in_cash():
    panel = panel_of(np.linspace(100, 120, 20))
    weights = momentum(panel, panel.traded, Span(0, 20, YEAR))
    assert np.nansum(weights) == 0


def test_buy_and_hold_trades_once():
    panel = random_panel(3, T=120, missing=0, actions=False)
    old = np.zeros(panel.close.shape, dtype=bool)
    old[:, :3] = True
    weights = buy_and_hold(panel, old, Span(5, 120, YEAR))
    book = trade(panel, weights, 5)
    assert len(book.fills("s")) == 3
    earned = panel.close[119, :3] / panel.close[5, :3]
    spent = (panel.open[6, :3] / panel.close[5, :3]).mean()  # money short: all are cut alike
    assert book.equity[-1] == pytest.approx(
        1000 * earned.mean() / max(spent, 1) + 1000 * max(1 - spent, 0)
    )


def test_a_later_listing_is_bought_when_it_becomes_eligible():
    """The newcomer gets a third, the two others give alike, and nothing else is traded."""
    close = np.full((10, 3), 100.0)
    close[:, 0], close[:4, 2] = [100.0] + [300.0] * 9, np.nan
    panel = panel_of(close, open_=np.where(np.arange(10)[:, None] == 1, 100.0, close))
    eligible = panel.traded.copy()
    eligible[:6, 2] = False
    book = trade(panel, buy_and_hold(panel, eligible, Span(0, 10, YEAR)), 0)
    assert book.weight[1] == pytest.approx([0.75, 0.25, 0])
    assert book.weight[7] == pytest.approx([0.5, 1 / 6, 1 / 3])
    assert len(book.fills("s")) == 5


def test_buy_and_hold_puts_dividends_back_at_the_next_month():
    close = np.full((45, 2), 100.0)
    panel = panel_of(close, dividend={(3, 0): 10.0})
    book = trade(panel, buy_and_hold(panel, panel.traded, Span(0, 45, YEAR)), 0)
    assert book.cash[3:32] == pytest.approx([50.0] * 29)
    assert book.cash[32] == pytest.approx(0, abs=1e-9)
    assert book.weight[32] == pytest.approx([55 / 105, 50 / 105], rel=1e-6)


def test_random_portfolios_are_what_the_simulation_makes_of_them():
    """The quick loop against `simulate`, bit for bit, on the same draws."""
    panel = random_panel(5)
    costs, seed = Costs(), 42
    rows_of = {"start": 20, "stop": 160}
    terms = Terms(costs=costs, **MARKET)
    equity = random_portfolios(panel, panel.traded, terms, seed=seed, count=3, **rows_of)
    rows = month_starts(panel, 20, 160)
    draws = np.random.default_rng(seed).standard_exponential((3, len(rows), 4))
    draws *= panel.traded[rows]
    for r in range(3):
        weights = np.full(panel.close.shape, np.nan)
        weights[rows] = draws[r] / draws[r].sum(axis=1, keepdims=True)
        inputs = Inputs(weights=weights, eligible=panel.traded)
        book = simulate(panel, terms, inputs, **rows_of)
        assert (book.equity == equity[r]).all()


def test_random_portfolios_depend_on_their_seed_only():
    panel = random_panel(5)
    options = {"start": 20, "stop": 160, "count": 70}
    terms = Terms(costs=Costs(), **MARKET)
    first, again, other = (
        random_portfolios(panel, panel.traded, terms, seed=seed, **options) for seed in (1, 1, 2)
    )
    assert first.shape == (70, 140)
    assert (first == again).all()
    assert not (first[:, -1] == other[:, -1]).any()
    assert len(np.unique(first[:, -1])) == 70
    assert (first[:, 0] == 1000).all()
