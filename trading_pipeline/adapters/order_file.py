"""A table of orders in a CSV or Parquet file, as `orders_from` takes it."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.sources.parquet import read_parquet
from trading_pipeline.errors import SourceError, TradingError

_STAMP = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?"
_DEFAULTS = {"type": "market", "bars": 1}  # of empty cells


def read_orders(path: Path, bars: pd.DatetimeIndex) -> pd.DataFrame:
    """The orders of a file, one a row.

    Stamps without a time zone are UTC; a date alone is the last bar of that day. Empty cells of
    `type` and `bars` are a market order and one bar. Lines of a CSV file without any value are
    left out.

    Args:
        bars: of the panel that they are for.

    Returns:
        Indexed by the line of a CSV file (the header is line 1), or by the row of a Parquet file
        (from 0), and the index has that name. Columns that are no order's are kept.

    Raises:
        SourceError: the file cannot be read as a table, or has no order.
        TradingError: a stamp is none; the message names its line or row.
    """
    table = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    if table.empty:
        raise SourceError(f"{path} has no orders: there is nothing below its header")
    for name in set(_DEFAULTS) & set(table):
        table[name] = table[name].where(table[name].notna(), _DEFAULTS[name])
    if "decided_at" in table:
        table["decided_at"] = instants_of(table["decided_at"], bars)
    return table


def _parquet(path: Path) -> pd.DataFrame:
    if path.is_dir():
        raise SourceError(f"{path} is a folder; name one file of orders")
    return read_parquet(path).rename_axis("row")


def _csv(path: Path) -> pd.DataFrame:
    """Every cell as text, missing where it is empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(_lines(file))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not lines:
        raise SourceError(f"{path} is empty; its first line names the columns")
    (_, header), *rows = lines
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise SourceError(f"{path} has more than one column {', '.join(map(repr, repeated))}")
    for line, cells in rows:
        if len(cells) != len(header):
            raise SourceError(
                f"{path}: line {line} has {len(cells)} values, the header names {len(header)} "
                "columns; separate them by commas, and write numbers without any"
            )
    numbers = pd.Index([line for line, _ in rows], name="line", dtype="int64")
    cells_ = [[cell or None for cell in cells] for _, cells in rows]
    return pd.DataFrame(cells_, index=numbers, columns=header, dtype="str")


def _lines(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that has any, spaces around them left out."""
    reader = csv.reader(file, strict=True)
    for line in reader:
        cells = [cell.strip() for cell in line]
        if any(cells):
            yield reader.line_num, cells


def instants_of(stamps: pd.Series, bars: pd.DatetimeIndex) -> pd.Series:
    """Stamps in UTC; a day is its last bar, or its midnight where it has none.

    Raises:
        TradingError: one is no date; the message names the column, and its row by the index.
    """
    if pd.api.types.is_datetime64_any_dtype(stamps):
        return pd.to_datetime(stamps, utc=True)
    text = stamps.map(str, na_action="ignore").fillna("")
    known = text.where(text.str.fullmatch(_STAMP))
    instants = pd.to_datetime(known, format="ISO8601", utc=True, errors="coerce")
    if instants.isna().any():
        at = instants.isna().idxmax()
        raise TradingError(
            f"{stamps.index.name} {at}: {stamps.name} {text[at]!r} is no date; write it like "
            "2011-08-08 or 2024-01-02T15:00"
        )
    last = pd.Series(bars, index=bars.normalize()).groupby(level=0).last()
    return instants.where(text.str.len() > len("2011-08-08"), instants.map(last).fillna(instants))
