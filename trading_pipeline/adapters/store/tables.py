"""Parquet files of tables, read and written the way that suits many small files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from trading_pipeline.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa


def table_writer(table: pd.DataFrame) -> Callable[[Path], None]:
    """What writes a table whole into the path it is given."""

    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # LZ4 costs next to no time, and a checksum finds the bit that a disk has flipped.
        with path.open("wb") as file:
            content = pa.Table.from_pandas(table, preserve_index=False)
            pq.write_table(content, file, compression="lz4", write_page_checksum=True)

    return write


def read_arrow(path: Path, columns: Sequence[str] | None = None, hint: str = "") -> "pa.Table":
    """A file's table, or those of the columns that it has.

    Raises:
        StoreError: it cannot be read, or is damaged; names the file and, by `hint`, a way out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            wanted = None if columns is None else list(columns)
            return file.read(columns=wanted, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read {path}: {error}. {hint}".strip()) from error


def read_table(path: Path, hint: str = "") -> pd.DataFrame:
    """A whole file as pandas takes it; raises as `read_arrow`."""
    table: pd.DataFrame = read_arrow(path, hint=hint).to_pandas()
    return table
