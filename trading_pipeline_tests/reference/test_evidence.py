"""The reference's evidence: markets that show a skill, none, or only that they rise."""

from math import inf, isnan
from types import SimpleNamespace

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from trading_pipeline.core.market.market import Costs
from trading_pipeline_tests.core.trading.markets import panel_of_opens
from trading_pipeline_tests.reference.evidence import (
    active_returns,
    newey_west,
    share_of,
    shares,
)

N, H = 20, 3
PROFILE = SimpleNamespace(
    tracking_error=0.04,
    volatility_target=0.12,
    gross_cap=1.5,
    symbol_cap=0.2,
    group_cap=inf,
    band=1.0,
    kelly_fraction=0.25,
    kelly_floor=0.25,
)


def terms_of(long_only=True, cost=0.0):
    costs = Costs(fee=cost, slippage=0.0)
    years = {"horizon": H, "bars_per_year": 252}
    return SimpleNamespace(costs=costs, profile=PROFILE, long_only=long_only, **years)


def market(T, skill=0.0, drift=0.0, seed=0):
    """A panel, and scores that hold a part of the returns from the next open to the one after."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(drift, 0.01, (T, N))
    panel = panel_of_opens(50 * np.exp(np.cumsum(moves, axis=0)))
    ahead = np.zeros((T, N))
    ahead[:-2] = (moves[2:] - drift) / 0.01
    scores = 0.3 * (skill * ahead + np.sqrt(1 - skill**2) * rng.normal(size=(T, N)))
    whole = np.ones((T, N), dtype=bool)
    return panel, {"score": scores, "volatility": 0.01 * whole, "eligible": whole}


@pytest.mark.parametrize("lags", [1, 5, 21])
def test_the_standard_error_is_that_of_statsmodels(lags):
    series = np.convolve(np.random.default_rng(1).normal(size=300), np.ones(4), "valid")
    fit = OLS(series, np.ones(len(series))).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False}
    )
    assert newey_west(series.tolist(), lags) == pytest.approx(fit.bse[0])


def test_a_share_by_hand():
    """Deviations 1, 0, 1, -2 from a mean of 1: a variance of 6/4, and -2 for neighbours.

    With one lag s² = (6 - 2) / 16, but at least 6/4 / 4: t² = 8/3, of which 8/11 are believed, and
    k = 0.5 × 8/11 / (6/4).
    """
    series = [2.0, 1.0, 2.0, -1.0]
    profile = SimpleNamespace(kelly_fraction=0.5, kelly_floor=0.01)
    assert newey_west(series, 1) == pytest.approx(0.5)
    assert share_of(series, 1, profile) == pytest.approx(0.5 * 8 / 11 / 1.5)
    assert share_of([-r for r in series], 1, profile) == 0.01
    assert share_of([0.01 * r for r in series], 1, profile) == 1.0


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("long_only", [True, False])
@pytest.mark.sampled(2)
def test_skill_earns_the_whole(long_only):
    """Once 250 days are known, the first of them the day after the first scores."""
    found = shares(*market(254, skill=0.3), terms_of(long_only))
    assert all(isnan(share) for share in found[:250])
    assert found[250:] == [1.0] * 4


@pytest.mark.slow
def test_noise_is_left_the_floor():
    assert shares(*market(254, seed=3), terms_of(cost=0.001))[-1] == 0.25


@pytest.mark.slow
def test_a_rising_market_is_no_evidence():
    """The book and its benchmark rise alike, and where the scores say nothing they are one."""
    rising = active_returns(*market(120, drift=0.01), terms_of(cost=0.001))
    assert np.mean(list(rising.values())) < 0
    panel, inputs = market(120, drift=0.01)
    inputs["score"] = np.full(inputs["score"].shape, 0.4)
    assert not any(active_returns(panel, inputs, terms_of()).values())


@pytest.mark.slow
def test_later_bars_change_nothing():
    """A bar's return depends on the bars up to it and the scores before it."""
    panel, inputs = market(60, skill=0.3)
    whole = active_returns(panel, inputs, terms_of())
    inputs["score"][50:] = 9.0 * np.arange(N)
    panel.open[51:] *= 2.0
    later = active_returns(panel, inputs, terms_of())
    assert [later[row] for row in range(1, 51)] == [whole[row] for row in range(1, 51)]
    assert later[51] != whole[51]


@pytest.mark.long
@pytest.mark.slow
def test_few_symbols_show_nothing():
    panel, inputs = market(254, skill=0.3)
    inputs["eligible"] = inputs["eligible"].copy()
    inputs["eligible"][:, 0] = False
    assert all(isnan(share) for share in shares(panel, inputs, terms_of()))
