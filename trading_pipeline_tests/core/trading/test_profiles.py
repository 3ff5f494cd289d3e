"""The table of risk profiles, and the ones that cannot exist."""

from dataclasses import replace

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
TABLE = {
    "conservative": (0.08, 1.0, 1.0, 0.05, 0.15, 0.10, (0.015, 0.03, 0.05), (0.07, 0.12), (2.5, 4)),
    "moderate": (0.12, 1.5, 1.0, 0.08, 0.20, 0.25, (0.025, 0.05, 0.08), (0.12, 0.18), (3, 5)),
    "aggressive": (0.20, 2.0, 1.0, 0.12, 0.30, 0.50, (0.04, 0.08, 0.12), (0.18, 0.28), (3.5, 7)),
}


@pytest.mark.parametrize("name", list(TABLE))
def test_profiles_are_those_of_the_table(name):
    target, gross, net, stocks, crypto, kelly, losses, drawdown, stops = TABLE[name]
    profile = PROFILES[name]
    assert (profile.volatility_target, profile.gross_cap, profile.net_cap) == (target, gross, net)
    assert (profile.symbol_cap, profile.kelly_fraction) == (stocks, kelly)
    assert (profile.daily_loss, profile.weekly_loss, profile.monthly_loss) == losses
    assert (profile.halve, profile.flat) == drawdown
    assert (profile.stop_loss, profile.take_profit) == stops
    assert profile.long_only == (name == "conservative")
    market = replace(MARKET, calendar="24/7", profile=name)
    assert profile_of(market) == replace(profile, symbol_cap=crypto)
    assert profile_of(replace(market, calendar="XNYS")) == profile


def test_an_unknown_profile_is_named():
    with pytest.raises(ValueError, match="was 'reckless'"):
        profile_of(replace(MARKET, profile="reckless"))


def test_a_market_can_have_limits_of_its_own():
    market = replace(MARKET, calendar="24/7", limits={"trailing_stop": 2, "flat_days": 5.0})
    profile = profile_of(market)
    assert (profile.trailing_stop, profile.flat_days) == (2.0, 5)
    assert profile == replace(PROFILES["moderate"], symbol_cap=0.2, trailing_stop=2.0, flat_days=5)


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"recklessness": 1}, "no such limit: recklessness; there are volatility_target"),
        ({"long_only": 1}, "no such limit: long_only"),
        ({"flat_days": 2.5}, "flat_days must be a whole number, was 2.5"),
        ({"flat_days": float("inf")}, "flat_days must be a whole number, was inf"),
        ({"flat_days": float("nan")}, "flat_days must be a whole number, was nan"),
        ({"halve": 0.3}, r"halve 0.3 must be in \(0, 0.18\]"),
        ({"daily_loss": 0.2}, "loss limits must rise"),
        ({"gross_cap": float("nan")}, "gross_cap must be > 0, was nan"),
        ({"breaker": 1.0}, "breaker must be > 1"),
        ({"gross_cap": float("inf")}, "gross_cap must be finite"),
        ({"kelly_floor": 0.0}, r"kelly_floor must be in \(0, 1\]"),
        ({"limit_entry": -1}, "limit_entry must be >= 0"),
        ({"stop_loss": -1}, "stop_loss must be > 0, was -1"),
        ({"span": 0}, "span must be >= 1 and finite, was 0"),
    ],
)
def test_absurd_limits_are_refused(limits, complaint):
    with pytest.raises(ValueError, match=complaint):
        profile_of(replace(MARKET, limits=limits))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"daily_loss": 0.06}, "loss limits must rise"),
        ({"halve": 0.2}, "halve 0.2 must be in"),
        ({"gross_cap": 0}, "gross_cap must be > 0, was 0"),
        ({"stop_loss": -1}, "stop_loss must be > 0"),
        ({"starting_cap": 1.5}, "starting_cap must be in"),
        ({"span": 0}, "span must be >= 1"),
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
