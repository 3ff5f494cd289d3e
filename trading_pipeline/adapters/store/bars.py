"""Bars on disk: one Parquet file a month for all symbols, and what became of every bar.

    YYYY-MM.parquet            bars, as `core/market/bars.py` defines them, and `ingested_at`
    corporate_actions.parquet  splits and dividends, if the source has any
    history/                   what the bars were before, and what was asked: see `history.py`

`ingested_at` is the instant at which this version of the bar was stored, NaT where it is not
known, in files older than the column. A merge changes all files together or none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from trading_pipeline.adapters.store import history
from trading_pipeline.adapters.store.commit import Writer, commit, read_whole, writing
from trading_pipeline.adapters.store.months import (
    REPAIR,
    between,
    cut,
    read_month,
    typed,
)
from trading_pipeline.adapters.store.shared import not_shared
from trading_pipeline.adapters.store.tables import as_frame, read_arrow, read_table, table_writer
from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.bars import (
    COLUMNS,
    KEY,
    OPTIONAL,
    check_bars,
    content_hash,
    empty_bars,
)
from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.quarantine import rows_in_doubt
from trading_pipeline.core.market.versions import (
    Merged,
    Span,
    VersionMerge,
    as_known,
    merge_versions,
)

ACTIONS_FILE = "corporate_actions.parquet"
MONTH_FILES = "[0-9][0-9][0-9][0-9]-[0-9][0-9].parquet"


class BarStore:
    """The raw bars and corporate actions of one market. Merging twice leaves one copy.

    Every method raises StoreError where a file cannot be read, or the folder cannot be written.
    """

    def __init__(self, folder: Path, share: Callable[[], None] = not_shared) -> None:
        """`share` is called after every write."""
        self.folder, self._share = folder, share

    def merge(
        self,
        bars: pd.DataFrame,
        now: datetime,
        span: Span | None = None,
        *,
        absences: pd.DataFrame | None = None,
        aside: pd.DataFrame | None = None,
        watermarks: pd.DataFrame | None = None,
        listed: pd.DataFrame | None = None,
        identity: Mapping[str, str] | None = None,
    ) -> Merged:
        """Take bars into the store, the given row of a key winning; all of it or nothing.

        Versions that are changed or removed become revisions. A month that already holds exactly
        these rows is not touched.

        Args:
            now: the instant at which this is stored; it should not go back.
            span: [start, end): the bars are all that there are in it, and what is stored there
                and not given is removed. Without it nothing is removed.
            absences: columns symbol, timestamp: bars that were asked for and that the answer
                lacked, as of `now`; those that are stored stay.
            aside: rows that came and are no bars, as `Sifted` gives them. With a span they are all
                that there are in it; without it one goes when its bar is stored.
            watermarks: columns symbol, asked_at: everything that had closed by `asked_at` has
                been asked for, this answer included; see `core/market/fetch_plan.py`.
            listed: columns symbol, listed: the stamps of first bars, as the venue says `now`.
            identity: what the bars are of, e.g. source, feed and timeframe; kept with them.

        Raises:
            BarsError: the bars break an invariant; nothing is written then.
            StoreError: the folder cannot be written, a file in it is damaged, or its bars are of
                another identity.
        """
        checked = check_bars(bars, where=f"bars for {self.folder}")
        with writing(self.folder):
            if identity is not None:
                self._refuse_other(identity)
            months = [
                (path, merge_versions(stored, rows, span, now))
                for path, stored, rows in self._months_of(checked, span, aside)
            ]
            files: dict[str, Writer] = {
                path.name: table_writer(month.bars) if len(month.bars) else None
                for path, month in months
                if month.is_news
            }
            merges = [month for _, month in months]
            if revised := [month.revisions for month in merges if len(month.revisions)]:
                files |= history.REVISIONS.noted(self.folder, *revised)
            files |= history.ABSENCES.noted(self.folder, absences, in_utc(now), checked)
            if aside is not None:
                stored = pd.concat([month.bars[KEY] for month in merges] or [empty_bars()[KEY]])
                files |= history.SET_ASIDE.noted(self.folder, aside, stored, span)
            if watermarks is not None and len(watermarks):
                files |= history.WATERMARKS.noted(self.folder, watermarks)
            if listed is not None and len(listed):
                files |= history.LISTED.noted(self.folder, listed, in_utc(now))
            if identity is not None and history.read_identity(self.folder) != dict(identity):
                files[history.IDENTITY] = history.json_writer(identity)
            commit(self.folder, files)
        self._share()
        return _merged(merges)

    def files(self) -> list[Path]:
        """The files of bars, one a month, in order; none where nothing was stored yet."""
        return self._months()

    def read(self, start: datetime | None = None, end: datetime | None = None) -> pd.DataFrame:
        """Canonical bars that open in [start, end), of all time if not given; empty if none."""
        return read_whole(self.folder, lambda: self._read(start, end, verify=False))

    def read_as_known(
        self, at: datetime, start: datetime | None = None, end: datetime | None = None
    ) -> pd.DataFrame:
        """The bars that open in [start, end), with the values that were stored at an instant."""

        def read() -> pd.DataFrame:
            revisions = between(history.REVISIONS.read(self.folder), start, end)
            stored = [between(read_month(path), start, end) for path in self._months(start, end)]
            return as_known(stored, revisions, at)

        return read_whole(self.folder, read)

    def keys(self, start: datetime | None = None, end: datetime | None = None) -> pd.DataFrame:
        """Which bars are stored: columns timestamp, symbol; quicker than `read`."""
        return read_whole(self.folder, lambda: self._read(start, end, KEY, verify=False))

    def revisions(self) -> pd.DataFrame:
        """Versions of bars that were changed or removed; columns as in `core/market/versions.py`.

        In the order in which they were superseded; a removed bar has NaN in `new_close`.
        """
        return self._noted(history.REVISIONS)

    def absences(self) -> pd.DataFrame:
        """Bars that answers lacked: symbol, timestamp, asked_at, nights; see `history.py`."""
        return self._noted(history.ABSENCES)

    def set_aside(self) -> pd.DataFrame:
        """Rows that came and are no bars; columns as in `core/market/set_aside.py`."""
        return self._noted(history.SET_ASIDE)

    def doubts(self) -> pd.DataFrame:
        """Which of these rows hold their symbol out: columns timestamp, symbol."""
        aside = self.set_aside()
        return rows_in_doubt(aside, self.keys() if len(aside) else empty_bars())

    def watermarks(self) -> pd.DataFrame:
        """Up to when everything was asked for: columns symbol, asked_at, each symbol once."""
        return self._noted(history.WATERMARKS)

    def listed(self) -> pd.DataFrame:
        """The stamps of first bars: columns symbol, listed, asked_at, each symbol once."""
        return self._noted(history.LISTED)

    def identity(self) -> dict[str, str] | None:
        """What the stored bars are of, as last given to `merge`; None if it never was."""
        return read_whole(self.folder, lambda: history.read_identity(self.folder))

    def check_identity(self, identity: Mapping[str, str]) -> None:
        """Refuse bars of another source, feed or timeframe than those that are stored.

        Raises:
            StoreError: the store holds bars of another identity; says which, and what to do.
        """
        read_whole(self.folder, lambda: self._refuse_other(identity))

    def write_actions(self, actions: pd.DataFrame | None) -> int:
        """Replace the table of corporate actions; None says that the source has none.

        Raises:
            BarsError: the actions break a rule of theirs.
            StoreError: the folder cannot be written.
        """
        files: dict[str, Writer] = {
            name: None
            for name in (ACTIONS_FILE, history.STALE_ACTIONS)
            if (self.folder / name).exists()
        }
        if actions is not None:
            actions = check_actions(actions, where=f"corporate actions for {self.folder}")
            files[ACTIONS_FILE] = table_writer(actions)
        if files:
            with writing(self.folder):
                commit(self.folder, files)
            self._share()
        return 0 if actions is None else len(actions)

    def keep_actions(self, why: str) -> history.StaleActions:
        """Note that the source could not tell corporate actions: those stored are of before."""
        with writing(self.folder):
            known, path = history.read_stale_actions(self.folder), self.folder / ACTIONS_FILE
            since = known.since if known else None
            if known is None and path.exists():
                since = pd.Timestamp(path.stat().st_mtime, unit="s", tz="UTC")
            stale = history.StaleActions(why, since)
            commit(self.folder, {history.STALE_ACTIONS: stale.writer()})
        self._share()
        return stale

    def stale_actions(self) -> history.StaleActions | None:
        """Why the corporate actions are not those of today; None where they are."""
        return read_whole(self.folder, lambda: history.read_stale_actions(self.folder))

    def read_actions(self) -> pd.DataFrame | None:
        """The corporate actions, or None where no table was ever written."""
        path = self.folder / ACTIONS_FILE
        return read_table(path, REPAIR) if path.exists() else None

    def data_hash(self) -> str:
        """What all stored bars and actions say, as 64 hex digits; independent of file bytes."""

        def read() -> tuple[pd.DataFrame, pd.DataFrame | None]:
            return self._read(verify=True), self.read_actions()

        return content_hash(*read_whole(self.folder, read))

    def _months(self, start: datetime | None = None, end: datetime | None = None) -> list[Path]:
        """Files of the months that [start, end) touches, in order."""
        first = "0000-00" if start is None else f"{in_utc(start):%Y-%m}"
        last = "9999-99" if end is None else f"{in_utc(end):%Y-%m}"
        return sorted(path for path in self.folder.glob(MONTH_FILES) if first <= path.stem <= last)

    def _read(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] = (*COLUMNS, *OPTIONAL),
        *,
        verify: bool,
    ) -> pd.DataFrame:
        """These columns of the bars in [start, end): months and their rows are in order."""
        import pyarrow as pa

        # One after the other: threads cost more CPU than files this small give back.
        paths = self._months(start, end)
        tables = [read_arrow(path, columns, verify=verify, hint=REPAIR) for path in paths]
        tables = [cut(typed(*pair), start, end) for pair in zip(tables, paths, strict=True)]
        filled = [table for table in tables if len(table)]
        # Months may differ in their optional columns: what some lack, the whole cannot have.
        shared = [name for name in columns if all(name in t.column_names for t in filled)]
        if not filled:
            return empty_bars()[[name for name in columns if name in COLUMNS]]
        parts = [table.select(shared) for table in filled]
        return as_frame(pa.concat_tables(parts, promote_options="default"))

    def _noted(self, table: history.HistoryTable) -> pd.DataFrame:
        return read_whole(self.folder, lambda: table.read(self.folder))

    def _refuse_other(self, identity: Mapping[str, str]) -> None:
        if self._months():
            history.refuse_other_identity(self.folder, identity)

    def _months_of(
        self, bars: pd.DataFrame, span: Span | None, *others: pd.DataFrame | None
    ) -> Iterator[tuple[Path, pd.DataFrame, pd.DataFrame]]:
        """Files of the months that some table concerns, with what is stored and what is given."""
        given = dict(list(bars.groupby(bars["timestamp"].dt.strftime("%Y-%m"))))
        stamps = [each["timestamp"].dropna() for each in others if each is not None]
        names = {*given, *(month for each in stamps for month in each.dt.strftime("%Y-%m"))}
        if span is not None:
            names |= {path.stem for path in self._months(*span)}
        for name in sorted(names):
            path = self.folder / f"{name}.parquet"
            yield path, read_month(path), given.get(name, bars.iloc[:0])


def _merged(months: list[VersionMerge]) -> Merged:
    stamps = [month.first_changed for month in months if month.first_changed is not None]
    return Merged(
        added=sum(month.added for month in months),
        changed=sum(month.changed for month in months),
        unchanged=sum(month.unchanged for month in months),
        removed=sum(month.removed for month in months),
        first_changed=min(stamps, default=None),
    )
