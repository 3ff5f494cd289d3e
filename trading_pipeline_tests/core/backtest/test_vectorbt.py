"""vectorbt, which shares no code with the kernels, finds the same equity."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from trading_pipeline.adapters.sources.sample import SYMBOLS, SampleSource
from trading_pipeline.core.backtest.baselines import Span, buy_and_hold
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import (
    random_panel,
    random_scores,
    rough_panel,
    simulated,
    simulated_orders,
)
from trading_pipeline_tests.core.trading.orders import random_orders
from trading_pipeline_tests.reference.vectorbt_replay import replay_equity

TERMS = {"capital": 1e5, "bars_per_year": 252, "horizon": 10}
NEUTRAL = {"costs": Costs(borrow=0.05, leverage=2.0), "mandate": "neutral", "shortable": True}


def sample():
    source = SampleSource()
    return Panel.of(source.bars(SYMBOLS, *source.span(SYMBOLS)), source.actions(SYMBOLS))


@pytest.mark.slow
@pytest.mark.long
def test_vectorbt_agrees_on_the_sample_market():
    """Splits, 92 dividends, a late listing, fees: buy-and-hold over thirteen years."""
    panel = sample()
    T = len(panel.timestamps)
    weights = buy_and_hold(panel, panel.traded, Span(0, T, 252))
    costs, book = {"costs": Costs()}, {"mandate": "long_only", "shortable": False}
    held = simulated(panel, start=0, stop=T, weights=weights, **TERMS, **costs, **book)
    assert set(held.cash_flows()["kind"]) >= {"dividend"}
    np.testing.assert_allclose(replay_equity(held), held.equity, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_vectorbt_agrees_on_random_books(seed):
    """Long and short, with stops, gaps, missing bars, splits, dividends, borrow and interest."""
    panel = random_panel(seed, T=400, N=6)
    scores = random_scores(seed, panel)
    book = simulated(
        panel, start=70, stop=400, score=scores, profile=PROFILES["aggressive"], **TERMS, **NEUTRAL
    )
    assert len(book.fills("s")) > 300
    np.testing.assert_allclose(replay_equity(book), book.equity, rtol=1e-9)


@pytest.mark.slow
def test_vectorbt_would_notice_a_cent():
    """The comparison can fail: one fee off by a cent shows."""
    panel = random_panel(1, T=200)
    weights = np.full(panel.close.shape, 0.2)
    book = simulated(panel, start=70, stop=200, weights=weights, **TERMS, **NEUTRAL)
    book.fills_made["fee"][10, 0, 0] += 0.01
    assert np.abs(replay_equity(book) / book.equity - 1).max() > 1e-9


ROUGH = Costs(
    fee=0.002,
    maker_fee=0.0005,
    fee_per_share=0.01,
    minimum_fee=1.0,
    impact=1.0,
    participation=0.1,
    borrow=0.1,
    funding=0.3,
    leverage=2.0,
    lot=0.1,
    delisted_after=5,
)
TRAILING = replace(PROFILES["aggressive"], trailing_stop=0.5, take_profit=1.5, halve=0.9, flat=0.95)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 6])
def test_vectorbt_agrees_on_orders_of_every_kind(seed):
    """Partial fills, impact, fees per share, funding, brackets, trailing stops, delistings; a
    minimum fee over many fills, also above what they bring; huge dividends."""
    panel = rough_panel(seed, T=150, N=5)
    book = simulated_orders(
        panel,
        random_orders(seed, panel),
        start=0,
        stop=150,
        capital=1e5,
        costs=ROUGH,
        bars_per_year=252,
        shortable=True,
        profile=TRAILING,
        volatility=np.full(panel.close.shape, 0.02),
    )
    kinds, reasons = set(book.fills("s")["kind"]), "|".join(book.fills("s")["reasons"])
    assert kinds >= {"order", "stop_loss", "trailing_stop", "take_profit"}
    assert "participation" in reasons
    assert "funding" in set(book.cash_flows()["kind"])
    np.testing.assert_allclose(replay_equity(book), book.equity, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 4, 5])
def test_vectorbt_agrees_on_symbols_that_vanish(seed):
    """Long and short, through crashes, squeezes, odd splits and settlements."""
    panel = rough_panel(seed, T=200, N=6)
    weights = np.full(panel.close.shape, np.nan)
    weights[::20] = np.random.default_rng(seed).normal(0, 0.15, weights[::20].shape)
    costs = {"costs": replace(ROUGH, participation=inf)}
    book = simulated(panel, start=0, stop=200, weights=weights, **TERMS, **NEUTRAL | costs)
    assert set(book.fills("s")["kind"]) >= {"delisted", "cash_in_lieu"}
    np.testing.assert_allclose(replay_equity(book), book.equity, rtol=1e-9)
