"""What the volatility target came to, and which rule bound at how many of the decisions."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.portfolio.exposure import NONE, bound_of, exposure
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.engine.reasons import REASONS
from trading_pipeline.core.trading.profiles import PROFILES
from trading_pipeline_tests.core.trading.markets import random_panel, random_scores, simulated

MODERATE = PROFILES["moderate"]


def traded(**limits):
    """A long-only account of random scores."""
    panel = random_panel(4, missing=0.0)
    return simulated(
        panel, start=64, stop=160, score=random_scores(4, panel),
        profile=replace(MODERATE, **limits), capital=1e5, bars_per_year=252, horizon=10,
        costs=Costs(participation=inf),
    )  # fmt: skip


def test_each_decision_is_counted_by_what_bound_at_it():
    """By the records of the account, bar by bar; the last decision is filled by nothing."""
    result = traded()
    found, decided = bound_of(result), result.log[:-1]
    bits = {row.name: bit for bit, row in REASONS.items()}
    for name, share in found.items():
        if name != NONE:
            assert share == np.mean([bool(row["bound"] & bits[name]) for row in decided])
    assert found[NONE] == np.mean(decided["bound"] == 0)
    assert found["drawdown_control"] == (decided["drawdown_share"] < 1).mean() > 0
    assert found["volatility_target"] > 0.5
    assert found["net_cap"] == 1 - found["volatility_target"], "the profile may not borrow"


@pytest.mark.parametrize(
    ("limits", "rule", "share"),
    [
        ({"volatility_target": 9.0, "gross_cap": 1.0, "net_cap": 9.0}, "gross_cap", 1.0),
        ({"volatility_target": 9.0, "gross_cap": 9.0, "net_cap": 9.0}, "leverage_cap", 1.0),
        ({"volatility_target": 0.01}, "volatility_target", 1.0),
        ({"symbol_cap": 0.01, "tracking_error": 0.9}, "symbol_cap", 1.0),
        ({"symbol_cap": 9.0}, "symbol_cap", 0.0),
    ],
)
def test_a_rule_that_always_binds_is_found_at_every_decision(limits, rule, share):
    """A gross cap of 1 changes nothing of an account that is invested once, and binds."""
    assert bound_of(traded(drawdown_limit=inf, **limits))[rule] == pytest.approx(share, abs=0.15)


def test_a_profile_without_a_target_has_none_to_report():
    realised = Estimate(0.1, 0.09, 0.11)
    assert exposure(inf, realised, None) == {
        "target": None,
        "realised": {"value": 0.1, "low": 0.09, "high": 0.11},
        "bound": None,
    }
    assert exposure(0.12, realised, {NONE: 1.0})["target"] == 0.12
