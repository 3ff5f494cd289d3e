"""From targets to orders: what is smoothed, what is refused, and how an order is placed."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from trading_pipeline.core.trading.engine.reasons import names_of
from trading_pipeline.core.trading.trader import Bar, Signals
from trading_pipeline_tests.core.trading.markets import SYMBOLS, new_trader, stamps
from trading_pipeline_tests.core.trading.one_close import NEUTRAL, OPEN, ROOMY, close_of

SIGMA = np.array([0.01, 0.02, 0.04, 0.02])


def trader_of(profile=OPEN, costs=ROOMY, N=4, **terms):
    options = {"bars_per_year": 252, "horizon": 10, "mandate": "neutral", "shortable": True}
    options |= {"capital": 1e5, "profile": profile, "costs": costs, "session": "s"} | terms
    return new_trader(SYMBOLS[:N], **options)


def live(trader, day, price=100.0):
    N = len(trader.symbols)
    prices = {name: np.broadcast_to(price, N) for name in ("open", "high", "low", "close")}
    prices |= {"volume": np.full(N, 1e9), "split": np.ones(N), "dividend": np.zeros(N)}
    bar = Bar(timestamp=stamps(400)[day], **prices)
    return trader.fill(bar)


def decide(trader, score=None, *, sigma=SIGMA, eligible=True, weights=None):
    N = len(trader.symbols)
    recent = np.random.default_rng(0).normal(0, 1, (63, N)) * sigma[:N]
    known = {"eligible": np.broadcast_to(eligible, N), "volatility": sigma[:N], "recent": recent}
    score = None if score is None else np.array(score, dtype=float)
    return trader.decide(Signals(score=score, weights=weights, **known))


@pytest.mark.parametrize(("horizon", "alpha"), [(10, 2 / 3), (5, 1.0), (120, 2 / 25), (1, 1.0)])
def test_scores_are_smoothed_over_a_fifth_of_the_horizon(horizon, alpha):
    """α = min(1, 2 / (h/5 + 1)); a missing score leaves the signal where it is."""
    trader = trader_of(horizon=horizon)
    for day, score in enumerate([1.0, 0.0, np.nan, 0.0]):
        live(trader, day)
        decide(trader, [score] * 4)
    assert trader.positions["signal"] == pytest.approx([(1 - alpha) ** 2] * 4)


def test_a_neutral_position_without_a_score_for_the_horizon_is_closed():
    """Until then nothing is added to it."""
    trader = trader_of(NEUTRAL, horizon=3)
    live(trader, 0)
    decide(trader, [2.0, 1, -1, -2])
    live(trader, 1)
    assert trader.positions["quantity"][0] > 0
    for day in (2, 3, 4):
        decided = decide(trader, [np.nan, 1, -1, -2])
        assert "no_score" not in names_of(decided.decisions["reasons"][1])
        live(trader, day)
    assert "no_score" in names_of(decided.decisions["reasons"][0])
    assert trader.positions["quantity"][0] == 0


def test_a_long_only_position_without_a_score_stays_at_its_benchmark():
    trader = trader_of(mandate="long_only", horizon=3)
    for day in range(6):
        live(trader, day)
        rows = decide(trader, [2.0, 1, -1, -2] if day == 0 else [np.nan] * 4).decisions
        assert (rows["target"][0] > 0.25 + 1e-6) == (day < 3)
    assert rows["target"] == pytest.approx([0.25] * 4)


def test_an_ineligible_symbol_is_sold_and_not_bought():
    trader = trader_of(mandate="long_only")
    eligible = np.array([True, True, True, False])
    live(trader, 0)
    decided = decide(trader, [1.0] * 4, eligible=eligible)
    assert decided.decisions["target"] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert decided.vetoes["rule"].tolist() == ["ineligible"]
    live(trader, 1)
    decided = decide(trader, [1.0] * 4, eligible=~eligible)
    assert set(decided.orders["symbol"][decided.orders["side"] == "sell"]) == set(SYMBOLS[:3])


def test_a_large_universe_may_hold_positions_below_one_percent():
    got = close_of(200, replace(OPEN, symbol_cap=0.05, band=1.0), costs=replace(ROOMY, fee=0.001))
    np.testing.assert_allclose(got.rows["order"], 5, rtol=1e-9)


def test_orders_are_whole_lots_and_large_enough():
    costs = replace(ROOMY, lot=1.0, min_notional=300.0)
    got = close_of(3, weights=[0.0015, 0.5, 0.49807], costs=costs)
    assert got.rows["order"].tolist() == [0, 500, 498]
    assert names_of(got.rows["reasons"][0]) == "lot|min_notional"
    assert names_of(got.rows["reasons"][2]) == "lot"


def test_a_weight_asked_for_without_a_profile_is_traded_as_it_is():
    trader = trader_of(None, scored=False)
    live(trader, 0)
    decide(trader, weights=np.array([0.004, -0.5, np.nan, 0.0]))
    live(trader, 1)
    assert trader.positions["quantity"] == pytest.approx([4, -500, 0, 0])
    live(trader, 2, price=120.0)
    assert decide(trader, weights=np.full(4, np.nan)).orders.empty


def test_new_exposure_waits_for_a_better_price_and_old_leaves_at_the_open():
    """Half a σ below the close for a purchase, above for a short; sales and turns do not wait."""
    trader = trader_of(replace(NEUTRAL, volatility_target=9.0, limit_entry=0.5), scored=False, N=2)
    live(trader, 0)
    rows = decide(trader, weights=np.array([0.5, -0.5])).orders
    assert rows["type"].tolist() == ["limit", "limit"]
    side = np.where(rows["side"] == "buy", 1, -1)
    expected = 100 * np.exp(-0.5 * side * SIGMA[:2])
    assert rows["limit_price"].tolist() == pytest.approx(expected)
    live(trader, 1, price=np.array([99.0, 102.0]))
    rows = decide(trader, weights=np.array([0.05, 0.5])).orders
    assert rows["type"].tolist() == ["market", "market"]
    assert exp(0.01) * 100 < 102


def test_the_kill_of_a_rule_leaves_no_target():
    """What closes the account is said of every symbol that is held."""
    trader = trader_of(mandate="long_only")
    live(trader, 0)
    decide(trader, [1.0] * 4)
    live(trader, 1)
    trader.kill()
    decided = decide(trader, [1.0] * 4)
    assert not decided.decisions["target"].any()
    assert all("kill_switch" in names_of(bits) for bits in decided.decisions["reasons"])
    live(trader, 2)
    assert trader.holdings().empty
