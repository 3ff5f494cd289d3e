"""Hundreds of hourly bars at full speed: a part of `make soak`, without its clock."""

import pytest

from trading_pipeline_tests.steps.soak import made_up, soak


@pytest.mark.long
@pytest.mark.slow
def test_a_long_session_makes_the_orders_of_the_backtest(tmp_path):
    """Through a change of model, gaps and losses that trip limits, as the forecaster sees each bar
    once, and the backtest all of them together."""
    bars = 500
    found = soak(made_up(bars + 600), bars, "tiny", tmp_path)
    assert found.bars == bars
    found.check()
