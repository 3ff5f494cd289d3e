"""The twelve promises: Met, Not met, Undecidable."""

import numpy as np
import pytest

from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.scoreboard import (
    PROFILES,
    PROMISES,
    days_to_decide,
    judged,
    scoreboard,
)


def run(**estimates):
    """The metrics of one profile's run; those not given are undefined."""
    absent = Estimate(float("nan"))
    return {promise.metric: absent for promise in PROMISES} | estimates


def judge(profiles):
    found = scoreboard(profiles, n_days=1000)
    return {(cell["metric"], cell["profile"]): cell for cell in found}


def cells(**estimates):
    """Of three profiles whose runs came to the same."""
    return judge(dict.fromkeys(PROFILES, run(**estimates)))


def test_twelve_promises_of_four_metrics_in_three_profiles():
    assert len(PROMISES) == len(cells()) == 12


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (1.0, 1.4, "Met"),  # the easier end itself is kept
        (0.99, 3.0, "Undecidable"),
        (0.1, 1.0, "Undecidable"),
        (0.1, 0.99, "Not met"),
        (np.nan, np.nan, "Undecidable"),
    ],
)
def test_a_cell_is_judged_by_its_whole_interval(low, high, status):
    assert judged(Estimate((low + high) / 2, low, high), 1.0) == status


def test_a_drawdown_promise_is_met_when_it_is_no_deeper():
    found = cells(max_drawdown=Estimate(-0.12, -0.18, -0.08))
    assert found["max_drawdown", "conservative"]["status"] == "Undecidable"
    assert found["max_drawdown", "moderate"]["status"] == "Met"
    assert found["max_drawdown", "aggressive"]["status"] == "Met"
    deep = cells(max_drawdown=Estimate(-0.4, -0.5, -0.31))
    assert deep["max_drawdown", "aggressive"]["status"] == "Not met"


def test_each_profile_has_the_easier_end_of_its_range():
    found = cells(sharpe=Estimate(1.7, 1.6, 1.8), annual_return=Estimate(0.6, 0.5, 0.7))
    assert found["sharpe", "conservative"]["status"] == "Met"
    assert found["sharpe", "moderate"]["status"] == "Met"
    assert found["sharpe", "aggressive"]["status"] == "Not met"
    assert found["annual_return", "moderate"]["status"] == "Met"
    assert found["annual_return", "aggressive"]["status"] == "Not met"


def test_an_undefined_metric_is_undecidable_and_null():
    cell = cells()["win_rate", "aggressive"]
    assert cell["status"] == "Undecidable"
    assert cell["value"] is None
    assert cell["needs_days"] is None


def test_every_cell_is_judged_by_the_run_of_its_own_profile():
    ratios = {"conservative": 1.2, "moderate": 0.2, "aggressive": 2.5}
    found = judge({name: run(sharpe=Estimate(x, x - 0.1, x + 0.1)) for name, x in ratios.items()})
    assert [found["sharpe", name]["status"] for name in PROFILES] == ["Met", "Not met", "Met"]
    assert [found["sharpe", name]["value"] for name in PROFILES] == list(ratios.values())


def test_a_profile_that_did_not_run_is_said_so():
    found = judge({"moderate": run(sharpe=Estimate(1.7, 1.6, 1.8))})
    assert found["sharpe", "moderate"]["status"] == "Met"
    missing = found["sharpe", "aggressive"]
    assert (missing["status"], missing["value"], missing["needs_days"]) == ("Not run", None, None)


def test_twice_the_reach_needs_four_times_the_days():
    # 0.5 above what is needed, and the lower end 1.0 below the value
    assert days_to_decide(Estimate(1.5, 0.5, 2.5), 1.0, n_days=1000) == 3000
    # and from below, by the upper end
    assert days_to_decide(Estimate(0.5, -0.5, 1.5), 1.0, n_days=1000) == 3000
    assert days_to_decide(Estimate(1.0, 0.5, 1.5), 1.0, n_days=1000) is None


def test_a_drawdown_never_says_how_long_to_wait():
    found = cells(max_drawdown=Estimate(-0.12, -0.18, -0.08))
    assert found["max_drawdown", "conservative"]["needs_days"] is None
