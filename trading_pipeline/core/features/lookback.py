"""How far back bars have to be read, so that new features are those of the whole history."""

from collections.abc import Callable, Sequence

import pandas as pd

from trading_pipeline.core.features.catalog import LOOKBACK
from trading_pipeline.core.market.quarantine import LOOKS_BACK_DAYS, LOOKS_BACK_ROWS

A_YEAR = pd.Timedelta(days=LOOKS_BACK_DAYS)


def first_needed(
    bars: pd.DataFrame,
    since: pd.Timestamp,
    first_bars: Callable[[Sequence[str]], pd.Series],
) -> pd.Timestamp | None:
    """The date from which bars make the same features from `since` on as the whole history does.

    Every symbol traded since then needs its lookback in bars of its own, however many dates it
    missed, and the market block the last dates of all symbols.

    Args:
        bars: columns timestamp and symbol, ordered by timestamp: all bars of a stretch that ends
            with the history.
        since: the first date whose features are wanted.
        first_bars: gives the first bar that symbols have in the whole history, by symbol; asked
            for those only whose bars here are few.

    Returns:
        A date of the bars, or None where they do not reach back far enough.
    """
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    new = bars["timestamp"] >= since
    behind = bars[~new & bars["symbol"].isin(bars.loc[new, "symbol"].unique())]
    age = behind.groupby("symbol").cumcount(ascending=False)
    known = behind[age < LOOKBACK].groupby("symbol")["timestamp"].agg(["min", "size"])
    earliest = behind.groupby("symbol")["timestamp"].min()
    enough = (known["size"] >= LOOKBACK) & (earliest <= since - A_YEAR)
    few = earliest.reindex(sorted(bars.loc[new, "symbol"].unique())).drop(enough.index[enough])
    if len(few) and not few.equals(first_bars(list(few.index)).reindex(few.index)):
        return None
    first = min([since - A_YEAR, *known["min"]])
    row = min(stamps.searchsorted(since) - LOOKBACK, stamps.searchsorted(first)) - LOOKS_BACK_ROWS
    return stamps[row] if row >= 0 else None
