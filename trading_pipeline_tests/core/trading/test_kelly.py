"""Evidence: what the tilt earned beyond the benchmark, causal, shrunk, and worked beside it."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.inputs import Inputs, prepare
from trading_pipeline.core.trading.kelly import kelly_evidence, shares_in_force
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    panel_of_opens,
    random_scores,
    simulated,
)
from trading_pipeline_tests.core.trading.one_close import NEUTRAL, OPEN

H, N = 3, 20
ACCOUNT = {"capital": 1e5, "bars_per_year": 252, "horizon": H, "shortable": True, "costs": FREE}
SKILLED = replace(OPEN, kelly_fraction=0.5, kelly_floor=0.2, starting_cap=0.4, symbol_cap=0.2)


def market(seed=0, T=420, n=N, drift=0.0):
    """A panel that moves with its market and by itself."""
    rng = np.random.default_rng(seed)
    returns = drift + rng.normal(0, 0.01, (T, 1)) + rng.normal(0, 0.015, (T, n))
    return panel_of_opens(100 * np.exp(np.cumsum(returns, axis=0)))


def foresight(panel, share, seed=1):
    """Scores that know a share of what a symbol does between the next two opens."""
    moves = np.diff(np.log(panel.open), axis=0)
    ahead = np.zeros(panel.close.shape)
    ahead[:-2] = moves[1:] / moves.std()
    own = np.random.default_rng(seed).normal(size=ahead.shape)
    return share * ahead + (1 - abs(share)) * own


def evidence(panel, score, profile=SKILLED, eligible=None, **changes):
    inputs = Inputs(score=score, eligible=eligible)
    terms = Terms(**ACCOUNT | {"profile": profile} | changes)
    return kelly_evidence(panel, prepare(panel), inputs, terms)


@pytest.mark.parametrize("mandate", ["long_only", "neutral"])
def test_skill_earns_the_whole_tilt_and_its_opposite_the_floor(mandate):
    panel, profile = market(), replace(SKILLED, net_cap=9.0, gross_cap=2.0, volatility_target=0.12)
    for share, in_force in ((0.5, "whole"), (-0.5, "floor")):
        score = foresight(panel, share)
        got = evidence(panel, score, profile, mandate=mandate)
        assert got.share[-1] == (1.0 if in_force == "whole" else 0.2)
        assert shares_in_force(got, profile)[-1] == in_force


def test_noise_that_pays_costs_is_left_with_the_floor():
    panel = market()
    score = np.random.default_rng(5).normal(size=panel.close.shape)
    got = evidence(panel, score, replace(SKILLED, band=0.0), costs=Costs(fee=0.002))
    assert got.full_kelly[-1] == 0
    assert got.share[-1] == SKILLED.kelly_floor


def test_a_fraction_of_kelly_between_floor_and_whole():
    """Shrunk evidence times the fraction, wherever neither bound holds."""
    panel = market()
    profile = replace(SKILLED, kelly_fraction=0.002, kelly_floor=0.01)
    got = evidence(panel, foresight(panel, 0.2), profile)
    inside = 0.002 * got.full_kelly[-1]
    assert 0.01 < inside < 1, "the panel is made for this"
    assert got.share[-1] == pytest.approx(inside, rel=1e-12)
    assert shares_in_force(got, profile)[-1] == "evidence"


def test_a_rising_market_is_no_evidence():
    """All symbols rise by 30 % a year and more, and the scores are the same for all."""
    panel = market(drift=0.002)
    for score in (np.ones(panel.close.shape), np.zeros(panel.close.shape)):
        got = evidence(panel, score)
        assert np.abs(got.active[1:]).max() < 1e-12
        assert not got.share[-1] > SKILLED.kelly_floor


@pytest.mark.parametrize("costs", [FREE, Costs(fee=0.001, slippage=0.0005)])
def test_active_returns_are_those_of_two_books_worked_bar_by_bar(costs):
    """Without a region targets are the aims: weights / (1 + r) of the night, new ones by day.

    With opens that are the closes all happens at night: each book earns Σ w r and then pays for
    going from what its weights became to its targets.
    """
    panel, profile = market(n=6, T=70), replace(SKILLED, band=0.0)
    score = np.full(panel.close.shape, np.nan)
    score[64:] = foresight(panel, 0.5)[64:]
    got = evidence(panel, score, profile, costs=costs)
    books = []
    for scores in (score, np.full(score.shape, np.nan)):
        book = simulated(
            panel, start=64, stop=70, score=scores, profile=profile, everything=True,
            kelly=np.ones(70), **ACCOUNT | {"costs": replace(FREE, leverage=1.0)},
        )  # fmt: skip
        books.append(book.decisions["target"].reshape(6, 6))
    returns = panel.close[1:] / panel.close[:-1] - 1
    expected = []
    for target in books:
        held, earned = np.zeros(6), []
        for k in range(5):
            night = held @ returns[64 + k]
            drifted = held * (1 + returns[64 + k]) / (1 + night)
            traded = np.abs(target[k] - drifted).sum()
            earned.append(night - (costs.fee + costs.slippage) * traded)
            held = target[k]
        expected.append(earned)
    active = np.subtract(*expected)
    np.testing.assert_allclose(got.active[65:], active, atol=1e-9)
    assert np.isnan(got.active[:65]).all()


def shrunk(returns, lags):
    """Mean × t² / (1 + t²) / variance, t by Newey and West, in plain double loops."""
    K, mean = len(returns), sum(returns) / len(returns)
    variance = sum((x - mean) ** 2 for x in returns) / K
    long_run = variance
    for lag in range(1, min(lags, K - 1) + 1):
        covariance = sum((returns[k] - mean) * (returns[k - lag] - mean) for k in range(lag, K)) / K
        long_run += 2 * (1 - lag / (lags + 1)) * covariance
    error = max(long_run, variance) / K
    gain = max(mean, 0.0)
    return gain * gain**2 / (gain**2 + error) / variance if gain else 0.0


def lasting():
    """What the tilt earns comes in spells of 15 bars: its mean is less sure than it seems."""
    rng = np.random.default_rng(2)
    score = np.tile(rng.normal(size=N), (420, 1))
    spell = np.repeat(rng.choice([-1.0, 2.0], 28), 15)[:, None]
    returns = rng.normal(0, 0.01, (420, 1)) + rng.normal(0, 0.005, (420, N)) + 0.004 * spell * score
    got = evidence(panel_of_opens(100 * np.exp(np.cumsum(returns, axis=0))), score, horizon=7)
    active = got.active[1:]
    assert np.corrcoef(active[70:], active[69:-1])[0, 1] > 0.3, "the panel is made for this"
    return got


def test_the_mean_is_shrunk_by_its_standard_error_as_worked_beside_it():
    got = lasting()
    for row in (66, 80, 150, 300, 419):  # from 63 on there is a σ, and something to hold
        active = got.active[1 : row + 1].tolist()
        assert got.full_kelly[row] == pytest.approx(shrunk(active, 7), rel=1e-6, abs=1e-9)


@pytest.mark.slow
def test_the_standard_error_is_that_of_statsmodels():
    """Newey and West's, of a mean, with Bartlett's weights and no correction for small samples."""
    api = pytest.importorskip("statsmodels.api")
    got = lasting()
    active = got.active[1:]
    fit = api.OLS(active, np.ones(len(active))).fit(
        cov_type="HAC", cov_kwds={"maxlags": 7, "use_correction": False}
    )
    error = max(float(fit.bse[0]) ** 2, active.var() / len(active))
    mean = active.mean()
    expected = mean * mean**2 / (mean**2 + error) / active.var()
    assert got.full_kelly[-1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("rows", "known"), [(250, False), (251, True)])
def test_before_250_days_there_is_no_evidence(rows, known):
    """The first row decides and earns nothing, so that row 250 is the 250th day."""
    panel = market(T=rows)
    got = evidence(panel, foresight(panel, 0.5))
    assert got.days[-1] == rows - 1
    assert np.isnan(got.share[-1]) != known
    assert shares_in_force(got, SKILLED)[-1] == ("whole" if known else "starting")


def test_days_count_from_the_first_score():
    panel = market()
    score = foresight(panel, 0.5)
    score[:100] = np.nan
    got = evidence(panel, score)
    assert np.isnan(got.active[:101]).all()
    assert (got.days[:101] == 0).all()
    assert got.days[101] == 1
    assert np.isnan(got.share[:350]).all()
    assert np.isfinite(got.share[350:]).all()


def test_below_twenty_eligible_symbols_there_is_no_evidence():
    panel = market()
    able = np.ones(panel.close.shape, dtype=bool)
    able[-1, 0] = False
    got = evidence(panel, foresight(panel, 0.5), eligible=able)
    assert np.isnan(got.share[-1])
    assert np.isfinite(got.share[-2])


@pytest.mark.parametrize("mandate", ["long_only", "neutral"])
def test_nothing_known_later_changes_what_was_known(mandate):
    """Cut off or scrambled: the same to the last bit."""
    panel, rng = market(4), np.random.default_rng(0)
    score = random_scores(4, panel)
    profile = NEUTRAL if mandate == "neutral" else SKILLED
    whole = evidence(panel, score, profile, mandate=mandate)
    for row in (150, 333):
        part = evidence(panel.until(row + 1), score[: row + 1], profile, mandate=mandate)
        for now, then in zip(part, whole, strict=True):
            assert now.tobytes() == then[: row + 1].tobytes()
    later = score.copy()
    later[300:] = rng.normal(size=later[300:].shape)  # the first bar that earns by it is 301's
    other = evidence(panel, later, profile, mandate=mandate)
    assert other.full_kelly[:300].tobytes() == whole.full_kelly[:300].tobytes()
    assert (other.active[302:] != whole.active[302:]).any()


def test_evidence_needs_scores_and_a_profile():
    panel = market(T=5)
    with pytest.raises(ValueError, match="give both"):
        evidence(panel, None)
    with pytest.raises(ValueError, match="give both"):
        evidence(panel, np.ones(panel.close.shape), None)
