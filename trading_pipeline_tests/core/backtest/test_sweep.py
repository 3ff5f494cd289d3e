"""Sweeps: the same books as one by one, whatever the number of threads."""

from dataclasses import replace
from datetime import date
from math import inf

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.backtest import random_portfolios
from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.run import run_backtest
from trading_pipeline.core.backtest.simulate import simulate
from trading_pipeline.core.backtest.sweep import (
    grid_of_limits,
    market_under,
    sweep,
)
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.trading.kelly import kelly_evidence
from trading_pipeline.core.trading.profiles import PROFILES, profile_of, with_limits
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.errors import TradingError
from trading_pipeline_tests.core.trading.markets import panel_of_opens, random_scores, stamps

MODERATE = PROFILES["moderate"]
HALVING = replace(MODERATE, halve=0.12, flat=0.18, stop_loss=3.0)
N, CAPITAL = 24, 100_000.0


def market(**changes):
    terms = {
        "name": "many",
        "source": "parquet",
        "symbols": tuple(f"S{n:02d}" for n in range(N)),
        "start": date(2024, 1, 1),
        "timeframe": "1d",
        "calendar": "24/7",
        "mandate": "long_only",
        "shortable": True,
        "horizon": 5,
        "profile": "moderate",
        "costs": Costs(fee=0.0005),
    }
    return Market(**{**terms, **changes})


def swept(history, market, profiles, **options):
    return sweep(Basis.of(*history, market), Terms.of(market, CAPITAL), profiles, **options)


@pytest.fixture(scope="module")
def history():
    """A panel with enough days and symbols for Kelly's evidence, scores that are worth something,
    and who may be bought."""
    rng = np.random.default_rng(7)
    steps = rng.normal(0.0004, 0.02, (420, N))
    steps[250:300] -= 0.012  # a fall, so that drawdown rules trip
    panel = panel_of_opens(100 * np.exp(np.cumsum(steps, axis=0)))
    score = random_scores(7, panel) + 8 * np.roll(steps, -2, axis=0)
    score[:20] = np.nan
    return panel, score, rng.random(panel.close.shape) > 0.01


PROFILES_OF_TEST = {
    "moderate": MODERATE,
    "careful": PROFILES["conservative"],
    "bold": PROFILES["aggressive"],
    "little evidence": replace(MODERATE, kelly_fraction=0.01),
    "less evidence": replace(MODERATE, kelly_fraction=0.007),
    "high floor": replace(MODERATE, kelly_fraction=0.002, kelly_floor=0.32),
    "small": replace(MODERATE, gross_cap=0.6),
    "busy": replace(MODERATE, band=0.0),
    "tight": replace(MODERATE, stop_loss=0.4, trailing_stop=0.3, take_profit=0.5),
    "nervous": replace(MODERATE, halve=0.003, flat=0.006, flat_days=5, breaker=1.2),
}


def grouped(basis, groups):
    return replace(basis, inputs=replace(basis.inputs, groups=groups))


