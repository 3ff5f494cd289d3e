from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trading_pipeline.core.backtest import random_portfolios
from trading_pipeline.core.backtest.basis import score_grid, scored_rows
from trading_pipeline.core.backtest.run import run_backtest
from trading_pipeline.core.evaluation.backtest import (
    HINDSIGHT,
    annual_sharpe,
    coefficient_tables,
    never_delisted,
    shortened,
    view_of,
    warnings_of,
)
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.learning.sample_market import MARKET, dataset, panel
from trading_pipeline_tests.core.trading.markets import random_panel

ROWS = slice(1500, 1800)


@pytest.fixture(scope="module")
def predictions():
    """Scores drawn from a hat, for rows 1500 to 1799."""
    stamps = panel().timestamps[ROWS]
    index = pd.MultiIndex.from_product([stamps, MARKET.symbols], names=["timestamp", "symbol"])
    draws = np.random.default_rng(0).normal(size=len(index))
    return index.to_frame(index=False).assign(score=draws)


@pytest.fixture(scope="module")
def backtest(predictions):
    return run_backtest(panel(), predictions, dataset().eligible, MARKET, 50_000.0)


@pytest.mark.slow
def test_every_book_starts_with_the_same_capital_on_the_first_scored_bar(backtest):
    assert (backtest.start, backtest.stop) == (1500, 1801)
    books = [backtest.strategy, *backtest.baselines.values()]
    for book in books:
        assert book.equity[0] == 50_000.0
        assert len(book.equity) == 301
    for equity in (backtest.random.equity, np.stack(list(backtest.without_rules.values()))):
        assert (equity[:, 0] == 50_000.0).all()
    assert backtest.random.equity.shape == (1000, 301)


@pytest.mark.slow
def test_the_strategy_runs_under_each_profile_once(backtest):
    """The market's own is the strategy itself, and is not run twice."""
    assert list(backtest.profiles) == ["conservative", "moderate", "aggressive"]
    assert backtest.profiles[MARKET.profile] is backtest.strategy
    assert len({each.equity[-1] for each in backtest.profiles.values()}) == 3


def test_verdicts_alone_need_neither_variants_nor_luck(backtest, predictions):
    """What they are made from is the same to the last bit."""
    plain = [panel(), predictions, dataset().eligible, MARKET, 50_000.0]
    bare = run_backtest(*plain, verdicts_only=True)
    for name, account in {MARKET.profile: bare.strategy, **bare.baselines}.items():
        known = backtest.profiles | backtest.baselines
        assert account.equity.tobytes() == known[name].equity.tobytes()
    assert list(bare.profiles) == [MARKET.profile]
    assert bare.variants is None
    assert (bare.without_rules, bare.seeds) == ({}, {})
    assert bare.random.equity.shape == (0, 301)
    assert not any("yesterday's scores" in each for each in warnings_of(panel(), bare, MARKET))


def test_each_seed_is_traded_by_itself(backtest, predictions, monkeypatch):
    monkeypatch.setattr(random_portfolios, "RANDOM_PORTFOLIOS", 1)
    apart = {"score_seed_0": predictions["score"], "score_seed_7": -predictions["score"]}
    both = run_backtest(panel(), predictions.assign(**apart), dataset().eligible, MARKET, 50_000.0)
    assert list(both.seeds) == [0, 7]
    assert both.seeds[0].equity.tobytes() == backtest.strategy.equity.tobytes()
    assert both.seeds[7].equity.tobytes() != backtest.strategy.equity.tobytes()
    assert backtest.seeds == {}


def test_scores_of_the_bar_are_traded_and_no_others(predictions):
    grid = score_grid(panel(), predictions.sample(frac=1, random_state=1))
    assert np.isfinite(grid[ROWS]).all()
    assert np.isnan(grid[:1500]).all()
    assert np.isnan(grid[1800:]).all()
    row = predictions.iloc[5]
    place = panel().timestamps.get_loc(row["timestamp"]), MARKET.symbols.index(row["symbol"])
    assert grid[place] == row["score"]


def test_predictions_of_other_bars_are_an_error(predictions):
    elsewhere = predictions.assign(timestamp=predictions["timestamp"] + pd.DateOffset(years=50))
    with pytest.raises(TradingError, match="predict its folds first"):
        scored_rows(score_grid(panel(), elsewhere), len(panel().timestamps))


def test_the_latency_check_trades_yesterdays_scores(backtest):
    """Its signals are those of the bar before; at the first bar there is none, and no tilt."""
    ours, late = (
        {(row["bar"], row["symbol"]): row["signal"] for row in book.decisions}
        for book in (backtest.strategy, backtest.variants.one_bar_late)
    )
    both = [(bar, n) for bar, n in late if (bar - 1, n) in ours]
    assert len(both) > 10
    assert all(late[bar, n] == ours[bar - 1, n] for bar, n in both)
    first = [signal for (bar, _), signal in late.items() if bar == 0]
    assert first
    assert np.isnan(first).all()


def test_a_reader_is_warned(backtest):
    warnings = warnings_of(panel(), backtest, MARKET)
    assert warnings[0] == HINDSIGHT
    assert any("4 symbols are too few" in each for each in warnings)
    assert any("of the bars 50% of it, for want of 250 days of past" in each for each in warnings)
    assert any("on yesterday's scores the Sharpe ratio is" in each for each in warnings)
    assert any(
        "may be 37.5% of the book and not 8.0%, as the profile moderate" in w for w in warnings
    )
    made_up = warnings_of(panel(), backtest, replace(MARKET, source="synthetic"))
    assert made_up[0].startswith("synthetic: the edge was planted.")
    assert HINDSIGHT not in made_up
    adjusted = replace(panel(), total_return_units=True)
    assert any("total-return units" in each for each in warnings_of(adjusted, backtest, MARKET))


