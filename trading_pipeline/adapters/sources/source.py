"""Where bars come from: the protocol that every source, real or fake, fulfils."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import pandas as pd

from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.errors import UnknownSymbol

_SHOWN = 20


class BarSource(Protocol):
    """A venue, a data set or a folder that has bars."""

    def symbols(self) -> list[str]:
        """All symbols that it knows, sorted."""
        ...

    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first, end) in UTC of the bars it has: `bars(symbols(), *span())` is all of them."""
        ...

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Canonical raw bars that open in [start, end) and have closed; empty if there are none.

        Raises:
            UnknownSymbol: it does not know one of the symbols.
            SourceError: it could not answer.
            BarsError: what it has breaks a market invariant.
            ValueError: `start` or `end` has no time zone.
        """
        ...

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame | None:
        """Splits and dividends of the symbols, canonical.

        None: it has none to give, its prices are adjusted already ('total-return units').

        Raises:
            UnknownSymbol: it does not know one of the symbols.
        """
        ...


def refuse_unknown(symbols: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raise UnknownSymbol, listing what is known, unless every symbol is."""
    if unknown := sorted(set(symbols) - set(known)):
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise UnknownSymbol(
            f"{where} has no {', '.join(unknown)}; it knows {', '.join(known[:_SHOWN])}{more}"
        )


def select(
    bars: pd.DataFrame, symbols: Sequence[str], start: datetime, end: datetime
) -> pd.DataFrame:
    """The rows of canonical bars of these symbols that open in [start, end)."""
    opens = bars["timestamp"]
    inside = (opens >= in_utc(start)) & (opens < in_utc(end))
    return bars[inside & bars["symbol"].isin(list(symbols))].reset_index(drop=True)
