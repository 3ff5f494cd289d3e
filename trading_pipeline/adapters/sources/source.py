"""Where bars come from: the protocols that every source, real or fake, fulfils."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import ClassVar, Protocol

import pandas as pd

from trading_pipeline.adapters.sources.venue_clock import OLD
from trading_pipeline.core.market.calendar import in_utc, on_rest_days
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import SourceError, UnknownSymbol

_SHOWN, _LONGEST = 20, 30  # names of symbols, and characters of one


class BarSource(Protocol):
    """A venue, a data set or a folder that has bars.

    `live`: False where asking costs nothing and the answer is the whole truth; True of a venue
    over the network, where a bar that one answer lacks is not thereby gone.
    """

    live: ClassVar[bool]

    def symbols(self) -> list[str]:
        """All symbols that it knows, sorted."""
        ...

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """[first, end) in UTC of the bars that these symbols have: `bars(symbols, *span)` is all.

        Tight: `first` is the stamp of their first bar, `end` that of their last one plus a bar.

        Raises:
            UnknownSymbol: it does not know one of the symbols.
            SourceError: it could not answer, or none of them has a bar.
        """
        ...

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Canonical raw bars that open in [start, end) and have closed; empty if there are none.

        Of a venue in canonical form but for their values: who stores them sets impossible ones
        aside (`core/market/set_aside.py`). Any other source has done so itself.

        Raises:
            UnknownSymbol: it does not know one of the symbols.
            SourceError: it could not answer.
            BarsError: what it has is no table of bars.
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


class LocalSource(BarSource, Protocol):
    """A source on this machine."""

    def set_aside(self, calendar: str) -> pd.DataFrame:
        """Rows of all symbols that are no bars of a market with this calendar.

        Columns as in `core/market/set_aside.py`. Bars on days on which the calendar rests are
        among them; `bars` gives those all the same.
        """
        ...


class LiveSource(BarSource, Protocol):
    """A venue over the network. May be asked for different symbols by several threads at once.

    `at_once`: symbols that it answers in one request. `delay`: how long after its close a bar is
    told.
    """

    at_once: int
    delay: timedelta

    def clock(self, age: float = OLD) -> pd.Timestamp:
        """What time it is at the venue, UTC, and never later; told at most `age` seconds ago.

        Raises:
            SourceError: it could not answer.
        """
        ...

    def identity(self) -> dict[str, str]:
        """What makes its bars comparable: source, timeframe, and feed if there are several."""
        ...

    def traded(self, symbols: Sequence[str]) -> set[str]:
        """Those of the symbols that the venue trades now, as it told in the last hour.

        Raises:
            UnknownSymbol: it does not know one of the symbols.
            SourceError: it could not answer.
        """
        ...

    def listings(self, symbols: Sequence[str]) -> pd.DataFrame:
        """How the venue lists the symbols: one row each, in their order.

        Columns: `symbol`; `listed` (datetime64[us, UTC]: stamp of its first bar, NaT if it has
        none); `status` ("trading", "halted", "delisted", or "not yet traded": it has no bar so
        far). History of the delisted stays.

        Raises:
            UnknownSymbol: it does not know one of the symbols.
            SourceError: it could not answer.
        """
        ...


def refuse_unknown(symbols: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raise UnknownSymbol, naming similar ones and what is known, unless every symbol is."""
    if unknown := sorted(set(symbols) - set(known)):
        close = [name for each in unknown for name in get_close_matches(each, known)]
        similar = f" (similar: {', '.join(dict.fromkeys(close))})" if close else ""
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise UnknownSymbol(
            f"{where} has no {', '.join(unknown)}{similar}; "
            f"it knows {', '.join(name[:_LONGEST] for name in known[:_SHOWN])}{more}"
        )


def listings_of(
    symbols: Sequence[str], listed: Sequence[pd.Timestamp], status: Sequence[str]
) -> pd.DataFrame:
    """The table of `LiveSource.listings`: a stamp or NaT, and a status, for each symbol."""
    return pd.DataFrame(
        {
            "symbol": pd.Series(list(symbols), dtype="str"),
            "listed": pd.DatetimeIndex(listed, tz="UTC").as_unit("us"),
            "status": pd.Series(list(status), dtype="str"),
        }
    )


def span_of(
    bars: pd.DataFrame, symbols: Sequence[str], step: pd.Timedelta, where: str
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """[first stamp, last stamp + `step`) of the symbols in canonical bars.

    Raises:
        SourceError: they have no bars.
    """
    stamps = bars.loc[bars["symbol"].isin(list(symbols)), "timestamp"]
    if stamps.empty:
        raise SourceError(f"{where} has no bars of {', '.join(symbols) or 'no symbols at all'}")
    return stamps.iloc[0], stamps.iloc[-1] + step


def select(
    bars: pd.DataFrame, symbols: Sequence[str], start: datetime, end: datetime
) -> pd.DataFrame:
    """The rows of canonical bars of these symbols that open in [start, end)."""
    opens = bars["timestamp"]
    inside = (opens >= in_utc(start)) & (opens < in_utc(end))
    return bars[inside & bars["symbol"].isin(list(symbols))].reset_index(drop=True)


def bars_and_aside(
    source: LocalSource, market: Market, span: tuple[datetime, datetime]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bars of a market in [start, end), and the rows that a source on this machine set aside.

    Rows that lack a timestamp or a symbol may be of any span or market, and are among the latter.
    """
    bars, aside = source.bars(list(market.symbols), *span), source.set_aside(market.calendar)
    strays = on_rest_days(bars, market.calendar)
    start, end = map(in_utc, span)
    inside = aside["timestamp"].isna() | aside["timestamp"].between(start, end, inclusive="left")
    others = set(source.symbols()) - set(market.symbols)
    ours = ~aside["symbol"].isin(others)  # of no symbol, or of one that has no bar, too
    return (
        bars[~strays].reset_index(drop=True) if strays.any() else bars,
        aside[inside & ours].reset_index(drop=True),
    )
