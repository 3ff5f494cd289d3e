"""Close by close, a market is what its whole panel is, to the last bit."""

import numpy as np
import pytest

from trading_pipeline.core.market.beta import market_beta
from trading_pipeline.core.market.eligibility import bars_so_far, eligible
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.market.trailing import Tail, hold_over_gaps, trailing_sum
from trading_pipeline.core.market.walk import MarketWalk
from trading_pipeline_tests.core.market.wild import wild_panel

LOOKBACK, WINDOW = 40, 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.sampled(3)
def test_every_row_is_that_of_the_whole_panel(seed):
    """From any first row on; the whole is asked as far as it goes, with later rows cut off."""
    panel, rng = wild_panel(seed), np.random.default_rng(seed)
    first = int(rng.choice([1, 30, 90, 91, 400]))
    walk = MarketWalk(panel.until(first), LOOKBACK, WINDOW, own=50)
    whole = whole_of(panel)
    assert panel.discontinuities[first:].sum() >= 1
    assert 0.02 < panel.quarantined[first:].mean() < 0.9
    assert 0.05 < whole["eligible"][first:].mean() < 0.95
    for row in range(first, len(panel.timestamps)):
        found = walk.step(panel)
        assert found.row == row
        for name, grid in whole.items():
            assert_same(getattr(found, name), grid[row], f"{name} of row {row}")
        assert_same(found.sigma_before, whole["sigma"][row - 1], "sigma before")
    check_own_bars(panel, found)


def whole_of(panel):
    opens, closes = panel.adjusted_open, panel.adjusted_close
    overnight = np.full_like(opens, np.nan)
    overnight[1:] = np.log(opens[1:] / closes[:-1])
    overnight[panel.discontinuities] = np.nan
    names = ("open", "high", "low", "close", "volume")
    return {
        "traded": panel.traded,
        "discontinuities": panel.discontinuities,
        "quarantined": panel.quarantined,
        "conversion": panel.conversion,
        "eligible": eligible(panel, LOOKBACK, WINDOW),
        "adjusted": np.stack([getattr(panel, f"adjusted_{name}") for name in names], axis=1),
        "held": hold_over_gaps(closes),
        "sigma": volatility(panel),
        "beta": market_beta(panel),
        "overnight": overnight,
        "intraday": np.log(closes / opens),
        "bars": bars_so_far(panel),
    }


def check_own_bars(panel, found):
    close = panel.adjusted_close
    for n in range(len(panel.symbols)):
        rows = np.flatnonzero(panel.traded[:, n])[-int(found.bars[n]) or len(close) :][-50:]
        assert_same(found.own[3, 50 - len(rows) :, n], close[rows, n], f"bars of symbol {n}")


def assert_same(one, other, what):
    np.testing.assert_array_equal(one, other, err_msg=what, strict=False)
    both = np.asarray(one, float), np.asarray(other, float)
    known = ~np.isnan(both[0])
    assert both[0][known].tobytes() == both[1][known].tobytes(), what


@pytest.mark.parametrize("rows", [1, 2, 5, 63, 252])
def test_a_trailing_sum_is_of_its_own_rows_alone(rows):
    """A running sum would carry the rounding of what came before, and of a huge value for ever."""
    rng = np.random.default_rng(rows)
    values = rng.normal(size=(400, 3))
    values[20] = 1e17
    sums = trailing_sum(values, rows)
    exact = [values[max(0, t + 1 - rows) : t + 1].sum(axis=0) for t in range(400)]
    np.testing.assert_allclose(sums[300:], exact[300:], rtol=1e-12, atol=1e-12)
    assert trailing_sum(values[40:], rows)[-1].tobytes() == sums[-1].tobytes()
    flags = values > 0
    assert trailing_sum(flags, rows)[-1].tolist() == flags[-rows:].sum(axis=0).tolist()


def test_a_tail_keeps_the_newest_rows():
    tail = Tail(3, np.arange(8.0).reshape(4, 2))
    assert tail.rows.tolist() == [[2, 3], [4, 5], [6, 7]]
    for k in range(20):
        tail.append([k, -k])
    assert tail.rows.tolist() == [[17, -17], [18, -18], [19, -19]]
    few = Tail(3, np.zeros((0, 2)))
    few.append([1, 2])
    assert few.rows.tolist() == [[1, 2]]
