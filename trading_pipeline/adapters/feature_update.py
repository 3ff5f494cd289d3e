"""Keep the stored features those of the stored bars, at the price of what is new.

The feature table says what it was computed from: a fingerprint of every month of bars and of its
corporate actions. What has changed since, or been asked for, is computed again, from as many bars
as that needs. A month's file is replaced only when a bar in it changes, so its size and time of
change tell; a copied folder has other times, and costs one rebuild.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pandas as pd

from trading_pipeline.adapters.store.bars import MONTH_FILES, BarStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import StoreError

READ_BACK = timedelta(days=560)  # a year of daily bars and what comes before; doubled if too few
BASIS = "basis"  # the part that says which symbols, calendar and span the features are of
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Updated:
    """What an update did."""

    features: pd.DataFrame  # the rows computed and stored
    rebuilt: bool  # the table was of another catalog
    reason: str  # in words, why these days


@dataclass(frozen=True)
class _Work:
    since: datetime | None  # None: everything
    until: datetime | None  # None: to the end
    reason: str


def update_features(
    bars: BarStore, store: FeatureStore, market: Market, history: Span, days: Span
) -> Updated:
    """Compute the features of some days, and of all others whose bars have changed, and store them.

    Args:
        history: [start, end) of the market's bars.
        days: [start, end) to compute in any case.

    Raises:
        StoreError: there are no bars, or a store cannot be used.
        FeatureError: the features break a rule of the store.
    """
    from trading_pipeline.core.features.catalog import catalog_hash

    made_of = fingerprints(bars, market)  # before reading: a bar that comes in between is news
    work = _work(store.made_of(catalog_hash()), made_of, days)
    features, units = _compute(bars, store, market, history, work)
    written = store.write(features, catalog_hash(), (work.since, work.until), made_of, units)
    return Updated(features, written.rebuilt, work.reason)


def is_current(bars: BarStore, store: FeatureStore, market: Market) -> bool:
    """Whether the stored features are of the stored bars, catalog and settings.

    Raises:
        StoreError: a store cannot be used.
    """
    from trading_pipeline.core.features.catalog import catalog_hash

    return store.made_of(catalog_hash()) == fingerprints(bars, market)


def fingerprints(bars: BarStore, market: Market) -> dict[str, str]:
    """By month: the state of its file, its corporate actions and doubts; and the basis of all."""
    days = f"open days of {market.calendar}"
    basis = [list(market.symbols), days, str(market.start), str(market.end)]
    prints = {BASIS: hashlib.sha256(json.dumps(basis).encode()).hexdigest()}
    actions = bars.read_actions()
    if actions is None:
        prints[BASIS] += " adjusted"
    for name, table in {"actions": actions, "set aside": bars.doubts()}.items():
        if table is None or table.empty:
            continue
        digests = pd.util.hash_pandas_object(table, index=False)
        for month, total in digests.groupby(table["timestamp"].dt.strftime("%Y-%m")).sum().items():
            prints[f"{month} {name}"] = str(total)
    for path in bars.folder.glob(MONTH_FILES):
        state = path.stat()
        prints[path.stem] = f"{state.st_size} {state.st_mtime_ns}"
    return prints


def _work(before: dict[str, str], now: dict[str, str], days: Span) -> _Work:
    if not before:
        return _Work(None, None, "all of them: none were of this catalog")
    if before.get(BASIS) != now[BASIS]:
        return _Work(None, None, "all of them: the market's settings have changed")
    changed = sorted(part for part in {*before, *now} if before.get(part) != now.get(part))
    if not changed:
        return _Work(*days, "those asked for: no bar has changed")
    month = pd.Timestamp(changed[0][:7], tz="UTC").to_pydatetime()
    since = min(month, days[0])
    return _Work(since, None, f"from {since:%Y-%m-%d} on: {changed[0]} has changed")


def _compute(
    bars: BarStore, store: FeatureStore, market: Market, history: Span, work: _Work
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features of `work`, and the changes of unit in it."""
    from trading_pipeline.core.learning.dataset import features_of

    table, whole = _read(bars, store, market, history, work)
    actions, units = bars.read_actions(), None
    if actions is not None and not whole:
        units = store.units_at(table.groupby("symbol")["timestamp"].min())
    panel = Panel.of(table, actions, market.symbols, units, bars.doubts())
    return _inside(features_of(panel, market.calendar), work), _inside(panel.unit_changes(), work)


def _inside(rows: pd.DataFrame, work: _Work) -> pd.DataFrame:
    wanted = pd.Series(True, index=rows.index)
    if work.since is not None:
        wanted &= rows["timestamp"] >= work.since
    if work.until is not None:
        wanted &= rows["timestamp"] < work.until
    return rows if wanted.all() else rows[wanted].reset_index(drop=True)


def _read(
    bars: BarStore, store: FeatureStore, market: Market, history: Span, work: _Work
) -> tuple[pd.DataFrame, bool]:
    """The bars that the features of `work` are made of, and whether these are all."""
    from trading_pipeline.core.features.lookback import first_needed

    start, end = history
    end = end if work.until is None else min(end, work.until)
    back, calendar = READ_BACK, trading_calendar(market.calendar, market.timeframe)
    while work.since is not None and work.since - back > start:
        table = on_open_days(bars.read(work.since - back, end), calendar, str(bars.folder))
        table = table[table["symbol"].isin(market.symbols)].reset_index(drop=True)
        first_bars = partial(store.first_bars, before=work.since)
        if (first := first_needed(table, pd.Timestamp(work.since), first_bars)) is not None:
            return table[table["timestamp"] >= first].reset_index(drop=True), False
        back *= 2
    table = on_open_days(bars.read(start, end), calendar, str(bars.folder))
    if table.empty:
        raise StoreError(
            f"{bars.folder} has no bars; run `trading-pipeline download --market {market.name}` "
            "or materialize raw_bars"
        )
    return table, True
