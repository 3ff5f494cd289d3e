"""The synthetic market: the contract of every source, and the same bars everywhere."""

import numpy as np
import pytest

from trading_pipeline.adapters.sources.synthetic import SyntheticSource
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline_tests.adapters.sources.contract import BarSourceContract


class TestContract(BarSourceContract):
    @pytest.fixture
    def source(self):
        return SyntheticSource()


def test_every_session_of_new_york_has_a_bar_of_every_symbol():
    """So there is no gap for a quality check to find."""
    source = SyntheticSource()
    span = source.span(source.symbols())
    bars = source.bars(source.symbols(), *span)
    sessions = trading_calendar("XNYS", "1d").sessions(*span)
    assert len(bars) == len(sessions) * len(source.symbols())
    assert set(bars["timestamp"]) == set(sessions)


def test_bars_are_the_same_on_every_machine():
    """Golden: a report of these bars can be compared with anyone's."""
    source = SyntheticSource()
    bars = source.bars(source.symbols(), *source.span(source.symbols()))
    last = bars[bars["symbol"] == "SYN20"].iloc[-1]
    np.testing.assert_allclose(
        [last["close"], last["volume"]], [232.3045937, 1511037.147], rtol=1e-6
    )
