"""The strategy with one thing changed: at the costs and capital that it has, it is itself."""

from dataclasses import replace
from datetime import date
from math import inf

import numpy as np
import pytest

from trading_pipeline.core.backtest import variants as module
from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.variants import (
    bearable,
    costs_times,
    cut_from,
    profiles_of,
    variants_of,
)
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.trading.kelly import kelly_evidence
from trading_pipeline.core.trading.profiles import PROFILES, profile_of
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline_tests.core.trading.markets import panel_of, random_panel, random_scores

CAPITAL = 10_000.0
LIMITS = {"limits": {"kelly_fraction": 0.01}}


def market_of(panel, **changes):
    known = {
        "name": "made",
        "source": "parquet",
        "symbols": panel.symbols,
        "start": date(2024, 1, 1),
        "horizon": 5,
        "shortable": True,
        "costs": Costs(fee=0.0005, impact=0.5),
    }
    return Market(**known | changes)


@pytest.fixture(scope="module")
def traded():
    """Basis, terms, the strategy's account, and its variants: long and wide enough for evidence."""
    panel = random_panel(3, T=330, N=24)
    market = market_of(panel, **LIMITS)
    steps = np.diff(np.log(panel.adjusted_close), axis=0, prepend=np.nan)
    skill = np.nan_to_num(np.roll(steps, -2, axis=0))  # what nobody knows, so that it is evidence
    score = 0.1 * random_scores(3, panel) + 4 * skill
    basis = Basis.of(panel, score, panel.traded, market)
    terms = Terms.of(market, CAPITAL)
    strategy, benchmark = basis.trade(terms), basis.trade_baselines(terms)["buy_and_hold"]
    return basis, terms, strategy, variants_of(basis, terms, strategy, benchmark)


def test_at_its_own_costs_and_capital_it_is_itself(traded):
    """Whose costs have impact: with it, whatever the capital."""
    basis, terms, strategy, variants = traded
    once = variants.multiples.index(1.0)
    assert variants.at_costs.equity[once].tobytes() == strategy.equity.tobytes()
    assert variants.at_capitals.equity[0].tobytes() == strategy.equity.tobytes()
    benchmark = basis.trade_baselines(terms)["buy_and_hold"]
    assert variants.benchmark_at_costs.equity[once].tobytes() == benchmark.equity.tobytes()
    assert variants.impact == 0.5


def test_at_other_costs_it_is_what_the_simulation_makes_of_them(traded):
    """It knows what it pays: the evidence is that of the costs."""
    basis, terms, _, variants = traded
    shares = set()
    for k, multiple in enumerate(variants.multiples):
        under = replace(terms, costs=costs_times(terms.costs, multiple))
        share = kelly_evidence(basis.panel, basis.prepared, basis.inputs, under).share
        alone = basis.trade(under, kelly=share)
        assert alone.equity.tobytes() == variants.at_costs.equity[k].tobytes()
        shares.add(share.tobytes())
    assert len(shares) > 1, "the evidence does depend on the costs"
    assert (variants.at_costs.fees[0] == 0).all()
    assert variants.benchmark_at_costs.equity[:, -1].argmax() == 0


def test_a_bar_late_it_knows_what_it_earns_a_bar_late(traded):
    """And not what its scores would have earned on time."""
    basis, terms, strategy, variants = traded
    score, late = np.full(basis.score.shape, np.nan), variants.one_bar_late
    score[1:] = basis.score[:-1]
    moved = Basis.of(basis.panel, score, basis.eligible, market_of(basis.panel, **LIMITS))
    rows = slice(basis.start, basis.stop)
    share, starting = moved.evidence.share, terms.profile.starting_cap
    own = np.where(np.isnan(share), starting, share)
    np.testing.assert_array_equal(late.log["kelly"], own[rows])
    assert (late.log["kelly"] != strategy.log["kelly"]).any()


def test_more_capital_pays_more_for_the_same_trades(traded):
    """Ten thousand is little beside a volume of a million, and a thousand million is not."""
    *_, variants = traded
    made = variants.at_capitals.equity[:, -1] / variants.capitals
    assert variants.capitals[0] == CAPITAL
    assert variants.at_capitals.equity[:, 0].tolist() == list(variants.capitals)
    assert abs(made[0] - made[-1]) > 10 * abs(made[0] - made[1])


