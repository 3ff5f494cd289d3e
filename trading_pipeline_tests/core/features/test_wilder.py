"""Wilder's systems on bars worked by hand, and on the ties that TA-Lib leaves to rounding."""

import numpy as np

from trading_pipeline.core.features.series import direction, true_range
from trading_pipeline.core.features.wilder import (
    directional_index,
    directional_movement,
    parabolic_sar,
)


def array(*values):
    return np.array(values, dtype=float)


def test_true_range_counts_the_gap():
    high, low, close = array(11, 15, 9), array(9, 14, 8), array(10, 14, 8.5)
    np.testing.assert_array_equal(true_range(high, low, close), [np.nan, 5, 6])


def test_only_the_larger_movement_counts():
    """Up 2; down 3; an outside bar up 1 and down 2; an inside bar."""
    high, low = array(10, 12, 11, 12, 11.5), array(8, 9, 6, 4, 5)
    up, down = directional_movement(high, low)
    np.testing.assert_array_equal(up, [np.nan, 2, 0, 0, 0])
    np.testing.assert_array_equal(down, [np.nan, 0, 3, 2, 0])


def test_equal_movements_cancel_in_every_unit():
    """0.1 up and 0.1 down differ in the last bit, and which is larger depends on the unit."""
    for unit in (1.0, 3.7, 1e-9, 12345.678):
        high, low = array(100.0, 100.1) * unit, array(99.0, 98.9) * unit
        up, down = directional_movement(high, low)
        assert up[1] == down[1] == 0.0


def test_equal_typical_prices_are_equal_in_every_unit():
    for unit in (1.0, 3.7, 1e-9, 12345.678):
        typical = (array(10.3, 10.4) + array(10.1, 10.2) + array(10.2, 10.0)) * unit / 3
        assert direction(typical)[1] == 0.0
    np.testing.assert_array_equal(direction(array(1, 2, 1)), [np.nan, 1, -1])


def test_a_straight_rise_is_all_direction():
    steps = np.arange(20, dtype=float)
    high, low = 101 + steps, 99 + steps
    up, down = directional_movement(high, low)
    adx, spread = directional_index(up, down, true_range(high, low, high - 0.5), 4, 12)
    assert np.isnan(adx[:11]).all()
    np.testing.assert_allclose(adx[11:], 1.0)
    assert (spread[11:] > 0).all()


def test_nothing_moves_nothing_points():
    flat = np.full(20, 5.0)
    up, down = directional_movement(flat, flat)
    adx, spread = directional_index(up, down, true_range(flat, flat, flat), 4, 12)
    assert (adx[11:] == 0).all()
    assert (spread[11:] == 0).all()


def test_a_stop_worked_by_hand():
    """A rise: starts at the first low 9, extreme 12; then 9 + 0.1 × 3, but not above the low 9.

    Next bar: the extreme 13 and pace 0.2 take it to 9 + 0.2 × 4 = 9.8.
    Then the low 9.5 touches it: the stop turns to the extreme 13.
    """
    high, low = array(11, 12, 13, 12), array(9, 10, 11, 9.5)
    assert parabolic_sar(high, low, 0.1, 0.2, 2)[1] == 9.0
    assert parabolic_sar(high, low, 0.1, 0.2, 3)[2] == 9.0 + 0.1 * 3
    np.testing.assert_allclose(parabolic_sar(high, low, 0.1, 0.2, 4)[3], 13.0)


def test_a_stop_is_touched_in_every_unit():
    """The third low is the stop itself: 9 + 0.1 × (12 - 9) = 9.3."""
    for unit in (1.0, 3.7, 1e-9, 12345.678):
        high, low = array(11, 12, 11.5) * unit, array(9, 10, 9.3) * unit
        np.testing.assert_allclose(parabolic_sar(high, low, 0.1, 0.2, 3)[2], 12 * unit)


def test_systems_do_not_know_where_a_block_ends():
    """Bars are worked on in blocks; a history cut anywhere gives the same bits."""
    noise = np.random.default_rng(0)
    close = 100 + np.cumsum(noise.normal(size=1500))
    high, low = close + noise.random(1500), close - noise.random(1500)
    up, down = directional_movement(high, low)
    span = true_range(high, low, close)
    for first in (1, 100, 511, 900):
        late = slice(first, None)
        for window, memory in ((4, 13), (14, 250)):
            whole = directional_index(up, down, span, window, memory)
            part = directional_index(up[late], down[late], span[late], window, memory)
            for ours, theirs in zip(whole, part, strict=True):
                settled = ours[first + memory - 1 :]
                assert settled.tobytes() == theirs[memory - 1 :].tobytes()
        whole, part = (
            parabolic_sar(h, low_, 0.02, 0.2, 63)
            for h, low_ in ((high, low), (high[late], low[late]))
        )
        assert whole[first + 62 :].tobytes() == part[62:].tobytes()


def test_an_odd_memory_is_worked_through_to_its_last_bar():
    """Movements are taken two at a time; one more or fewer must not be lost."""
    high, low = array(10, 11, 13, 12, 14, 13, 15), array(9, 10, 11, 10, 12, 11, 13)
    up, down = directional_movement(high, low)
    for memory in (5, 6, 7):
        adx, _ = directional_index(up, down, true_range(high, low, low), 2, memory)
        plus = minus = index = 0.0
        first = high.size - memory
        for lag in range(1, memory):
            keep = 1.0 if lag < 2 else 0.5
            plus, minus = plus * keep + up[first + lag], minus * keep + down[first + lag]
            stay, weight = 1.0 if lag < 4 else 0.5, 0.0 if lag < 2 else 0.5
            index = index * stay + weight * abs(plus - minus) / (plus + minus)
        np.testing.assert_allclose(adx[-1], index)
