"""The reference's drawdown control, by hand."""

from math import inf
from types import SimpleNamespace

import pytest

from trading_pipeline_tests.reference.limits import Limits


def watched(closes, drawdown_limit, **changes):
    """The share of exposure after these closes, from an equity of 100 and four bars a year."""
    never = dict.fromkeys(("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat"), inf)
    rules = {"drawdown_limit": drawdown_limit, "flat_days": 21, "half_days": 63}
    limits = Limits(100.0, SimpleNamespace(**(never | rules | changes)), 4)
    shares = []
    for equity in closes:
        limits.close(equity)
        limits.watch()
        shares.append(limits.share())
    return shares


def test_exposure_falls_with_drawdown_and_returns_as_the_peak_ages():
    """From 100 to 90 the peak moves a quarter of the way, to 97.5; then to 95.625."""
    shares = watched([90.0, 90.0], 0.2)
    assert shares == pytest.approx([1 - (1 - 90 / 97.5) / 0.2, 1 - (1 - 90 / 95.625) / 0.2])
    assert watched([90.0] * 60, 0.2)[-1] == pytest.approx(1)


def test_exposure_is_never_below_nothing_nor_above_all():
    assert watched([50.0, 200.0], 0.2) == [0.0, 1.0]


def test_without_a_limit_drawdown_changes_nothing():
    assert watched([100.0, 50.0, 20.0], inf) == [1.0, 1.0, 1.0]


def test_the_halving_rule_measures_from_a_peak_that_does_not_age():
    assert watched([95.0] * 9 + [89.9, 89.9], inf, halve=0.1) == [1.0] * 9 + [0.5, 0.5]


def test_bankruptcy_leaves_nothing():
    assert watched([-1.0], inf) == [0.0]