def test_costs_of_trading_are_multiplied_and_those_of_holding_stay():
    costs = Costs(maker_fee=0.0002, minimum_fee=1.0, fee_per_share=0.005, borrow=0.03, impact=1.0)
    twice = costs_times(costs, 2.0)
    assert (twice.fee, twice.maker_fee, twice.slippage) == (0.002, 0.0004, 0.001)
    assert (twice.minimum_fee, twice.fee_per_share, twice.impact) == (2.0, 0.01, 2.0)
    assert (twice.borrow, twice.debit, twice.leverage) == (0.03, costs.debit, costs.leverage)
    assert costs_times(Costs(), 3.0).maker_fee is None
    assert costs_times(costs, 1.0) == costs
    assert bearable(Costs(), 8.0)
    assert not bearable(Costs(fee=0.01), 8.0)
    assert not bearable(Costs(impact=2.0), 8.0)


@pytest.mark.parametrize("costs", [Costs(impact=10.0), Costs(fee=0.0499), Costs(impact=1.25)])
def test_the_dearest_costs_that_are_allowed_can_be_multiplied_by_one(costs):
    """`Costs` allows an impact of exactly 10, whose report must have its own costs in it."""
    panel = random_panel(3, T=90, N=9)
    market = market_of(panel, costs=costs)
    basis = Basis.of(panel, random_scores(3, panel), panel.traded, market)
    terms = Terms.of(market, CAPITAL)
    strategy, benchmark = basis.trade(terms), basis.trade_baselines(terms)["buy_and_hold"]
    found = variants_of(basis, terms, strategy, benchmark)
    assert found.multiples[:3] == (0.0, 0.5, 1.0)
    assert (found.multiples[-1] == 8.0) == (costs.impact == 1.25)
    assert found.at_costs.equity[2].tobytes() == strategy.equity.tobytes()


def test_what_is_known_at_its_own_costs_is_not_simulated_again(traded, monkeypatch):
    """Of six multiples five are traded."""
    basis, terms, strategy, variants = traded
    counts = []
    trade = module.trade_paths
    monkeypatch.setattr(
        module,
        "trade_paths",
        lambda basis, under, *more, **kinds: (
            counts.append(len(under)) or trade(basis, under, *more, **kinds)
        ),
    )
    again = module.at_costs(basis, terms, variants.multiples, strategy)
    module.benchmark_at_costs(basis, terms, variants.multiples, strategy)
    assert counts == [5, 5]
    assert again.log.tobytes() == variants.at_costs.log.tobytes()
    assert (again.accounts["cash"] == variants.at_costs.accounts["cash"]).all()


def test_profiles_are_those_that_the_mandate_allows_and_limits_belong_to_one(traded):
    basis, _, strategy, _ = traded
    market = market_of(basis.panel, mandate="neutral", profile="aggressive", limits={"band": 0.5})
    terms = Terms.of(market, CAPITAL)
    found = profiles_of(basis, market, terms, strategy)
    assert list(found) == ["moderate", "aggressive"], "conservative may not be short"
    assert found["aggressive"] is strategy
    assert profile_of(replace(market, profile="moderate", limits={})) == PROFILES["moderate"]
    assert found["moderate"].rules["band"].item() == PROFILES["moderate"].band


def test_the_capital_that_volume_allows_follows_from_the_fills():
    """By hand: all of 1,000 at 10, of 1,000 units a bar, is a tenth of the bar; the cap is a half,
    so that five times the capital fits."""
    panel = panel_of(np.full((6, 1), 10.0), volume=np.full(6, 1000.0))
    costs = Costs(fee=0, slippage=0, participation=0.5)
    terms = Terms(capital=1000.0, costs=costs, bars_per_year=252)
    weights = np.full((6, 1), np.nan)
    weights[1] = 1.0
    market = market_of(panel, costs=costs)
    basis = Basis.of(panel, np.zeros((6, 1)), panel.traded, market)
    bought = basis.trade(terms, score=None, weights=weights)
    assert cut_from(bought, panel, basis.start, terms) == pytest.approx(5000.0)
    free = replace(terms, costs=replace(costs, participation=inf))
    assert cut_from(bought, panel, basis.start, free) is None
    idle = basis.trade(terms, score=None, weights=np.full((6, 1), np.nan))
    assert cut_from(idle, panel, basis.start, terms) is None
