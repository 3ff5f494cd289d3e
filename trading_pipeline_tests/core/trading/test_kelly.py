"""The cap by evidence: worked by hand, causal, and never from labels that have not ended."""

from dataclasses import replace

import numpy as np
import pytest

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.kelly import caps_in_force, kelly_caps
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import (
    FREE,
    panel_of_opens,
    random_panel,
    random_scores,
)

H, N = 3, 20
MODERATE = PROFILES["moderate"]
ACCOUNT = {"capital": 1e5, "bars_per_year": 252, "horizon": H}


def caps(panel, score, **changes):
    terms = {"mandate": "long_only", "shortable": False, "profile": MODERATE, "costs": FREE}
    shape = panel.close.shape
    return kelly_caps(
        panel,
        score,
        np.full(shape, 0.02),
        np.ones(shape, dtype=bool),
        Terms(**ACCOUNT | terms | changes),
    )


def rising(T, up, down):
    """Every symbol's open rises by `up` and `down` in turns of one bar."""
    steps = np.where(np.arange(T) % 2, up, down)
    return panel_of_opens(np.repeat(100 * np.cumprod(1 + steps)[:, None], N, axis=1))


def test_full_kelly_is_mean_over_variance_of_what_the_unit_book_made():
    """h = 3: from row s + 1 the book makes (1+b)(1+a)(1+b) - 1 or (1+a)(1+b)(1+a) - 1 in turns."""
    panel = rising(400, 0.02, -0.01)
    got = caps(panel, np.ones(panel.close.shape))
    turns = (0.99 * 1.02 * 0.99 - 1, 1.02 * 0.99 * 1.02 - 1)
    made = np.array([turns[s % 2] for s in range(400)])
    for row in (300, 301, 399):
        known = made[: row - H]  # s + 1 + h <= row
        expected = known.mean() / known.var(ddof=1)
        assert got.full_kelly[row] == pytest.approx(expected, rel=1e-9)
        assert got.days[row] == row - H
    assert got.cap[300] == MODERATE.gross_cap  # a quarter of it is far above the gross cap


def test_a_fraction_of_kelly_between_floor_and_gross_cap():
    panel, free = rising(400, 0.08, -0.07), np.ones((400, N))
    modest = caps(panel, free)
    inside = MODERATE.kelly_fraction * modest.full_kelly[399]
    assert 0.25 * 1.5 < inside < 1.5, "the panel is made for this"
    assert modest.cap[399] == pytest.approx(inside, rel=1e-12)
    assert caps_in_force(modest, MODERATE)[399] == "evidence"


def test_bad_evidence_leaves_a_floor_and_never_zero():
    got = caps(rising(400, 0.01, -0.03), np.ones((400, N)))
    assert got.full_kelly[399] < 0
    assert got.cap[399] == 0.25 * MODERATE.gross_cap
    assert caps_in_force(got, MODERATE)[399] == "floor"


def test_costs_of_a_round_trip_count():
    panel, score = rising(400, 0.02, -0.01), np.ones((400, N))
    dear = caps(panel, score, costs=Costs(fee=0.01, slippage=0.002))
    free = caps(panel, score)
    variance = np.var([0.99 * 1.02 * 0.99, 1.02 * 0.99 * 1.02])
    assert free.full_kelly[399] - dear.full_kelly[399] == pytest.approx(0.024 / variance, rel=0.01)


@pytest.mark.parametrize(("days", "known"), [(252, False), (253, False), (254, True)])
def test_before_250_ended_days_there_is_no_evidence(days, known):
    """Row 253 has the labels of rows 0 .. 249: 250 days; row 252 has 249."""
    got = caps(rising(days, 0.02, -0.01), np.ones((days, N)))
    assert np.isnan(got.cap[-1]) != known
    assert caps_in_force(got, MODERATE)[-1] == ("gross" if known else "starting")


def test_below_twenty_eligible_symbols_there_is_no_evidence():
    panel = rising(400, 0.02, -0.01)
    able = np.ones(panel.close.shape, dtype=bool)
    able[-1, 0] = False
    terms = Terms(costs=FREE, profile=MODERATE, **ACCOUNT)
    got = kelly_caps(panel, np.ones(able.shape), np.full(able.shape, 0.02), able, terms)
    assert np.isnan(got.cap[-1])
    assert np.isfinite(got.cap[-2])


def test_a_neutral_book_of_equal_scores_is_no_evidence():
    got = caps(rising(400, 0.02, -0.01), np.ones((400, N)), mandate="neutral", shortable=True)
    assert (got.days == 0).all()


def test_nothing_known_later_changes_a_cap():
    """Cut off, scrambled, and in bar-by-bar use: the same to the last bit."""
    panel, rng = random_panel(4, T=420, N=6), np.random.default_rng(0)
    score, able = random_scores(4, panel), panel.traded
    sigma = np.full(panel.close.shape, 0.02)
    profile = replace(MODERATE, kelly_fraction=0.01)
    terms = Terms(costs=Costs(), mandate="neutral", shortable=True, profile=profile, **ACCOUNT)
    whole = kelly_caps(panel, score, sigma, able, terms)
    for row in (150, 333, 419):
        part = kelly_caps(
            panel.until(row + 1), score[: row + 1], sigma[: row + 1], able[: row + 1], terms
        )
        assert part.full_kelly.tobytes() == whole.full_kelly[: row + 1].tobytes()
    later = score.copy()
    later[300 - H :] = rng.normal(size=later[300 - H :].shape)  # labels that end after row 300
    other = kelly_caps(panel, later, sigma, able, terms)
    assert other.full_kelly[:301].tobytes() == whole.full_kelly[:301].tobytes()
    assert other.full_kelly[-1] != whole.full_kelly[-1]
