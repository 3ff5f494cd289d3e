"""The timing oracle: whoever knows the future must earn what it is worth, and nobody else."""

from functools import cache

import numpy as np
import pytest

from trading_pipeline.adapters.sources.sample import SYMBOLS, SampleSource
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline_tests.core.trading.markets import FREE, simulated
from trading_pipeline_tests.reference.timing import timing_oracle, timing_signals


@cache
def sample():
    source = SampleSource()
    return Panel.of(source.bars(SYMBOLS, *source.span(SYMBOLS)), source.actions(SYMBOLS))


def test_the_golden_sharpe_ratios_of_the_sample_market():
    oracle = timing_oracle(sample())
    assert oracle.night_right == pytest.approx(-0.61, abs=0.1)
    assert oracle.night_at_close == pytest.approx(7.22, abs=0.1)
    assert oracle.day_right == pytest.approx(19.83, abs=0.1)
    assert oracle.day_late == pytest.approx(-0.73, abs=0.1)


def sharpe_at_opens(signal):
    """Of a simulated book that holds `signal`, valued at each open before it trades."""
    panel = sample()
    T = len(panel.timestamps)
    present = (~np.isnan(signal)).sum(axis=1, keepdims=True)
    weights = np.nan_to_num(signal) / np.maximum(present, 1)
    costs = Costs(**{**FREE.__dict__, "leverage": 2.0})
    book = simulated(
        panel,
        start=0,
        stop=T,
        capital=1e5,
        costs=costs,
        bars_per_year=252,
        horizon=1,
        mandate="neutral",
        shortable=True,
        weights=weights,
    )
    shares = book.quantity[:-1] * panel.split[1:]
    worth = shares * (np.nan_to_num(panel.open[1:]) + panel.dividend[1:])
    equity = book.cash[:-1] + worth.sum(axis=1)
    earned = np.diff(equity) / equity[:-1]
    return earned.mean() / earned.std(ddof=1) * np.sqrt(252)


def test_the_simulation_gives_each_signal_what_it_is_worth():
    """Through decisions, orders, fills and splits: off by one bar, both would be wrong."""
    night, day = timing_signals(sample())
    assert sharpe_at_opens(night) == pytest.approx(-0.61, abs=0.35)
    assert sharpe_at_opens(day) == pytest.approx(19.83, abs=1.0)
    assert abs(sharpe_at_opens(np.vstack([day[:1] * np.nan, day[:-1]]))) < 1.2
