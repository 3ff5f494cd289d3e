"""Any Parquet file, or folder of them, in the data format of `core/market/bars.py`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trading_pipeline.adapters.sources.table import SiftedSource, sifted
from trading_pipeline.adapters.store.bars import ACTIONS_FILE
from trading_pipeline.core.market.actions import ACTION_COLUMNS, check_actions
from trading_pipeline.core.market.bars import COLUMNS, OPTIONAL
from trading_pipeline.core.market.calendar import is_daily
from trading_pipeline.core.market.set_aside import Sifted
from trading_pipeline.core.market.stamps import actions_by_session
from trading_pipeline.errors import SourceError


class ParquetSource(SiftedSource):
    """A `BarSource` of one Parquet file, or of all directly in a folder.

    A folder may hold `corporate_actions.parquet` beside its bars, as our own store does: then
    its prices are raw. Without it they are taken as adjusted ('total-return units').
    Daily bars of an exchange, and actions, that are stamped with midnight of another time zone, or
    with another hour, are moved to 00:00 UTC of their session date; `calendar` says which exchange
    it is, if that is known. Rows that no market could have made are set aside; more than 1 % of
    them are refused. Files are read again when they have changed.
    """

    def __init__(self, path: Path, calendar: str | None = None) -> None:
        self.path, self.calendar = path, calendar
        self._signature: list[tuple[Path, int, int]] = []
        self._read: Sifted | None = None

    @property
    def where(self) -> str:
        """The path."""
        return str(self.path)

    def corporate_actions(self) -> pd.DataFrame | None:
        """What `corporate_actions.parquet` in the folder says; None if there is no such file."""
        return read_actions(self.path, self._sifted.bars)

    @property
    def _sifted(self) -> Sifted:
        files = self.files()
        try:
            states = [(file, file.stat()) for file in files]
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error}") from error
        signature = [(file, state.st_mtime_ns, state.st_size) for file, state in states]
        if self._read is None or signature != self._signature:
            rows = {str(file): read_rows(file) for file in files}
            self._read, self._signature = sifted(rows, self.where, self.calendar), signature
        return self._read

    def files(self) -> list[Path]:
        """The files that hold the bars, sorted.

        Raises:
            SourceError: there are none, or the folder cannot be looked into.
        """
        try:
            return self._found()
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def _found(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        if not self.path.exists():
            raise SourceError(
                f"{self.path} does not exist; give a Parquet file or a folder of them"
            )
        files = sorted(self.path.glob("*.parquet"))
        if bars := [file for file in files if file.name != ACTIONS_FILE and file.is_file()]:
            return bars
        below = sorted({str(file.parent) for file in self.path.rglob("*.parquet")})
        hint = f"; there are some in {', '.join(below[:5])}" if below else ""
        raise SourceError(f"{self.path} has no Parquet files of bars directly in it{hint}")


def read_rows(path: Path) -> pd.DataFrame:
    """The rows of one Parquet file, at least one, as they are.

    Raises:
        SourceError: it cannot be read, is not Parquet, or has no rows.
    """
    table = read_parquet(path)
    if table.empty:
        raise SourceError(f"{path} has no rows; bars are needed")
    return table


def read_actions(folder: Path, bars: pd.DataFrame) -> pd.DataFrame | None:
    """What `corporate_actions.parquet` beside bars says, on their sessions; None if there is none.

    Raises:
        SourceError: the file cannot be read, or is not Parquet.
        BarsError: a row breaks a rule.
    """
    file = folder / ACTIONS_FILE
    if not file.is_file():
        return None
    actions = check_actions(read_parquet(file), where=str(file))
    days = pd.DatetimeIndex(bars["timestamp"].unique())
    if not is_daily(days):
        return actions
    return check_actions(actions_by_session(actions, days), where=str(file))


def read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file as a table of plain columns, those that pandas had as its index included.

    Read by their Arrow types, and not by what pandas noted about them: dictionaries and views of
    text are text, decimals are floats, instants of any zone are in UTC. Of columns that bars and
    actions do not have, nested ones and those of an extension are left out.

    Raises:
        SourceError: it cannot be read, is not Parquet, or a column cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = [each.name for each in file.schema_arrow if _is_read(each, path)]
            _refuse_repeated(names, path)
            table = _plain(file.read(columns=names))
            table.validate(full=True)  # text that is none would fail wherever it is looked at
            return table.to_pandas(ignore_metadata=True)
    except OSError as error:  # pyarrow says so of damaged pages too
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (pa.ArrowException, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise SourceError(f"{path} is not a Parquet file, or is damaged: {error}") from error


def _is_read(field: pa.Field, path: Path) -> bool:
    """Whether a column is plain.

    Raises:
        SourceError: it is not, and bars or actions need it.
    """
    odd = pa.types.is_nested(field.type) or isinstance(field.type, pa.BaseExtensionType)
    if odd and field.name in (*COLUMNS, *OPTIONAL, *ACTION_COLUMNS):
        raise SourceError(
            f"{path}: column {field.name} holds {field.type}, which is no plain value"
        )
    return not odd


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{path} has more than one column {', '.join(repeated)}")


def _plain(table: pa.Table) -> pa.Table:
    """The table in types that pandas reads alike, however they were written."""
    return table.cast(
        pa.schema([field.with_type(_plain_type(field.type)) for field in table.schema])
    )


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    return kind
