"""The heads beside their rivals: scores by hand, and what chance alone would find."""

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.evaluation import heads
from trading_pipeline.core.evaluation.heads import (
    NORMAL_TAIL,
    BaseRates,
    Outcomes,
    compare_heads,
    unit_book,
)
from trading_pipeline.core.learning import targets
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests import synthetic

SYMBOLS = tuple("ABCDEFGH")
ROWS = 60
WINDOWS = {"2020": (slice(0, 20), slice(20, ROWS))}
MARKET = Market(
    name="made_up",
    source="sample",
    symbols=SYMBOLS,
    start=pd.Timestamp("2020-01-01").date(),
    horizon=1,
    costs=Costs(fee=0.0, slippage=0.0),
)


def alternating(first, second):
    """(ROWS, 8): the odd symbols one, the even ones the other."""
    return np.where(np.arange(len(SYMBOLS)) % 2, second, np.full((ROWS, 1), first))


def outcomes(**changes):
    """In training half the symbols went up, a quarter each down and nowhere; then all went up."""
    direction = np.tile([2, 0, 2, 1, 2, 0, 2, 1], (ROWS, 1))
    direction[20:] = 2
    volatility, risk = alternating(1.0, 3.0), np.tile([1.0, 0, 0, 0] * 2, (ROWS, 1))
    volatility[20:], risk[20:] = 2.0, 0.0
    known = {
        "price": np.tile(np.arange(8.0), (ROWS, 1)),
        "direction": direction,
        "next_return": alternating(log(1.01), log(0.99)),
        "volatility": volatility,
        "risk": risk,
        "sigma": np.full((ROWS, 8), 0.01),
    }
    return Outcomes(**known | changes)


def compared(came=None, **said):
    """Comparisons by head, measure and rival's first word, of predictions for rows 20 on."""
    panel = Panel.of(synthetic.panel(ROWS, SYMBOLS), None)
    spoken = {"score": 1.0, "p_down": 0.1, "p_flat": 0.1, "p_up": 0.8, "position": 0.5}
    spoken |= {"volatility": 0.02, "risk": 0.1} | said
    stamps, names = np.meshgrid(panel.timestamps[20:], SYMBOLS, indexing="ij")
    table = pd.DataFrame({"timestamp": stamps.ravel(), "symbol": names.ravel()})
    for name, values in spoken.items():
        table[name] = np.broadcast_to(values, (ROWS - 20, 8)).ravel()
    return compare_heads(panel, table, came or outcomes(), WINDOWS, MARKET)


def of(rows, head):
    return [row for row in rows if row.head == head]


def test_probabilities_of_direction_are_scored_beside_the_frequencies_of_training():
    logs, ranked = of(compared(), "direction")
    assert (logs.value, logs.rival_value) == pytest.approx((log(1 / 0.8), log(2)))
    assert (ranked.value, ranked.rival_value) == pytest.approx((0.01 + 0.04, 0.25**2 + 0.5**2))
    assert (logs.gain.value, logs.dates, logs.verdict) == (pytest.approx(log(1.6)), 40, "better")


def test_volatility_is_scored_beside_the_deviation_bare_and_scaled():
    """Ahead 2 σ came true; in training the root mean square was √5 σ."""
    bare, scaled = of(compared(), "volatility")
    assert (bare.value, bare.rival_value) == pytest.approx((0.0, 4 - log(4) - 1))
    assert scaled.rival_value == pytest.approx(4 / 5 - log(4 / 5) - 1)
    assert bare.verdict == scaled.verdict == "better"


def test_a_volatility_that_is_the_deviation_itself_is_not_measured():
    """Validation kept it, so the head forecast nothing."""
    for row in of(compared(volatility=0.01), "volatility"):
        assert (row.dates, row.verdict) == (0, "not measured")
        assert row.to_dict()["gain"] == {"value": None, "low": None, "high": None}


def test_risk_is_scored_beside_the_normal_tail_and_the_frequency_of_training():
    tail, usual = of(compared(), "risk")
    assert tail.value == usual.value == pytest.approx(-log(0.9))
    assert tail.rival_value == pytest.approx(-log(1 - 0.0455), abs=1e-5)
    assert usual.rival_value == pytest.approx(-log(0.75))
    assert (tail.verdict, usual.verdict) == ("worse", "better")


def test_a_certainty_that_fails_costs_much_and_is_finite():
    row, _ = of(compared(risk=1.0), "risk")
    assert np.isfinite(row.value)
    assert row.value > 20


