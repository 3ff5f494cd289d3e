"""Cells of a table that somebody else wrote: read column by column, refused with row and rule.

Letters: M rows. A row is named in errors by its label, and by the name of the index ('line') if it
has one.
"""

import numpy as np
import pandas as pd

from trading_pipeline.errors import TradingError


def codes_of(values: pd.Series, known: tuple[str, ...]) -> np.ndarray:
    """(M,) int64 place of each value among the known ones; -1 for others."""
    found = values.astype("category").cat
    places = pd.Index(known).get_indexer(found.categories)
    codes: np.ndarray = np.append(places, -1)[found.codes]
    return codes


def rows_of(stamps: pd.Series, timestamps: pd.DatetimeIndex) -> np.ndarray:
    """(M,) row of each stamp; -1 for others, and for what is no stamp with a time zone."""
    if getattr(stamps.dtype, "tz", None) is None:
        stamps = pd.to_datetime(stamps, errors="coerce", utc=True).where(stamps.map(_has_zone))
    rows: np.ndarray = timestamps.get_indexer(pd.DatetimeIndex(stamps))
    return rows


def _has_zone(stamp: object) -> bool:
    return getattr(stamp, "tzinfo", None) is not None


def numbers_of(table: pd.DataFrame, name: str) -> np.ndarray:
    """(M,) float64 of a column, NaN where there is none.

    Raises:
        TradingError: a cell is neither a number nor empty.
    """
    if name not in table:
        return np.full(len(table), np.nan)
    values: np.ndarray = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    refuse(table, np.isnan(values) & table[name].notna().to_numpy(), name, "is not a number")
    return values


def refuse(table: pd.DataFrame, wrong: np.ndarray, column: str, rule: str) -> None:
    """Raise TradingError for the first of the rows that are `wrong`, (M,) bool: its label, what
    its cell holds, and the rule."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = table[column].iloc[row] if column in table else None
        value = value.item() if isinstance(value, np.generic) else value
        text = str(value) if isinstance(value, pd.Timestamp) else repr(value)
        place = f"{table.index.name or 'order'} {table.index[row]}"
        raise TradingError(f"{place}: {column} {text} {rule}")
