"""CSV files, which spreadsheets open: what a venue calls a symbol must not be a formula there.

A cell that begins with = + - or @ is one, and may ask other machines and start programs. As
spreadsheets want it, an apostrophe before it makes it a text. Numbers are left as they are.
Source: OWASP, CSV Injection.
"""

from pathlib import Path
from typing import Any

import pandas as pd

_BEGINS = ("=", "+", "-", "@", "\t", "\n")


def write_csv(table: pd.DataFrame, path: Path, *, index: bool = False) -> None:
    """Write a table in UTF-8, formulas as texts."""
    path.write_bytes(csv_of(table, index=index))


def csv_of(table: pd.DataFrame, *, index: bool = False) -> bytes:
    """The bytes of the file."""
    told = table.rename(columns=_as_text)
    if index:
        told = told.rename(index=_as_text)
    texts = [place for place, kind in enumerate(table.dtypes) if not _has_numbers(kind)]
    for place in texts:
        told.isetitem(place, told.iloc[:, place].map(_as_text))
    text: str = told.to_csv(index=index, lineterminator="\n")
    return text.encode()


def _has_numbers(kind: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind))


def _as_text(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r", "\n")  # which Python's csv does not quote: it would begin a row
    return f"'{cell}" if cell.startswith(_BEGINS) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
