"""Any Parquet file, or folder of them, in the data format of `core/market/bars.py`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pandas as pd

from trading_pipeline.adapters.sources.source import refuse_unknown, select, span_of
from trading_pipeline.adapters.store.bars import ACTIONS_FILE
from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.calendar import STEPS, infer_timeframe, stamped_by_session
from trading_pipeline.core.market.set_aside import Sifted, check_share, none_aside
from trading_pipeline.errors import SourceError


class ParquetSource:
    """A `BarSource` of one Parquet file, or of all directly in a folder.

    A folder may hold `corporate_actions.parquet` beside its bars, as our own store does: then
    its prices are raw. Without it they are taken as adjusted ('total-return units').
    Daily bars stamped with midnight in New York are moved to 00:00 UTC of their session date.
    Rows that no market could have made are set aside; more than 1 % of them are refused.
    Files are read again when they have changed.
    """

    live: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._signature: list[tuple[Path, int, int]] = []
        self._sifted = Sifted(pd.DataFrame(), none_aside(), pd.MultiIndex.from_arrays([[], []]))

    def symbols(self) -> list[str]:
        """All symbols in the files, sorted."""
        return sorted(self._all_bars()["symbol"].unique())

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first stamp, last stamp + 1 bar) of the symbols, UTC; see `BarSource.span`."""
        bars = self._all_bars()
        refuse_unknown(symbols, self.symbols(), str(self.path))
        step = STEPS[infer_timeframe(bars, where=str(self.path))]
        return span_of(bars, symbols, step, str(self.path))

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Bars that open in [start, end); see `BarSource.bars`."""
        refuse_unknown(symbols, self.symbols(), str(self.path))
        return select(self._all_bars(), symbols, start, end)

    def set_aside(self, calendar: str) -> pd.DataFrame:
        """Rows of the files that are no bars of such a market; see `BarSource.set_aside`."""
        self._all_bars()
        return self._sifted.on_open_days(calendar).aside

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame | None:
        """What `corporate_actions.parquet` in the folder says; None if there is no such file."""
        refuse_unknown(symbols, self.symbols(), str(self.path))
        path = self.path / ACTIONS_FILE
        if not path.is_file():
            return None
        actions = check_actions(read_parquet(path), where=str(path))
        return actions[actions["symbol"].isin(list(symbols))].reset_index(drop=True)

    def _all_bars(self) -> pd.DataFrame:
        files = self.files()
        states = [(file, file.stat()) for file in files]
        signature = [(file, state.st_mtime_ns, state.st_size) for file, state in states]
        if signature != self._signature:
            sifted = Sifted.of({str(file): read_rows(file) for file in files})
            check_share(sifted.aside, len(sifted.bars), str(self.path))
            self._sifted = replace(sifted, bars=stamped_by_session(sifted.bars))
            self._signature = signature
        return self._sifted.bars

    def files(self) -> list[Path]:
        """The files that hold the bars, sorted.

        Raises:
            SourceError: there are none.
        """
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


def read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file as a table; index columns that pandas stored become columns again.

    Raises:
        SourceError: it cannot be read, or is not Parquet.
    """
    try:
        table = pd.read_parquet(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # pyarrow's own errors are ValueErrors
        raise SourceError(f"{path} is not a Parquet file: {error}") from error
    return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
