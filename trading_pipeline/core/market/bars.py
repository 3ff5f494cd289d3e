"""Bars: the one table everything else is computed from.

One row is one symbol over one interval. Columns, in order:
    timestamp  datetime64[us, UTC]   opening instant of the interval (daily equities: 00:00 UTC)
    symbol     str                   as the venue spells it, e.g. "BTC/USDT"
    open, high, low, close  float64  quote currency per unit, > 0
    volume     float64               base units, >= 0
    vwap       float64, optional     quote currency per unit, > 0, NaN where nothing traded
    trade_count  int64, optional     >= 0
The canonical form holds these columns only, is sorted by (timestamp, symbol), each key once,
and has a RangeIndex.
"""

import hashlib
import math
from itertools import islice

import numpy as np
import pandas as pd

from trading_pipeline.core.market.names import LONGEST_NAME, is_name
from trading_pipeline.errors import BarsError

PRICES = ("open", "high", "low", "close")
COLUMNS = ("timestamp", "symbol", *PRICES, "volume")
OPTIONAL = ("vwap", "trade_count")
KEY = ["timestamp", "symbol"]
STAMPS = "datetime64[us, UTC]"  # the dtype of every instant in a table
YEARS = (1700, 2200)  # of stamps; beyond them nanoseconds end
# Adjusted prices are products of rounded numbers: a close may pass its high by some last bits.
TOLERANCE = 1e-9
COPY = "(timestamp, symbol) is a duplicate of an earlier row"
RIVAL = "(timestamp, symbol) is a duplicate of another row, with other values"


def check_bars(bars: pd.DataFrame, where: str = "bars") -> pd.DataFrame:
    """The bars in canonical form, or an error that says which row breaks which rule.

    Args:
        bars: at least the seven required columns, rows in any order; other columns are dropped.
            Any time zone is converted to UTC, any integer or float type to its canonical one.
        where: file or source that the bars come from; begins every complaint.

    Raises:
        BarsError: a column is missing or of the wrong type, a (timestamp, symbol) repeats, or a
            value is impossible; names the first such row (counted from 0) and how many there are.
    """
    typed = typed_bars(bars, where)
    for rule, broken in broken_rules(typed):
        if broken.any():
            raise BarsError(f"{where}: {describe_row(typed, broken)} {rule}")
    return in_order(typed)


def typed_bars(bars: pd.DataFrame, where: str = "bars") -> pd.DataFrame:
    """The columns of bars in their canonical types, rows as they are and values unchecked.

    Where a timestamp or a name is missing, NaT or NaN is. Counts are floats until they are known
    to be whole: see `in_order`.

    Raises:
        BarsError: a column is missing, there twice, or of the wrong type.
    """
    if missing := [name for name in COLUMNS if name not in bars]:
        raise BarsError(
            f"{where}: lacks column {', '.join(missing)}; bars need {', '.join(COLUMNS)}"
        )
    if repeated := sorted({str(name) for name in bars.columns[bars.columns.duplicated()]}):
        raise BarsError(f"{where}: has more than one column {', '.join(repeated)}")
    names = _names_of(bars["symbol"])
    if names.isna().all():  # the column holds something else
        names = symbols_of(bars, where)
    typed = pd.DataFrame({"timestamp": _instants_of(bars["timestamp"], where), "symbol": names})
    for name in (*PRICES, "volume", *(name for name in OPTIONAL if name in bars)):
        typed[name] = numbers_of(bars[name], where)
    return typed


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The table sorted by (timestamp, symbol) with a RangeIndex, whole counts as integers."""
    return with_whole_counts(table.sort_values(KEY, kind="stable", ignore_index=True))


def with_whole_counts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `trade_count` as integers, if it has the column and all are whole."""
    if "trade_count" in table and _is_whole(table["trade_count"].to_numpy()).all():
        return table.astype({"trade_count": "int64"})
    return table


def price_text(price: float) -> str:
    """A price for a person: four decimals, and five digits of what is small; no exponent.

    '30,123.4500', '0.0000123', '-' where there is none.
    """
    if math.isnan(price):
        return "-"
    size = math.floor(math.log10(abs(price))) if price and math.isfinite(price) else 0
    text = f"{price:,.{max(4, 4 - size)}f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals[:4]}{decimals[4:].rstrip('0')}" if decimals else text


