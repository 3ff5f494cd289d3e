"""Killed at any named point, a session loses nothing and does nothing twice."""

import pytest

from trading_pipeline_tests.steps import kills
from trading_pipeline_tests.steps.at_broker import at_alpaca, at_binance


@pytest.mark.slow
@pytest.mark.long
def test_a_session_killed_at_every_point_goes_on_as_if_nothing_had_happened():
    """The part of `make kill-test` that has one seed; the run has its fills, vetoes and limits."""
    assert kills.survive(1) == kills.POINTS["simulated"]


# Every eighth point; `make kill-test` takes them all.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "part", "parts"),
    [(at_alpaca, 0, 8), pytest.param(at_binance, 1, 8, marks=pytest.mark.long)],
    ids=["alpaca", "binance"],
)
def test_a_session_at_a_broker_killed_at_every_point_loses_and_doubles_nothing(
    setting, part, parts
):
    """The venue keeps its own books, and they are the ledger's at the end."""
    survived = kills.survive(1, setting, part=part, parts=parts)
    assert survived == kills.POINTS[setting.__name__] // parts
