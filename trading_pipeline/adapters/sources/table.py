"""Sources on this machine: of rows that were sifted, and of one table, which a source of one's own
is made from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar

import pandas as pd

from trading_pipeline.adapters.sources.source import refuse_unknown, select, span_of
from trading_pipeline.core.market.actions import check_actions
from trading_pipeline.core.market.calendar import infer_timeframe
from trading_pipeline.core.market.sessions import STEPS
from trading_pipeline.core.market.set_aside import Sifted, check_share
from trading_pipeline.core.market.stamps import stamped_by_session


class SiftedSource(ABC):
    """A `LocalSource` of rows that were sifted; a subclass says which, and what its actions are."""

    live: ClassVar[bool] = False

    @property
    @abstractmethod
    def where(self) -> str:
        """What messages call it."""

    @property
    @abstractmethod
    def _sifted(self) -> Sifted:
        """All rows, checked, on their sessions."""

    @abstractmethod
    def corporate_actions(self) -> pd.DataFrame | None:
        """All splits and dividends; None: prices are adjusted already."""

    def symbols(self) -> list[str]:
        """All symbols of the rows, sorted."""
        return sorted(self._sifted.bars["symbol"].unique())

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first stamp, last stamp + 1 bar) of the symbols, UTC; see `BarSource.span`."""
        refuse_unknown(symbols, self.symbols(), self.where)
        bars = self._sifted.bars
        return span_of(bars, symbols, STEPS[infer_timeframe(bars, where=self.where)], self.where)

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Bars that open in [start, end); see `BarSource.bars`."""
        refuse_unknown(symbols, self.symbols(), self.where)
        return select(self._sifted.bars, symbols, start, end)

    def set_aside(self, calendar: str) -> pd.DataFrame:
        """Rows that are no bars of such a market; see `LocalSource.set_aside`."""
        return self._sifted.on_open_days(calendar).aside

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame | None:
        """Those of `corporate_actions`; see `BarSource.actions`."""
        refuse_unknown(symbols, self.symbols(), self.where)
        actions = self.corporate_actions()
        if actions is None:
            return None
        actions = check_actions(actions, where=self.where)
        return actions[actions["symbol"].isin(list(symbols))].reset_index(drop=True)


class TableSource(SiftedSource):
    """A `LocalSource`: a subclass says where the table comes from, and the rest follows.

    Rows that no market could have made are set aside; more than 1 % of them are refused. Daily bars
    that are stamped in another zone are moved to 00:00 UTC of their session.
    """

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """All rows in the data format of `core/market/bars.py`, in any order; asked for once."""

    def corporate_actions(self) -> pd.DataFrame | None:
        """All splits and dividends; None: prices are adjusted already."""
        return None

    @property
    def where(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @cached_property
    def _sifted(self) -> Sifted:
        return sifted({self.where: self.table()}, self.where)


def sifted(rows: Mapping[str, pd.DataFrame], where: str, calendar: str | None = None) -> Sifted:
    """Rows of several places, on their sessions.

    Raises:
        BarsError: more than 1 % of them are no bars.
    """
    found = Sifted.of(rows)
    check_share(found.aside, len(found.bars), where)
    return replace(found, bars=stamped_by_session(found.bars, calendar))
