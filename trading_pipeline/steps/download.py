"""Bars, splits and dividends: from a source into the store. Raw bars stay raw.

Rows that no market could have made are set aside (`core/market/set_aside.py`), all else is stored.
A source on this machine is the whole truth of what it has; a venue is asked for what is missing or
may have changed (`venue_download.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import pandas as pd

from trading_pipeline.adapters.sources.source import BarSource, LiveSource, bars_and_aside
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.set_aside import check_share
from trading_pipeline.core.market.versions import Span
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import BarsError, SourceError, UnknownSymbol
from trading_pipeline.steps.home import Home, Sources
from trading_pipeline.steps.inputs import span_of
from trading_pipeline.steps.venue_download import Downloaded, VenueDownload

NOTICE_COLUMNS = ["timestamp", "symbol", "kind", "text"]


def download_bars(
    home: Home,
    sources: Sources,
    market: Market,
    days: Span,
    watch: Advance,
    start: str = "",
    refetch: bool = False,
) -> Downloaded:
    """Bring a market's stored bars of some days up to date; raises as `download`.

    A venue is asked for all that is missing before the days' end, too.

    Args:
        days: [start, end). start: first day to ask a venue for, YYYY-MM-DD; the market's if empty.
    """
    source = sources.open(market)
    if source.live:
        first = max(date.fromisoformat(start) if start else market.start, market.start)
        days = span_of(replace(market, start=first), days[1])[0], days[1]
    bars = home.bars(market)
    return download(source, bars, market, days, home.clock.now, watch, refetch=refetch)


def download(
    source: BarSource | LiveSource,
    store: BarStore,
    market: Market,
    span: Span,
    now: Callable[[], datetime],
    progress: Advance = lambda done, total, note: None,
    *,
    refetch: bool = False,
) -> Downloaded:
    """Bring the store up to date with the source in [start, end).

    Args:
        source: if it is not `live`, all that it has replaces what is stored in the span.
        now: the clock, of a source on this machine; a venue's own says which bars have closed.
        progress: called with symbols done, symbols, and a note.
        refetch: ask a venue for everything again; what differs becomes a revision.

    Raises:
        StoreError: the store is of another source, feed or timeframe, or cannot be written.
        CredentialsError: the venue's keys are missing or refused.
        SourceError, BarsError: no symbol could be had; this is the complaint of the first one. Or
            more than 1 % of a source on this machine are no bars.
    """
    if source.live:
        return VenueDownload(source, store, market, progress, refetch).run(span)  # type: ignore[arg-type]
    identity = {"source": market.source}
    store.check_identity(identity)
    bars, aside = bars_and_aside(source, market, span)  # type: ignore[arg-type]
    check_share(aside, len(bars), market.source)
    done = Downloaded(requests=1)
    done.add(len(bars), aside, store.merge(bars, now(), span, aside=aside, identity=identity))
    return done


@dataclass(frozen=True)
class ActionsDownloaded:
    """What a look for corporate actions came to; where it `failed`, those of before stay."""

    failed: str | None = None  # why they could not be had
    retry_after: float = 0.0  # seconds for which the venue wants to be left alone
    actions: pd.DataFrame | None = None  # None: the source's prices are adjusted already
    unknown: tuple[str, ...] = ()  # symbols that the source does not know
    notices: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=NOTICE_COLUMNS))
    first_changed: pd.Timestamp | None = None  # earliest ex-date that is not as it was stored


def download_actions(home: Home, sources: Sources, market: Market) -> ActionsDownloaded:
    """Store a market's splits and dividends.

    Raises:
        SourceError, BarsError: a source on this machine cannot tell them.
    """
    store, source = home.bars(market), sources.open(market)
    try:
        actions, unknown = actions_of(source, store, market)
        notices = notices_of(source, market, unknown)
    except (SourceError, BarsError) as error:
        if not source.live:
            raise
        why = f"splits and dividends {store.keep_actions(str(error))}"
        return ActionsDownloaded(why, getattr(error, "retry_after", 0.0))
    changed = first_changed_action(store.read_actions(), actions)
    store.write_actions(actions)
    return ActionsDownloaded(None, 0.0, actions, tuple(unknown), notices, changed)


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
