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

from trading_pipeline.errors import BarsError

PRICES = ("open", "high", "low", "close")
COLUMNS = ("timestamp", "symbol", *PRICES, "volume")
OPTIONAL = ("vwap", "trade_count")
KEY = ["timestamp", "symbol"]
# Adjusted prices are products of rounded numbers: a close may pass its high by some last bits.
TOLERANCE = 1e-9


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
    if "trade_count" in typed:
        typed["trade_count"] = typed["trade_count"].astype("int64")
    return in_order(typed)


def typed_bars(bars: pd.DataFrame, where: str = "bars") -> pd.DataFrame:
    """The columns of bars in their canonical types, rows as they are and values unchecked.

    Raises:
        BarsError: a column is missing, there twice, or of the wrong type.
    """
    if missing := [name for name in COLUMNS if name not in bars]:
        raise BarsError(
            f"{where}: lacks column {', '.join(missing)}; bars need {', '.join(COLUMNS)}"
        )
    if repeated := sorted({str(name) for name in bars.columns[bars.columns.duplicated()]}):
        raise BarsError(f"{where}: has more than one column {', '.join(repeated)}")
    typed = pd.DataFrame(
        {"timestamp": stamps_of(bars["timestamp"], where), "symbol": symbols_of(bars, where)}
    )
    for name in (*PRICES, "volume", *(name for name in OPTIONAL if name in bars)):
        typed[name] = numbers_of(bars[name], where)
    return typed


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The table sorted by (timestamp, symbol) with a RangeIndex."""
    return table.sort_values(KEY, kind="stable", ignore_index=True)


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
    stamps = pd.DatetimeIndex([], dtype="datetime64[us, UTC]")
    empty = {"timestamp": stamps, "symbol": pd.Series([], dtype="str")}
    return pd.DataFrame(empty | {name: np.empty(0) for name in (*PRICES, "volume")})


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
        BarsError: not datetimes, without a time zone, or missing somewhere.
    """
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
    if (missing := column.isna().to_numpy()).any():
        raise BarsError(f"{where}: row {missing.argmax()} has no timestamp ({_rows(missing)})")
    return pd.DatetimeIndex(column.dt.tz_convert("UTC").dt.as_unit("us"))


def symbols_of(table: pd.DataFrame, where: str) -> pd.Series:
    """The symbol column as strings with a fresh index.

    Raises:
        BarsError: something in it is not a string, or is an empty one.
    """
    column = table["symbol"].reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    # One look at each distinct symbol is enough: panels repeat a few of them very often.
    named = {value: isinstance(value, str) and bool(value.strip()) for value in column.unique()}
    broken = ~column.map(named, na_action=None).to_numpy(dtype=bool)
    if broken.any():
        row = int(broken.argmax())
        value = column.tolist()[row]
        raise BarsError(
            f"{where}: row {row} has symbol {value!r}, must be a name ({_rows(broken)})"
        )
    return column.astype("str")


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
    symbol, stamp = table["symbol"].iloc[row], table["timestamp"].iloc[row]
    return f"row {row}, {symbol} at {stamp:%Y-%m-%d %H:%M} UTC ({_rows(broken)}):"


def _rows(broken: np.ndarray) -> str:
    count = int(broken.sum())
    return "1 row concerned" if count == 1 else f"{count} rows concerned"


def broken_rules(bars: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Each rule of `typed_bars` in words, and whether each row breaks it, bool (rows,).

    Earlier rules make later ones meaningful.
    """
    values = {name: bars[name].to_numpy() for name in (*PRICES, "volume")}
    open_, high, low, close, volume = values.values()
    rules = [(f"{name} is NaN (missing)", np.isnan(value)) for name, value in values.items()]
    rules += [(f"{name} is infinite", np.isinf(value)) for name, value in values.items()]
    rules += [(f"{name} is not positive", values[name] <= 0) for name in PRICES]
    ceiling, floor = high * (1 + TOLERANCE), low * (1 - TOLERANCE)
    rules += [
        ("high < low", ceiling < low),
        ("open is outside [low, high]", (open_ > ceiling) | (open_ < floor)),
        ("close is outside [low, high]", (close > ceiling) | (close < floor)),
        ("volume is negative", volume < 0),
        ("(timestamp, symbol) is a duplicate of an earlier row", bars.duplicated(KEY).to_numpy()),
    ]
    return rules + _broken_optional_rules(bars)


def _broken_optional_rules(bars: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    rules = []
    if "vwap" in bars:
        vwap = bars["vwap"].to_numpy()
        rules.append(("vwap is not positive or is infinite", (vwap <= 0) | np.isinf(vwap)))
    if "trade_count" in bars:
        count = bars["trade_count"].to_numpy()
        whole = np.isfinite(count) & (count >= 0) & (count == np.floor(count))
        rules.append(("trade_count is not a whole number >= 0", ~whole))
    return rules
