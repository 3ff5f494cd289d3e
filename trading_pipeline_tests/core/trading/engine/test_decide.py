"""From scores to orders: every step of the sizing against numbers worked out beside it."""

from dataclasses import replace
from math import exp, inf, sqrt

import numpy as np
import pytest

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.engine.reasons import names_of
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline.core.trading.trader import Bar, Signals
from trading_pipeline_tests.core.trading.markets import SYMBOLS, new_trader, stamps

FREE = Costs(fee=0, slippage=0, borrow=0, debit=0, min_notional=0, leverage=10)
# No cap binds unless a test tightens one.
OPEN = replace(
    PROFILES["moderate"], gross_cap=9.0, net_cap=9.0, symbol_cap=9.0, starting_cap=1.0, span=1
)
SIGMA = np.array([0.01, 0.02, 0.04, 0.02])


def trader_of(profile=OPEN, costs=FREE, N=4, **terms):
    options = {"bars_per_year": 252, "horizon": 10, "mandate": "neutral", "shortable": True}
    options |= {"capital": 1e5, "profile": profile, "costs": costs, "session": "s"} | terms
    return new_trader(SYMBOLS[:N], **options)


def live(trader, day, price=100.0):
    N = len(trader.symbols)
    prices = {name: np.broadcast_to(price, N) for name in ("open", "high", "low", "close")}
    prices |= {"volume": np.full(N, 1e9), "split": np.ones(N), "dividend": np.zeros(N)}
    bar = Bar(timestamp=stamps(400)[day], **prices)
    return trader.fill(bar)


def decide(trader, score=None, *, recent=None, sigma=SIGMA, eligible=True, weights=None):
    N = len(trader.symbols)
    rng = np.random.default_rng(0)
    recent = rng.normal(0, 1, (63, N)) * sigma[:N] if recent is None else recent
    known = {"eligible": np.broadcast_to(eligible, N), "volatility": sigma[:N], "recent": recent}
    score = None if score is None else np.array(score, dtype=float)
    return trader.decide(Signals(score=score, weights=weights, **known))


def targets(score, profile=OPEN, recent=None, **options):
    trader = trader_of(profile, **options)
    live(trader, 0)
    return decide(trader, score, recent=recent).decisions


def test_weights_are_score_over_sigma_at_the_volatility_target():
    """The book's return over the last 63 bars has exactly the target's deviation."""
    recent = np.random.default_rng(1).normal(0, 0.02, (63, 4))
    score = np.array([0.5, 1.0, -0.3, 0.2])
    raw = score / SIGMA
    raw -= raw.mean()  # a neutral book
    expected = raw * 0.12 / sqrt(252) / np.std(recent @ raw, ddof=1)
    got = targets(score, recent=recent)["target"]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_long_only_book_clips_what_it_may_not_hold():
    recent = np.random.default_rng(1).normal(0, 0.02, (63, 4))
    rows = targets([0.5, 1.0, -0.3, 0.2], recent=recent, mandate="long_only", shortable=False)
    raw = np.array([0.5, 1.0, 0, 0.2]) / SIGMA
    expected = raw * 0.12 / sqrt(252) / np.std(recent @ raw, ddof=1)
    np.testing.assert_allclose(rows["target"], expected, rtol=1e-12)
    assert names_of(rows["reasons"][2]) == "long_only"


def test_a_short_history_assumes_that_all_moves_together():
    """Below 63 bars: Σ |w| σ is the target."""
    got = targets([0.5, 1.0, 0.3, 0.2], recent=np.zeros((5, 4)), mandate="long_only")["target"]
    assert (np.abs(got) * SIGMA).sum() == pytest.approx(0.12 / sqrt(252))


def test_a_neutral_book_is_worth_nothing_net():
    got = targets([2.0, 1.0, 0.7, 0.2])["target"]
    assert got.sum() == pytest.approx(0, abs=1e-12)
    assert np.abs(got).sum() > 0.1


