"""The table of risk profiles, and the ones that cannot exist."""

from dataclasses import replace
from math import isinf

import pytest

from trading_pipeline.core.market.market import Market
from trading_pipeline.core.trading.engine.loop import VETOES
from trading_pipeline.core.trading.engine.reasons import (
    REASONS,
    REFUSED,
    SHAPED,
    names_of,
    reason,
    reasons_in,
)
from trading_pipeline.core.trading.profiles import PROFILES, profile_of

MARKET = Market(name="m", source="s", symbols=("X",), start="2020-01-01")
ORDER = ("conservative", "moderate", "aggressive")
RISING = (  # with the risk that a profile takes
    *("volatility_target", "tracking_error", "gross_cap", "symbol_cap", "group_cap"),
    *("kelly_fraction", "daily_loss", "weekly_loss", "monthly_loss", "drawdown_limit"),
)


def test_profiles_differ_in_how_much_risk_they_take():
    for limit in RISING:
        values = [getattr(PROFILES[name], limit) for name in ORDER]
        assert values == sorted(set(values)), limit
    assert [PROFILES[name].long_only for name in ORDER] == [True, False, False]
    assert list(PROFILES) == list(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_halving_is_an_option_and_drawdown_control_the_rule(name):
    profile = PROFILES[name]
    assert isinf(profile.halve)
    assert isinf(profile.flat)
    assert profile.drawdown_limit < 1


def test_coins_have_wider_limits_of_their_own():
    for name, cap in zip(ORDER, (0.15, 0.20, 0.30), strict=True):
        market = replace(MARKET, calendar="24/7", profile=name)
        profile, coins = PROFILES[name], profile_of(market)
        assert (coins.symbol_cap, coins.breaker > profile.breaker) == (cap, True)
        assert replace(coins, symbol_cap=profile.symbol_cap, breaker=profile.breaker) == profile
        assert profile_of(replace(market, calendar="XNYS")) == profile


def test_an_unknown_profile_is_named():
    with pytest.raises(ValueError, match="was 'reckless'"):
        profile_of(replace(MARKET, profile="reckless"))


def test_a_market_can_have_limits_of_its_own():
    market = replace(MARKET, calendar="24/7", limits={"trailing_stop": 2, "flat_days": 5.0})
    profile = profile_of(market)
    assert (profile.trailing_stop, profile.flat_days) == (2.0, 5)
    assert profile == replace(
        profile_of(replace(market, limits={})), trailing_stop=2.0, flat_days=5
    )


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"recklessness": 1}, "no such limit: recklessness; there are volatility_target"),
        ({"long_only": 1}, "no such limit: long_only"),
        ({"flat_days": 2.5}, "flat_days must be a whole number, was 2.5"),
        ({"flat_days": float("inf")}, "flat_days must be a whole number, was inf"),
        ({"flat_days": float("nan")}, "flat_days must be a whole number, was nan"),
        ({"halve": 0.3, "flat": 0.18}, r"halve 0.3 must be in \(0, 0.18\]"),
        ({"daily_loss": 0.9}, "loss limits must rise"),
        ({"gross_cap": float("nan")}, "gross_cap must be > 0, was nan"),
        ({"breaker": 1.0}, "breaker must be > 1"),
        ({"gross_cap": float("inf")}, "gross_cap must be finite"),
        ({"kelly_floor": 0.0}, r"kelly_floor must be in \(0, 1\]"),
        ({"limit_entry": -1}, "limit_entry must be >= 0"),
        ({"stop_loss": -1}, "stop_loss must be > 0, was -1"),
        ({"drawdown_limit": 0}, "drawdown_limit must be > 0, was 0"),
        ({"tracking_error": float("inf")}, "tracking_error must be finite"),
    ],
)
def test_absurd_limits_are_refused(limits, complaint):
    with pytest.raises(ValueError, match=complaint):
        profile_of(replace(MARKET, limits=limits))


@pytest.mark.parametrize(
    ("name", "instead"),
    [("span", "smoothed over a fifth of the horizon"), ("band_floor", "`band` scales it")],
)
def test_a_limit_that_is_gone_says_what_holds_instead(name, instead):
    complaint = f"there is no limit {name} any more: .*{instead}; take it out"
    with pytest.raises(ValueError, match=complaint):
        profile_of(replace(MARKET, limits={name: 10}))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"daily_loss": 0.9}, "loss limits must rise"),
        ({"halve": 0.2, "flat": 0.1}, "halve 0.2 must be in"),
        ({"gross_cap": 0}, "gross_cap must be > 0, was 0"),
        ({"stop_loss": -1}, "stop_loss must be > 0"),
        ({"starting_cap": 1.5}, "starting_cap must be in"),
        ({"tracking_error": 0}, "tracking_error must be > 0"),
        ({"band": -0.1}, "band must be >= 0"),
        ({"volatility_target": float("nan")}, "volatility_target must be > 0"),
    ],
)
def test_limits_out_of_order_are_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(PROFILES["moderate"], **changes)


def test_reasons_have_one_name_and_one_bit_each():
    assert len({row.name for row in REASONS.values()}) == len(REASONS)
    assert all(bit & (bit - 1) == 0 for bit in REASONS)
    assert max(REASONS) < 2**63
    assert names_of(0) == ""
    assert names_of(sum(REASONS)).split("|") == [REASONS[bit].name for bit in sorted(REASONS)]
    assert {row.name for row in reasons_in(VETOES)} == {
        row.name for row in REASONS.values() if row.kind == REFUSED
    }


@pytest.mark.parametrize(("place", "name"), [(0, "new"), (40, "daily_loss")])
def test_a_reason_that_is_there_already_is_refused(place, name):
    with pytest.raises(ValueError, match=f"a reason '{name}' or one at place {place} already"):
        reason(place, name, SHAPED, "")
