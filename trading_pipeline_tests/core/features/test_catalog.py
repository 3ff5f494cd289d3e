"""What must hold for all sixty features, on any bars."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.features.catalog import (
    CATALOG,
    LOOKBACK,
    NAMES,
    REVISION,
    catalog_hash,
    compute_features,
)
from trading_pipeline.core.features.feature import FAMILIES, FRACTION, Feature, Scale
from trading_pipeline.core.leakage.experiment import FEATURES, examine
from trading_pipeline.core.market.bars import empty_bars
from trading_pipeline.errors import BarsError
from trading_pipeline_tests.core.features.real_bars import adjusted_bars
from trading_pipeline_tests.core.features.wild_bars import KINDS, bars_of, together, wild_bars

GOLDEN = Path(__file__).parents[2] / "golden" / "features_revision.json"
COLUMNS = list(NAMES)
LOOKBACKS = {feature.name: feature.lookback for feature in CATALOG}
SINGLE = [f for f in CATALOG if f.family not in ("cross_section", "market", "calendar")]
PRICES = ["open", "high", "low", "close"]
UNITS = st.floats(-6, 6).map(lambda power: 10.0**power)
RANKS = [f.name for f in CATALOG if f.family == "cross_section"]
# One symbol that has not moved: in the middle of every scale, or at its lower end.
AT_REST = (
    dict.fromkeys(COLUMNS, 0.0)
    | dict.fromkeys(RANKS, np.nan)
    | {
        "close_location": 0.5,
        "rsi_14": 0.5,
        "stochastic_k": 0.5,
        "stochastic_d": 0.5,
        "williams_r_14": -0.5,
        "mfi_14": 0.5,
        "downside_63": 0.5,
        "aroon_up_25": 1.0,
        "aroon_down_25": 1.0,
        "rank_missing": 1.0,
    }
)


def test_the_catalog_is_sixty_features_of_all_families():
    assert len(CATALOG) == len(set(NAMES)) == 60
    assert {feature.family for feature in CATALOG} == set(FAMILIES)
    assert 252 <= LOOKBACK <= 260
    assert all(feature.source and feature.formula and feature.scale.unit for feature in CATALOG)


# What the catalog was asked to have, and the features that are it.
ASKED_FOR = {
    "SMA": ("sma_20", "sma_50", "sma_200"),
    "EMA": ("ema_12", "ema_26"),
    "MACD": ("macd", "macd_histogram"),
    "ADX": ("adx_14", "di_14"),
    "Parabolic SAR": ("sar",),
    "Aroon": ("aroon_up_25", "aroon_down_25"),
    "RSI": ("rsi_14",),
    "Stochastic": ("stochastic_k", "stochastic_d"),
    "Williams %R": ("williams_r_14",),
    "CCI": ("cci_20",),
    "ROC": ("roc_10",),
    "MFI": ("mfi_14",),
    "ATR": ("atr_14",),
    "Bollinger": ("bollinger_position", "bollinger_width"),
    "Keltner": ("keltner_position",),
    "OBV": ("obv_63",),
    "VWAP": ("vwap_20",),
    "CMF": ("cmf_20",),
    "Force Index": ("force_13",),
    "returns over 1 to 252 bars": (
        *(f"ret_{bars}" for bars in (1, 5, 21, 63, 126, 252)), "momentum_252_21"
    ),
    "range and gap measures": ("gap", "body", "bar_range", "close_location", "high_252"),
    "volume surprise": ("volume_surprise_20", "volume_5_63", "illiquidity_21_252"),
    "realised volatility and its ratios": (
        "volatility_63", "volatility_5_63", "volatility_21_252", "downside_63", "skew_63"
    ),
    "cross-sectional ranks": (
        "rank_ret_5", "rank_ret_21", "rank_momentum", "rank_volatility", "rank_volume",
        "rank_missing",
    ),
    "equal-weight return": ("market_ret_21",),
    "market volatility": ("market_volatility_21_252",),
    "breadth": ("breadth_50",),
    "benchmark trend": ("benchmark_trend_126",),
    "calendar": ("time_of_day", "day_of_week", "day_of_month"),
}  # fmt: skip


def test_the_catalog_has_all_that_it_was_asked_to_have():
    """And nothing that nobody asked for."""
    asked = [name for names in ASKED_FOR.values() for name in names]
    assert sorted(asked) == sorted(NAMES)
    returns = [f for f in CATALOG if f.name.startswith("ret_")]
    assert {f.scale.unit for f in returns} == {"σ√bars"}


def test_parameters_within_a_feature_fit_its_lookback():
    """A memory or window longer than the lookback would be a lookback that lies."""
    for feature in CATALOG:
        spans = [v for k, v in feature.parameters.items() if k in ("memory", "window", "long")]
        assert all(span <= feature.lookback for span in spans), feature.name


def test_impossible_features_cannot_be_constructed():
    row = {"name": "x", "formula": "x", "source": "x", "of": lambda s: s}
    good = {"family": "price", "lookback": 1, "scale": FRACTION}
    for bad, complaint in (
        ({"family": "magic"}, "family must be one of"),
        ({"lookback": 0}, "at least 1 bar, was 0"),
        ({"scale": Scale("x", 1, 1)}, "is empty"),
    ):
        with pytest.raises(ValueError, match=complaint):
            Feature(**row, **good | bad)


@given(wild_bars())
@pytest.mark.slow
def test_features_stay_on_their_scales(bars):
    features = compute_features(bars)
    assert features.columns.tolist() == ["timestamp", "symbol", *COLUMNS]
    assert (features[COLUMNS].dtypes == np.float32).all()
    pd.testing.assert_frame_equal(features[["timestamp", "symbol"]], bars[["timestamp", "symbol"]])
    for feature in CATALOG:
        known = features[feature.name].dropna()
        assert known.between(*feature.scale[1:]).all(), feature.name


@pytest.mark.parametrize("symbols", [1, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_market_leaves_a_scale_or_is_infinite(kind, symbols):
    """Also at prices near 1e-8 with volumes near 1e12, and the other way round."""
    bars = together([bars_of(kind, 300, seed, f"S{seed}") for seed in range(symbols)])
    for price, volume in ((1.0, 1.0), (1e-10, 1e8), (1e10, 1e-12)):
        features = compute_features(rescaled(bars, [price], [volume]))
        for feature in CATALOG:
            values = features[feature.name]
            fine = values.isna() | values.between(*feature.scale[1:])
            assert fine.all(), feature.name


@given(wild_bars(min_bars=2), st.data())
@pytest.mark.slow
def test_cutting_off_the_future_changes_no_bit_of_the_past(bars, data):
    """This is what makes a paper session equal to its backtest."""
    stamps = bars["timestamp"].drop_duplicates()
    cut = data.draw(st.sampled_from(stamps.tolist()))
    past = bars["timestamp"] <= cut
    whole = compute_features(bars)[past.to_numpy()]
    part = compute_features(bars[past].reset_index(drop=True))
    assert whole[COLUMNS].to_numpy().tobytes() == part[COLUMNS].to_numpy().tobytes()


@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.integers(1, 150))
@pytest.mark.slow
def test_features_do_not_know_where_the_history_starts(kind, seed, start):
    """Bit for bit, from the declared lookback on."""
    bars = together([bars_of(kind, 420, seed)])
    whole = compute_features(bars)
    later = compute_features(bars[start:].reset_index(drop=True))
    for feature in CATALOG:
        settled = later[feature.name].to_numpy()[feature.lookback - 1 :]
        expected = whole[feature.name].to_numpy()[start + feature.lookback - 1 :]
        np.testing.assert_array_equal(settled, expected, err_msg=feature.name)


@given(wild_bars(min_bars=300), st.integers(1, 40))
@settings(max_examples=15)
@pytest.mark.slow
def test_many_symbols_do_not_know_where_the_history_starts(bars, start):
    stamps = bars["timestamp"].unique()
    starts = [stamps[min(start, len(stamps) - 1)]]
    examined = examine(
        lambda some: {FEATURES: compute_features(some)}, bars, starts=starts, lookbacks=LOOKBACKS
    )
    assert not any(each.leaks for each in examined)


def test_a_new_day_from_the_lookback_alone_equals_a_rebuild():
    """All families, ranks and the market block too, to the last bit."""
    bars = together([bars_of("calm", 400, seed, f"S{seed}") for seed in range(9)])
    recent = bars[bars["timestamp"] >= bars["timestamp"].unique()[-LOOKBACK]]
    whole = compute_features(bars)[COLUMNS].iloc[-9:]
    day = compute_features(recent.reset_index(drop=True))[COLUMNS].iloc[-9:]
    assert not whole.isna().any(axis=None)
    assert whole.to_numpy().tobytes() == day.to_numpy().tobytes()


@pytest.mark.parametrize("threads", [2, 5, 64])
def test_how_many_threads_share_the_symbols_changes_no_bit(threads):
    """Several batches, of symbols of other lengths; one is longer than a batch."""
    sizes = (9000, 3, 5000, 400)
    bars = together([bars_of("calm", size, seed=size, symbol=f"S{size}") for size in sizes])
    alone = compute_features(bars, "XNYS", threads=1)
    shared = compute_features(bars, "XNYS", threads=threads)
    pd.testing.assert_frame_equal(shared, alone, check_exact=True)


def rescaled(bars, price, volume):
    """Bars with each symbol's prices and volumes in another unit."""
    place = pd.factorize(bars["symbol"])[0]
    scaled = bars.copy()
    scaled[PRICES] = bars[PRICES].mul(np.asarray(price)[place % len(price)], axis=0)
    scaled["volume"] = bars["volume"] * np.asarray(volume)[place % len(volume)]
    return scaled


