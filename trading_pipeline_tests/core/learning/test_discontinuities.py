"""A broken history is two symbols to features, targets and books; a whole one is as ever."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.features.catalog import NAMES, compute_features
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.targets import make_targets
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import volatility
from trading_pipeline.core.trading.inputs import recent_returns
from trading_pipeline.core.trading.trader import Bar
from trading_pipeline_tests.core.learning.sample_market import panel as sample_panel
from trading_pipeline_tests.core.market.planted import clean_bars, panel_of, scaled, without
from trading_pipeline_tests.core.trading.markets import simulated

AT, B = 150, 1  # the row and the column of the break
BARS = clean_bars(480)
FREE = Costs(fee=0, slippage=0, borrow=0, debit=0, min_notional=0)


@pytest.fixture(scope="module")
def broken():
    """BBB is quoted in cents from row 150 on."""
    return panel_of(scaled(BARS, "BBB", AT, 100))


def test_nothing_is_broken_or_quarantined_in_the_sample_market():
    """So that its features, targets and results are those of a pipeline without breaks."""
    panel = sample_panel()
    assert not panel.discontinuities.any()
    assert not panel.quarantined.any()
    np.testing.assert_array_equal(panel.conversion, panel.split)
    plain = compute_features(panel.adjusted_bars(), calendar="XNYS")
    pd.testing.assert_frame_equal(features_of(panel, "XNYS"), plain)


def test_features_after_a_break_are_those_of_a_symbol_listed_there(broken):
    made = features_of(broken, "XNYS")
    old = BARS[~((BARS["symbol"] == "BBB") & (BARS["timestamp"] >= broken.timestamps[AT]))]
    new = scaled(BARS, "BBB", AT, 100)
    new = new[(new["symbol"] == "BBB") & (new["timestamp"] >= broken.timestamps[AT])]
    apart = pd.concat([old, new.assign(symbol="BBB2")]).sort_values(["timestamp", "symbol"])
    expected = compute_features(apart.reset_index(drop=True), calendar="XNYS")
    expected["symbol"] = expected["symbol"].replace("BBB2", "BBB")
    pd.testing.assert_frame_equal(made, expected)


def test_other_symbols_do_not_feel_the_break(broken):
    own = [name for name in NAMES if not name.startswith(("rank", "market", "breadth", "bench"))]
    made, plain = features_of(broken, "XNYS"), features_of(panel_of(BARS), "XNYS")
    others = (made["symbol"] != "BBB").to_numpy()
    pd.testing.assert_frame_equal(made.loc[others, own], plain.loc[others, own])


def test_a_quarantined_bar_has_no_features_and_is_not_eligible():
    """From the third missing session until a year after the first, and then a window's 60 bars."""
    panel = panel_of(without(BARS, "BBB", AT, AT + 3))
    made = features_of(panel, "XNYS")
    day = panel.timestamps.get_indexer(pd.DatetimeIndex(made["timestamp"]))
    mine = (made["symbol"] == "BBB").to_numpy()
    inside = mine & (day > AT) & (day < AT + 250)
    assert made.loc[inside, list(NAMES)].isna().all(axis=None)
    assert made.loc[mine & ~inside & (day > 5), "ret_1"].notna().any()
    assert made.loc[~mine, "ret_1"].notna().sum() > 900
    data = Dataset.of(panel, made, n_steps=60)
    assert not data.eligible[AT : AT + 310, B].any()
    assert data.eligible[AT + 316 :].all()


def test_targets_across_a_break_are_missing(broken):
    everyone, horizon = np.ones(broken.close.shape, dtype=bool), 5
    sigma = np.full(broken.close.shape, 0.02)
    targets = make_targets(broken, sigma, everyone, horizon)
    across = slice(AT - horizon - 1, AT)
    for name in ("price", "volatility", "risk"):
        values = getattr(targets, name)
        assert np.isnan(values[across, B]).all()
        assert np.isfinite(values[AT - horizon - 2, B])
        assert np.isfinite(values[AT, B])
        assert np.isfinite(values[across, 0]).all()
    assert (targets.direction[across, B] == -1).all()
    missing = np.flatnonzero(np.isnan(targets.next_return[: AT + 9, B]))
    assert missing.tolist() == [AT - 2, AT - 1]


def test_the_night_of_a_break_has_no_return(broken):
    data = Dataset.of(broken, features_of(broken, "XNYS"), n_steps=60)
    assert np.isnan(data.overnight[AT, B])
    assert np.isnan(data.sigma[AT : AT + 63, B]).all()
    assert recent_returns(broken)[AT, B] == 0


def test_holding_through_a_change_of_unit_earns_nothing(broken):
    """The book that held BBB ends as if its feed had never changed, on paper as well."""
    terms = {"start": 0, "stop": 480, "capital": 1e5, "costs": FREE, "bars_per_year": 252}
    terms |= {"horizon": 5, "mandate": "long_only", "shortable": False}
    weights = np.full(broken.close.shape, np.nan)
    weights[10] = [0, 0.9, 0, 0]
    held = simulated(broken, weights=weights, **terms).equity
    truth = simulated(panel_of(BARS), weights=weights, **terms).equity
    # The one night's move is the price of not knowing where the new unit would have opened.
    assert held[-1] / truth[-1] == pytest.approx(1, rel=0.02)
    assert np.nanmax(np.abs(np.diff(np.log(held)))) < 0.12
    assert Bar.of(broken, AT).split[B] == broken.conversion[AT, B] != 1


def test_volatility_of_whole_histories_is_untouched_by_a_broken_one(broken):
    whole = volatility(panel_of(BARS))
    np.testing.assert_array_equal(volatility(broken)[:, [0, 2, 3]], whole[:, [0, 2, 3]])
