"""Features in DuckDB: one table a market, each with the hash of the catalog that made it.

DuckDB lets one process write a file, and then no other process even read it. So a connection is
opened for one call and closed before the call returns, and reads are read-only, which may overlap.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from trading_pipeline.errors import FeatureError, StoreError

if TYPE_CHECKING:
    import duckdb

KEY = ["timestamp", "symbol"]
_SETUP = """
    CREATE SCHEMA IF NOT EXISTS market;
    CREATE SCHEMA IF NOT EXISTS meta;
    CREATE TABLE IF NOT EXISTS meta.catalogs (market VARCHAR PRIMARY KEY, hash VARCHAR NOT NULL);
"""


class Written(NamedTuple):
    """What a write did."""

    rows: int
    rebuilt: bool  # the table was of another catalog: its other rows are gone, compute them again


class FeatureStore:
    """The features of one market.

    Args:
        path: the DuckDB file; markets share it.
        market: any name; its table is `market."NAME"`; a schema must not be
            called like the file, which DuckDB takes for the catalog's name.
    """

    def __init__(self, path: Path, market: str) -> None:
        self.path, self.market = path, market
        self._table = 'market."' + market.replace('"', '""') + '"'

    def write(self, features: pd.DataFrame, catalog_hash: str) -> Written:
        """Replace the span of `features`, all symbols in it, in one transaction.

        Args:
            features: `timestamp`, `symbol` and float columns. No rows change nothing.
            catalog_hash: of the catalog that made them. A table of another catalog is dropped.

        Raises:
            FeatureError: a key column is missing, a (timestamp, symbol) repeats, or another
                market's name differs in case alone.
            StoreError: the file is locked, damaged or not writable; the table is as it was.
        """
        _check_keys(features)
        if features.empty:
            return Written(0, rebuilt=False)
        with self._connection(read_only=False) as connection:
            stored = self._hash(connection)
            self._check_name(connection)
            rebuilt = stored is not None and stored != catalog_hash
            self._replace(connection, features, catalog_hash, fresh=stored != catalog_hash)
        return Written(len(features), rebuilt)

    def read(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        catalog_hash: str | None = None,
    ) -> pd.DataFrame:
        """Features of bars that open in [start, end), ordered by (timestamp, symbol).

        Args:
            start: tz-aware; None is the first bar.
            end: tz-aware; None is after the last one.
            catalog_hash: what the table must have been made by; None accepts any.

        Returns:
            `timestamp` (datetime64[us, UTC]), `symbol`, float32 columns, NaN where missing.

        Raises:
            FeatureError: there is no table yet, or it is of another catalog.
            StoreError: the file is locked or damaged.
        """
        bounds = {"timestamp >= ?": start, "timestamp < ?": end}
        given = {rule: instant for rule, instant in bounds.items() if instant is not None}
        where = " AND ".join(given) or "true"
        query = f"SELECT * FROM {self._table} WHERE {where} ORDER BY timestamp, symbol"
        if not self.path.exists():
            raise self._absent()
        with self._connection(read_only=True) as connection:
            self._check_hash(connection, catalog_hash)
            table = connection.sql(query, params=list(given.values())).to_arrow_table()
        rows = table.to_pandas()
        return rows.assign(timestamp=rows["timestamp"].astype("datetime64[us, UTC]"))

    def catalog_hash(self) -> str | None:
        """Hash of the catalog that the table was made by; None if there is no table.

        Raises:
            StoreError: the file is locked or damaged.
        """
        if not self.path.exists():
            return None
        with self._connection(read_only=True) as connection:
            return self._hash(connection)

    def _replace(
        self,
        connection: "duckdb.DuckDBPyConnection",
        features: pd.DataFrame,
        catalog_hash: str,
        fresh: bool,
    ) -> None:
        import pyarrow as pa

        connection.register("rows", pa.Table.from_pandas(features, preserve_index=False))
        connection.execute("BEGIN")
        connection.execute(_SETUP)
        if fresh:
            connection.execute(f"CREATE OR REPLACE TABLE {self._table} AS SELECT * FROM rows")
            values = [self.market, catalog_hash]
            connection.execute("INSERT OR REPLACE INTO meta.catalogs VALUES (?, ?)", values)
        else:
            span = [features["timestamp"].min(), features["timestamp"].max()]
            connection.execute(f"DELETE FROM {self._table} WHERE timestamp BETWEEN ? AND ?", span)
            connection.execute(f"INSERT INTO {self._table} BY NAME SELECT * FROM rows")
        connection.execute("COMMIT")

    def _hash(self, connection: "duckdb.DuckDBPyConnection") -> str | None:
        return _catalogs(connection).get(self.market)

    def _check_name(self, connection: "duckdb.DuckDBPyConnection") -> None:
        for other in _catalogs(connection):
            if other != self.market and other.lower() == self.market.lower():
                raise FeatureError(
                    f"markets {self.market!r} and {other!r} differ in case alone, and DuckDB would "
                    "keep them in one table. Rename one of them."
                )

    def _check_hash(
        self, connection: "duckdb.DuckDBPyConnection", catalog_hash: str | None
    ) -> None:
        stored = self._hash(connection)
        if stored is None:
            raise self._absent()
        if catalog_hash not in (None, stored):
            raise FeatureError(
                f"features of {self.market} in {self.path} were made by another catalog "
                f"({stored[:12]}, this code has {catalog_hash:.12}). Materialize `features` again."
            )

    def _absent(self) -> FeatureError:
        return FeatureError(
            f"{self.path} has no features of {self.market}; run `trading-pipeline download` first"
        )

    @contextmanager
    def _connection(self, read_only: bool) -> Iterator["duckdb.DuckDBPyConnection"]:
        import duckdb

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(self.path, read_only=read_only)
            try:
                connection.execute("SET TimeZone = 'UTC'")
                yield connection
            finally:
                connection.close()  # rolls back what was not committed
        except (duckdb.Error, OSError) as error:
            raise StoreError(f"{self.path}: {_next_step(str(error))}") from error


def _catalogs(connection: "duckdb.DuckDBPyConnection") -> dict[str, str]:
    """Hash of the catalog of every market in the file."""
    known = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'meta'"
    if not connection.execute(known).fetchall()[0][0]:
        return {}
    return dict(connection.execute("SELECT market, hash FROM meta.catalogs").fetchall())


def _check_keys(features: pd.DataFrame) -> None:
    if missing := [name for name in KEY if name not in features]:
        raise FeatureError(f"features lack columns {missing}")
    if (repeated := features.duplicated(KEY)).any():
        first = features.loc[repeated, KEY].iloc[0]
        raise FeatureError(
            f"features of {first['symbol']} at {first['timestamp']} repeat "
            f"({repeated.sum()} rows do)"
        )


def _next_step(complaint: str) -> str:
    first = complaint.splitlines()[0] if complaint else "no reason given"
    if "set lock" in first or "different configuration" in first:
        return f"another process is using the features; wait for it, or stop it. ({first})"
    if "not a valid DuckDB" in first or "read enough bytes" in first or "orrupt" in first:
        return f"damaged; delete the file and run `trading-pipeline download`. ({first})"
    return f"cannot be used. Check that its folder exists and is writable. ({first})"