@pytest.mark.slow
@pytest.mark.parametrize("mandate", ["long_only", "neutral"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_book_is_that_of_simulate_to_the_last_bit(history, mandate, threads):
    panel, score, able = history
    terms = market(mandate=mandate)
    allowed = PROFILES_OF_TEST.items()
    profiles = {k: v for k, v in allowed if mandate == "long_only" or not v.long_only}
    groups = np.broadcast_to(np.arange(N) // 8, able.shape)
    basis = grouped(Basis.of(panel, score, able, terms), groups)
    got = sweep(basis, Terms.of(terms, CAPITAL), profiles, threads=threads)
    assert got.names == tuple(profiles)
    shares = {}
    for row, (name, profile) in enumerate(profiles.items()):
        under = replace(Terms.of(terms, CAPITAL), profile=profile)
        share = kelly_evidence(panel, basis.prepared, basis.inputs, under).share
        shares[name] = share.tobytes()
        inputs = replace(basis.inputs, kelly=share)
        alone = simulate(panel, under, inputs, start=got.start, stop=got.stop)
        for part in ("equity", "exposure", "turnover", "fees"):
            assert getattr(got, part)[row].tobytes() == getattr(alone, part).tobytes(), (name, part)
        assert got.accounts[row].tobytes() == alone.log[-1].tobytes(), name
    assert len(set(shares.values())) >= 4, "the profiles are made to differ in their evidence"
    assert len({got.equity[row].tobytes() for row in range(len(profiles))}) == len(profiles)
    assert got.accounts["flattenings"].any()


def test_one_evidence_can_hold_for_all_under_each_profiles_fraction_of_kelly(history):
    """That of the basis: a rule that is off changes neither it nor what it is worth."""
    panel, score, able = history
    basis = Basis.of(panel, score, able, market())
    plain = profile_of(market())
    little, busy = replace(plain, kelly_fraction=0.01), replace(plain, band=0.0)
    profiles = {"plain": plain, "little evidence": little, "busy": busy}
    got = sweep(basis, Terms.of(market(), CAPITAL), profiles, own_evidence=False)
    for row, profile in enumerate(profiles.values()):
        allowed = np.clip(profile.kelly_fraction * basis.evidence.full_kelly, 0.25, 1.0)
        share = np.where(np.isnan(basis.evidence.share), np.nan, allowed)
        assert basis.evidence.share_under(profile).tobytes() == share.tobytes()
        under = replace(Terms.of(market(), CAPITAL), profile=profile)
        alone = basis.trade(under, kelly=share)
        assert got.equity[row].tobytes() == alone.equity.tobytes()
    own = sweep(basis, Terms.of(market(), CAPITAL), profiles)
    same = [bool((own.equity[row] == got.equity[row]).all()) for row in range(3)]
    assert same[:2] == [True, True], "sized alike, so that it is their own"


def test_clusters_are_made_where_no_groups_are_given(history):
    tight = {"tight": replace(MODERATE, group_cap=0.1)}
    basis = Basis.of(*history, market())
    free = grouped(basis, np.full(basis.groups.shape, -1))
    free = sweep(free, Terms.of(market(), CAPITAL), tight)
    clustered = swept(history, market(sectors={"S00": "a", "S01": "a"}), tight)
    assert not np.array_equal(free.equity, clustered.equity)


def test_books_do_not_depend_on_their_neighbours(history):
    whole = swept(history, market(), PROFILES_OF_TEST)
    last = list(PROFILES_OF_TEST.items())[-1:]
    alone = swept(history, market(), dict(last))
    assert whole.log[-1].tobytes() == alone.log[0].tobytes()


def test_progress_counts_every_book(history):
    seen = []
    watch = lambda done, total, note: seen.append((done, total))  # noqa: E731
    swept(history, market(), PROFILES_OF_TEST, threads=2, watch=watch)
    assert seen[-1] == (len(PROFILES_OF_TEST), len(PROFILES_OF_TEST))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_cannot_be_swept_is_refused(history):
    panel, _, able = history
    one = {"moderate": MODERATE}
    with pytest.raises(ValueError, match="0 profiles"):
        swept(history, market(), {})
    with pytest.raises(ValueError, match="0 threads"):
        swept(history, market(), one, threads=0)
    with pytest.raises(TradingError, match="no prediction"):
        swept((panel, np.full(able.shape, np.nan), able), market(), one)
    careful = {"careful": PROFILES["conservative"]}
    with pytest.raises(ValueError, match="neutral mandate needs"):
        swept(history, market(mandate="neutral"), careful)


def test_a_grid_has_every_combination_in_the_order_given():
    grid = grid_of_limits(HALVING, {"halve": [0.08, 0.12], "stop_loss": [2, 3, inf]})
    assert list(grid.profiles) == [
        *("halve=0.08 stop_loss=2", "halve=0.08 stop_loss=3", "halve=0.08 stop_loss=inf"),
        *("halve=0.12 stop_loss=2", "halve=0.12 stop_loss=3", "halve=0.12 stop_loss=inf"),
    ]
    assert grid.left_out == {}
    assert grid.profiles["halve=0.12 stop_loss=3"] == HALVING
    expected = with_limits(HALVING, {"halve": 0.08, "stop_loss": inf})
    assert grid.profiles["halve=0.08 stop_loss=inf"] == expected


def test_combinations_out_of_order_are_left_out_and_say_why():
    grid = grid_of_limits(MODERATE, {"halve": [0.1, 0.2], "flat": [0.15, 0.25]})
    assert list(grid.profiles) == [
        *("halve=0.1 flat=0.15", "halve=0.1 flat=0.25", "halve=0.2 flat=0.25"),
    ]
    assert list(grid.left_out) == ["halve=0.2 flat=0.15"]
    assert "halve 0.2 must be in (0, 0.15]" in grid.left_out["halve=0.2 flat=0.15"]


def test_equal_values_count_once():
    assert list(grid_of_limits(MODERATE, {"stop_loss": [2, 2.0, 3]}).profiles) == [
        *("stop_loss=2", "stop_loss=3"),
    ]


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({}, "give one limit"),
        ({"halve": []}, "one value at least"),
        ({"halves": [0.1]}, "no such limit: halves"),
        ({"long_only": [1]}, "no such limit: long_only"),
        ({"stop_loss": [2, -1]}, "stop_loss=-1 fits no combination: stop_loss must be > 0"),
        ({"halve": [0.1, np.nan]}, "halve=nan fits no combination"),
        ({"halve": [0.1, 0.5], "stop_loss": [2, 3]}, r"halve=0.5 fits no combination: halve 0.5"),
        ({"flat_days": [21, 1.5]}, "flat_days must be a whole number"),
        ({"flat_days": [21, inf]}, "flat_days=inf fits no combination"),
    ],
)
def test_values_that_fit_nowhere_are_refused(limits, complaint):
    with pytest.raises(ValueError, match=complaint):
        grid_of_limits(HALVING, limits)


def test_stamps_of_a_sweep_are_those_of_its_rows(history):
    got = swept(history, market(), {"one": MODERATE})
    assert (got.start, got.stop) == (20, 420)
    assert got.timestamps.equals(stamps(420)[20:])


@pytest.mark.parametrize("calendar", ["24/7", "XNYS"])
def test_a_profile_has_one_way_to_be_written_into_a_market(calendar):
    """Whatever the market says already, equal limits are one configuration."""
    plain = market(calendar=calendar, symbols=("S00",))
    told = replace(plain, limits={"stop_loss": 2.0, "halve": 0.12})
    wanted = with_limits(profile_of(plain), {"stop_loss": 2, "take_profit": inf})
    for start in (plain, told):
        under = market_under(start, wanted)
        assert profile_of(under) == wanted
        assert dict(under.limits) == {"stop_loss": 2.0, "take_profit": inf}
    assert market_under(told, profile_of(told)) is told
    assert market_under(told, profile_of(plain)).limits == {}


@pytest.mark.slow
def test_baselines_are_those_of_the_backtest(history, monkeypatch):
    monkeypatch.setattr(random_portfolios, "RANDOM_PORTFOLIOS", 1)
    panel, score, able = history
    t, n = np.nonzero(np.isfinite(score))
    predictions = pd.DataFrame(
        {
            "timestamp": panel.timestamps[t],
            "symbol": np.array(panel.symbols)[n],
            "score": score[t, n],
        }
    )
    terms = market(limits={"stop_loss": 0.5, "breaker": 99})
    expected = run_backtest(panel, predictions, able, terms, CAPITAL)
    got = Basis.of(*history, terms).trade_baselines(Terms.of(terms, CAPITAL))
    assert set(got) == set(expected.baselines)
    for name, book in expected.baselines.items():
        assert got[name].equity.tobytes() == book.equity.tobytes(), name
    own = swept(history, terms, {"own": profile_of(terms)})
    assert own.equity[0].tobytes() == expected.strategy.equity.tobytes()
    bare = expected.without_rules
    assert "trailing_stop" not in bare, "it is off"
    assert np.array_equal(bare["turbulence"], expected.strategy.equity), "it never acted"
    without_stop = {"stop_loss": with_limits(profile_of(terms), {"stop_loss": inf})}
    assert np.array_equal(bare["stop_loss"], swept(history, terms, without_stop).equity[0])
    assert not np.array_equal(bare["stop_loss"], expected.strategy.equity)
