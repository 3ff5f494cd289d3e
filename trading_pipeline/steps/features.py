"""Keep the stored features those of the stored bars, at the price of what is new.

The feature table says what it was computed from. What has changed since (`freshness.py` says
which days that are), or been asked for, is computed again, from as many bars as that needs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pandas as pd

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.features import FeatureStore
from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import StoreError
from trading_pipeline.steps.freshness import Stale, features_fingerprints, stale_features
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import no_bars, span_of

READ_BACK = timedelta(days=560)  # a year of daily bars and what comes before; doubled if too few
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Updated:
    """What an update did."""

    features: pd.DataFrame  # the rows computed and stored
    rebuilt: bool  # the table was of another catalog
    reason: str  # in words, why these days


def update_features(home: Home, market: Market, days: Span, now: datetime) -> Updated:
    """Compute the features of some days, and of all others whose bars have changed, and store them.

    Args:
        days: [start, end) to compute in any case.

    Raises:
        StoreError: there are no bars, splits and dividends are not known, or a store cannot be
            used.
        FeatureError: the features break a rule of the store.
    """
    from trading_pipeline.core.features.catalog import catalog_hash

    bars, store = home.bars(market), home.features(market)
    if (stale := bars.stale_actions()) is not None:
        raise StoreError(f"splits and dividends of {market.name} {stale}")
    history = span_of(market, now)
    made_of = features_fingerprints(bars, market)  # before reading: what comes in between is news
    work = stale_features(store.made_of(catalog_hash()), made_of, days)
    features, units = _compute(bars, store, market, history, work)
    written = store.write(features, catalog_hash(), (work.since, work.until), made_of, units)
    return Updated(features, written.rebuilt, work.reason)


def _compute(
    bars: BarStore, store: FeatureStore, market: Market, history: Span, work: Stale
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features of `work`, and the changes of unit in it."""
    from trading_pipeline.core.learning.dataset import features_of

    table, whole = _read(bars, store, market, history, work)
    actions, units = bars.read_actions(), None
    if actions is not None and not whole:
        units = store.units_at(table.groupby("symbol")["timestamp"].min())
    panel = Panel.of(table, actions, market.symbols, units, bars.doubts())
    return _inside(features_of(panel, market.calendar), work), _inside(panel.unit_changes(), work)


def _inside(rows: pd.DataFrame, work: Stale) -> pd.DataFrame:
    wanted = pd.Series(True, index=rows.index)
    if work.since is not None:
        wanted &= rows["timestamp"] >= work.since
    if work.until is not None:
        wanted &= rows["timestamp"] < work.until
    return rows if wanted.all() else rows[wanted].reset_index(drop=True)


def _read(
    bars: BarStore, store: FeatureStore, market: Market, history: Span, work: Stale
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
        raise no_bars(bars, market)
    return table, True
