"""Eligibility: point-in-time, on raw prices, and blind to what comes later."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.actions import check_actions, empty_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.eligibility import eligibility_at, eligible, refusals, rules_of
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import recent
from trading_pipeline_tests.strategies import panels


def panel_of(close, volume, actions=None, freq="D"):
    """A panel of closes and volumes, (T, N), NaN where there is no bar; daily, or of `freq`."""
    close, volume = np.asarray(close, float), np.asarray(volume, float)
    days = pd.date_range("2020-01-01", periods=len(close), tz="UTC", unit="us", freq=freq)
    t, n = np.nonzero(~np.isnan(close))
    price = close[t, n]
    table = pd.DataFrame({"timestamp": days[t], "symbol": [f"S{i}" for i in n], "open": price})
    table = table.assign(high=price, low=price, close=price, volume=volume[t, n])
    return Panel.of(check_bars(table), empty_actions() if actions is None else actions)


def steady(days, price=10.0, volume=100.0, symbols=1):
    return np.full((days, symbols), price), np.full((days, symbols), volume)


@given(panels(max_bars=60), st.integers(1, 10), st.data())
@pytest.mark.slow
def test_eligibility_does_not_know_the_future(panel, lookback, data):
    cut = data.draw(st.integers(1, len(panel.timestamps)))
    whole = eligible(panel, lookback)
    np.testing.assert_array_equal(eligible(panel.until(cut), lookback), whole[:cut])


@given(panels(), st.integers(1, 10))
@pytest.mark.slow
def test_only_what_has_a_bar_is_eligible(panel, lookback):
    assert not (eligible(panel, lookback) & ~panel.traded).any()


def test_history_is_counted_in_bars_with_the_current_one():
    able = eligible(panel_of(*steady(5)), lookback=3)
    assert able[:, 0].tolist() == [False, False, True, True, True]


def test_a_missing_bar_makes_ineligible_for_that_date_only():
    close, volume = steady(12)
    close[9] = np.nan
    other = np.full_like(close, 20.0)
    able = eligible(panel_of(np.hstack([close, other]), np.hstack([volume, volume])), lookback=2)
    assert able[:, 0].tolist() == [False] + [True] * 8 + [False, True, True]


def test_a_gappy_symbol_is_ineligible_until_it_trades_again():
    """Hours 601-605 are missing: 16 / 21 is below 80 % until the gap leaves the window.

    Five hours of 601 are less than 1 % of the year, so it is not in quarantine as well.
    """
    close, volume = steady(700, symbols=2)
    close[601:606, 0] = np.nan
    able = eligible(panel_of(close, volume, freq="h"), lookback=1)[:, 0]
    assert able[:601].all()
    assert not able[601:622].any()  # at 622 the window is 602-622: four are missing
    assert able[622:].all()


def test_a_symbol_that_lacks_days_of_its_own_is_quarantined():
    """Days 40-42 of one symbol are missing: three of 44; 3 / 300 is not above 1 %."""
    close, volume = steady(500, symbols=2)
    close[40:43, 0] = np.nan
    able = eligible(panel_of(close, volume), lookback=1)
    assert able[:40, 0].all()
    assert not able[40:299, 0].any()
    assert able[299:, 0].all()  # of 300 days three are 1 %, and no more
    assert able[:, 1].all()


def test_history_is_counted_from_the_last_break():
    """Cents instead of dollars from day 30 on: with a lookback of five, eligible on day 34."""
    close, volume = steady(60)
    close[30:] *= 100
    able = eligible(panel_of(close, volume), lookback=5)[:, 0]
    assert able.tolist() == [False] * 4 + [True] * 26 + [False] * 4 + [True] * 26


def test_late_listing_is_no_gap():
    close, volume = steady(30, symbols=2)
    close[:25, 0] = np.nan
    assert eligible(panel_of(close, volume), lookback=3)[:, 0].tolist() == [False] * 27 + [True] * 3


def test_the_price_floor_is_on_raw_prices():
    """1-for-10 on day 3: 0.50 becomes 5.00. Adjusted, it is 0.50 for ever."""
    close, volume = steady(6, price=0.5)
    close[3:] = 5.0
    stamp = pd.Timestamp("2020-01-04", tz="UTC")
    reverse = pd.DataFrame(
        {"timestamp": [stamp], "symbol": ["S0"], "kind": ["split"], "value": [0.1]}
    )
    panel = panel_of(close, volume, check_actions(reverse))
    assert panel.adjusted_close[-1, 0] == 0.5
    assert eligible(panel, lookback=1)[:, 0].tolist() == [False] * 3 + [True] * 3


def test_the_default_price_floor_is_for_raw_prices_only():
    """Adjusted prices of the far past are small without meaning anything; coins are small too."""
    table = panel_of(*steady(4, price=0.01)).adjusted_bars()
    assert eligible(Panel.of(table, None), lookback=1).all()
    assert not eligible(Panel.of(table, empty_actions()), lookback=1).any()


def test_a_symbol_that_stopped_trading_is_stale():
    """Zero volume from day 10 on: the fifth such bar makes it stale; one trade ends that."""
    close, volume = steady(30)
    volume[10:20] = 0.0
    able = eligible(panel_of(close, volume), lookback=1)[:, 0]
    assert able.tolist() == [True] * 14 + [False] * 6 + [True] * 10


def test_a_lookback_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1 bar, was 0"):
        eligible(panel_of(*steady(3)), lookback=0)


@given(panels(max_bars=60), st.integers(1, 10), st.integers(1, 8))
@pytest.mark.slow
def test_the_conditions_of_a_symbol_are_the_rule_for_all(panel, lookback, window):
    """Explained one by one, the rules give what the universe was made by."""
    able = eligible(panel, lookback, window)
    guarded = recent(panel.quarantined, window)
    np.testing.assert_array_equal(able, eligible(panel, lookback) & ~guarded)
    for row in range(0, len(panel.timestamps), 7):
        for n in range(len(panel.symbols)):
            conditions = eligibility_at(panel, row, n, lookback, window)
            assert all(each.met for each in conditions) == able[row, n]


def test_each_rule_that_fails_is_named_with_figure_and_limit():
    close, volume = steady(30, price=0.5)
    volume[24:] = 0.0
    conditions = eligibility_at(panel_of(close, volume), 29, 0, lookback=40)
    broken = {each.rule: (each.figure, each.limit) for each in conditions if not each.met}
    assert broken == {"history": (30.0, 40.0), "stale": (0.0, 1.0), "price_floor": (0.5, 1.0)}


def refused(close, volume, lookback=1, **limits):
    panel = panel_of(close, volume)
    return refusals(panel, rules_of(panel, lookback, **limits), slice(0, len(close)))


def test_what_refuses_every_bar_is_named_for_every_rule():
    """'Give more history' was said of a volume that is always zero, and is no help there."""
    close, volume = steady(30, symbols=4)
    assert refused(close, volume) == ""
    assert refused(close, 0 * volume) == (
        "4 of 4 symbols (104 of 120 bars): no volume in the last 5 bars (correct the column volume)"
    )
    assert refused(close / 100, volume) == (
        "4 of 4 symbols (120 of 120 bars): below the floor of price (1)"
    )
    assert "4 of 4 symbols (120 of 120 bars): fewer than 40 bars since listing" in (
        refused(close, volume, lookback=40)
    )
    close[9:, 0] = np.where(np.arange(21) % 2, np.nan, 10.0)
    said = refused(close, volume)
    assert "1 of 4 symbols (8 of 110 bars): in quarantine, for too many bars missing" in said
    assert "1 of 4 symbols (7 of 110 bars): bars at fewer than 80% of the last 21 dates" in said
    assert refused(close[:1] * np.nan, volume[:1]) == "none of 0 symbols has a bar there"


@given(panels(max_bars=60), st.integers(1, 10), st.integers(1, 8))
@pytest.mark.slow
def test_every_bar_that_is_not_eligible_is_refused_by_a_rule(panel, lookback, window):
    able = eligible(panel, lookback, window)
    rules = list(rules_of(panel, lookback, window))
    met = np.logical_and.reduce([rule.met for rule in rules])
    np.testing.assert_array_equal(able, panel.traded & met)
    rows = slice(0, len(panel.timestamps))
    assert bool(refusals(panel, rules, rows)) == bool((panel.traded & ~able).any())


def test_conditions_refuse_a_history_of_nothing():
    with pytest.raises(ValueError, match="at least 1 bar"):
        eligibility_at(panel_of(*steady(5)), 4, 0, lookback=0)


def test_a_bar_in_quarantine_holds_its_symbol_out_while_a_window_sees_it():
    close, volume = steady(80, symbols=3)
    close[[20, 30, 40, 50], 0] = np.nan
    panel, window = panel_of(close, volume), 6
    able = eligible(panel, 1) & ~recent(panel.quarantined, window)
    row = int(np.flatnonzero(panel.quarantined[:, 0])[0])
    for n, expected in ((0, {"quarantine"}), (1, set())):
        conditions = eligibility_at(panel, row, n, 1, window)
        assert {each.rule for each in conditions if not each.met} == expected
        assert able[row, n] == (not expected)
