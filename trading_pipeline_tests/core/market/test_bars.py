"""check_bars: canonical form, and which row breaks which rule."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipeline.core.market.bars import (
    COLUMNS,
    check_bars,
    content_hash,
    empty_bars,
    price_text,
)
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import BarsError
from trading_pipeline_tests.strategies import bars

MONDAY = pd.Timestamp("2024-01-01", tz="UTC")


def good(days=4, symbols=("AAA", "BBB")):
    stamps = pd.date_range(MONDAY, periods=days, unit="us").repeat(len(symbols))
    table = pd.DataFrame({"timestamp": stamps, "symbol": list(symbols) * days})
    return table.assign(open=10.0, high=12.0, low=9.0, close=11.0, volume=5.0)


def broken(row, **values):
    table = good()
    for name, value in values.items():
        table.loc[row, name] = value
    return table


@pytest.mark.parametrize("name", ["A\nB", "A\0B", "A\rB", "\x1b[2J", "A\u202eB", "A" * 101])
def test_a_symbol_that_cannot_be_shown_as_it_is_names_nothing(name):
    """It would begin a row of a table, turn a line around, or be refused by a database."""
    with pytest.raises(BarsError, match=r"row 0, no symbol at .* \(4 rows concerned\)"):
        check_bars(good(symbols=(name, "BBB")))
    with pytest.raises(ValueError, match=r"m: a symbol is a name of printable characters, 100 at "):
        Market(name="m", source="sample", symbols=(name,), start=MONDAY.date())


@given(bars(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(table, random):
    order = random.sample(range(len(table)), len(table))
    pd.testing.assert_frame_equal(check_bars(table.iloc[order]), table)


@given(bars())
def test_canonical_bars_are_a_fixed_point(table):
    pd.testing.assert_frame_equal(check_bars(table), table)
    assert isinstance(table.index, pd.RangeIndex)
    assert list(table.columns) == list(COLUMNS)


def test_types_of_the_same_values_become_canonical():
    """Integers, float32, nullable and categorical columns, other time zones and resolutions."""
    table = good()
    odd = table.assign(
        open=table["open"].astype("int32"),
        close=table["close"].astype("float32"),
        volume=table["volume"].astype("Int64"),
        symbol=table["symbol"].astype("category"),
        timestamp=table["timestamp"].dt.tz_convert("America/New_York").dt.as_unit("ns"),
        exchange="N",
    )
    pd.testing.assert_frame_equal(check_bars(odd), table)


def test_object_strings_become_strings():
    table = good().astype({"symbol": object})
    pd.testing.assert_frame_equal(check_bars(table), good())


def test_the_caller_keeps_its_table():
    table = good().sample(frac=1, random_state=1)
    copy = table.copy()
    check_bars(table)
    pd.testing.assert_frame_equal(table, copy)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"open": np.nan}, "open is NaN"),
        ({"volume": np.nan}, "volume is NaN"),
        ({"high": np.inf}, "high is infinite"),
        ({"volume": np.inf}, "volume is infinite"),
        ({"low": 0.0}, "low is not positive"),
        ({"close": -11.0, "low": -12.0}, "low is not positive"),
        ({"high": 8.0, "low": 9.0}, "high < low"),
        ({"open": 12.5}, "open is outside"),
        ({"open": 8.5}, "open is outside"),
        ({"close": 12.5}, "close is outside"),
        ({"close": 8.5}, "close is outside"),
        ({"volume": -1.0}, "volume is negative"),
    ],
)
def test_an_impossible_value_is_named_with_its_row(values, rule):
    with pytest.raises(BarsError) as raised:
        check_bars(broken(3, **values), where="panel.parquet")
    assert str(raised.value).startswith("panel.parquet: row 3, BBB at 2024-01-02 00:00 UTC (1 row ")
    assert rule in str(raised.value)


def test_all_rows_that_break_a_rule_are_counted():
    table = good()
    table.loc[[2, 5, 6], "volume"] = -1.0
    with pytest.raises(BarsError, match=r"row 2, AAA .*3 rows concerned.*volume is negative"):
        check_bars(table)


def test_a_repeated_bar_is_refused_wherever_it_is():
    table = pd.concat([good(), good().iloc[[1]]], ignore_index=True)
    with pytest.raises(BarsError, match=r"row 8, BBB at 2024-01-01 .*duplicate"):
        check_bars(table)


def test_the_same_instant_in_another_time_zone_is_the_same_bar():
    table = good(days=1, symbols=("AAA",))
    table = pd.concat([table, table], ignore_index=True)
    table["timestamp"] = table["timestamp"].dt.tz_convert("Asia/Tokyo")
    with pytest.raises(BarsError, match="duplicate"):
        check_bars(table)


def test_rounding_of_adjusted_prices_is_tolerated_and_kept():
    table = broken(0, close=12.0 * (1 + 5e-10))
    assert check_bars(table).loc[0, "close"] == 12.0 * (1 + 5e-10)
    with pytest.raises(BarsError, match="close is outside"):
        check_bars(broken(0, close=12.0 * (1 + 1.5e-9)))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_column_is_named(name):
    with pytest.raises(BarsError, match=f"panel: lacks column {name}; bars need timestamp"):
        check_bars(good().drop(columns=name), where="panel")


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        ({"close": ["11.0"] * 8}, "column close holds .*, must be numbers; row 0 has '11.0'"),
        ({"volume": [True] * 8}, "column volume holds bool, must be numbers"),
        ({"high": [12.0] * 6 + ["n/a", 12.0]}, "column high holds object.*row 6 has 'n/a'"),
        ({"timestamp": range(8)}, "column timestamp holds int64, must be datetimes in UTC"),
        ({"timestamp": ["2024-01-01"] * 8}, "column timestamp holds .*pd.to_datetime"),
        ({"symbol": [1] * 8}, "row 0 has symbol 1, must be a name .8 rows"),
        (
            {"symbol": ["AAA"] * 7 + [None]},
            "row 7, no symbol at 2024-01-04 .*.1 row .*: symbol is miss",
        ),
        ({"symbol": ["AAA", " "] * 4}, "row 1, no symbol at 2024-01-01 .*.4 rows .*no name"),
    ],
)
def test_a_wrong_type_is_named(column, complaint):
    with pytest.raises(BarsError, match=f"^panel: {complaint}"):
        check_bars(good().assign(**column), where="panel")


def test_naive_timestamps_are_refused_with_the_way_out():
    table = good()
    table["timestamp"] = table["timestamp"].dt.tz_localize(None)
    with pytest.raises(BarsError, match=r'naive.*tz_localize\("UTC"\)'):
        check_bars(table)


def test_a_missing_timestamp_is_refused():
    with pytest.raises(BarsError, match=r"row 5, BBB at no time \(1 row .*: timestamp is missing"):
        check_bars(broken(5, timestamp=pd.NaT))


def test_a_column_given_twice_is_refused():
    table = good()
    table = pd.concat([table, table[["close"]]], axis=1)
    with pytest.raises(BarsError, match="more than one column close"):
        check_bars(table)


def test_no_bars_are_fine():
    pd.testing.assert_frame_equal(check_bars(empty_bars()), empty_bars())
    pd.testing.assert_frame_equal(check_bars(good().iloc[:0]), empty_bars())


def test_optional_columns_are_kept_in_their_own_types():
    table = good().assign(trade_count=[7.0] * 8, vwap=[10.5] * 7 + [np.nan], note="x")
    checked = check_bars(table)
    assert list(checked.columns) == [*COLUMNS, "vwap", "trade_count"]
    assert checked["trade_count"].dtype == "int64"
    assert checked["vwap"].isna().sum() == 1


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"vwap": 0.0}, "vwap is not positive"),
        ({"vwap": np.inf}, "vwap is not positive or is infinite"),
        ({"trade_count": -1}, "trade_count is not a whole number"),
        ({"trade_count": 2.5}, "trade_count is not a whole number"),
        ({"trade_count": np.nan}, "trade_count is not a whole number"),
    ],
)
def test_impossible_optional_values_are_named(values, rule):
    table = good().assign(vwap=10.5, trade_count=3.0)
    for name, value in values.items():
        table.loc[4, name] = value
    with pytest.raises(BarsError, match=f"row 4, AAA .*{rule}"):
        check_bars(table)


@given(bars(), st.data())
def test_the_content_hash_sees_every_value(table, data):
    row = data.draw(st.integers(0, len(table) - 1))
    name = data.draw(st.sampled_from(["open", "volume", "symbol", "timestamp"]))
    other = table.copy()
    if name == "symbol":
        other.loc[row, name] = "ZZZ"
    elif name == "timestamp":
        other.loc[row, name] += pd.Timedelta(microseconds=1)
    else:
        other.loc[row, name] += 1.0
    assert content_hash(table) == content_hash(table.copy())
    assert content_hash(table) != content_hash(other)
    assert content_hash(table) != content_hash(table.drop(index=row))


def test_the_content_hash_does_not_depend_on_where_it_is_computed():
    """Stored hashes must stay comparable, so the recipe itself is pinned."""
    assert content_hash(good()) == GOLDEN_HASH
    assert len({content_hash(good()), content_hash(good(), None), content_hash()}) == 3


GOLDEN_HASH = "431d8fba32dd71e6973ff90a6a334c0793a8099bb66e219335cffeba7ba0d7cc"


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (30123.456789, "30,123.4568"),
        (12.5, "12.5000"),
        (0.5, "0.5000"),
        (0.123456, "0.12346"),
        (0.00005, "0.00005"),
        (0.0000123, "0.0000123"),
        (1.23456789e-9, "0.0000000012346"),
        (-0.0000123, "-0.0000123"),
        (0.0, "0.0000"),
        (float("nan"), "-"),
    ],
)
def test_a_price_keeps_its_digits(price, text):
    """Below 0.00005 four decimals are all zero: a coin was bought at 0.0000."""
    assert price_text(price) == text


@given(st.floats(1e-12, 1e9))
def test_a_price_can_be_read_back(price):
    """Five digits are right, and none of them is hidden in an exponent."""
    text = price_text(price)
    assert float(text.replace(",", "")) == pytest.approx(price, rel=5.001e-5)
    assert "e" not in text
