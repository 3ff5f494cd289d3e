"""Bars on disk: one Parquet file a month for all symbols, replaced whole or not at all."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.store.files import one_writer, remove_file, replace_file
from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import KEY, check_bars, content_hash, empty_bars, in_order
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.errors import StoreError

ACTIONS_FILE = "corporate_actions.parquet"
MONTH_FILES = "[0-9][0-9][0-9][0-9]-[0-9][0-9].parquet"


class BarStore:
    """The raw bars and corporate actions of one market. Writing twice leaves one copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self, bars: pd.DataFrame, start: datetime | None = None, end: datetime | None = None
    ) -> int:
        """Merge bars into their months, the newer row of a key winning; return the rows given.

        With a span [start, end), the bars are all that there are in it: what is stored there and
        not given is removed. A month that already holds exactly these rows is not touched.

        Raises:
            BarsError: the bars break an invariant; nothing is written then.
            StoreError: the folder cannot be written.
        """
        checked = check_bars(bars, where=f"bars for {self.folder}")
        months = dict(list(checked.groupby(checked["timestamp"].dt.strftime("%Y-%m"))))
        # Merging is read, change, write: a second writer in between would lose the first's rows.
        with one_writer(self.folder):
            if start is not None and end is not None:
                for path in self._months(start, end):
                    months.setdefault(path.stem, checked.iloc[:0])
            for month, rows in sorted(months.items()):
                _merge_into(self.folder / f"{month}.parquet", rows, start, end)
        return len(checked)

    def read(self, start: datetime | None = None, end: datetime | None = None) -> pd.DataFrame:
        """Canonical bars that open in [start, end), of all time if not given; empty if none.

        Raises:
            StoreError: a month's file cannot be read.
        """
        paths = self._months(start, end)
        if not paths:
            return empty_bars()
        # Months may differ in their optional columns: what some lack, the whole cannot have.
        bars = pd.concat(map(_read_table, paths), ignore_index=True, join="inner")
        if start is not None:
            bars = bars[bars["timestamp"] >= start]
        if end is not None:
            bars = bars[bars["timestamp"] < end]
        return bars.reset_index(drop=True)

    def write_actions(self, actions: pd.DataFrame | None) -> int:
        """Replace the table of corporate actions; None says that the source has none.

        Raises:
            BarsError: the actions break a rule of theirs.
            StoreError: the folder cannot be written.
        """
        path = self.folder / ACTIONS_FILE
        if actions is None:
            remove_file(path)
            return 0
        checked = check_actions(actions, where=f"corporate actions for {self.folder}")
        _replace_table(path, checked)
        return len(checked)

    def read_actions(self) -> pd.DataFrame | None:
        """The corporate actions, or None where no table was ever written.

        Raises:
            StoreError: the file cannot be read.
        """
        path = self.folder / ACTIONS_FILE
        return _read_table(path) if path.exists() else None

    def data_hash(self) -> str:
        """What all stored bars and actions say, as 64 hex digits; independent of file bytes."""
        return content_hash(self.read(), self.read_actions())

    def _months(self, start: datetime | None = None, end: datetime | None = None) -> list[Path]:
        """Files of the months that [start, end) touches, in order."""
        first = "0000-00" if start is None else f"{in_utc(start):%Y-%m}"
        last = "9999-99" if end is None else f"{in_utc(end):%Y-%m}"
        return sorted(path for path in self.folder.glob(MONTH_FILES) if first <= path.stem <= last)


def _merge_into(
    path: Path, rows: pd.DataFrame, start: datetime | None, end: datetime | None
) -> None:
    if not path.exists():
        _replace_table(path, rows)
        return
    old = _read_table(path)
    kept = old
    if start is not None and end is not None:
        kept = old[(old["timestamp"] < in_utc(start)) | (old["timestamp"] >= in_utc(end))]
    both = pd.concat([kept, rows], join="inner", ignore_index=True)
    merged = in_order(both.drop_duplicates(KEY, keep="last"))
    if not merged.equals(old):
        _replace_table(path, merged)


def _replace_table(path: Path, table: pd.DataFrame) -> None:
    replace_file(path, lambda draft: table.to_parquet(draft, index=False))


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise StoreError(
            f"cannot read {path}: {error}. Move it away and run `trading-pipeline download`."
        ) from error