def test_the_normal_tail_is_that_of_the_lowest_point_of_a_random_walk():
    assert heads.ADVERSE == targets.ADVERSE
    steps = np.random.default_rng(0).normal(size=(5000, 1000)) / sqrt(1000)
    hit = steps.cumsum(axis=1).min(axis=1) < -2 - 0.5826 / sqrt(1000)
    assert hit.mean() < NORMAL_TAIL
    lowest = steps.cumsum(axis=1).min(axis=1) < -2 + 0.5826 / sqrt(1000)
    assert lowest.mean() == pytest.approx(NORMAL_TAIL, abs=0.009)  # three standard errors


def test_base_rates_come_from_the_training_window_alone():
    came = outcomes()
    rates = BaseRates.of(came, WINDOWS)
    assert np.isnan(rates.risk[:20]).all()
    assert rates.direction[20:] == pytest.approx(np.tile([0.25, 0.25, 0.5], (40, 1, 1)))
    later = replace(came, risk=np.where(np.arange(ROWS)[:, None] < 20, came.risk, 1.0))
    np.testing.assert_array_equal(BaseRates.of(later, WINDOWS).risk, rates.risk)


def test_a_unit_book_pays_for_every_change():
    """σ of 1 and 2 %; the second symbol has no open after the second row."""
    came = outcomes(
        sigma=np.tile([0.01, 0.02], (3, 1)),
        next_return=np.log([[1.01, 0.98], [1.0, np.nan], [1.02, 1.0]]),
    )
    position = np.array([[1.0, -1.0], [1.0, -1.0], [0.5, -1.0]])
    wanted = [
        (100 * 0.01 + 50 * 0.02 - 0.001 * 150) / 2,  # opened
        -0.001 * 50,  # the second is closed
        (50 * 0.02 - 0.001 * (50 + 50)) / 2,  # the first is halved, the second opened again
    ]
    assert unit_book(position, came, cost=0.001) == pytest.approx(wanted)


def test_position_and_the_sign_of_the_score_are_compared_at_equal_volatility():
    """The returns of the book of signs are those of the positions times two."""
    rng = np.random.default_rng(0)
    came = outcomes(next_return=rng.normal(0.001, 0.01, (ROWS, 8)))
    sharpe, _ = of(compared(came), "position")
    earned = np.expm1(came.next_return[20:]).mean(axis=1)
    assert sharpe.value == pytest.approx(sqrt(252) * earned.mean() / earned.std())
    assert sharpe.gain.value == pytest.approx(0.0, abs=1e-9)
    assert sharpe.verdict == "no difference shown"


def test_positions_that_know_the_order_are_found():
    """Its order of symbols is that of the returns; that of the scores is the opposite."""
    own, against = np.linspace(-1, 1, 8), np.linspace(1, -1, 8)
    _, information = of(compared(position=own, score=against), "position")
    assert (information.value, information.rival_value) == pytest.approx((1.0, -1.0))
    assert information.verdict == "better"


def test_a_book_that_never_moves_is_not_measured():
    sharpe, _ = of(compared(position=0.0), "position")
    assert sharpe.verdict == "not measured"


def test_an_outcome_that_is_not_known_yet_is_left_out():
    direction = outcomes().direction.copy()
    direction[-5:] = -1
    logs, _ = of(compared(outcomes(direction=direction)), "direction")
    assert logs.dates == 35


def test_intervals_hold_where_two_forecasts_know_the_same():
    """Both err alike, for as long as outcomes overlap: none is better, and 90-98 % say so."""
    rng, held, T, h = np.random.default_rng(3), 0, 400, 10

    def noise():
        shocks = rng.normal(0, 0.3, (T + h - 1, 1))
        return np.lib.stride_tricks.sliding_window_view(shocks, h, axis=0).mean(axis=-1)

    for _ in range(200):
        realised = np.exp(noise())
        losses = (heads.qlike(np.exp(noise()), realised) for _ in range(2))
        gain = heads.compare_losses(*losses, h)[2]
        held += gain.low <= 0 <= gain.high
    assert 0.90 <= held / 200 <= 0.98


def test_a_head_that_knows_a_little_is_found():
    """Chances between 35 and 65 % that are said beside a frequency of a half; ten times over."""
    rng = np.random.default_rng(5)
    chance = rng.uniform(0.35, 0.65, (500, 20))
    happened = rng.random(chance.shape) < chance
    own = heads.log_loss(np.where(happened, chance, 1 - chance))
    gain = heads.compare_losses(own, np.full_like(own, log(2)), 1)[2]
    assert 0 < gain.low < gain.value < gain.high
    assert exp(-gain.value) < 1