@given(wild_bars(min_bars=260), st.lists(st.integers(-20, 20), min_size=1, max_size=4))
@pytest.mark.slow
def test_units_of_two_change_no_bit(bars, powers):
    scaled = rescaled(bars, [2.0**p for p in powers], [2.0 ** (p - 3) for p in powers])
    ours, theirs = compute_features(bars)[COLUMNS], compute_features(scaled)[COLUMNS]
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


@given(
    wild_bars(min_bars=260),
    st.lists(UNITS, min_size=1, max_size=4),
    st.lists(UNITS, min_size=1, max_size=4),
)
@pytest.mark.slow
def test_features_ignore_the_units_of_price_and_volume(bars, price, volume):
    ours = compute_features(bars)[COLUMNS]
    theirs = compute_features(rescaled(bars, price, volume))[COLUMNS]
    for name in COLUMNS:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("feature", SINGLE, ids=lambda feature: feature.name)
def test_a_feature_exists_from_its_lookback_on(feature):
    values = calm_features()[feature.name]
    assert values[: feature.lookback - 1].isna().all()
    assert values[feature.lookback - 1 :].notna().all()


@cache
def calm_features():
    return compute_features(together([bars_of("calm", 300, 1)]))


def test_a_market_at_rest_reads_neutral():
    bars = together([bars_of("calm", 300, 1)]).assign(**dict.fromkeys(PRICES, 7.3), volume=2.0)
    last = compute_features(bars).iloc[-1]
    for name in [f.name for f in CATALOG if f.family != "calendar"]:
        np.testing.assert_allclose(last[name], AT_REST[name], atol=1e-6, err_msg=name)


