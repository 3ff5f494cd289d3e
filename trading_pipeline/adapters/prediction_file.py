"""Predictions that somebody else made, in a Parquet file or a folder of them."""

from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.order_file import instants_of
from trading_pipeline.adapters.sources.parquet import read_parquet
from trading_pipeline.errors import SourceError


def read_predictions(path: Path, bars: pd.DatetimeIndex) -> pd.DataFrame:
    """The predictions of a file, or of all files directly in a folder, one a row.

    Stamps without a time zone are UTC; a date alone is the last bar of that day.

    Args:
        bars: of the panel that they are for.

    Returns:
        Indexed by the row of the file (from 0), and by the file's name in a folder; the index is
        named 'row'.

    Raises:
        SourceError: there is none, or a file cannot be read as a table.
        TradingError: a stamp is none; the message names its row.
    """
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise SourceError(f"{path} has no Parquet files of predictions directly in it")
        table = pd.concat([_named(read_parquet(file), file) for file in files])
    elif not path.exists():
        raise SourceError(f"{path} does not exist; give a Parquet file or a folder of them")
    else:
        table = read_parquet(path)
    if table.empty:
        raise SourceError(f"{path} has no rows; predictions are needed")
    table = table.rename_axis("row")
    if "timestamp" in table:
        table["timestamp"] = instants_of(table["timestamp"], bars)
    return table


def _named(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Rows labelled '17 of 2006-01-01.parquet'."""
    return table.set_axis([f"{row} of {file.name}" for row in range(len(table))], axis="index")
