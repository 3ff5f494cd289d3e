"""Parquet files of tables, written and read the way that suits many small files."""

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
        """The table into a file that nobody reads yet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = pa.Table.from_pandas(table, preserve_index=False)
        # Prices hardly compress, and unpacking them costs more than reading them; what is never
        # missing needs no marks for it. Checksums find the bit that a disk has flipped.
        fields = [f.with_nullable(content[f.name].null_count > 0) for f in content.schema]
        with path.open("wb") as file:
            pq.write_table(
                content.cast(pa.schema(fields)),
                file,
                compression="none",
                use_dictionary=[f.name for f in fields if not pa.types.is_floating(f.type)],
                write_statistics=False,
                store_schema=False,
                write_page_checksum=True,
            )

    return write


def read_arrow(
    path: Path, columns: Sequence[str] | None = None, *, verify: bool = True, hint: str = ""
) -> "pa.Table":
    """A file's table, or those of the columns that it has; symbols are a dictionary.

    Args:
        verify: check the checksums of all pages, which costs a fifth of the time.
        hint: what to do with a file that cannot be read.

    Raises:
        StoreError: it cannot be read, or is damaged; names the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    try:
        with pq.ParquetFile(
            path,
            read_dictionary=["symbol"],
            page_checksum_verification=verify,
            pre_buffer=False,
            memory_map=True,  # files are replaced whole, so what is mapped never changes
        ) as file:
            return file.read(columns=wanted, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"cannot read {path}: {error}. {hint}".strip()) from error


def read_table(path: Path, hint: str = "") -> pd.DataFrame:
    """A whole file as pandas takes it; raises as `read_arrow`."""
    return as_frame(read_arrow(path, hint=hint))


def as_frame(table: "pa.Table") -> pd.DataFrame:
    """A table as pandas takes it, its symbols as text."""
    import pyarrow as pa

    # Files have dictionaries of their own; spelling them out is quicker than uniting them.
    place = table.column_names.index("symbol")
    symbols = table["symbol"].cast(pa.large_string())
    frame: pd.DataFrame = table.set_column(place, "symbol", symbols).to_pandas()
    return frame