def test_a_market_without_volume_has_no_volume_features():
    bars = together([bars_of("calm", 300, 1)]).assign(volume=0.0)
    last = compute_features(bars).iloc[-1]
    for name in ("obv_63", "vwap_20", "cmf_20", "volume_surprise_20", "volume_5_63"):
        assert np.isnan(last[name])
    assert last["mfi_14"] == 0.5
    assert last["force_13"] == 0.0
    assert not np.isnan(last["rsi_14"])


def test_an_idle_bar_is_the_smallest_surprise_and_not_missing():
    bars = together([bars_of("calm", 60, 1)])
    bars.loc[59, "volume"] = 0.0
    assert compute_features(bars)["volume_surprise_20"].iloc[-1] == -4.0


def test_after_idle_weeks_there_is_no_usual_volume_to_compare_with():
    """Not the largest surprise, nor infinitely illiquid: unknown."""
    bars = together([bars_of("calm", 300, 1)])
    bars.loc[270:298, "volume"] = 0.0
    features = compute_features(bars)
    assert np.isnan(features["volume_surprise_20"].iloc[-1])
    assert np.isnan(features["illiquidity_21_252"].iloc[-2])
    assert not np.isnan(features["illiquidity_21_252"].iloc[-1])


def test_one_bar_is_enough_for_what_needs_one():
    only = compute_features(together([bars_of("calm", 1, 1)])).iloc[0]
    known = set(only[COLUMNS].dropna().index)
    assert known == {
        "close_location", "rank_missing", "time_of_day", "day_of_week", "day_of_month"
    }  # fmt: skip


