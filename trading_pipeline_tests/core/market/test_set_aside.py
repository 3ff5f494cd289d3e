"""Sifting: which rows are set aside for which rule, and what becomes of the others."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import COPY, KEY, RIVAL, check_bars
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.report import held_out
from trading_pipeline.core.market.quarantine import rows_in_doubt
from trading_pipeline.core.market.set_aside import (
    COLUMNS,
    Sifted,
    check_share,
    lines_of,
    none_aside,
)
from trading_pipeline.errors import BarsError
from trading_pipeline_tests.core.market.planted import clean_bars
from trading_pipeline_tests.strategies import bars

CLEAN = clean_bars(240)  # four symbols, row after row AAA, BBB, CCC, DDD
BROKEN = {
    "timestamp is missing": {"timestamp": pd.NaT},
    "symbol is missing or no name": {"symbol": " "},
    "close is NaN (missing)": {"close": np.nan},
    "high is infinite": {"high": np.inf},
    "low is not positive": {"low": 0.0},
    "high < low": {"high": 0.01},
    "open is outside [low, high]": {"open": 1e6},
    "volume is negative": {"volume": -1.0},
}


def with_broken(table, row, rule):
    table = table.copy()
    for name, value in BROKEN[rule].items():
        table.loc[row, name] = value
    return table


def sifted(table, where="panel.parquet"):
    return Sifted.of({where: table})


@given(bars())
@pytest.mark.slow
def test_of_sound_rows_nothing_is_set_aside(table):
    """And they come out as `check_bars` gives them."""
    found = sifted(table.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(found.bars, check_bars(table))
    pd.testing.assert_frame_equal(found.aside, none_aside())


@pytest.mark.parametrize("rule", BROKEN)
def test_a_row_that_breaks_a_rule_is_set_aside_with_all_that_it_said(rule):
    """Whoever looks for it finds the file, the row and the numbers."""
    table = with_broken(CLEAN, 7, rule)
    found = sifted(table)
    (row,) = found.aside.to_dict("records")
    assert tuple(found.aside.columns) == COLUMNS
    assert (row["file"], row["row"], row["rule"]) == ("panel.parquet", 7, rule)
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_equal(row[name], table.loc[7, name])
    pd.testing.assert_frame_equal(found.bars, check_bars(CLEAN.drop(index=7)))
    pd.testing.assert_series_equal(found.aside.dtypes, none_aside().dtypes)


@given(st.dictionaries(st.integers(0, len(CLEAN) - 1), st.sampled_from(sorted(BROKEN)), max_size=9))
@pytest.mark.slow
def test_every_row_is_either_a_bar_or_set_aside(planted):
    """None is lost, none is there twice, and what is kept obeys every rule."""
    table = CLEAN
    for row, rule in planted.items():
        table = with_broken(table, row, rule)
    found = sifted(table)
    assert dict(zip(found.aside["row"], found.aside["rule"], strict=True)) == planted
    pd.testing.assert_frame_equal(found.bars, check_bars(CLEAN.drop(index=list(planted))))
    kept = found.places.get_level_values("row")
    assert sorted([*kept, *found.aside["row"]]) == list(range(len(CLEAN)))
    pd.testing.assert_frame_equal(
        table.loc[kept, KEY].reset_index(drop=True), found.bars[KEY], check_dtype=False
    )


def test_of_equal_rows_the_first_stays_and_of_rivals_none():
    """Nobody can tell which of two different bars is right; an impossible one is no rival."""
    copy, rival = CLEAN.iloc[[20]], CLEAN.iloc[[21]].assign(volume=7.0)
    impossible = CLEAN.iloc[[22]].assign(volume=-7.0)
    table = pd.concat([CLEAN, copy, rival, impossible], ignore_index=True)
    found = sifted(table)
    assert dict(zip(found.aside["row"], found.aside["rule"], strict=True)) == {
        21: RIVAL,
        960: COPY,
        961: RIVAL,
        962: "volume is negative",
    }
    pd.testing.assert_frame_equal(found.bars, check_bars(CLEAN.drop(index=21)))


def test_rows_count_from_0_in_each_file_and_repeats_are_seen_across_them():
    first, second = CLEAN.iloc[:400], CLEAN.iloc[399:].reset_index(drop=True)
    found = Sifted.of({"a.parquet": first, "b.parquet": with_broken(second, 5, "high < low")})
    assert found.aside[["file", "row", "rule"]].to_numpy().tolist() == [
        ["b.parquet", 0, COPY],
        ["b.parquet", 5, "high < low"],
    ]


def test_a_stray_bar_on_a_weekend_is_set_aside_where_the_market_rests():
    saturday = CLEAN.iloc[[0]].assign(timestamp=pd.Timestamp("2015-01-10", tz="UTC"))
    found = sifted(pd.concat([CLEAN.iloc[:50], saturday, CLEAN.iloc[50:]], ignore_index=True))
    assert len(found.on_open_days("24/7").bars) == len(CLEAN) + 1
    rested = found.on_open_days("XNYS")
    pd.testing.assert_frame_equal(rested.bars, CLEAN)
    (row,) = rested.aside.to_dict("records")
    assert (row["row"], row["symbol"]) == (50, CLEAN["symbol"][0])
    assert row["rule"] == "XNYS is closed on weekends"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (CLEAN.drop(columns="close"), "p: lacks column close"),
        (CLEAN.assign(close="1"), "p: column close holds str"),
        (CLEAN.assign(symbol=7), "p: row 0 has symbol 7"),
        (CLEAN.assign(timestamp=CLEAN["timestamp"].dt.tz_localize(None)), "p: .* is naive"),
    ],
)
def test_faults_of_a_whole_file_are_refused(table, complaint):
    with pytest.raises(BarsError, match=f"^{complaint}"):
        sifted(table, "p")


def test_more_than_one_row_in_a_hundred_is_refused():
    """10 of 1,000 are set aside; 11 are a panel that somebody has to look at."""
    found = sifted(CLEAN.assign(volume=-1.0))
    check_share(found.aside[:10], 990, "the panel")
    with pytest.raises(BarsError) as refused:
        check_share(found.aside[:11], 989, "the panel")
    text = str(refused.value)
    assert text.startswith("panel.parquet: row 0, AAA at 2015-01-02 00:00 UTC (11 rows concerned):")
    assert "volume is negative. 11 of 1,000 rows of the panel are no bars (1.10%)" in text
    check_share(none_aside(), 0, "nothing")


def test_a_person_is_told_how_many_and_which():
    table = CLEAN.copy()
    table.loc[[5, 6, 7, 9], "high"] = 0.01
    assert lines_of(sifted(table).aside) == [
        "4 rows of BBB, CCC, DDD set aside (BBB at 2015-01-05 00:00 UTC: high < low; "
        "CCC at 2015-01-05 00:00 UTC: high < low; DDD at 2015-01-05 00:00 UTC: high < low; "
        "and 1 more)"
    ]
    assert lines_of(none_aside()) == []


def doubts_of(found):
    return rows_in_doubt(found.aside, found.bars)


def panel_with(count, *broken):
    """A panel of `count` days; AAA has an impossible row on some of them."""
    clean = clean_bars(count)
    rows = clean.index[clean["symbol"] == "AAA"]
    for day in broken:
        clean = with_broken(clean, rows[day], "high < low")
    found = sifted(clean)
    panel = Panel.of(found.bars, None, doubts=doubts_of(found))
    assert not panel.quarantined[:, 1:].any()
    return panel


@pytest.mark.parametrize(
    ("broken", "held"), [([998], True), ([999], False), ([999, 1999], False), ([999, 1998], True)]
)
def test_a_symbol_with_more_than_one_row_in_a_thousand_is_held_out(broken, held):
    """Of its rows so far: 1 of 1,000 is not too many, nor 2 of 2,000; 1 of 999, or 2 of 1,999."""
    assert panel_with(2010, *broken).quarantined.any() == held


def test_the_quarantine_lasts_a_year_from_the_row():
    panel = panel_with(600, 300)
    bad = panel.timestamps[300]  # the others have a bar there
    year = pd.Timedelta(days=365)
    inside = (panel.timestamps > bad) & (panel.timestamps < bad + year)
    assert panel.timestamps[panel.quarantined[:, 0]].tolist() == panel.timestamps[inside].tolist()
    able = eligible(panel, lookback=1)
    assert not able[301:540, 0].any()
    assert able[:300, 0].all()
    assert able[panel.timestamps >= bad + year, 0].all()
    assert "rows of it were set aside" in held_out(panel)[0]


@settings(max_examples=8)
@given(st.sets(st.integers(0, 239), max_size=5), st.integers(1, 239))
@pytest.mark.slow
def test_rows_that_come_later_change_no_doubt_and_no_quarantine(broken, days):
    """Who is held out at a date is known at that date: the universe must not look ahead."""
    clean = clean_bars(240)
    rows = clean.index[clean["symbol"] == "AAA"]
    for day in broken:
        clean = with_broken(clean, rows[day], "high < low")
    whole, early = sifted(clean), sifted(clean.iloc[: 4 * days])
    end = clean["timestamp"].unique()[days]
    doubts = doubts_of(whole)
    before = doubts[doubts["timestamp"] < end].reset_index(drop=True)
    pd.testing.assert_frame_equal(doubts_of(early), before)
    panel = Panel.of(whole.bars, None, doubts=doubts)
    cut = Panel.of(early.bars, None, ("AAA", "BBB", "CCC", "DDD"), doubts=doubts_of(early))
    np.testing.assert_array_equal(cut.quarantined, panel.until(days).quarantined)


def test_whoever_has_too_many_of_all_rows_is_held_out_in_the_end():
    """Two of 1,500 are more than one in a thousand, wherever they are."""
    for broken in ([3, 9], [1100, 1200], [1498, 1499]):
        assert len(doubts_of(sifted(_bars_of_aaa(1500, broken)))) > 0


def test_copies_hold_nobody_out():
    """Their bars are there: files that overlap by a day must not stop a market for a year."""
    found = sifted(pd.concat([CLEAN, CLEAN.iloc[400:404]], ignore_index=True))
    assert found.aside["rule"].tolist() == [COPY] * 4
    assert doubts_of(found).empty


def _bars_of_aaa(count, broken):
    table = clean_bars(count).query("symbol == 'AAA'").reset_index(drop=True)
    for row in broken:
        table = with_broken(table, row, "high < low")
    return table
