"""Corporate actions: deriving them, placing them on bars, and the factors they make."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.actions import (
    actions_from_adjusted,
    check_actions,
    empty_actions,
    forward_factors,
    place_actions,
    split_of,
)
from trading_pipeline.errors import BarsError
from trading_pipeline_tests.strategies import closes

DAYS = pd.date_range("2024-01-01", periods=6, tz="UTC", unit="us")


def table(*rows):
    return check_actions(
        pd.DataFrame(
            [(DAYS[day], symbol, kind, value) for day, symbol, kind, value in rows],
            columns=["timestamp", "symbol", "kind", "value"],
        )
    )


def grid(*columns):
    return np.array(columns, dtype=float).T


def frame(*columns):
    return pd.DataFrame(
        grid(*columns), index=DAYS[: len(columns[0])], columns=["AAA", "BBB"][: len(columns)]
    )


def test_a_split_and_a_dividend_are_told_apart():
    """By hand: 2 for 1 on day 1; 0.50 on a close of 25, a 2 % rise of the level, on day 3."""
    close = frame([50, 26, 25, 25, 26])
    level = frame([0.25, 0.5, 0.5, 0.51, 0.51])
    found = actions_from_adjusted(close, close * level)
    pd.testing.assert_frame_equal(
        found, table((1, "AAA", "split", 2.0), (3, "AAA", "dividend", 0.5))
    )


def test_a_split_and_a_dividend_of_one_date_are_both_found():
    """By hand: 3 for 1, then 0.10 on a close of 20: the level rises 3 × 1.005."""
    close = frame([60, 20, 20])
    level = frame([1.0, 3.015, 3.015])
    found = actions_from_adjusted(close, close * level)
    pd.testing.assert_frame_equal(
        found, table((1, "AAA", "split", 3.0), (1, "AAA", "dividend", 0.1))
    )


def test_only_changes_of_the_level_count():
    close = frame([10, 11, 12], [5, 5, 6])
    assert actions_from_adjusted(close, close * 0.123).empty


def test_actions_are_found_across_missing_bars():
    close = frame([np.nan, 50, np.nan, 25, 25])
    found = actions_from_adjusted(close, close * frame([1, 1, np.nan, 2, 2]))
    pd.testing.assert_frame_equal(found, table((3, "AAA", "split", 2.0)))


def test_a_missing_adjusted_close_is_refused():
    close = frame([10, 11, 12])
    with pytest.raises(BarsError, match="AAA at 2024-01-02 has a close but no adjusted close"):
        actions_from_adjusted(close, frame([10, np.nan, 12]))


@pytest.mark.parametrize(
    ("step", "split"),
    [
        (2.0, 2.0),
        (7.0, 7.0),
        (1.5, 1.5),
        (1.25, 1.25),
        (0.1, 0.1),
        (1 / 30, 1 / 30),
        (2 * 1.01, 2.0),
        (0.1 * 1.015, 0.1),
        (1.004, 1.0),
        (1.11245, 1.0),  # a special dividend of 11 %
        (1.22, 1.0),  # and of 22 %, though 6 for 5 is near
        (1.52, 1.0),
        (7.5, 7.5),  # no dividend is a multiple of the price
        (0.97, 0.97),  # nor negative
    ],
)
def test_changes_are_read_as_companies_make_them(step, split):
    assert split_of(step) == pytest.approx(split, rel=1e-12)


@given(closes(3, 30), st.data())
def test_derived_actions_give_the_adjusted_returns_back(close, data):
    """However a change is read, the factors made of it have the same total return."""
    steps = data.draw(
        st.lists(
            st.one_of(st.just(1.0), st.floats(1.001, 8.0), st.sampled_from([0.1, 0.5, 2.0, 1.5])),
            min_size=len(close),
            max_size=len(close),
        )
    )
    raw = pd.DataFrame(
        {"AAA": close.to_numpy()}, index=pd.date_range(DAYS[0], periods=len(close), unit="us")
    )
    level = np.cumprod([1.0, *steps[1:]])[:, None]
    found = actions_from_adjusted(raw, raw * level)
    split, dividend = place_actions(found, raw.index, ("AAA",), np.ones(raw.shape, bool))
    factor = forward_factors(raw.to_numpy(), split, dividend)
    # Dividends are rounded to 1e-6, events below 1e-5 of the price are not told from rounding.
    np.testing.assert_allclose(factor, level, rtol=2e-5 * len(close))


def test_factors_by_hand():
    """Close 50 → 26 after 2 for 1: a gain of 4 %. Close 25, 0.50 paid: 25.5 of 26 kept."""
    close = grid([50, 26, 25, 26])
    split, dividend = grid([1, 2, 1, 1]), grid([0, 0, 0.5, 0])
    factor = forward_factors(close, split, dividend)
    np.testing.assert_allclose(factor[:, 0], [1, 2, 2 * 1.02, 2 * 1.02])
    adjusted = (close * factor)[:, 0]
    np.testing.assert_allclose(adjusted[1:] / adjusted[:-1], [1.04, 25.5 / 26, 1.04])


def test_factors_start_at_listing_and_hold_over_missing_bars():
    close = grid([np.nan, 10, np.nan, 5, np.nan])
    factor = forward_factors(close, grid([1, 1, 1, 2, 1]), np.zeros((5, 1)))
    np.testing.assert_array_equal(factor[:, 0], [np.nan, 1, 1, 2, 2])


def test_an_action_takes_effect_on_the_first_bar_from_its_date():
    """AAA is halted on day 2; BBB trades every day."""
    traded = grid([1, 1, 0, 1, 1], [1, 1, 1, 1, 1]).astype(bool)
    actions = table((2, "AAA", "split", 2.0), (2, "BBB", "split", 3.0))
    split, dividend = place_actions(actions, DAYS[:5], ("AAA", "BBB"), traded)
    np.testing.assert_array_equal(split, grid([1, 1, 1, 2, 1], [1, 1, 3, 1, 1]))
    assert not dividend.any()


def test_actions_that_meet_after_a_halt_have_the_effect_of_all():
    """0.40 a share, then 2 for 1, then 0.10 a share: 0.30 for each new share."""
    actions = table(
        (1, "AAA", "dividend", 0.4), (2, "AAA", "split", 2.0), (2, "AAA", "dividend", 0.1)
    )
    traded = grid([1, 0, 0, 1]).astype(bool)
    split, dividend = place_actions(actions, DAYS[:4], ("AAA",), traded)
    np.testing.assert_allclose(split[:, 0], [1, 1, 1, 2])
    np.testing.assert_allclose(dividend[:, 0], [0, 0, 0, 0.3])


def test_a_split_comes_before_the_dividend_of_its_date():
    actions = table((1, "AAA", "dividend", 0.1), (1, "AAA", "split", 2.0))
    assert list(actions["kind"]) == ["split", "dividend"]
    _, dividend = place_actions(actions, DAYS[:2], ("AAA",), np.ones((2, 1), bool))
    assert dividend[1, 0] == 0.1


def test_actions_that_concern_nobody_are_left_out():
    """Before or on the first bar nobody held it; after the last nobody sees it; CCC is not here."""
    actions = table(
        (0, "AAA", "split", 2.0),
        (1, "AAA", "split", 3.0),
        (5, "AAA", "dividend", 1.0),
        (2, "CCC", "dividend", 1.0),
    )
    traded = grid([0, 1, 1, 1, 0]).astype(bool)
    split, dividend = place_actions(actions, DAYS[:5], ("AAA",), traded)
    assert (split == 1).all()
    assert not dividend.any()


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((1, "AAA", "spinoff", 1.0), "kind is neither split nor dividend"),
        ((1, "AAA", "split", 0.0), "value is not positive"),
        ((1, "AAA", "dividend", np.nan), "value is not positive"),
        ((1, "AAA", "dividend", np.inf), "value is not positive"),
    ],
)
def test_impossible_actions_are_named(row, rule):
    with pytest.raises(BarsError, match=f"row 1, AAA at 2024-01-.*{rule}"):
        table((0, "AAA", "split", 2.0), row)


def test_several_of_one_day_are_one_of_the_same_effect():
    """A regular and a special dividend, and two splits, as venues give them."""
    rows = [(0, "AAA", "dividend", 0.5), (0, "AAA", "dividend", 0.25), (0, "AAA", "split", 2.0)]
    got = table(*rows, (0, "AAA", "split", 3.0), (0, "BBB", "dividend", 1.0))
    assert got[["symbol", "kind", "value"]].values.tolist() == [
        ["AAA", "split", 6.0],
        ["AAA", "dividend", 0.75],
        ["BBB", "dividend", 1.0],
    ]


def test_an_action_that_is_told_twice_counts_once():
    """A repeated row is the export's; where another column differs they are two."""
    row = (0, "AAA", "dividend", 0.5)
    assert table(row, row)["value"].tolist() == [0.5]
    twice = pd.concat([table(row).assign(sort="regular"), table(row).assign(sort="special")])
    assert check_actions(twice)["value"].tolist() == [1.0]


def test_a_table_without_a_column_is_refused():
    with pytest.raises(BarsError, match=r"actions\.parquet: lacks column value"):
        check_actions(empty_actions().drop(columns="value"), where="actions.parquet")


def test_no_actions_are_fine():
    pd.testing.assert_frame_equal(check_actions(empty_actions()), empty_actions())
