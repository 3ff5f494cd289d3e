from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.learning.targets import (
    adverse_excursion,
    forward_returns,
    future_volatility,
    make_targets,
    residuals,
)
from trading_pipeline.core.market.panel import Panel, volatility


def column(*values):
    return np.array(values, dtype=float)[:, None]


def random_panel(symbols, bars=140, seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for n in range(symbols):
        close = 100 * np.exp(np.cumsum(generator.normal(0, 0.02, bars)))
        open_ = close * np.exp(generator.normal(0, 0.005, bars))
        rows.append(
            pd.DataFrame(
                {
                    "timestamp": pd.bdate_range("2020-01-01", periods=bars, tz="UTC").as_unit("us"),
                    "symbol": f"S{n:02}",
                    "open": open_,
                    "high": np.maximum(open_, close) * 1.01,
                    "low": np.minimum(open_, close) * 0.99,
                    "close": close,
                    "volume": 1e6,
                }
            )
        )
    bars_table = pd.concat(rows).sort_values(["timestamp", "symbol"], ignore_index=True)
    return Panel.of(bars_table, None)


def test_the_return_is_from_the_next_open_to_the_open_h_bars_later():
    """Decided at 0 with h = 2: bought at the open of 1, sold at that of 3."""
    opens = column(10, 20, 30, 40, 80)
    got = forward_returns(opens, 2)[:, 0]
    np.testing.assert_allclose(got[:2], [np.log(40 / 20), np.log(80 / 30)])
    assert np.isnan(got[2:]).all()


def test_fewer_than_eight_symbols_keep_the_market():
    few, many = np.arange(7.0)[None], np.arange(8.0)[None]
    np.testing.assert_array_equal(residuals(few, np.full((1, 7), 2.0)), few)
    np.testing.assert_array_equal(residuals(many, np.ones((1, 8))), many - 3.5)
    np.testing.assert_array_equal(residuals(many, np.full((1, 8), 2.0)), many - 7)


def test_a_symbol_whose_return_is_unknown_is_not_part_of_the_market():
    """Eight are, so it takes nine columns."""
    returns = np.array([[*range(8), np.nan]], dtype=float)
    got = residuals(returns, np.ones((1, 9)))
    np.testing.assert_array_equal(got[0, :8], np.arange(8) - 3.5)
    assert np.isnan(got[0, 8])


def test_targets_of_symbols_that_only_carry_the_market_are_near_zero():
    """Demeaned alone they would be as large as the market's move times beta - 1."""
    generator, n, bars = np.random.default_rng(0), 10, 600
    beta = np.linspace(0.5, 1.5, n)
    common = generator.normal(0, 0.01, (bars, 1))
    close = 100 * np.exp(np.cumsum(common * beta + generator.normal(0, 1e-4, (bars, n)), axis=0))
    table = random_panel(n, bars)
    panel = replace(table, **dict.fromkeys(("open", "high", "low", "close"), close))
    sigma = volatility(panel)
    price = make_targets(panel, sigma, np.isfinite(sigma), 5).price
    moves = forward_returns(close, 5)
    demeaned = (moves - moves.mean(axis=1, keepdims=True)) / (sigma * np.sqrt(5))
    known = slice(300, 590)
    # Half of beta - 1 is shrunk away, and half of the market's move with it.
    ratio = np.nanstd(price[known]) / np.nanstd(demeaned[known])
    assert ratio == pytest.approx(0.5, abs=0.05)


def test_realised_volatility_starts_with_the_next_bar():
    closes = column(1, np.e, 1, 1, 1)
    got = future_volatility(closes, 2)[:, 0]
    assert got[0] == pytest.approx(1.0)  # +1 and -1
    assert got[1] == pytest.approx(np.sqrt(0.5))  # -1 and 0
    assert np.isnan(got[2:]).all()  # halted: nothing to forecast; then unknown


def test_an_adverse_excursion_is_measured_from_the_entry_open():
    opens, lows = column(10, 10, 10, 10), column(1, 9.9, 8, 9.9)
    unit = np.full((4, 1), 0.1)
    # 2 units are 20 %: the low of 8 is a fall of 22 %; the low of row 0 is before the entry
    np.testing.assert_array_equal(adverse_excursion(opens, lows, 2, unit)[:2, 0], [1, 1])
    np.testing.assert_array_equal(adverse_excursion(opens, lows, 1, unit)[:3, 0], [0, 1, 0])


@given(cut=st.integers(80, 130), horizon=st.integers(1, 21), symbols=st.sampled_from([3, 9]))
def test_a_target_touches_nothing_after_its_last_open(cut, horizon, symbols):
    """Bars after t + 1 + h may be anything; the target of t stays."""
    panel = random_panel(symbols)
    sigma = volatility(panel)
    eligible = np.isfinite(sigma)
    whole = make_targets(panel, sigma, eligible, horizon)
    part = make_targets(panel.until(cut), sigma[:cut], eligible[:cut], horizon)
    rows = slice(0, cut - horizon - 1)
    for name in ("price", "direction", "volatility", "risk", "next_return", "market"):
        np.testing.assert_array_equal(getattr(whole, name)[rows], getattr(part, name)[rows])
    assert np.isnan(part.price[cut - horizon - 1 :]).all()


def test_the_flat_class_is_never_narrower_than_the_cost_of_a_round_trip():
    panel = random_panel(9)
    sigma = volatility(panel)
    eligible = np.isfinite(sigma)
    cheap = make_targets(panel, sigma, eligible, 5, round_trip=0.0).direction
    dear = make_targets(panel, sigma, eligible, 5, round_trip=10.0).direction
    known = cheap >= 0
    assert set(np.unique(cheap[known])) == {0, 1, 2}
    assert (dear[known] == 1).all()


def test_targets_are_in_units_of_volatility_and_clipped():
    panel = random_panel(9)
    sigma = volatility(panel)
    targets = make_targets(panel, sigma, np.isfinite(sigma), 5)
    known = targets.price[np.isfinite(targets.price)]
    assert 0.5 < known.std() < 1.5
    assert np.abs(known).max() <= 4
    halved = make_targets(panel, sigma / 100, np.isfinite(sigma), 5)
    assert np.nanmax(np.abs(halved.price)) == 4
