"""Other histories to experiment on: bars that end earlier, begin later, or turn into noise.

Bars are in the data format, sorted by (timestamp, symbol). Raw ones may carry two more columns,
`split` (new shares per old one, 1.0 for none) and `dividend` (cash per share, 0.0 for none), as a
panel has them: cutting or scrambling bars then does the same to what companies did later.
"""

import numpy as np
import pandas as pd

WARM_UP = (2, 17, 40, 100, 200)  # dates within the lookback of most features
_ACTIONS_AT = 0.05  # of the scrambled bars have a split, as many a dividend


def even_dates(bars: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """Up to `count` dates that split the bars into equal parts, never the first."""
    stamps = dates_of(bars)
    places = np.linspace(0, len(stamps), count + 2)[1:-1].astype(int)
    return [stamps[place] for place in sorted(set(places.tolist())) if place > 0]


def backfill_dates(bars: pd.DataFrame, count: int) -> list[pd.Timestamp]:
    """Dates where a back-fill shows: within the warm-up, and as a symbol returns after a gap.

    A value filled in from the future stays the same when the cut is anywhere else. Truncation
    there is cheap or rare: the first have little history, of the second there are up to `count`.
    """
    stamps = dates_of(bars)
    early = [stamps[place] for place in WARM_UP if place < len(stamps)]
    date = bars["timestamp"].rank(method="dense")
    returns = bars.loc[date.groupby(bars["symbol"]).diff() > 1, "timestamp"].drop_duplicates()
    places = np.linspace(0, len(returns) - 1, min(count, len(returns))).astype(int)
    return sorted({*early, *returns.iloc[places]})


def dates_of(bars: pd.DataFrame) -> pd.Series:
    """The distinct timestamps, oldest first."""
    return bars["timestamp"].drop_duplicates().sort_values(ignore_index=True)


def between(
    rows: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> pd.DataFrame:
    """Rows of [start, end), renumbered; None is no bound."""
    inside = np.ones(len(rows), dtype=bool)
    if start is not None:
        inside &= (rows["timestamp"] >= start).to_numpy()
    if end is not None:
        inside &= (rows["timestamp"] < end).to_numpy()
    return rows[inside].reset_index(drop=True)


def scrambled(bars: pd.DataFrame, cut: pd.Timestamp, seed: int) -> pd.DataFrame:
    """Bars with random prices, volumes and actions from `cut` on; still possible, same keys.

    Each symbol also gets another level of both, so that who is large or dear later changes.
    """
    later = (bars["timestamp"] >= cut).to_numpy()
    noise = np.random.default_rng(seed)
    size, (codes, names) = int(later.sum()), pd.factorize(bars.loc[later, "symbol"])
    dear, busy = np.exp(noise.normal(size=(2, len(names))) * [[1.0], [2.0]])[:, codes]
    paths = np.sort(np.exp(noise.normal(size=(size, 4))), axis=1)  # low, two between, high
    level = bars.loc[later, "close"].to_numpy() * dear
    prices = paths[:, [1, 3, 0, 2]] * level[:, None]
    mixed = bars.copy()
    mixed.loc[later, ["open", "high", "low", "close"]] = prices
    mixed.loc[later, "volume"] = bars.loc[later, "volume"] * busy * np.exp(noise.normal(size=size))
    if "split" in bars:
        happens = noise.random((2, size)) < _ACTIONS_AT
        mixed.loc[later, "split"] = np.where(happens[0], 2.0, 1.0)
        mixed.loc[later, "dividend"] = np.where(happens[1], 0.01 * prices[:, 3], 0.0)
    return mixed
