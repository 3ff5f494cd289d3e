"""Features in DuckDB: one table a market, each with the hash of the catalog that made it.

A connection is opened for one call and closed before the call returns; see `duckdb_file`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading_pipeline.adapters.store.duckdb_file import PATIENCE, connected
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.errors import FeatureError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection

_SETUP = """
    CREATE SCHEMA IF NOT EXISTS market;
    CREATE SCHEMA IF NOT EXISTS meta;
    CREATE TABLE IF NOT EXISTS meta.catalogs (market VARCHAR PRIMARY KEY, hash VARCHAR NOT NULL);
    CREATE TABLE IF NOT EXISTS meta.sources (market VARCHAR, part VARCHAR, fingerprint VARCHAR);
    CREATE TABLE IF NOT EXISTS meta.units (
        market VARCHAR, symbol VARCHAR, timestamp TIMESTAMPTZ, factor DOUBLE, shares DOUBLE
    );
"""
Span = tuple[datetime | None, datetime | None]
_SOURCES = {"sources", "units"}  # tables that a file of an older release lacks
_BATCH = 8192  # rows whose columns stay in cache while they are turned into rows of the grid


class Written(NamedTuple):
    """What a write did."""

    rows: int
    rebuilt: bool  # the table was of another catalog: its other rows are gone, compute them again


class FeatureStore:
    """The features of one market.

    Every method raises StoreError where the file is locked, damaged or not writable.

    Args:
        path: the DuckDB file; markets share it.
        market: any name; its table is `market."NAME"`; a schema must not be
            called like the file, which DuckDB takes for the catalog's name.
        patience: seconds to wait while another process has the file.
    """

    def __init__(self, path: Path, market: str, patience: float = PATIENCE) -> None:
        self.path, self.market, self._patience = path, market, patience
        self._table = 'market."' + market.replace('"', '""') + '"'

    def write(
        self,
        features: pd.DataFrame,
        catalog_hash: str,
        span: Span | None = None,
        made_of: Mapping[str, str] | None = None,
        units: pd.DataFrame | None = None,
    ) -> Written:
        """Replace a span, all symbols in it, in one transaction.

        Args:
            features: `timestamp`, `symbol` and float columns, stored as FLOAT.
            catalog_hash: of the catalog that made them. A table of another catalog is dropped.
            span: what is replaced, [start, end), None for an open end; without it the span of
                the rows, so that no rows change nothing.
            made_of: a fingerprint of every part of the data that the whole table is now of; see
                `made_of()`. Without it what the table is of is no longer known.
            units: as `Panel.unit_changes` gives them, all of the span: what `units_at` tells.

        Raises:
            FeatureError: a key column is missing, a (timestamp, symbol) repeats, or another
                market's name differs in case alone.
            StoreError: the file is locked, damaged or not writable; the table is as it was.
        """
        _check_keys(features)
        if features.empty and span is None:
            return Written(0, rebuilt=False)
        span = _span_of(features) if span is None else span
        with self._connection(read_only=False) as connection:
            stored = self._hash(connection)
            self._check_name(connection)
            rebuilt = stored is not None and stored != catalog_hash
            connection.execute("BEGIN")
            connection.execute(_SETUP)
            if stored != catalog_hash:
                self._create(connection, features, catalog_hash)
            self._replace(connection, features, span)
            self._note_sources(connection, made_of)
            self._note_units(connection, span, units)
            connection.execute("COMMIT")
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
        """
        where, given = _within((start, end))
        query = f"SELECT * FROM {self._table} WHERE {where} ORDER BY timestamp, symbol"
        with self._reading(catalog_hash) as connection:
            table = connection.sql(query, params=given).to_arrow_table()
        rows = table.to_pandas()
        return rows.assign(timestamp=rows["timestamp"].astype("datetime64[us, UTC]"))

    def catalog_hash(self) -> str | None:
        """Hash of the catalog that the table was made by; None if there is no table."""
        if not self.path.exists():
            return None
        with self._connection(read_only=True) as connection:
            return self._hash(connection)

    def count(self) -> int:
        """Rows of the table; 0 if there is none."""
        if self.catalog_hash() is None:
            return 0
        with self._reading() as connection:
            found = connection.execute(f"SELECT count(*) FROM {self._table}").fetchone()
        return int(found[0]) if found else 0

    def read_grid(
        self,
        timestamps: pd.DatetimeIndex,
        symbols: Sequence[str],
        catalog_hash: str | None = None,
    ) -> npt.NDArray[np.float32]:
        """Features as one dense array: what `feature_grid` makes of `read`, without the detour.

        Args:
            timestamps: the T dates wanted, unique, tz-aware UTC.
            symbols: the N symbols wanted, unique.
            catalog_hash: what the table must have been made by; None accepts any.

        Returns:
            float32 (T, N, F), contiguous, features in the order of their columns; NaN where the
            table has no such row.

        Raises:
            FeatureError: there is no table yet, or it is of another catalog.
        """
        with self._reading(catalog_hash) as connection:
            names = [name for name in _columns(connection, self._table) if name not in KEY]
            grid = np.full((len(timestamps), len(symbols), len(names)), np.nan, np.float32)
            _register_places(connection, timestamps, symbols)
            columns = ", ".join(f'"{name}"' for name in names)
            rows = connection.sql(
                f"SELECT date * {len(symbols)} + place AS row, {columns} FROM {self._table} "
                "JOIN wanted_dates USING (timestamp) JOIN wanted_symbols USING (symbol)"
            )
            flat = grid.reshape(-1, len(names))
            for batch in rows.to_arrow_reader(_BATCH):
                row, *values = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
                flat[row] = np.stack(values, axis=1)
        return grid

    def made_of(self, catalog_hash: str) -> dict[str, str]:
        """Fingerprints of the data that the table was computed from, as given to `write`.

        Empty if that is not known, or if the table is of another catalog.
        """
        if not self.path.exists():
            return {}
        with self._connection(read_only=True) as connection:
            if self._hash(connection) != catalog_hash or _SOURCES - _tables(connection):
                return {}
            query = "SELECT part, fingerprint FROM meta.sources WHERE market = ?"
            return dict(connection.execute(query, [self.market]).fetchall())

    def first_bars(self, symbols: Sequence[str], before: datetime) -> pd.Series:
        """The first bar of each of these symbols that has one before an instant, by symbol.

        Raises:
            FeatureError: there is no table yet.
        """
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT symbol, min(timestamp) FROM {self._table} "
                "WHERE timestamp < ? AND symbol IN (SELECT unnest(?)) GROUP BY symbol",
                [before, list(symbols)],
            ).fetchall()
        stamps = pd.DatetimeIndex([stamp for _, stamp in rows], dtype="datetime64[us, UTC]")
        return pd.Series(stamps, index=[symbol for symbol, _ in rows])

    def units_at(self, firsts: pd.Series) -> pd.DataFrame:
        """In what units prices and volumes of these symbols are at one bar of each.

        Args:
            firsts: the instant of the bar, by symbol.

        Returns:
            `factor` and `shares` by symbol, as `Panel.of` takes them; those that have only their
            first units are left out.

        Raises:
            FeatureError: there is no table yet.
        """
        import pyarrow as pa

        names, stamps = pa.array(firsts.index, pa.string()), pa.array(pd.DatetimeIndex(firsts))
        with self._reading() as connection:
            connection.register("firsts", pa.table({"symbol": names, "first": stamps}))
            rows = connection.execute(
                "SELECT symbol, arg_max(factor, timestamp), arg_max(shares, timestamp) "
                "FROM meta.units JOIN firsts USING (symbol) "
                "WHERE market = ? AND timestamp <= first GROUP BY symbol",
                [self.market],
            ).fetchall()
        known = pd.DataFrame(rows, columns=["symbol", "factor", "shares"])
        return known.set_index("symbol").astype(float)

    def _create(self, connection: "Connection", features: pd.DataFrame, catalog_hash: str) -> None:
        """An empty table whose columns say in DuckDB itself what they mean."""
        names = [name for name in features.columns if name not in KEY]
        columns = ", ".join(f'"{name}" FLOAT' for name in names)
        connection.execute(
            f"CREATE OR REPLACE TABLE {self._table} "
            f"(timestamp TIMESTAMPTZ NOT NULL, symbol VARCHAR NOT NULL, {columns})"
        )
        comments = {"timestamp": "the instant the bar opens, UTC", **_descriptions()}
        for name in ("timestamp", *names):
            if name in comments:
                text = comments[name].replace("'", "''")
                connection.execute(f"COMMENT ON COLUMN {self._table}.\"{name}\" IS '{text}'")
        values = [self.market, catalog_hash]
        connection.execute("INSERT OR REPLACE INTO meta.catalogs VALUES (?, ?)", values)

    def _replace(self, connection: "Connection", features: pd.DataFrame, span: Span) -> None:
        import pyarrow as pa

        where, given = _within(span)
        connection.execute(f"DELETE FROM {self._table} WHERE {where}", given)
        connection.register("rows", pa.Table.from_pandas(features, preserve_index=False))
        connection.execute(f"INSERT INTO {self._table} BY NAME SELECT * FROM rows")

    def _note_sources(self, connection: "Connection", made_of: Mapping[str, str] | None) -> None:
        connection.execute("DELETE FROM meta.sources WHERE market = ?", [self.market])
        if made_of:
            connection.execute(
                "INSERT INTO meta.sources SELECT ?, unnest(?), unnest(?)",
                [self.market, list(made_of), list(made_of.values())],
            )

    def _note_units(self, connection: "Connection", span: Span, units: pd.DataFrame | None) -> None:
        import pyarrow as pa

        where, given = _within(span)
        connection.execute(
            f"DELETE FROM meta.units WHERE market = ? AND {where}", [self.market, *given]
        )
        if units is not None and len(units):
            rows = units.assign(market=self.market)
            connection.register("units", pa.Table.from_pandas(rows, preserve_index=False))
            connection.execute("INSERT INTO meta.units BY NAME SELECT * FROM units")

    def _hash(self, connection: "Connection") -> str | None:
        return _catalogs(connection).get(self.market)

    def _check_name(self, connection: "Connection") -> None:
        for other in _catalogs(connection):
            if other != self.market and other.lower() == self.market.lower():
                raise FeatureError(
                    f"markets {self.market!r} and {other!r} differ in case alone, and DuckDB would "
                    "keep them in one table. Rename one of them."
                )

    @contextmanager
    def _reading(self, catalog_hash: str | None = None) -> Iterator["Connection"]:
        """A connection to a file that has the table, made by that catalog, or by any."""
        if not self.path.exists():
            raise self._absent()
        with self._connection(read_only=True) as connection:
            stored = self._hash(connection)
            if stored is None:
                raise self._absent()
            if catalog_hash not in (None, stored):
                raise FeatureError(
                    f"features of {self.market} in {self.path} were made by another catalog "
                    f"({stored[:12]}, this code has {catalog_hash:.12}). Materialize `features` "
                    "again."
                )
            yield connection

    def _absent(self) -> FeatureError:
        return FeatureError(
            f"{self.path} has no features of {self.market}; run `trading-pipeline download` first"
        )

    def _connection(self, *, read_only: bool) -> AbstractContextManager["Connection"]:
        return connected(self.path, read_only=read_only, patience=self._patience)


