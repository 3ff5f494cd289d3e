"""Rules that can be switched off, one at a time."""

from dataclasses import fields, replace
from math import inf

import pytest

from trading_pipeline.core.trading.profiles import LIMITS, PROFILES, Profile
from trading_pipeline.core.trading.rules import RULES, rule_names, without_each_rule


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_one_rule_is_off_and_the_others_stay(profile):
    found = without_each_rule(profile)
    assert found
    for rule, bare in found.items():
        changed = {
            each.name
            for each in fields(Profile)
            if getattr(bare, each.name) != getattr(profile, each.name)
        }
        assert changed <= set(RULES[rule]), rule
        assert changed, rule


def test_every_limit_that_a_rule_names_is_one_of_a_profile():
    named = [limit for off in RULES.values() for limit in off]
    assert set(named) <= set(LIMITS)
    assert len(named) == len(set(named)), "a limit belongs to one rule"


def test_a_rule_that_is_off_already_is_left_out():
    plain = PROFILES["moderate"]
    bare = replace(plain, **RULES["stop_loss"], trailing_stop=inf)
    assert set(without_each_rule(plain)) - set(without_each_rule(bare)) == {"stop_loss"}
    assert "trailing_stop" not in without_each_rule(bare)


@pytest.mark.parametrize(
    ("column", "said"),
    [("", ""), ("lot", "lot"), ("kelly_cap|drawdown_half|lot", "Kelly cap, drawdown half, lot")],
)
def test_reasons_of_a_table_are_listed_as_a_sentence_does(column, said):
    assert rule_names(column) == said
