"""Splits and dividends from a source, and when they say something else than before."""

from collections.abc import Iterable

import pandas as pd

from trading_pipeline.adapters.sources.source import BarSource
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.market import Market
from trading_pipeline.errors import UnknownSymbol

NOTICE_COLUMNS = ["timestamp", "symbol", "kind", "text"]


def actions_of(
    source: BarSource, store: BarStore, market: Market
) -> tuple[pd.DataFrame | None, dict[str, str]]:
    """Splits and dividends of a market, and why by symbol where the source has none to tell.

    A symbol that it does not know keeps those that are stored: without them its adjusted prices
    would jump. None: the source's prices are adjusted already.
    """
    try:
        return source.actions(list(market.symbols)), {}
    except UnknownSymbol:
        if not source.live:
            raise
    tables, failures = [], {}
    for symbol in market.symbols:
        try:
            tables.append(source.actions([symbol]))
        except UnknownSymbol as error:
            failures[symbol] = str(error)
    stored = store.read_actions()
    if stored is not None:
        tables.append(stored[stored["symbol"].isin(list(failures))])
    known = [table for table in tables if table is not None]
    return (pd.concat(known, ignore_index=True) if known else None), failures


def notices_of(source: BarSource, market: Market, unknown: Iterable[str]) -> pd.DataFrame:
    """What happened to a market's symbols and its prices are not adjusted for, such as spin-offs.

    Columns timestamp, symbol, kind, text; empty of a source that tells no such things.
    """
    symbols = [symbol for symbol in market.symbols if symbol not in set(unknown)]
    tell = getattr(source, "notices", None)
    return pd.DataFrame(columns=NOTICE_COLUMNS) if tell is None else tell(symbols)


def first_changed_action(
    stored: pd.DataFrame | None, actions: pd.DataFrame | None
) -> pd.Timestamp | None:
    """The earliest ex-date that only one of two tables of actions has so; None if they agree."""
    tables = [table for table in (stored, actions) if table is not None and len(table)]
    if not tables:
        return None
    differing = pd.concat(tables, ignore_index=True).drop_duplicates(keep=False)
    return None if differing.empty else differing["timestamp"].min()
