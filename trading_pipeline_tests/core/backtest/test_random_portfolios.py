"""Random portfolios: what one earns by luck, at a turnover and a risk that the strategy has."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.random_portfolios import (
    RANDOM_PORTFOLIOS,
    portfolios_for,
    random_portfolios,
    random_scores,
    spread_of,
)
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import panel_of_opens, random_panel
from trading_pipeline_tests.core.trading.markets import random_scores as scores_of

CAPITAL = 100_000.0


def basis_of(panel, score, **changes):
    known = {"horizon": 5, "costs": Costs(fee=0.0005), "mandate": "long_only"} | changes
    market = Market(
        name="made",
        source="parquet",
        symbols=panel.symbols,
        start=date(2024, 1, 1),
        shortable=True,
        **known,
    )
    return Basis.of(panel, score, panel.traded, market), Terms.of(market, CAPITAL)


@pytest.fixture(scope="module")
def small():
    """A rough panel with scores that are missing here and there, and of another size each day."""
    panel = random_panel(5, N=9)
    score = scores_of(5, panel) * np.linspace(0.01, 0.1, len(panel.timestamps))[:, None]
    score[:20] = np.nan
    return basis_of(panel, score)


@pytest.fixture(scope="module")
def surrogate():
    """Nothing to find: independent returns of twelve symbols, and scores that are noise."""
    rng = np.random.default_rng(5)
    steps = rng.normal(0.0004, 0.008, (700, 1)) + rng.normal(0, 0.012, (700, 12))
    panel = panel_of_opens(100 * np.exp(np.cumsum(steps, axis=0)))
    score = random_scores(rng, np.zeros((700, 1)), np.full((700, 1), 0.1), 5, 12)
    score[:120] = np.nan
    return basis_of(panel, score)


def test_each_is_what_the_simulation_makes_of_its_scores(small):
    """The quick loop against `simulate`, bit for bit, on the same draws."""
    basis, terms = small
    paths = random_portfolios(basis, terms, seed=42, count=2)
    rows = slice(basis.start, basis.stop)
    for r in range(2):
        drawn = random_scores(
            np.random.default_rng([42, r]), *spread_of(basis, terms), 5, len(basis.panel.symbols)
        )
        score = np.full(basis.score.shape, np.nan)
        score[rows] = np.where(np.isfinite(basis.score[rows]), drawn, np.nan)
        account = basis.trade(terms, score=score, half_life=None)
        assert account.equity.tobytes() == paths.equity[r].tobytes()
        assert account.turnover.tobytes() == paths.turnover[r].tobytes()


def test_they_depend_on_their_seed_and_not_on_how_many_there_are(small):
    one, more, other = (
        random_portfolios(*small, seed=seed, count=count).equity
        for seed, count in ((1, 2), (1, 5), (2, 2))
    )
    assert (one == more[:2]).all()
    assert len(np.unique(np.concatenate([more, other])[:, -1])) == 7
    assert (more[:, 0] == CAPITAL).all()


def test_scores_have_the_mean_and_the_spread_of_the_real_ones(small):
    basis, terms = small
    mean, spread = spread_of(basis, terms)
    for k in (0, 70, 139):
        real = basis.score[basis.start + k]
        real = real[np.isfinite(real)]
        assert mean[k].item() == pytest.approx(real.mean())
        assert spread[k].item() == pytest.approx(real.std(ddof=1))


def test_scores_halve_their_say_in_a_horizon():
    """Unit variance from the first row on, and a correlation of a half over h bars."""
    ones = np.ones((400, 1))
    drawn = random_scores(np.random.default_rng(0), 3 * ones, 2 * ones, 21, 4000)
    assert drawn.mean() == pytest.approx(3, abs=0.02)
    for row in (0, 200, 399):
        assert drawn[row].std() == pytest.approx(2, rel=0.05)
    assert np.corrcoef(drawn[100], drawn[121])[0, 1] == pytest.approx(0.5, abs=0.05)
    assert np.corrcoef(drawn[100], drawn[142])[0, 1] == pytest.approx(0.25, abs=0.05)


def test_scores_that_prefer_nothing_are_drawn_at_the_whole_tracking_error():
    """By hand: 0.5 a year over four symbols and 252 / 21 horizons is 0.5 / √48 a score."""
    panel = random_panel(1, N=4, missing=0)
    score = np.full(panel.close.shape, 0.2)
    basis, terms = basis_of(panel, score, horizon=21)
    _, spread = spread_of(basis, terms)
    assert spread[:, 0] == pytest.approx(np.full(len(spread), 0.5 / np.sqrt(48)))
    equity = random_portfolios(basis, terms, seed=0, count=5).equity[:, -1]
    assert len(np.unique(equity)) == 5
    mixed = score.copy()
    mixed[60:, 0] += 0.1
    later = spread_of(*basis_of(panel, mixed))[1]
    assert (later[:60] == 0).all(), "where the real ones prefer nothing, nor do random ones"
    assert (later[60:-1] > 0).all()


@pytest.mark.slow
def test_on_a_surrogate_market_neither_benchmark_nor_noise_is_extreme(surrogate):
    """A redraw of weights every month made whoever holds the benchmark the 99th percentile."""
    basis, terms = surrogate
    luck = random_portfolios(basis, terms, seed=0, count=200)
    known = np.sort(sharpes(luck.equity))
    accounts = {"noise": basis.trade(terms)} | basis.trade_baselines(terms)
    for name in ("noise", "buy_and_hold_managed", "equal_weight_managed"):  # at the same exposure
        share = np.searchsorted(known, sharpes(accounts[name].equity)) / len(known)
        assert 0.03 < share < 0.97, name
    traded = luck.turnover.mean(axis=1)
    assert traded.std() < 0.2 * traded.mean()
    assert accounts["noise"].turnover.mean() == pytest.approx(traded.mean(), rel=0.2)


def sharpes(equity):
    returns = np.diff(equity, axis=-1) / equity[..., :-1]
    return returns.mean(axis=-1) / returns.std(axis=-1)


def test_a_long_history_of_many_symbols_has_fewer(small):
    basis, _ = small
    assert portfolios_for(basis) == RANDOM_PORTFOLIOS
    assert portfolios_for(replace(basis, stop=basis.start + 50_000)) == 555
    assert portfolios_for(replace(basis, stop=basis.start + 10**7)) == 100