@pytest.mark.parametrize(
    ("changes", "gross", "reason"),
    [
        ({"gross_cap": 0.6}, 0.6, "gross_cap"),
        ({"gross_cap": 1.0, "starting_cap": 0.5}, 0.5, "kelly_cap"),
        ({"gross_cap": 1.0, "leverage": 0.4}, 0.4, "leverage_cap"),
    ],
)
def test_gross_is_capped_by_the_tightest_of_three(changes, gross, reason):
    changes = {"volatility_target": 5.0} | changes
    costs = replace(FREE, leverage=changes.pop("leverage", 10))
    rows = targets([0.5, 1.0, -0.3, -0.2], replace(OPEN, **changes), costs=costs)
    assert np.abs(rows["target"]).sum() == pytest.approx(gross)
    assert all(reason in names_of(bits) for bits in rows["reasons"])


def test_the_net_cap_scales_the_heavier_side():
    profile = replace(OPEN, net_cap=0.3, volatility_target=inf)
    trader = trader_of(profile, scored=False)
    live(trader, 0)
    rows = decide(trader, weights=np.array([0.6, 0.4, -0.1, -0.1])).decisions
    assert rows["target"] == pytest.approx([0.3, 0.2, -0.1, -0.1])
    assert ["net_cap" in names_of(bits) for bits in rows["reasons"]] == [True, True, False, False]


def test_the_cap_per_symbol_is_wider_in_a_small_universe():
    """max(table, 1.5 × gross cap / eligible): 4 symbols at gross 1.5 may hold 56 % each."""
    tight = replace(OPEN, symbol_cap=0.08, gross_cap=1.5, volatility_target=inf)
    hot = np.array([0.9, 0.1, 0.1, -0.3])
    for table, cap in ((0.08, 1.5 * 1.5 / 4), (0.7, 0.7)):
        trader = trader_of(replace(tight, symbol_cap=table), scored=False)
        live(trader, 0)
        rows = decide(trader, weights=hot).decisions
        assert rows["target"] == pytest.approx([cap, 0.1, 0.1, -0.3])
        assert trader.account["symbol_cap"][0] == cap
        assert [names_of(bits) for bits in rows["reasons"]] == ["symbol_cap", "", "", ""]


def test_the_cap_in_force_is_written_down_with_its_rule():
    """The tightest of three; of equals the profile's own."""
    for changes, cap, rule in (
        ({"gross_cap": 0.5, "starting_cap": 1.0}, 0.5, "gross_cap"),
        ({"gross_cap": 0.5, "starting_cap": 0.4}, 0.2, "kelly_cap"),
        ({"gross_cap": 12.0, "starting_cap": 1.0}, FREE.leverage, "leverage_cap"),
    ):
        trader = trader_of(replace(OPEN, **changes), scored=False)
        live(trader, 0)
        decide(trader, weights=np.array([0.1, 0.1, 0.1, 0.1]))
        assert trader.account["gross_cap"][0] == cap
        assert names_of(trader.account["gross_rule"][0]) == rule


def test_scores_are_smoothed_over_ten_bars():
    """Alpha is 2 / 11: after 1 then 0 the signal stands at 9 / 11."""
    trader = trader_of(replace(OPEN, span=10))
    for day, score in enumerate([1.0, 0.0, np.nan, 0.0]):
        live(trader, day)
        decide(trader, [score] * 4)
    assert trader.positions["signal"] == pytest.approx([(9 / 11) ** 2] * 4)


def test_a_missing_score_adds_nothing_and_after_the_horizon_closes():
    profile = replace(OPEN, volatility_target=2.0, gross_cap=1.0)
    trader = trader_of(profile, mandate="long_only", horizon=3)
    live(trader, 0)
    decide(trader, [1.0] * 4)
    live(trader, 1)
    held = trader.positions["quantity"].copy()
    assert (held > 0).all()
    assert decide(trader, [np.nan, 1, 1, 1]).orders.empty
    for day in (2, 3):
        live(trader, day)
        decided = decide(trader, [np.nan, 1, 1, 1])
    assert decided.orders["symbol"].iloc[0] == "AAA", "three bars without a score"
    assert "no_score" in names_of(decided.decisions["reasons"][0])
    live(trader, 4)
    assert trader.positions["quantity"][0] == 0


