"""Golden numbers of a panel that is not ours to ship: 100 large US shares, 2008-2018, by day.

`GOLDEN_SHARES=PANEL.parquet pytest ...` asks for them; without it they are skipped.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.core.evaluation.information_coefficient import (
    mean_information_coefficient,
    rank_correlations,
)
from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.targets import forward_returns
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline_tests.reference.timing import timing_oracle

FILE = os.environ.get("GOLDEN_SHARES")
pytestmark = pytest.mark.skipif(FILE is None, reason="GOLDEN_SHARES names no panel")
H = 21


@cache
def panel() -> Panel:
    source = ParquetSource(Path(str(FILE)))
    symbols = source.symbols()
    return Panel.of(source.bars(symbols, *source.span(symbols)), None)


def test_the_timing_oracle():
    oracle = timing_oracle(panel())
    assert oracle.night_right == pytest.approx(-0.36, abs=0.1)
    assert oracle.night_at_close == pytest.approx(10.36, abs=0.1)
    assert oracle.day_right == pytest.approx(23.09, abs=0.1)
    assert oracle.day_late == pytest.approx(-0.53, abs=0.1)


def test_minus_sigma_orders_targets_that_are_demeaned_alone():
    """It is no model at all: +0.061 [+0.011, +0.112] in 2013-2018, for beta is left in them."""
    shares, sigma = panel(), volatility(panel())
    able = eligible(shares, burn_in(60), window=60)
    moves = np.where(able, forward_returns(shares.adjusted_open, H), np.nan)
    target = moves / (sigma * np.sqrt(H))  # minus its mean, which orders nothing
    since = shares.timestamps >= "2013-01-01"
    coefficients = rank_correlations(np.where(able, -sigma, np.nan), target)
    found = mean_information_coefficient(coefficients[since], H)
    assert found == pytest.approx((0.061, 0.011, 0.112), abs=0.005)
