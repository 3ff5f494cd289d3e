"""One month of bars as its Parquet file has it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from trading_pipeline.adapters.store.tables import as_frame, read_arrow
from trading_pipeline.core.market.bars import COLUMNS, OPTIONAL, PRICES, STAMPS
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.versions import INGESTED, joined
from trading_pipeline.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

REPAIR = "Delete it and run `trading-pipeline download`: what it held is fetched again."


def read_month(path: Path) -> pd.DataFrame:
    """A month's bars with `ingested_at`, NaT where the file lacks it; none if there is no file."""
    if not path.exists():
        return joined([], INGESTED)
    columns = (*COLUMNS, *OPTIONAL, INGESTED)
    table = as_frame(typed(read_arrow(path, columns, hint=REPAIR), path))
    if INGESTED not in table:
        table[INGESTED] = pd.Series(pd.NaT, index=table.index, dtype=STAMPS)
    return table


def typed(table: "pa.Table", path: Path) -> "pa.Table":
    """A month's table in the types of canonical bars, whoever wrote it."""
    import pyarrow as pa

    types = {name: pa.float64() for name in (*PRICES, "volume", "vwap")}
    types |= {name: pa.timestamp("us", "UTC") for name in ("timestamp", INGESTED)}
    types |= {"symbol": pa.dictionary(pa.int32(), pa.string()), "trade_count": pa.int64()}
    if all(field.type == types[field.name] for field in table.schema):
        return table
    try:
        return table.cast(pa.schema([(name, types[name]) for name in table.column_names]))
    except pa.ArrowException as error:
        raise StoreError(f"{path} does not hold bars: {error}. {REPAIR}") from error


def cut(table: "pa.Table", start: datetime | None, end: datetime | None) -> "pa.Table":
    """The rows of an ordered table that open in [start, end)."""
    stamps = pd.DatetimeIndex(table["timestamp"].to_pandas()) if start or end else None
    if stamps is None:
        return table
    first = 0 if start is None else stamps.searchsorted(in_utc(start))
    last = len(stamps) if end is None else stamps.searchsorted(in_utc(end))
    return table.slice(first, max(0, last - first))


def between(table: pd.DataFrame, start: datetime | None, end: datetime | None) -> pd.DataFrame:
    """The rows that open in [start, end)."""
    if start is not None:
        table = table[table["timestamp"] >= in_utc(start)]
    if end is not None:
        table = table[table["timestamp"] < in_utc(end)]
    return table.reset_index(drop=True)
