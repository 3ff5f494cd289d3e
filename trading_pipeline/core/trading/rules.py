"""The rules of a profile that can be switched off, so that what each cost or saved can be seen."""

from dataclasses import replace
from math import inf
from typing import Any

from trading_pipeline.core.trading.profiles import Profile

# The limits that switch each rule off, whatever the others are.
RULES: dict[str, dict[str, Any]] = {
    "volatility_target": {"volatility_target": inf},
    "kelly": {"starting_cap": 1.0, "kelly_floor": 1.0},  # the whole tilt, whatever the evidence
    "drawdown_control": {"drawdown_limit": inf},
    "halving": {"halve": inf, "flat": inf},
    "loss_limits": {"daily_loss": inf, "weekly_loss": inf, "monthly_loss": inf},
    "turbulence": {"breaker": inf},
    "stop_loss": {"stop_loss": inf},
    "take_profit": {"take_profit": inf},
    "trailing_stop": {"trailing_stop": inf},
    "symbol_cap": {"symbol_cap": inf},
    "group_cap": {"group_cap": inf},
    "no_trade_region": {"band": 0.0},
}


# What is one thing has one name, wherever it is written: as a rule of a profile, as a reason for an
# order, as a veto, in a warning.
_SPELLED = {
    "kelly": "Kelly cap",
    "kelly_cap": "Kelly cap",
    "no_trade_region": "no-trade band",
    "no_trade_band": "no-trade band",
    "halving": "drawdown half and flat",
    "loss_limits": "daily, weekly and monthly loss",
}


def rule_name(rule: str) -> str:
    """A rule as a sentence says it: 'stop loss', 'Kelly cap'."""
    return _SPELLED.get(rule, rule.replace("_", " "))


def rule_names(reasons: str) -> str:
    """Those of a table's column, 'lot|kelly', as a sentence lists them: 'lot, Kelly cap'."""
    return ", ".join(rule_name(each) for each in reasons.split("|") if each)


# Those that act on losses and alarms, whatever the account holds.
GUARDS = (
    *("drawdown_control", "halving", "loss_limits", "turbulence"),
    *("stop_loss", "take_profit", "trailing_stop"),
)


def without_guards(profile: Profile) -> Profile:
    """The same profile with all GUARDS off: its volatility target, and its caps."""
    off = {limit: each for rule in GUARDS for limit, each in RULES[rule].items()}
    return replace(profile, **off)


def without_each_rule(profile: Profile) -> dict[str, Profile]:
    """The same profile with one of RULES off, by rule; those that are off already are left out."""
    bare = {rule: replace(profile, **off) for rule, off in RULES.items()}
    return {rule: each for rule, each in bare.items() if each != profile}
