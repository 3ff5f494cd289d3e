"""Made-up markets are what they say: as much to find as was planted, and nothing in surrogates."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.market.synthetic import (
    panel_without_actions,
    surrogate,
    synthetic_market,
)

SPANS = (21, 63, 252, 1000)  # bars that momentum and reversal look back
BAND = 2.5  # standard errors that none of four leaves, 95 % of the time


def made(seed=0, bars=1500, symbols=10, correlation=0.0):
    stamps = pd.bdate_range("2010-01-04", periods=bars, tz="UTC").as_unit("us")
    return synthetic_market(stamps, tuple(f"S{n}" for n in range(symbols)), seed, correlation)


def returns_of(panel):
    return np.diff(np.log(panel.close), axis=0)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3]), st.sampled_from([None, 1, 21]))
def test_made_up_bars_obey_the_invariants_of_bars(seed, correlation, block):
    panel = made(seed, 300, 3, correlation).panel
    panel = panel if block is None else surrogate(panel, seed, block)
    bars = panel.adjusted_bars()
    pd.testing.assert_frame_equal(check_bars(bars), bars)


def test_returns_are_like_those_of_shares():
    """Volatility of 15-60 % a year that comes in clusters, fat tails, and symbols that move
    together, but not as one."""
    moves = returns_of(made(bars=5000, symbols=20).panel)
    assert ((moves.std(axis=0) * np.sqrt(252) > 0.15) & (moves.std(axis=0) < 0.60)).all()
    scaled = moves / moves.std(axis=0)
    assert (scaled**4).mean() > 4
    size = np.abs(scaled).mean(axis=1)
    assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.1
    assert abs(np.corrcoef(scaled[:-1].ravel(), scaled[1:].ravel())[0, 1]) < 0.03
    together = np.corrcoef(moves, rowvar=False)[np.triu_indices(20, 1)]
    assert 0.15 < together.mean() < 0.6


@pytest.mark.parametrize("correlation", [0.0, 0.2])
def test_the_signal_correlates_with_the_next_own_return_as_stated(correlation):
    """And what is said of the return ahead is its expectation, of a bar and of a month."""
    truth = made(1, 6000, 30, correlation)
    day = np.log(truth.panel.close / truth.panel.open)[1:]
    own = day - day.mean(axis=1, keepdims=True)
    if correlation:
        slope = np.polyfit(truth.ahead[:-1].ravel(), own.ravel(), 1)[0]
        assert slope == pytest.approx(1.0, abs=0.1)
        sigma = volatility(truth.panel)
        path = np.log(truth.panel.close)
        rows = slice(63, -22)
        month = path[84:-1] - path[rows]
        month = (month - month.mean(axis=1, keepdims=True)) / (sigma[rows] * np.sqrt(21))
        slope = np.polyfit(truth.score(sigma, 21)[rows].ravel(), month.ravel(), 1)[0]
        assert slope == pytest.approx(1.0, abs=0.15)
    else:
        assert not truth.ahead.any()
        assert abs(np.corrcoef(truth.signal[:-1].ravel(), own.ravel())[0, 1]) < 0.01


def test_volume_is_where_the_signal_can_be_seen():
    """Up to the level and the spread of a symbol's volume, which features do not depend on."""
    truth = made(2)
    shown = np.log(truth.panel.volume)
    for n in range(3):
        assert np.corrcoef(shown[:, n], truth.signal[:, n])[0, 1] == pytest.approx(1.0)
    kept = np.corrcoef(truth.signal[:-1].ravel(), truth.signal[1:].ravel())[0, 1]
    assert kept == pytest.approx(0.9, abs=0.02)


def test_a_surrogate_takes_whole_dates_in_blocks_and_leaves_no_symbol_ahead():
    """What moves together goes on to, bars keep their shape, and means are all the same."""
    panel = made(3, 400, 5).panel
    new = surrogate(panel, 0, 21)
    moves = returns_of(panel)
    level = moves - moves.mean(axis=0) + moves.mean()
    found = returns_of(new)
    drawn = np.abs(found[:, None] - level).max(axis=2).argmin(axis=1)
    np.testing.assert_allclose(found, level[drawn], atol=1e-9)
    for name in ("open", "high", "low"):
        shape, old = (getattr(each, name) / each.close for each in (new, panel))
        np.testing.assert_allclose(shape[1:], old[1:][drawn], rtol=1e-12)
    value = panel.close * panel.volume
    np.testing.assert_allclose((new.close * new.volume)[1:], value[1:][drawn], rtol=1e-9)
    steps = np.diff(drawn) % len(level)
    assert (steps == 1).mean() > 0.94  # within blocks of 21, around the end
    assert len(set(drawn)) < 0.9 * len(drawn)  # with replacement


def test_the_same_seed_is_the_same_market():
    """Figures that are compared over versions of the code are of the same markets."""
    one, two, other = (surrogate(made(0, 300, 3).panel, n, 63) for n in (1, 1, 2))
    assert np.array_equal(one.close, two.close)
    assert not np.array_equal(one.close, other.close)


def momentum_of(panel, span):
    """Sharpe ratio a year of the ranks of the last `span` returns; reversal earns minus that."""
    path = np.log(panel.close)
    rank = (path[span:-1] - path[: -span - 1]).argsort(axis=1).argsort(axis=1)
    weight = rank - rank.mean(axis=1, keepdims=True)
    earned = (weight * np.expm1(path[span + 1 :] - path[span:-1])).sum(axis=1)
    return earned.mean() / earned.std() * np.sqrt(252)


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 21])
def test_momentum_and_reversal_earn_nothing_on_surrogates(block):
    """Of a market in which momentum earns: its symbols have means that differ by 40 % a year. In
    the mean over surrogates both stay inside the 95 % band of one history; blocks of one bar keep
    nothing of the order of bars, so there the mean is 0."""
    panel = made(4).panel
    ahead = np.exp(np.outer(np.arange(1500), np.linspace(-0.0008, 0.0008, 10)))
    prices = {name: getattr(panel, name) * ahead for name in ("open", "high", "low", "close")}
    rising = panel_without_actions(panel.timestamps, panel.symbols, **prices, volume=panel.volume)
    new = [surrogate(rising, seed, block) for seed in range(60)]
    assert momentum_of(rising, 252) > 1
    for span in SPANS:
        ratios = np.array([momentum_of(each, span) for each in new])
        assert abs(ratios.mean()) < 1.96 / np.sqrt((1500 - span) / 252)
        if block == 1:
            assert abs(ratios.mean()) < BAND * ratios.std(ddof=1) / np.sqrt(len(ratios))


def test_too_few_dates_are_refused():
    with pytest.raises(ValueError, match="251 dates have all symbols; 252 are needed"):
        surrogate(made(0, 252, 2).panel, 0, 21)