def test_no_bars_make_no_features():
    features = compute_features(empty_bars())
    assert features.shape == (0, 62)
    assert features.columns.tolist() == ["timestamp", "symbol", *COLUMNS]


def test_gaps_are_not_filled():
    """A symbol's bars follow one another; the dates it missed have no rows."""
    whole = together([bars_of("calm", 320, 1, "AAA"), bars_of("calm", 320, 2, "BBB")])
    missed = whole["timestamp"].isin(whole["timestamp"].unique()[100:130])
    bars = whole[~(missed & (whole["symbol"] == "BBB"))].reset_index(drop=True)
    features = compute_features(bars)
    mine = features[features["symbol"] == "BBB"]
    alone = bars[bars["symbol"] == "BBB"].reset_index(drop=True)
    assert len(mine) == 290
    for feature in SINGLE:
        np.testing.assert_array_equal(
            mine[feature.name], compute_features(alone)[feature.name], err_msg=feature.name
        )


def test_symbols_do_not_touch_one_another_except_through_the_cross_section():
    bars = together([bars_of("calm", 300, seed, f"S{seed}") for seed in range(3)])
    alone = compute_features(bars[bars["symbol"] == "S1"].reset_index(drop=True))
    mine = compute_features(bars)
    mine = mine[mine["symbol"] == "S1"].reset_index(drop=True)
    for feature in SINGLE:
        pd.testing.assert_series_equal(mine[feature.name], alone[feature.name], check_exact=True)


def test_broken_tables_are_refused():
    bars = adjusted_bars()
    with pytest.raises(BarsError, match="lack columns \\['volume'\\]"):
        compute_features(bars.drop(columns="volume"))
    with pytest.raises(BarsError, match="not sorted"):
        compute_features(bars.sort_values(["symbol", "timestamp"]))
    with pytest.raises(BarsError, match="not sorted"):
        compute_features(pd.concat([bars[:1], bars[:1]]))
    with pytest.raises(ValueError, match="calendar must be one of"):
        compute_features(bars, calendar="XNIX")


def fingerprint():
    """A few values of each feature on real bars, to six digits."""
    features = compute_features(adjusted_bars(), calendar="XNYS")[COLUMNS].iloc[1500::2311]
    return {name: [float(f"{v:.5g}") for v in features[name].fillna(-9)] for name in COLUMNS}


def test_new_numbers_come_with_a_new_revision():
    """Stored features are trusted by the catalog's hash, so it must change when numbers do.

    If this fails on purpose: raise REVISION, and write `fingerprint()` into the golden file.
    """
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert golden["revision"] == REVISION
    values = fingerprint()
    assert values.keys() == golden["values"].keys()
    for name, expected in golden["values"].items():
        np.testing.assert_allclose(values[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_hash_follows_the_catalog(monkeypatch):
    before = catalog_hash()
    assert before == catalog_hash()
    assert len(before) == 64
    monkeypatch.setattr("trading_pipeline.core.features.catalog.REVISION", REVISION + 1)
    assert catalog_hash() != before
    monkeypatch.undo()
    monkeypatch.setattr("trading_pipeline.core.features.catalog.CATALOG", CATALOG[::-1])
    assert catalog_hash() != before
