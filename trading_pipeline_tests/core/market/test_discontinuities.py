"""Breaks and gap quarantine: what is wrong is caught, ruin is not mistaken for it, causally."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.discontinuities import crosses
from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline_tests.core.market.planted import (
    SYMBOLS,
    broken_at,
    clean_bars,
    panel_of,
    scaled,
    without,
)
from trading_pipeline_tests.strategies import panels

CLEAN = clean_bars()
VOLUME = ("volume",)


@pytest.mark.parametrize("by", [10, 100, 1000, 1e6, 0.1, 0.01, 1e-3, 1e-6, 30, 1 / 60])
def test_a_change_of_unit_is_a_break_at_its_first_bar(by):
    assert broken_at(scaled(CLEAN, "BBB", 100, by)) == [100]


def test_a_bad_tick_that_reverts_makes_two_breaks():
    assert broken_at(scaled(CLEAN, "BBB", 100, 100, last=101)) == [100, 101]


@pytest.mark.parametrize("by", [2, 0.5, 5, 0.2, 7, 1 / 20])
def test_what_a_share_may_do_overnight_is_no_break(by):
    """A takeover, a failed trial, Lehman: 3.65 to 0.21 in a night."""
    assert broken_at(scaled(CLEAN, "BBB", 100, by)) == []


def test_a_fall_by_ten_on_record_volume_is_ruin():
    """Fannie Mae, 2008-09-08: 7.04 to 0.73, on ten times its volume."""
    fallen = scaled(scaled(CLEAN, "BBB", 100, 0.1), "BBB", 100, 12, VOLUME)
    assert broken_at(fallen) == []


def test_a_collapse_within_bars_is_no_break():
    """LUNA, 2022-05-10 to 13: by 7, by 15, by 200, each from near the close before."""
    bars = CLEAN.copy()
    rows = bars.index[bars["symbol"] == "BBB"]
    for day, by in ((100, 1 / 7), (101, 1 / 15), (102, 1 / 200)):
        bars.loc[rows[day], ["low", "close"]] *= by
        bars.loc[rows[day + 1 :], ["open", "high", "low", "close"]] *= by
        bars.loc[rows[day:], "volume"] *= 8
    assert broken_at(check_bars(bars)) == []


def test_what_moves_so_much_every_day_is_not_broken():
    """20 σ of a symbol that moves by 30 % a day are more than a factor of ten."""
    rng = np.random.default_rng(1)
    wild = CLEAN.copy()
    rows = wild.index[wild["symbol"] == "BBB"]
    path = np.exp(np.cumsum(rng.normal(0, 0.3, len(rows))))
    for name in ("open", "high", "low", "close"):
        wild.loc[rows, name] *= path
    assert broken_at(scaled(wild, "BBB", 100, 0.1)) == []


def test_another_company_after_a_gap():
    """The ticker was away for eight sessions and comes back at a twentieth."""
    reused = without(scaled(CLEAN, "BBB", 108, 1 / 20), "BBB", 100, 108)
    assert broken_at(reused) == [108]


def test_a_halt_that_ends_near_the_old_price_is_no_break():
    assert broken_at(without(CLEAN, "BBB", 100, 130)) == []


def test_after_a_year_without_a_bar_it_is_another_company_at_any_price():
    assert broken_at(without(clean_bars(600), "BBB", 100, 400)) == [400]


def test_a_share_is_not_broken_in_its_first_days():
    """An initial offering triples on its second day; there is no σ to measure it by."""
    listed = without(CLEAN, "BBB", 0, 100)
    assert broken_at(scaled(listed, "BBB", 1, 3)) == []


@pytest.mark.parametrize("by", [100, 0.01, 1e6, 1e-3])
def test_a_shift_of_volume_is_a_break_when_five_bars_agree(by):
    assert broken_at(scaled(CLEAN, "BBB", 100, by, VOLUME)) == [104]


def test_a_rush_that_moves_the_price_is_no_change_of_unit():
    """Thirty times the volume for weeks, and the price triples meanwhile."""
    rush = scaled(CLEAN, "BBB", 100, 30, VOLUME)
    rows = rush.index[rush["symbol"] == "BBB"]
    rise = np.exp(0.25 * np.clip(np.arange(len(rows)) - 99, 0, 5))
    for name in ("open", "high", "low", "close"):
        rush.loc[rows, name] *= rise
    assert broken_at(check_bars(rush)) == []


def test_one_day_of_record_volume_is_no_change_of_unit():
    assert broken_at(scaled(CLEAN, "BBB", 100, 1000, VOLUME, last=101)) == []


def test_a_split_with_its_action_is_explained_and_without_it_is_not():
    split = scaled(CLEAN, "BBB", 100, 0.1)
    stamp = CLEAN["timestamp"].unique()[100]
    action = pd.DataFrame(
        {"timestamp": [stamp], "symbol": ["BBB"], "kind": ["split"], "value": [10.0]}
    )
    assert not Panel.of(split, check_actions(action)).discontinuities.any()
    assert broken_at(split) == [100]


def test_an_outage_of_the_venue_quarantines_nobody():
    outage = CLEAN
    for symbol in SYMBOLS[:3]:  # one of four answered
        outage = without(outage, symbol, 100, 110)
    assert not panel_of(outage).quarantined.any()


def test_own_gaps_quarantine_only_that_symbol():
    panel = panel_of(without(CLEAN, "BBB", 100, 103))
    assert panel.quarantined[103:, 1].all()
    assert not panel.quarantined[:103].any()
    assert not panel.quarantined[:, [0, 2, 3]].any()


def test_two_missing_days_are_tolerated_and_late_listing_is_no_gap():
    assert not panel_of(without(CLEAN, "BBB", 100, 102)).quarantined.any()
    assert not panel_of(without(CLEAN, "BBB", 0, 150)).quarantined.any()


def test_gaps_before_a_break_do_not_count_after_it():
    gappy = without(CLEAN, "BBB", 100, 103)
    assert not panel_of(scaled(gappy, "BBB", 110, 100)).quarantined[113:].any()


def test_σ_and_positions_start_anew_at_a_break():
    """σ is missing for 63 bars; 100 shares at 50 dollars become 1 at 5,000 cents... of value."""
    panel = panel_of(scaled(CLEAN, "BBB", 100, 100))
    sigma = volatility(panel)
    assert np.isnan(sigma[100:163, 1]).all()
    assert 0.01 < sigma[163, 1] < 0.03
    before, after = panel.close[99, 1], panel.conversion[100, 1] * panel.open[100, 1]
    assert after == pytest.approx(before)
    assert (panel.conversion[:, [0, 2, 3]] == 1).all()


def test_ruin_after_a_halt_stays_a_loss():
    """Down to a fifteenth after two weeks: another company perhaps, but who held it lost it."""
    panel = panel_of(without(scaled(CLEAN, "BBB", 110, 1 / 15), "BBB", 100, 110))
    assert panel.discontinuities[110, 1]
    assert panel.conversion[110, 1] == 1


def test_a_span_crosses_a_break_that_lies_ahead_of_it():
    breaks = np.zeros((6, 1), dtype=bool)
    breaks[3] = True
    assert crosses(breaks, 2)[:, 0].tolist() == [False, True, True, False, False, False]


def test_segments_are_the_adjusted_bars_where_nothing_is_broken():
    panel = panel_of(CLEAN)
    pd.testing.assert_frame_equal(panel.segments(), panel.adjusted_bars())


def test_segments_keep_rows_and_order():
    panel = panel_of(scaled(CLEAN, "BBB", 100, 100))
    plain, parts = panel.adjusted_bars(), panel.segments()
    pd.testing.assert_frame_equal(parts.drop(columns="symbol"), plain.drop(columns="symbol"))
    assert parts.groupby(plain["symbol"])["symbol"].nunique().tolist() == [1, 2, 1, 1]
    ordered = parts.sort_values(["timestamp", "symbol"], ignore_index=True)
    pd.testing.assert_frame_equal(parts, ordered)


@st.composite
def broken_panels(draw):
    """Random panels with splits nobody announced, units that change, and gaps."""
    panel = draw(panels(min_bars=30, max_bars=120))
    grids = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    volume = panel.volume.copy()
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.integers(0, len(panel.timestamps) - 1))
        column = draw(st.integers(0, len(panel.symbols) - 1))
        by = draw(st.sampled_from([100.0, 0.01, 10.0, 0.1, 30.0, 1.0]))
        for grid in grids.values():
            grid[row:, column] *= by
        volume[row:, column] *= draw(st.sampled_from([1.0, 1.0, 100.0, 0.01]))
    return Panel(
        timestamps=panel.timestamps,
        symbols=panel.symbols,
        **grids,
        volume=volume,
        split=panel.split,
        dividend=panel.dividend,
        factor=panel.factor,
        total_return_units=panel.total_return_units,
    )


@given(broken_panels(), st.data())
@pytest.mark.slow
def test_cutting_later_bars_changes_nothing_earlier(panel, data):
    cut = data.draw(st.integers(1, len(panel.timestamps)))
    early = panel.until(cut)
    for name in ("discontinuities", "quarantined", "conversion"):
        np.testing.assert_array_equal(getattr(early, name), getattr(panel, name)[:cut])


@given(broken_panels())
@pytest.mark.slow
def test_only_bars_break_or_are_quarantined(panel):
    assert not (panel.discontinuities & ~panel.traded).any()
    assert not (panel.quarantined & ~panel.traded).any()
