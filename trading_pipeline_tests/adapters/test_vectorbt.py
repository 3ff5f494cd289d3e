"""vectorbt, which shares no code with the kernels, finds the same equity."""

import numpy as np
import pytest

from trading_pipeline.adapters.sources.sample import SYMBOLS, SampleSource
from trading_pipeline.adapters.vectorbt import replay_equity
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.baselines import buy_and_hold
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.simulate import simulate
from trading_pipeline_tests.core.trading.markets import random_panel, random_scores

TERMS = {"capital": 1e5, "bars_per_year": 252, "horizon": 10}
NEUTRAL = {"costs": Costs(borrow=0.05, leverage=2.0), "book": "neutral", "shortable": True}


def sample():
    source = SampleSource()
    return Panel.of(source.bars(SYMBOLS, *source.span(SYMBOLS)), source.actions(SYMBOLS))


@pytest.mark.slow
def test_vectorbt_agrees_on_the_sample_market():
    """Splits, 92 dividends, a late listing, fees: buy-and-hold over thirteen years."""
    panel = sample()
    T = len(panel.timestamps)
    weights = buy_and_hold(panel, panel.traded, start=0, stop=T, bars_per_year=252)
    costs, book = {"costs": Costs()}, {"book": "long_only", "shortable": False}
    held = simulate(panel, start=0, stop=T, weights=weights, **TERMS, **costs, **book)
    assert set(held.cash_flows()["kind"]) >= {"dividend"}
    np.testing.assert_allclose(replay_equity(held), held.equity, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_vectorbt_agrees_on_random_books(seed):
    """Long and short, with stops, gaps, missing bars, splits, dividends, borrow and interest."""
    panel = random_panel(seed, T=400, N=6)
    scores = random_scores(seed, panel)
    book = simulate(
        panel, start=70, stop=400, score=scores, profile=PROFILES["aggressive"], **TERMS, **NEUTRAL
    )
    assert len(book.fills("s")) > 300
    np.testing.assert_allclose(replay_equity(book), book.equity, rtol=1e-9)


@pytest.mark.slow
def test_vectorbt_would_notice_a_cent():
    """The comparison can fail: one fee off by a cent shows."""
    panel = random_panel(1, T=200)
    weights = np.full(panel.close.shape, 0.2)
    book = simulate(panel, start=70, stop=200, weights=weights, **TERMS, **NEUTRAL)
    book.fills_made["fee"][10, 0, 0] += 0.01
    assert np.abs(replay_equity(book) / book.equity - 1).max() > 1e-9
