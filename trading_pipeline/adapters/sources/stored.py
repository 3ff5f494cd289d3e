"""Bars of another home, as they were known when a report was made from them."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar

import pandas as pd

from trading_pipeline.adapters.sources.source import select, span_of
from trading_pipeline.adapters.store.bars import BarStore


class StoredSource:
    """A `LocalSource` over a store of bars; what came or was corrected later is not in it.

    Splits, dividends and rows set aside have no history: they are those of today.
    """

    live: ClassVar[bool] = False

    def __init__(self, store: BarStore, at: datetime) -> None:
        self.store, self.at = store, at

    @cached_property
    def _bars(self) -> pd.DataFrame:
        return self.store.read_as_known(self.at)

    def symbols(self) -> list[str]:
        """Those that have a bar."""
        return sorted(self._bars["symbol"].unique())

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first stamp, a microsecond after the last)."""
        step, where = pd.Timedelta(microseconds=1), str(self.store.folder)
        return span_of(self._bars, symbols, step, where)

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """As `BarSource.bars`; a symbol that had no bar yet has none here."""
        return select(self._bars, symbols, start, end)

    def set_aside(self, calendar: str) -> pd.DataFrame:
        """Those that the store keeps."""
        return self.store.set_aside()

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame | None:
        """Those that the store keeps; see `BarSource.actions`."""
        known = self.store.read_actions()
        return None if known is None else known[known["symbol"].isin(list(symbols))]
