from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.learning.walkforward import (
    Rows,
    fitting_spans,
    fold_rows,
    fold_starts,
    folds,
    minimum_decisions,
    refitted_every,
    sufficient_bars,
)
from trading_pipeline.core.market.market import WalkForward
from trading_pipeline.errors import HistoryTooShort

YEARLY = WalkForward(first_train=60, test=12, window=60)


def weekdays(start, bars):
    return pd.bdate_range(start, periods=bars, tz="UTC")


def test_the_arithmetic_of_a_fold_worked_by_hand():
    """s = 1000, h = 21: last target of training ends on 999; validation is 15 % of 500..977."""
    fold = fold_rows("2010-01-01", 500, 1000, 1251, horizon=21)
    assert fold.validation == Rows(906, 977)  # 977 + 1 + 21 = 999; 478 decisions, 72 of them
    assert fold.train == Rows(500, 883)  # 883 + 1 + 21 = 905
    assert fold.test == Rows(1000, 1251)


def test_embargo_widens_both_gaps():
    without, embargoed = (fold_rows("k", 500, 1000, 1251, 21, embargo=e) for e in (0, 5))
    assert embargoed.validation.last == without.validation.last - 5
    assert embargoed.validation.first - embargoed.train.last == 21 + 2 + 5


@given(
    earliest=st.integers(0, 500),
    decisions=st.integers(300, 2000),
    horizon=st.integers(1, 120),
    embargo=st.integers(0, 30),
)
def test_no_target_reaches_what_comes_after(earliest, decisions, horizon, embargo):
    first_test = earliest + decisions + 2 * (horizon + embargo)
    fold = fold_rows("k", earliest, first_test, first_test + 20, horizon, embargo)
    touched = horizon + 1
    assert fold.train.last + touched < fold.validation.first
    assert fold.validation.last + touched < fold.test.first
    assert fold.train.first == earliest


def test_a_fold_whose_targets_overlap_is_refused():
    fold = fold_rows("k", 500, 1000, 1251, horizon=5)
    with pytest.raises(ValueError, match="training targets reach into validation"):
        fold.check(horizon=6)


def test_folds_begin_on_calendar_boundaries_after_the_first_training_span():
    starts = fold_starts(
        pd.Timestamp("2000-03-01", tz="UTC"), pd.Timestamp("2013-03-01", tz="UTC"), YEARLY
    )
    assert [start.year for start in starts] == list(range(2006, 2014))
    quarterly = WalkForward(first_train=24, test=3, window=24)
    starts = fold_starts(
        pd.Timestamp("2008-01-02", tz="UTC"), pd.Timestamp("2010-08-01", tz="UTC"), quarterly
    )
    assert [f"{start:%Y-%m}" for start in starts] == ["2010-01", "2010-04", "2010-07"]


def test_every_bar_of_a_fold_is_predicted_and_folds_tile_the_history():
    clock = weekdays("2000-03-01", 3390)
    found = list(folds(clock, YEARLY, horizon=21, burn_in=312).values())
    assert found[-1].test.last == len(clock) - 1
    for before, after in pairwise(found):
        assert after.test.first == before.test.last + 1


def test_training_windows_roll():
    clock = weekdays("2000-03-01", 3390)
    found = folds(clock, YEARLY, horizon=21, burn_in=312)
    assert found["2006-01-01"].train.first == 312  # the history is younger than five years
    assert clock[found["2012-01-01"].train.first] == pd.Timestamp("2007-01-01", tz="UTC")


def test_too_short_a_history_names_the_bars_needed():
    few = weekdays("2020-01-01", 100)
    with pytest.raises(HistoryTooShort, match=f"100 bars .* {sufficient_bars(few, 21, 312)} are"):
        fitting_spans(few, YEARLY, 21, 312)


@given(bars=st.integers(50, 1000), first=st.integers(0, 400))
def test_as_many_bars_as_it_says_are_enough_for_spans_that_stand(bars, first):
    clock = pd.bdate_range(
        pd.Timestamp("2003-01-01") + pd.Timedelta(days=first), periods=bars, tz="UTC"
    )
    with pytest.raises(HistoryTooShort) as refused:
        folds(clock, YEARLY, 21, 312)
    needed = sufficient_bars(clock, 21, 312, YEARLY)
    assert f"{needed} are needed" in str(refused.value)
    assert folds(pd.bdate_range(clock[0], periods=needed), YEARLY, 21, 312)


def test_spans_that_fit_stay_and_short_ones_shrink_and_say_so():
    assert fitting_spans(weekdays("2000-03-01", 3390), YEARLY, 21, 312) == (YEARLY, None)
    spans, note = fitting_spans(weekdays("2015-01-01", 1000), YEARLY, 21, 312)
    assert spans.first_train < 60
    assert spans.test < 12
    assert f"training 60 -> {spans.first_train} months" in note
    made = folds(weekdays("2015-01-01", 1000), spans, 21, 312)
    assert len(made) >= 4


@given(bars=st.integers(400, 4000), horizon=st.integers(1, 40))
def test_spans_either_give_a_fold_or_say_what_is_missing(bars, horizon):
    clock = weekdays("2003-05-14", bars)
    try:
        spans, _ = fitting_spans(clock, YEARLY, horizon, 312)
    except HistoryTooShort:
        assert bars < sufficient_bars(clock, horizon, 312)
        return
    for fold in folds(clock, spans, horizon, 312).values():
        assert fold.test.first - fold.train.first >= minimum_decisions(horizon)


def test_a_window_too_short_for_any_history_says_how_long_it_must_be():
    """More bars would not help, so the message must not ask for them; 15 months are enough."""
    spans = WalkForward(first_train=24, test=6, window=12)
    with pytest.raises(HistoryTooShort, match=r"12 months.*at least 15 months"):
        folds(weekdays("2000-01-03", 5000), spans, 21, burn_in=312)
    assert folds(weekdays("2000-01-03", 5000), replace(spans, window=15), 21, burn_in=312)


def rows_of(known):
    return [n for fold in known.values() for n in range(fold.test.first, fold.test.last + 1)]


@given(st.integers(1, 30), st.integers(1, 12) | st.none())
def test_rarer_refits_ask_about_the_same_bars_with_fewer_models(months, count):
    """Training spans are those of the months, so that one model serves every interval."""
    clock = pd.bdate_range("2015-01-01", periods=1400, tz="UTC")
    spans = WalkForward(first_train=24, test=1, window=24)
    monthly = dict(list(folds(clock, spans, 3, 60).items())[-months:])
    joined = refitted_every(monthly, count)
    assert rows_of(joined) == rows_of(monthly)
    assert len(joined) == -(-len(monthly) // (count or len(monthly)))
    for key, fold in joined.items():
        assert (fold.train, fold.validation) == (monthly[key].train, monthly[key].validation)
