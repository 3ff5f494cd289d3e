"""Panels: bars on a grid, raw and adjusted, and nothing from the future in either."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.actions import check_actions, empty_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.panel import VOLATILITY_WINDOW, Panel, volatility
from trading_pipeline_tests.strategies import bars, bars_and_actions, panels


def assert_same(one, other):
    """Every field is the same, bit for bit."""
    for field in dataclasses.fields(Panel):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes(), field.name
        elif isinstance(left, pd.DatetimeIndex):
            pd.testing.assert_index_equal(left, right)
        else:
            assert left == right


def walk(days, symbols=1, seed=0):
    """Random bars long enough for volatility; every day, all symbols."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (days, symbols)), axis=0))
    stamps = pd.date_range("2020-01-01", periods=days, tz="UTC", unit="us").repeat(symbols)
    names = [f"S{n}" for n in range(symbols)] * days
    flat = close.ravel()
    table = pd.DataFrame({"timestamp": stamps, "symbol": names, "open": flat, "close": flat})
    return check_bars(table.assign(high=flat * 1.01, low=flat * 0.99, volume=1000.0))


@given(bars())
def test_without_actions_the_bars_come_back(table):
    panel = Panel.of(table, None)
    pd.testing.assert_frame_equal(panel.adjusted_bars(), table)
    assert panel.total_return_units


@given(bars_and_actions())
@pytest.mark.slow
def test_adjusted_bars_are_canonical(drawn):
    adjusted = Panel.of(*drawn).adjusted_bars()
    pd.testing.assert_frame_equal(check_bars(adjusted), adjusted)


@given(bars_and_actions(), st.data())
@pytest.mark.slow
def test_the_past_does_not_know_the_future(drawn, data):
    """A panel cut at t is bit for bit what its bars up to t alone give."""
    table, actions = drawn
    panel = Panel.of(table, actions)
    t = data.draw(st.integers(1, len(panel.timestamps)))
    past = table[table["timestamp"] <= panel.timestamps[t - 1]].reset_index(drop=True)
    known = actions[actions["timestamp"] <= panel.timestamps[t - 1]].reset_index(drop=True)
    assert_same(panel.until(t), Panel.of(past, known, panel.symbols))


@given(bars_and_actions(), st.data())
@pytest.mark.slow
def test_bars_that_follow_make_the_panel_of_all(drawn, data):
    """Bar after bar, as they close: splits, dividends and units are those of the whole."""
    table, actions = drawn
    whole = Panel.of(table, actions)
    t = data.draw(st.integers(1, len(whole.timestamps)))
    panel = whole.until(t)
    while t < len(whole.timestamps):
        step = data.draw(st.integers(1, len(whole.timestamps) - t))
        some = table["timestamp"].isin(whole.timestamps[t : t + step])
        panel, t = panel.followed_by(table[some], actions), t + step
    assert_same(panel, whole)
    assert panel.followed_by(table[:0], actions) is panel


def test_a_symbol_in_doubt_stays_so_on_the_bars_that_follow():
    table = walk(5)
    doubts = table[["timestamp", "symbol"]][:1]
    whole = Panel.of(table, None, doubts=doubts)
    assert whole.in_doubt.all()
    assert_same(whole.until(4).followed_by(table[-1:].reset_index(drop=True), None, doubts), whole)


def test_bars_that_are_known_do_not_follow():
    table = walk(5)
    with pytest.raises(ValueError, match="do not follow those up to 2020-01-05"):
        Panel.of(table, None).followed_by(table[-1:], None)


