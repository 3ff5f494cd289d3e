"""Do features and universe look ahead? Experiments that begin at raw bars and corporate actions.

Everything is computed by the code that training, prediction, backtest and paper trading use, from
bars that were cut or scrambled before any of it ran; so an adjustment of prices by later splits
shows too. Large markets are sampled, by a seed: that code looks ahead shows on any symbol.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trading_pipeline.core.features.catalog import CATALOG, LOOKBACK, compute_features
from trading_pipeline.core.leakage.experiment import (
    FEATURES,
    Examined,
    Tables,
    compare,
    examine,
)
from trading_pipeline.core.leakage.perturbations import backfill_dates, even_dates, scrambled
from trading_pipeline.core.learning.dataset import Dataset, features_of
from trading_pipeline.core.learning.walkforward import Rows
from trading_pipeline.core.market.actions import check_actions, empty_actions, forward_factors
from trading_pipeline.core.market.bars import KEY
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance

UNIVERSE = "universe"
N_STEPS = 60  # bars of a model's window, which eligibility asks for
SAMPLED = 24  # symbols of a large market that experiments are run on
STRETCH = 3 * LOOKBACK  # dates of a long history that they are run on
STORED_WHOLE = 60_000  # bars up to which all stored features are compared
STORED_DATES = 21  # of a larger market: that many newest, and as many before a drawn one
AFTER = 25  # dates beyond those examined, which a look further ahead would use
A_YEAR = pd.Timedelta(days=400)  # and some more: how far back a quarantine looks
AS_STORED = 1e-5  # of scalers and predictions: another processor's networks round differently
_RAW = ("open", "high", "low", "close", "volume", "split", "dividend")
Read = Callable[[pd.Timestamp, pd.Timestamp], pd.DataFrame]


def raw_bars(
    panel: Panel, symbols: tuple[str, ...] | None = None, rows: Rows | None = None
) -> pd.DataFrame:
    """Raw bars of a panel, sorted by (timestamp, symbol), with their `split` and `dividend`.

    Of all symbols and rows, or of some. A panel in total-return units has no actions, and its
    table no columns for them; `in_doubt` is a column where a bar is.
    """
    columns = _RAW[:5] if panel.total_return_units else _RAW
    wanted = np.isin(panel.symbols, panel.symbols if symbols is None else symbols)
    first, last = (rows.first, rows.last) if rows else (0, len(panel.timestamps) - 1)
    t, n = np.nonzero(panel.traded[first : last + 1] & wanted)
    order = np.lexsort((np.argsort(np.argsort(panel.symbols))[n], t))
    t, n = t[order] + first, n[order]
    names = pd.Series(np.array(panel.symbols, dtype=object)[n], dtype="str")
    values = {name: getattr(panel, name)[t, n] for name in columns}
    if np.any(panel.in_doubt):
        values["in_doubt"] = np.asarray(panel.in_doubt)[t, n]
    return pd.DataFrame({"timestamp": panel.timestamps[t], "symbol": names} | values)


def scrambled_panel(panel: Panel, row: int, seed: int) -> Panel:
    """The panel with noise from `row` on; who has a bar stays the same."""
    bars = raw_bars(panel, rows=Rows(row, len(panel.timestamps) - 1))
    if bars.empty:
        return panel
    noise = scrambled(bars, panel.timestamps[row], seed)
    t = panel.timestamps.get_indexer(pd.DatetimeIndex(noise["timestamp"]))
    n = pd.Index(panel.symbols).get_indexer(noise["symbol"])
    grids = {name: getattr(panel, name).copy() for name in _RAW}
    for name in noise.columns.intersection(_RAW):
        grids[name][t, n] = noise[name]
    factor = forward_factors(grids["close"], grids["split"], grids["dividend"])
    return replace(panel, **grids, factor=factor)


def panel_of(bars: pd.DataFrame, symbols: tuple[str, ...]) -> Panel:
    """The panel of such bars: nothing of it is older or newer than they are."""
    panel = Panel.of(bars, _actions_of(bars) if "split" in bars else None, symbols)
    if "in_doubt" not in bars:
        return panel
    doubts = np.zeros(panel.close.shape, dtype=bool)
    t = panel.timestamps.get_indexer(pd.DatetimeIndex(bars["timestamp"]))
    doubts[t, pd.Index(symbols).get_indexer(bars["symbol"])] = bars["in_doubt"]
    return replace(panel, in_doubt=doubts)


def _actions_of(bars: pd.DataFrame) -> pd.DataFrame:
    splits = bars.loc[bars["split"] != 1, [*KEY, "split"]].rename(columns={"split": "value"})
    cash = bars.loc[bars["dividend"] > 0, [*KEY, "dividend"]].rename(columns={"dividend": "value"})
    both = pd.concat([splits.assign(kind="split"), cash.assign(kind="dividend")])
    return check_actions(both[[*KEY, "kind", "value"]]) if len(both) else empty_actions()


@dataclass(frozen=True)
class BarStages:
    """The stages that need no model: features, and who may be traded at what volatility."""

    symbols: tuple[str, ...]
    calendar: str
    n_steps: int

    def __call__(self, bars: pd.DataFrame) -> Tables:
        panel = panel_of(bars, self.symbols)
        features = features_of(panel, self.calendar)
        return {FEATURES: features, UNIVERSE: universe(Dataset.of(panel, features, self.n_steps))}


def universe(data: Dataset) -> pd.DataFrame:
    """Who is eligible at each date, and at what volatility; a row for every date and symbol."""
    columns = {"eligible": data.eligible, "volatility": data.sigma}
    return table_of(data.panel.timestamps, data.panel.symbols, columns)


def sampled(panel: Panel, rows: Rows, seed: int, count: int = SAMPLED) -> tuple[str, ...]:
    """At most `count` symbols with a bar in `rows`, drawn by seed; half of them split there."""
    here = slice(rows.first, rows.last + 1)
    drawn = np.random.default_rng(seed).permutation(len(panel.symbols))
    listed = [n for n in drawn if panel.traded[here, n].any()]
    split = [n for n in listed if (panel.split[here, n] != 1).any()][: count // 2]
    chosen = [*split, *(n for n in listed if n not in split)][:count]
    return tuple(sorted(panel.symbols[n] for n in chosen))


def examine_bars(
    panel: Panel,
    calendar: str,
    n_steps: int = N_STEPS,
    count: int = 3,
    seed: int = 0,
    watch: Advance = lambda done, total, note: None,
) -> list[Examined]:
    """Truncation and scrambling of raw bars, for features and universe, and start, for features.

    On the newest three lookbacks of a history, and on as many up to a date drawn by the seed; on
    all of it where it is no longer than both. On at most 24 symbols. Start begins at adjusted
    bars: how long a quarantine lasts does depend on what is older than a lookback.

    Args:
        count: dates of each stretch at which bars end, begin or become noise; truncation adds the
            first ones, those on which a symbol returns after a gap, and those around which one
            becomes eligible or ceases to be.
    """
    found = []
    for rows in _stretches(len(panel.timestamps), STRETCH, seed):
        symbols = sampled(panel, rows, seed)
        bars = raw_bars(panel, symbols, rows)
        dates, stages = even_dates(bars, count), BarStages(symbols, calendar, n_steps)
        turns = turning_dates(stages(bars)[UNIVERSE], count)
        found += examine(
            stages,
            bars,
            truncate=sorted({*dates, *backfill_dates(bars, count), *turns}),
            scramble=dates,
            seed=seed,
            watch=watch,
        )
        found += examine(
            lambda adjusted: {FEATURES: compute_features(adjusted, calendar=calendar)},
            panel_of(bars, symbols).segments(),
            starts=dates,
            lookbacks={each.name: each.lookback for each in CATALOG},
            watch=watch,
        )
    return found


def turning_dates(universe: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """Up to `count` dates on which a symbol becomes eligible or ceases to be, and those after.

    A universe that is a bar ahead looks the same when the cut is anywhere else.
    """
    able = universe.pivot(index="timestamp", columns="symbol", values="eligible").astype(int)
    turns = np.flatnonzero((able.diff().fillna(0) != 0).any(axis=1))
    chosen = turns[np.linspace(0, len(turns) - 1, min(count, len(turns))).astype(int)]
    places = np.unique([*chosen, *(chosen + 1)]).astype(int)
    return list(able.index[places[places < len(able)]])


def _stretches(dates: int, length: int, seed: int) -> list[Rows]:
    """The newest rows, and as many up to one drawn by the seed; all where there are no more."""
    if dates <= 2 * length:
        return [Rows(0, dates - 1)]
    last = int(np.random.default_rng(seed).integers(length, dates - length))
    return [Rows(end - length + 1, end) for end in (last, dates - 1)]


def examine_stored_features(panel: Panel, calendar: str, read: Read, seed: int = 0) -> Examined:
    """Whether the stored features are what the bars give, bit for bit.

    All of a small market; of one with more than 60,000 bars the newest 21 dates and 21 before a
    date drawn by the seed, of all symbols.

    Args:
        read: gives the stored features of bars that open in [start, end).
    """
    dates, parts = len(panel.timestamps), []
    spans = _stretches(dates, dates if panel.traded.sum() <= STORED_WHOLE else STORED_DATES, seed)
    for rows in spans:
        first, last = panel.timestamps[rows.first], panel.timestamps[rows.last]
        computed = features_of(_behind(panel, rows), calendar)
        inside = computed["timestamp"].between(first, last)
        theirs = read(first, last + pd.Timedelta(microseconds=1))
        ours, theirs = (comparable(each) for each in (computed[inside], theirs))
        parts.append(compare(FEATURES, "stored", _kept(ours, theirs), theirs, last))
    done = f"features of {sum(len(rows) for rows in spans)} dates computed again, all symbols"
    return Examined.total(done, parts)


def _behind(panel: Panel, rows: Rows) -> Panel:
    """The panel up to `rows.last`, from where the features of `rows` have all that they need."""
    traded = panel.traded[: rows.first]
    later = np.cumsum(traded[::-1], axis=0)[::-1]  # of the symbol's bars, from each row on
    needed = traded & (later <= LOOKBACK) & panel.traded[rows.first : rows.last + 1].any(axis=0)
    dates = np.flatnonzero(needed.any(axis=1))
    year = int(panel.timestamps.searchsorted(panel.timestamps[rows.first] - A_YEAR))
    start = min(int(dates[0]) if len(dates) else rows.first, year)
    return panel.stretch(start, rows.last + 1)


def _kept(computed: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """The rows that are stored: days may be missing, but nothing may be there without a bar."""
    there = pd.MultiIndex.from_frame(computed[KEY]).isin(pd.MultiIndex.from_frame(stored[KEY]))
    return computed[there].reset_index(drop=True)


def comparable(features: pd.DataFrame) -> pd.DataFrame:
    """Sorted by (timestamp, symbol), with keys of the same types whoever made them."""
    stamps = pd.DatetimeIndex(features["timestamp"]).as_unit("us")
    named = features.assign(timestamp=stamps, symbol=features["symbol"].astype(object))
    return named.sort_values(KEY, ignore_index=True)


def table_of(
    stamps: pd.DatetimeIndex, symbols: tuple[str, ...], columns: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Arrays (T, N) as columns: a row for every date and every symbol."""
    keys = {
        "timestamp": stamps.repeat(len(symbols)),
        "symbol": np.tile(np.array(symbols, dtype=object), len(stamps)),
    }
    return pd.DataFrame(keys | {name: values.ravel() for name, values in columns.items()})
