"""Close by close, windows are those of the whole history's features, to the last bit."""

import numpy as np
import pytest

from trading_pipeline.core.features.catalog import LOOKBACK
from trading_pipeline.core.features.grid import feature_grid
from trading_pipeline.core.learning.dataset import burn_in, features_of
from trading_pipeline.core.learning.window_walk import WindowWalk
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION, Panel
from trading_pipeline.core.market.walk import MarketWalk
from trading_pipeline_tests.core.learning.sample_market import dataset
from trading_pipeline_tests.core.market.wild import wild_panel

STEPS = 10


def check(panel: Panel, calendar: str, first: int) -> None:
    walk = MarketWalk(panel.until(first), burn_in(STEPS), STEPS, own=LOOKBACK)
    windows = WindowWalk(panel.until(first), calendar, STEPS)
    grid = feature_grid(features_of(panel, calendar), panel.timestamps, panel.symbols)
    for row in range(first, len(panel.timestamps)):
        window = windows.step(panel, walk.step(panel))
        expected = grid[max(0, row + 1 - STEPS) : row + 1]
        np.testing.assert_array_equal(window, expected, err_msg=f"row {row}")
    known = np.isfinite(grid[first:]).any(axis=(0, 1))
    few = panel.close.shape[1] < MIN_CROSS_SECTION
    assert known.mean() > 0.9 if few else known.all(), "features are never known"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "first"), [(0, 1), (1, 200), (2, 330)])
@pytest.mark.sampled(3)
def test_windows_of_a_wild_market(seed, first):
    """With gaps, halts, breaks, late listings, symbols in quarantine."""
    panel = wild_panel(seed, N=15)
    assert panel.discontinuities.any()
    assert panel.quarantined[first:].any()
    check(panel, "24/7", first)


@pytest.mark.slow
def test_windows_of_real_shares():
    panel = dataset().panel
    check(panel.stretch(0, 900), "XNYS", 700)