@given(bars_and_actions())
@pytest.mark.slow
def test_later_actions_change_nothing(drawn):
    """Actions may be known ahead of their ex-date: only the bars decide."""
    table, actions = drawn
    half = table[table["timestamp"] <= table["timestamp"].iloc[len(table) // 2]]
    half = half.reset_index(drop=True)
    known = actions[actions["timestamp"] <= half["timestamp"].iloc[-1]]
    assert_same(Panel.of(half, actions), Panel.of(half, known))


@given(panels())
@pytest.mark.slow
def test_a_bar_keeps_its_shape_and_its_worth_when_adjusted(panel):
    """One factor for all four prices; splits move price and volume against each other."""
    np.testing.assert_allclose(
        panel.adjusted_high / panel.adjusted_low, panel.high / panel.low, rtol=1e-12
    )
    split_only = dataclasses.replace(
        panel, dividend=np.zeros_like(panel.dividend), factor=np.cumprod(panel.split, axis=0)
    )
    np.testing.assert_allclose(
        split_only.adjusted_close * split_only.adjusted_volume, panel.close * panel.volume
    )


@given(panels())
@pytest.mark.slow
def test_factors_start_at_one_and_are_known_from_the_first_bar_on(panel):
    for n in range(len(panel.symbols)):
        first = panel.traded[:, n].argmax()
        assert np.isnan(panel.factor[:first, n]).all()
        assert panel.factor[first, n] == 1.0
        assert np.isfinite(panel.factor[first:, n]).all()


@given(panels())
@pytest.mark.slow
def test_an_ex_date_earns_what_its_holder_gets(panel):
    """(split × (close + dividend)) / previous close, between the bars a symbol has."""
    for n in range(len(panel.symbols)):
        own = panel.traded[:, n]
        close, split, cash = (grid[own, n] for grid in (panel.close, panel.split, panel.dividend))
        adjusted = panel.adjusted_close[own, n]
        held = split[1:] * (close[1:] + cash[1:]) / close[:-1]
        np.testing.assert_allclose(adjusted[1:] / adjusted[:-1], held, rtol=1e-9)


@given(bars_and_actions())
@pytest.mark.slow
def test_adjusted_prices_tell_what_an_owner_of_shares_has(drawn):
    """Over the whole history: shares multiply, cash buys more of them at that day's raw close."""
    table, actions = drawn
    panel = Panel.of(table, actions)
    for n in range(len(panel.symbols)):
        shares = 1.0
        own = np.flatnonzero(panel.traded[:, n])
        for t in own[1:]:
            shares *= panel.split[t, n]
            shares += shares * panel.dividend[t, n] / panel.close[t, n]
        wealth = shares * panel.close[own[-1], n] / panel.close[own[0], n]
        adjusted = panel.adjusted_close[own[-1], n] / panel.adjusted_close[own[0], n]
        assert adjusted == pytest.approx(wealth, rel=1e-9)


@given(bars_and_actions(), st.data())
@pytest.mark.slow
def test_factors_go_on_from_where_they_were(drawn, data):
    """Those of the bars since then, times the last one known, are those of the whole history."""
    table, actions = drawn
    panel = Panel.of(table, actions)
    t = data.draw(st.integers(1, len(panel.timestamps))) - 1
    for n in np.flatnonzero(panel.traded[t]):
        symbol = panel.symbols[n]
        since = (table["timestamp"] >= panel.timestamps[t]) & (table["symbol"] == symbol)
        rest = Panel.of(table[since].reset_index(drop=True), actions)
        later = panel.timestamps.get_indexer(rest.timestamps)
        went_on = panel.factor[t, n] * rest.factor[:, 0]
        np.testing.assert_allclose(went_on, panel.factor[later, n], rtol=1e-9)


def test_a_panel_by_hand():
    """Two symbols, one listed a day later; 2 for 1 on the last day."""
    days = pd.date_range("2024-01-01", periods=3, tz="UTC", unit="us")
    rows = [
        (days[0], "BBB", 8.0),
        (days[1], "AAA", 5.0),
        (days[1], "BBB", 9.0),
        (days[2], "AAA", 3.0),
    ]
    table = pd.DataFrame(rows, columns=["timestamp", "symbol", "open"])
    table = table.assign(high=table["open"], low=table["open"], close=table["open"], volume=10.0)
    split = pd.DataFrame(
        {"timestamp": [days[2]], "symbol": ["AAA"], "kind": ["split"], "value": [2.0]}
    )
    panel = Panel.of(check_bars(table), check_actions(split))
    nan = np.nan
    assert panel.symbols == ("AAA", "BBB")
    assert not panel.total_return_units
    np.testing.assert_array_equal(panel.close, [[nan, 8], [5, 9], [3, nan]])
    np.testing.assert_array_equal(panel.factor, [[nan, 1], [1, 1], [2, 1]])
    np.testing.assert_array_equal(panel.adjusted_close, [[nan, 8], [5, 9], [6, nan]])
    np.testing.assert_array_equal(panel.adjusted_volume, [[nan, 10], [10, 10], [5, nan]])


def test_symbols_choose_and_order_the_columns():
    table = walk(3, symbols=3)
    panel = Panel.of(table, empty_actions(), symbols=("S2", "NEW", "S0"))
    whole = Panel.of(table, empty_actions())
    np.testing.assert_array_equal(panel.close[:, [0, 2]], whole.close[:, [2, 0]])
    assert np.isnan(panel.close[:, 1]).all()
    assert list(panel.adjusted_bars()["symbol"]) == ["S0", "S2"] * 3


def test_bars_out_of_order_are_refused():
    with pytest.raises(ValueError, match="pass them through check_bars"):
        Panel.of(walk(3).iloc[::-1], None)


def test_a_panel_of_no_bars_is_empty():
    panel = Panel.of(walk(3).iloc[:0], empty_actions())
    assert panel.close.shape == (0, 0)
    assert volatility(panel).shape == (0, 0)
    assert panel.adjusted_bars().empty


def test_volatility_is_the_deviation_of_the_last_63_returns():
    panel = Panel.of(walk(80, symbols=2), None)
    returns = pd.DataFrame(np.log(panel.close)).diff()
    expected = returns.rolling(63).std().to_numpy()
    np.testing.assert_allclose(volatility(panel), expected, rtol=1e-9)
    assert np.isnan(volatility(panel)[:VOLATILITY_WINDOW]).all()
    assert np.isfinite(volatility(panel)[VOLATILITY_WINDOW:]).all()


def test_volatility_by_hand():
    """Returns of +a and -a in turn, 32 and 31 of them: a × sqrt(63 / 62 × (1 - 1 / 63²))."""
    table = walk(64)
    path = 100 * np.exp(0.01 * (np.arange(64) % 2))
    panel = Panel.of(check_bars(table.assign(open=path, high=path, low=path, close=path)), None)
    golden = 0.01 * np.sqrt(63 / 62 * (1 - 1 / 63**2))
    assert volatility(panel)[63, 0] == pytest.approx(golden, rel=1e-12)


def test_volatility_does_not_see_splits():
    table = walk(70)
    raw = table.copy()
    raw.loc[30:, ["open", "high", "low", "close"]] /= 2
    split = pd.DataFrame(
        {"timestamp": [raw["timestamp"][30]], "symbol": ["S0"], "kind": ["split"], "value": [2.0]}
    )
    np.testing.assert_allclose(
        volatility(Panel.of(raw, check_actions(split))),
        volatility(Panel.of(table, None)),
        rtol=1e-9,
    )


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_volatility_is_bit_for_bit_the_same_without_the_future(cut, seed):
    rng = np.random.default_rng(seed)
    table = walk(200, symbols=3, seed=seed)
    table = table[rng.random(len(table)) > 0.1].reset_index(drop=True)
    panel = Panel.of(table, empty_actions())
    cut = min(cut, len(panel.timestamps))
    assert volatility(panel.until(cut)).tobytes() == volatility(panel)[:cut].tobytes()


def test_volatility_is_held_where_a_symbol_has_no_bar():
    table = walk(70, symbols=2)
    gap = (table["symbol"] == "S0") & (table["timestamp"] == table["timestamp"].unique()[66])
    sigma = volatility(Panel.of(table[~gap].reset_index(drop=True), None))
    assert sigma[66, 0] == sigma[65, 0]
    assert sigma[67, 0] != sigma[66, 0]