def _check_keys(features: pd.DataFrame) -> None:
    """Whether every row is of one bar, and no bar has two."""
    if missing := [name for name in KEY if name not in features]:
        raise FeatureError(f"features lack columns {missing}")
    if (repeated := features.duplicated(KEY)).any():
        first = features.loc[repeated, KEY].iloc[0]
        raise FeatureError(
            f"features of {first['symbol']} at {first['timestamp']} repeat "
            f"({repeated.sum()} rows do)"
        )


def _tables(connection: "Connection") -> set[str]:
    """Tables of the schema `meta`; a file may be older than some of them."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'meta'"
    return {name for (name,) in connection.execute(query).fetchall()}


def _span_of(features: pd.DataFrame) -> Span:
    stamps = features["timestamp"]
    return stamps.min(), stamps.max() + pd.Timedelta(microseconds=1)


def _within(span: Span) -> tuple[str, list[datetime]]:
    """A condition on `timestamp`, and its parameters."""
    bounds = dict(zip(("timestamp >= ?", "timestamp < ?"), span, strict=True))
    given = {rule: instant for rule, instant in bounds.items() if instant is not None}
    return " AND ".join(given) or "true", list(given.values())


def _descriptions() -> dict[str, str]:
    """What each column of the catalog means."""
    from trading_pipeline.core.features.catalog import CATALOG

    return {feature.name: feature.in_words() for feature in CATALOG}


def _columns(connection: "Connection", table: str) -> list[str]:
    return [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]


def _register_places(
    connection: "Connection", timestamps: pd.DatetimeIndex, symbols: Sequence[str]
) -> None:
    """The dates and symbols wanted, each with its place in the grid."""
    import pyarrow as pa

    dates = pa.array(timestamps.as_unit("us"))
    dated = {"timestamp": dates, "date": np.arange(len(timestamps), dtype=np.int64)}
    named = {"symbol": pa.array(list(symbols), pa.string()), "place": np.arange(len(symbols))}
    connection.register("wanted_dates", pa.table(dated))
    connection.register("wanted_symbols", pa.table(named))


def _catalogs(connection: "Connection") -> dict[str, str]:
    """Hash of the catalog of every market in the file."""
    if "catalogs" not in _tables(connection):
        return {}
    return dict(connection.execute("SELECT market, hash FROM meta.catalogs").fetchall())