def empty_bars() -> pd.DataFrame:
    """No bars, in canonical form."""
    numbers = dict.fromkeys((*PRICES, "volume"), "float64")
    return empty_table(timestamp=STAMPS, symbol="str", **numbers)


def empty_table(**columns: str) -> pd.DataFrame:
    """No rows; `columns`: their dtypes by name."""
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})


def content_hash(*tables: pd.DataFrame | None) -> str:
    """SHA-256 of what tables say, as 64 hex digits: the same for the same rows, however stored.

    Rows and columns must be in canonical order. A table that is None differs from an empty one.
    """
    digest = hashlib.sha256()
    for table in tables:
        if table is None:
            digest.update(b"none")
            continue
        digest.update(f"{len(table)} rows".encode())
        for name in table.columns:
            digest.update(f"|{name}:".encode() + _bytes_of(table[name]))
    return digest.hexdigest()


def _bytes_of(column: pd.Series) -> bytes:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return bytes(column.dt.as_unit("us").astype("int64").to_numpy().tobytes())
    if pd.api.types.is_numeric_dtype(column.dtype):
        return bytes(column.to_numpy().tobytes())
    codes, values = pd.factorize(column)
    return "\n".join(map(str, values)).encode() + bytes(codes.astype("int64").tobytes())


def stamps_of(column: pd.Series, where: str) -> pd.DatetimeIndex:
    """A timestamp column as UTC instants in microseconds.

    Raises:
        BarsError: not datetimes, without a time zone, or somewhere missing or out of all bounds.
    """
    instants = _instants_of(column, where)
    if (missing := instants.isna()).any():
        raise BarsError(f"{where}: row {missing.argmax()} has no timestamp ({_rows(missing)})")
    return instants


def _instants_of(column: pd.Series, where: str) -> pd.DatetimeIndex:
    """The same, NaT where there is none."""
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise BarsError(
            f"{where}: column timestamp holds {column.dtype}, must be datetimes in UTC; "
            "convert it with pd.to_datetime(..., utc=True)"
        )
    if column.dt.tz is None:
        raise BarsError(
            f"{where}: column timestamp is naive (has no time zone), must be in UTC; "
            'if it is, say so with .dt.tz_localize("UTC")'
        )
    years = column.dt.year.to_numpy()
    if (absurd := (years < YEARS[0]) | (years > YEARS[1])).any():
        row = int(absurd.argmax())
        raise BarsError(
            f"{where}: row {row} is stamped in the year {years[row]:.0f} ({_rows(absurd)}); is the "
            "column in another unit?"
        )
    return pd.DatetimeIndex(column.dt.tz_convert("UTC").dt.as_unit("us"))


def symbols_of(table: pd.DataFrame, where: str) -> pd.Series:
    """The symbol column as strings with a fresh index.

    Raises:
        BarsError: something in it is not a string, or is an empty one.
    """
    names = _names_of(table["symbol"])
    if (broken := names.isna().to_numpy()).any():
        row = int(broken.argmax())
        value = table["symbol"].tolist()[row]
        raise BarsError(
            f"{where}: row {row} has symbol {value!r:.{LONGEST_NAME}}, must be a name "
            f"({_rows(broken)})"
        )
    return names


def _names_of(column: pd.Series) -> pd.Series:
    """Symbols as strings with a fresh index, NaN where there is no name."""
    column = column.reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    # One look at each distinct symbol is enough: panels repeat a few of them very often.
    named = {value: is_name(value) for value in column.unique()}
    if all(named.values()):
        return column.astype("str")
    return column.where(column.map(named, na_action=None).to_numpy(dtype=bool), None).astype("str")


