"""Every interval of a metric holds what it claims to, 90 to 97 times in a hundred.

Histories are drawn from markets of which the truth is known: with fat tails, with neighbouring
days that correlate, with volatility that comes in clusters. The information coefficients have
theirs in `test_information_coefficient.py`.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import expit, ndtr

from trading_pipeline.core.evaluation.confidence import resampled_dates
from trading_pipeline.core.evaluation.metrics import METRICS, formulas, max_drawdown
from trading_pipeline.core.evaluation.performance import (
    DailyAccount,
    Resampling,
    estimates,
    sampled_metrics,
)
from trading_pipeline_tests.core.evaluation.histories import (
    A_YEAR,
    BLOCK,
    fat_tails,
    neighbours_that_correlate,
)

LEAD = 200
COVERED = [name for name, metric in METRICS.items() if metric.of != "ic"]


class Histories(NamedTuple):
    """P histories of D days, and what an account did in each."""

    returns: np.ndarray  # (P, D)
    benchmark: np.ndarray  # (P, D)
    turnover: np.ndarray  # (P, D)
    exposure: np.ndarray  # (P, D)
    trades: np.ndarray  # (P, D, 4) sums of `tally`

    def account(self, place):
        return DailyAccount(
            returns=self.returns[place],
            turnover=self.turnover[place],
            exposure=self.exposure[place],
            trades=self.trades[place],
        )


def clusters_of_volatility(rng, shape):
    """GARCH(1, 1) of shocks that react to the day before."""
    shocks, variance = rng.standard_normal(shape), np.ones(shape[0])
    for day in range(shape[1]):
        shocks[:, day] *= np.sqrt(variance)
        variance = 0.05 + 0.08 * shocks[:, day] ** 2 + 0.87 * variance
    return shocks


def lasting(rng, shape, half_life):
    """Normal, of variance 1, that forgets half of itself in so many days."""
    keep = 0.5 ** (1 / half_life)
    return lfilter([np.sqrt(1 - keep**2)], [1.0, -keep], rng.standard_normal(shape))


def draw(market, rng, paths, days):
    """Histories of a market; an account follows its benchmark half, and trades twice a day."""
    shape = (paths, days + LEAD)
    common, own = (0.01 * market(rng, shape)[:, LEAD:] for _ in range(2))
    closed = rng.poisson(2.0, (paths, days)).astype(float)
    won = rng.binomial(closed.astype(int), ndtr(0.1 + 0.5 * lasting(rng, shape, 2)[:, LEAD:]))
    gained, lost = rng.gamma(won), rng.gamma(closed - won)
    return Histories(
        returns=0.0004 + 0.5 * common + own,
        benchmark=0.0003 + common,
        turnover=0.05 * np.exp(0.5 * lasting(rng, shape, 5)[:, LEAD:]),
        exposure=expit(lasting(rng, shape, days / 50)[:, LEAD:]),
        trades=np.stack([closed, won, gained, lost], axis=-1),
    )


def truths(many):
    """Of each metric, from many histories."""
    own, other = many.returns.ravel(), many.benchmark.ravel()
    known = {name: formula(own, A_YEAR) for name, formula in formulas("returns").items()}
    known |= {name: formula(own, other, A_YEAR) for name, formula in formulas("against").items()}
    known |= {
        name: formula(many.trades.sum(axis=(0, 1))) for name, formula in formulas("trades").items()
    }
    known["turnover"] = many.turnover.mean() * A_YEAR
    known["exposure"] = many.exposure.mean()
    # A ratio to a depth that grows with the days: the middle one of histories as long.
    known["calmar"] = np.median(METRICS["calmar"].formula(many.returns, A_YEAR))
    return {name: float(value) for name, value in known.items()}


def coverage(market, days, histories, replications):
    """Share of the histories whose interval holds the truth, by metric."""
    rng = np.random.default_rng(21)
    many, drawn = (draw(market, rng, paths, days) for paths in (4 * histories, histories))
    truth, others = truths(many), max_drawdown(many.returns)
    dates = resampled_dates(days, BLOCK, replications, seed=3)
    resampling = Resampling(dates=dates, block=BLOCK, days_per_year=A_YEAR, seed=0)
    held = Counter(dict.fromkeys(COVERED, 0))
    for place in range(histories):
        account = drawn.account(place)
        benchmark = drawn.benchmark[place]
        sampled = sampled_metrics(account, resampling, benchmark)
        found = estimates(account, sampled, resampling, benchmark)
        truth["max_drawdown"] = others[place]  # what another history showed
        held.update(name for name in COVERED if found[name].low <= truth[name] <= found[name].high)
    return {name: count / histories for name, count in held.items()}


def outside(found, least, most):
    return {name: share for name, share in found.items() if not least <= share <= most}


@pytest.mark.slow
def test_a_hundred_histories_of_a_year_are_covered():
    """As many as can be had in no time: two binomial errors of a hundred are allowed for."""
    assert not outside(coverage(neighbours_that_correlate, 250, 100, 200), 0.85, 1.0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("market", "days"),
    [(fat_tails, 250), (neighbours_that_correlate, 500), (clusters_of_volatility, 1000)],
)
@pytest.mark.sampled(3)
def test_every_interval_covers_90_to_97_percent(market, days):
    """Of 500 histories; the binomial error is 1 %."""
    assert not outside(coverage(market, days, 500, 200), 0.90, 0.97)


@pytest.mark.slow
def test_without_blocks_a_dependent_series_is_not_covered():
    """The tests above can fail: days drawn one by one forget that they depend on each other."""
    rng, held = np.random.default_rng(11), 0
    dates = resampled_dates(500, 1, 200, seed=0)
    resampling = Resampling(dates=dates, block=1, days_per_year=A_YEAR, seed=0)
    overlapping = 0.01 * lfilter(np.ones(21), [1.0], rng.normal(size=(150, 520)))[:, 20:]
    for returns in overlapping:
        account = DailyAccount(
            returns=returns, turnover=np.ones(500), exposure=np.ones(500), trades=None
        )
        sampled = sampled_metrics(account, resampling, np.ones(500))
        found = estimates(account, sampled, resampling)["sharpe"]
        held += found.low <= 0 <= found.high
    assert held / 150 < 0.6