def test_an_ineligible_symbol_is_sold_and_not_bought():
    trader = trader_of(replace(OPEN, gross_cap=1.0), mandate="long_only")
    eligible = np.array([True, True, True, False])
    live(trader, 0)
    decided = decide(trader, [1.0] * 4, eligible=eligible)
    assert decided.decisions["target"][3] == 0
    assert decided.vetoes["rule"].tolist() == ["ineligible"]
    live(trader, 1)
    decided = decide(trader, [1.0] * 4, eligible=~eligible)
    assert set(decided.orders["symbol"][decided.orders["side"] == "sell"]) == set(SYMBOLS[:3])


def test_the_band_spares_small_trades():
    """Within 20 % of the target nothing is done; beyond it the whole way is gone."""
    profile = replace(OPEN, volatility_target=inf)
    trader = trader_of(profile, scored=False, N=1)
    live(trader, 0)
    sizes = []
    for day, weight in enumerate([0.50, 0.55, 0.62, 0.64, 0.0]):
        decided = decide(trader, weights=np.array([weight]))
        sizes.append(decided.orders["quantity"].tolist())
        live(trader, day + 1)
    assert sizes == [[pytest.approx(500)], [], [], [pytest.approx(140)], [pytest.approx(640)]]


def test_below_one_percent_nothing_is_opened_in_a_small_universe():
    trader = trader_of(replace(OPEN, volatility_target=inf, gross_cap=1.5), scored=False)
    live(trader, 0)
    decided = decide(trader, weights=np.array([0.009, 0.011, 0.0, 0.0]))
    assert decided.orders["symbol"].tolist() == ["BBB"]
    assert names_of(decided.decisions["reasons"][0]) == "no_trade_band"


def test_a_large_universe_may_hold_positions_below_one_percent():
    """200 symbols at a gross cap of 1 are 0.5 % each; the floor is a fifth of that."""
    names = tuple(f"S{n}" for n in range(200))
    options = {"bars_per_year": 252, "horizon": 10, "mandate": "long_only", "shortable": False}
    trader = new_trader(
        names, session="s", capital=1e6, costs=FREE, profile=PROFILES["conservative"], **options
    )
    live(trader, 0)
    sigma = np.full(200, 0.01)
    assert len(decide(trader, np.ones(200), sigma=sigma).orders) == 200


def test_a_book_without_movement_is_scaled_to_its_gross_cap():
    """A constant price has no volatility to scale by; infinity is no weight."""
    profile = replace(OPEN, gross_cap=0.8)
    got = targets([1.0, 1, 1, 1], profile, recent=np.zeros((63, 4)), mandate="long_only")["target"]
    assert np.abs(got).sum() == pytest.approx(0.8)


def test_zero_or_missing_volatility_means_untradable():
    trader = trader_of(mandate="long_only")
    live(trader, 0)
    sigma = np.array([0.02, 0.0, np.nan, 0.02])
    rows = decide(trader, [1.0] * 4, sigma=sigma, recent=np.full((63, 4), 0.01)).decisions
    assert (rows["target"] > 0).tolist() == [True, False, False, True]
    assert names_of(rows["reasons"][1]) == "ineligible"


def test_the_forecast_is_that_of_the_capped_book():
    recent = np.random.default_rng(1).normal(0, 0.02, (63, 4))
    trader = trader_of(replace(OPEN, gross_cap=0.1))
    live(trader, 0)
    rows = decide(trader, [0.5, 1.0, -0.3, 0.2], recent=recent).decisions
    deviation = np.std(recent @ rows["target"], ddof=1)
    assert trader.account["forecast"][0] == pytest.approx(deviation, rel=1e-12)
    assert deviation < 0.12 / sqrt(252)


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
    profile = replace(OPEN, volatility_target=inf, limit_entry=0.5)
    trader = trader_of(profile, scored=False, N=2)
    live(trader, 0)
    rows = decide(trader, weights=np.array([0.5, -0.5])).orders
    assert rows["type"].tolist() == ["limit", "limit"]
    assert rows["limit_price"].tolist() == pytest.approx([100 * exp(-0.005), 100 * exp(0.01)])
    live(trader, 1, price=np.array([99.0, 102.0]))
    rows = decide(trader, weights=np.array([0.2, 0.5])).orders
    assert rows["side"].tolist() == ["sell", "buy"]
    assert rows["type"].tolist() == ["market", "market"]