def numbers_of(column: pd.Series, where: str) -> np.ndarray:
    """A column of numbers as float64, shape (rows,).

    Raises:
        BarsError: the column holds anything else; names the first row that does.
    """
    if not is_number(column.dtype):
        texts = ((row, v) for row, v in enumerate(column) if not isinstance(v, int | float))
        first = "".join(f"; row {row} has {value!r}" for row, value in islice(texts, 1))
        raise BarsError(
            f"{where}: column {column.name} holds {column.dtype}, must be numbers{first}"
        )
    numbers: np.ndarray = column.to_numpy(dtype="float64", na_value=np.nan)
    return numbers


def is_number(kind: object) -> bool:
    """Whether a column's dtype is an integer or float one, of any width."""
    is_real = pd.api.types.is_integer_dtype(kind) or pd.api.types.is_float_dtype(kind)
    return bool(is_real)


def describe_row(table: pd.DataFrame, broken: np.ndarray) -> str:
    """Where the first broken row is, and how many there are; `broken` is bool, shape (rows,)."""
    row = int(broken.argmax())
    return f"row {row}, {described(table.iloc[row])} ({_rows(broken)}):"


def described(row: pd.Series) -> str:
    """'AAPL at 2024-01-02 00:00 UTC', of a row whose timestamp or symbol may be missing."""
    symbol = "no symbol" if pd.isna(row["symbol"]) else row["symbol"]
    stamp = row["timestamp"]
    return f"{symbol} at {'no time' if pd.isna(stamp) else f'{stamp:%Y-%m-%d %H:%M} UTC'}"


def _rows(broken: np.ndarray) -> str:
    count = int(broken.sum())
    return "1 row concerned" if count == 1 else f"{count} rows concerned"


def broken_rules(bars: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Each rule of `typed_bars` in words, and whether each row breaks it, bool (rows,).

    Earlier rules make later ones meaningful: repeats are looked for among rows that obey the rest.
    """
    values = {name: bars[name].to_numpy() for name in (*PRICES, "volume")}
    open_, high, low, close, volume = values.values()
    rules = [
        ("timestamp is missing", bars["timestamp"].isna().to_numpy()),
        ("symbol is missing or no name", bars["symbol"].isna().to_numpy()),
    ]
    rules += [(f"{name} is NaN (missing)", np.isnan(value)) for name, value in values.items()]
    rules += [(f"{name} is infinite", np.isinf(value)) for name, value in values.items()]
    rules += [(f"{name} is not positive", values[name] <= 0) for name in PRICES]
    ceiling, floor = high * (1 + TOLERANCE), low * (1 - TOLERANCE)
    rules += [
        ("high < low", ceiling < low),
        ("open is outside [low, high]", (open_ > ceiling) | (open_ < floor)),
        ("close is outside [low, high]", (close > ceiling) | (close < floor)),
        ("volume is negative", volume < 0),
        *_broken_optional_rules(bars),
    ]
    sound = ~np.logical_or.reduce([broken for _, broken in rules])
    return rules + _broken_by_repeats(bars, sound)


def _broken_optional_rules(bars: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    rules = []
    if "vwap" in bars:
        vwap = bars["vwap"].to_numpy()
        rules.append(("vwap is not positive or is infinite", (vwap <= 0) | np.isinf(vwap)))
    if "trade_count" in bars:
        whole = _is_whole(bars["trade_count"].to_numpy())
        rules.append(("trade_count is not a whole number >= 0", ~whole))
    return rules


def _is_whole(count: np.ndarray) -> np.ndarray:
    whole: np.ndarray = np.isfinite(count) & (count >= 0) & (count == np.floor(count))
    return whole


def _broken_by_repeats(bars: pd.DataFrame, sound: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Copies of an earlier row; and all rows of a key that has several values: any may be wrong."""
    copies, rivals = np.zeros((2, len(bars)), dtype=bool)
    places = np.flatnonzero(sound)
    shared = bars[KEY] if len(places) == len(bars) else bars[KEY].iloc[places]
    places = places[shared.duplicated(keep=False).to_numpy()]
    if len(places):
        rows = bars.iloc[places].reset_index(drop=True)
        copies[places] = rows.duplicated().to_numpy()
        different = rows[~rows.duplicated()].duplicated(KEY, keep=False)
        rivals[places[different.index[different]]] = True
    return [(COPY, copies), (RIVAL, rivals)]