def test_a_book_that_never_trades_has_no_sharpe_ratio_a_bar_later(backtest):
    still = replace(backtest, strategy=backtest.baselines["cash"])
    assert any(w.endswith("instead of undefined") for w in warnings_of(panel(), still, MARKET))


def test_a_delay_that_changes_nothing_is_no_warning(backtest):
    same = replace(backtest, variants=replace(backtest.variants, one_bar_late=backtest.strategy))
    assert not any("yesterday's scores" in each for each in warnings_of(panel(), same, MARKET))


def test_an_alarm_that_changed_no_order_is_said_to_have_changed_none(backtest):
    """The page says of such a rule that it never acted."""
    log = backtest.strategy.log.copy()
    log["breaks"][-1], log["halvings"][-1] = 1, 2
    own = replace(backtest.strategy, log=log)
    idle = backtest.without_rules | {"turbulence": own.equity, "halving": own.equity * 2}
    warnings = warnings_of(panel(), replace(backtest, strategy=own, without_rules=idle), MARKET)
    assert "risk rule turbulence tripped once, and changed no order" in warnings
    assert "risk rule drawdown half tripped 2 times" in warnings


def test_of_one_symbol_there_is_nothing_to_choose(backtest):
    alone = random_panel(3, T=300, N=1)
    warnings = warnings_of(alone, backtest, MARKET)
    assert any(each.startswith("of one symbol there is nothing to choose") for each in warnings)
    assert not any("too few to show" in each for each in warnings)


def test_who_is_held_out_is_named(backtest):
    """IBM in cents for its last hundred bars; ten symbols are named, and the rest counted."""
    cents = {name: getattr(panel(), name).copy() for name in ("open", "high", "low", "close")}
    for grid in cents.values():
        grid[-100:, 1] *= 100
    warnings = warnings_of(replace(panel(), **cents), backtest, MARKET)
    assert f"IBM: history restarts at {panel().timestamps[-100]:%Y-%m-%d}" in warnings
    assert not any("restarts" in each for each in warnings_of(panel(), backtest, MARKET))
    assert shortened(["a"] * 12)[10:] == ["and 2 symbols more are held out in part"]


def test_a_symbol_that_stops_trading_is_not_hindsight():
    gone = panel().close.copy()
    gone[-100:, 1] = np.nan
    assert never_delisted(panel())
    assert not never_delisted(replace(panel(), close=gone))


def test_the_sharpe_ratio_is_of_daily_returns(backtest):
    equity = backtest.strategy.equity
    returns = equity[1:] / equity[:-1] - 1
    expected = returns.mean() / returns.std(ddof=1) * np.sqrt(252)
    assert annual_sharpe(backtest.strategy, MARKET) == pytest.approx(expected)
    assert np.isnan(annual_sharpe(backtest.baselines["cash"], MARKET))


def test_four_symbols_have_no_information_coefficient(backtest):
    assert coefficient_tables(panel(), backtest, np.ones(panel().close.shape), MARKET) is None
    assert len(view_of(backtest.strategy).trades) == len(backtest.strategy.trades())


def test_a_learned_baseline_is_traded_as_the_strategy_is(backtest, predictions):
    """The same predictions make the same account; other ones leave the strategy as it is."""
    other = predictions.assign(score=-predictions["score"])
    learned = {"ridge": predictions, "lstm": other}
    both = run_backtest(
        panel(),
        predictions,
        dataset().eligible,
        MARKET,
        50_000.0,
        learned=learned,
        verdicts_only=True,
    )
    np.testing.assert_array_equal(both.strategy.equity, backtest.strategy.equity)
    np.testing.assert_array_equal(both.baselines["ridge"].equity, backtest.strategy.equity)
    assert list(both.baselines) == [*backtest.baselines, "ridge", "lstm"]
    assert both.baselines["lstm"].equity.shape == backtest.strategy.equity.shape


def test_scores_stand_beside_those_that_need_no_model(backtest):
    """Scores that are minus the volatility, in another unit, know nothing beyond it."""
    bars = random_panel(0, T=600, N=10, missing=0.0)
    truth = np.random.default_rng(1).normal(size=bars.close.shape)
    copied = replace(backtest, start=300, stop=600, score=-7 * volatility(bars))
    tables = coefficient_tables(bars, copied, truth, MARKET)
    assert list(tables) == ["information_coefficient", "rank_information_coefficient"]
    t, close = 450, bars.adjusted_close
    month, year = -close[t] / close[t - 21], close[t - 21] / close[t - 252]
    for found, oracle in zip(tables.values(), (stats.pearsonr, stats.spearmanr), strict=True):
        assert list(found) == ["date", "scores", "minus_sigma", "momentum", "reversal", "beyond"]
        np.testing.assert_allclose(found["scores"], found["minus_sigma"], atol=1e-12)
        assert found["beyond"].isna().all()
        assert found[["momentum", "reversal"]].notna().all(axis=None)
        for name, score in (("reversal", month), ("momentum", year)):
            known = np.isfinite(score)
            expected = oracle(score[known], truth[t][known]).statistic
            at = found["date"] == bars.timestamps[t]
            assert found.loc[at, name].item() == pytest.approx(expected)
    rival = replace(copied, learned={"ridge": -copied.score})
    for found in coefficient_tables(bars, rival, truth, MARKET).values():
        np.testing.assert_allclose(found["ridge"], -found["scores"], atol=1e-12)
    alone = replace(copied, score=truth)
    for found in coefficient_tables(bars, alone, truth, MARKET).values():
        assert found["beyond"].mean() > 0.5
