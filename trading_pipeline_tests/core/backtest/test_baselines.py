"""Rule baselines: what they ask for, when, and that they never look ahead."""

from dataclasses import replace
from datetime import date
from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest.baselines import (
    AT_TARGET_VOLATILITY,
    BASELINE_NAMES,
    MANAGED,
    NAMED_BENCHMARK,
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
from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.evaluation.significance import active_returns
from trading_pipeline.core.evaluation.verdict import MINIMUM_UNEXPLAINED
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    panel_of,
    random_panel,
    random_scores,
    simulated,
)

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
    assert month_starts(panel.timestamps[5:70]).tolist() == [0, 17, 46]


def test_months_begin_with_the_first_day_of_all():
    days = pd.DatetimeIndex(["2020-01-30", "2020-01-31", "2020-02-03", "2020-04-01"], tz="UTC")
    assert month_starts(days).tolist() == [0, 2, 3]


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


@pytest.mark.parametrize("mandate", ["long_only", "neutral"])
def test_every_baseline_is_there_bare_and_managed_whatever_the_mandate(mandate):
    """Managed ones hold the market at the profile's volatility target: a neutral strategy's are
    those of a long-only one. Cash is cash under any rule."""
    panel = random_panel(4, T=330, N=9)  # momentum waits for a year
    market = market_of(panel, mandate=mandate)
    basis = Basis.of(panel, random_scores(4, panel), panel.traded, market)
    accounts = basis.trade_baselines(Terms.of(market, 1000.0))
    assert tuple(accounts) == BASELINE_NAMES
    assert (accounts["cash"].equity == 1000.0).all()
    for name, title in MANAGED.items():
        assert accounts[title].net.min() >= 0
        assert not np.array_equal(accounts[title].equity, accounts[name].equity)
    other = replace(market, mandate="long_only")
    same = Basis.of(panel, basis.score, panel.traded, other).trade_baselines(
        Terms.of(other, 1000.0)
    )
    for name, account in accounts.items():
        assert account.equity.tobytes() == same[name].equity.tobytes(), name


def test_a_benchmark_that_is_named_is_a_rule_too():
    """Bare it asks for the weights of the entry at the first bar of a month, over who may be held;
    managed it is what an account without a view holds. Weights that are never named are none."""
    panel = random_panel(4, T=330, N=9, missing=0, actions=False)
    named = {"CCC": 3.0, "EEE": 1.0}
    market = market_of(panel, benchmark=named)
    basis = Basis.of(panel, np.full(panel.close.shape, 0.02), panel.traded, market)
    terms = Terms.of(market, 1e6)
    accounts = basis.trade_baselines(terms)
    managed = f"{NAMED_BENCHMARK}_managed"
    assert set(accounts) - set(BASELINE_NAMES) == {NAMED_BENCHMARK, managed}
    held = accounts[NAMED_BENCHMARK].weight[-60:]
    others = [n for n, symbol in enumerate(panel.symbols) if symbol not in named]
    assert (held[:, others] == 0).all()
    ratio = held[:, panel.symbols.index("CCC")] / held[:, panel.symbols.index("EEE")]
    assert np.median(ratio) == pytest.approx(3, rel=0.1)
    own, copy, other = (
        np.diff(np.log(each.equity))
        for each in (basis.trade(terms), accounts[managed], accounts["equal_weight_managed"])
    )
    assert active_returns(own, copy).std() < MINIMUM_UNEXPLAINED * own.std()
    assert active_returns(own, other).std() > 3 * MINIMUM_UNEXPLAINED * own.std()


def test_equal_weight_at_target_volatility_has_no_rule_that_guards():
    """It is equal weight managed where no loss is ever guarded against, and another one else."""
    panel = random_panel(4, N=9, T=260)
    calm = dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "drawdown_limit"), inf)
    calm |= dict.fromkeys(("breaker", "stop_loss", "take_profit"), inf)
    for limits, same in ((calm, True), ({"weekly_loss": 0.034, "stop_loss": 0.5}, False)):
        market = market_of(panel, limits=limits)
        basis = Basis.of(panel, random_scores(4, panel), panel.traded, market)
        accounts = basis.trade_baselines(Terms.of(market, 1000.0))
        alone, managed = accounts[AT_TARGET_VOLATILITY], accounts["equal_weight_managed"]
        assert np.array_equal(alone.equity, managed.equity) == same
    assert 0 < alone.exposure[100:].mean() < 1


def market_of(panel, **changes):
    known = {"mandate": "long_only", "shortable": True, "horizon": 5, "costs": FREE} | changes
    return Market(
        name="made", source="parquet", symbols=panel.symbols, start=date(2024, 1, 1), **known
    )
