"""How far back bars have to be read, so that new features are those of the whole history."""

from collections.abc import Callable, Sequence

import pandas as pd

from trading_pipeline.core.features.catalog import LOOKBACK

# The gap quarantine looks back over a year, and asks who was active in the 21 rows before that;
# breaks compare 5 bars with the 63 before them and with the mean volume of 21.
A_YEAR = pd.Timedelta(days=365)
MARGIN = 5 + 63 + 22  # rows


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
    reach = behind[age < LOOKBACK].groupby("symbol")["timestamp"].agg(["min", "size"])
    earliest = behind.groupby("symbol")["timestamp"].min()
    few = earliest[(reach["size"] < LOOKBACK) | (earliest > since - A_YEAR)]
    if len(few) and not few.equals(first_bars(list(few.index)).reindex(few.index)):
        return None
    first = min([since - A_YEAR, *reach["min"]])
    row = min(stamps.searchsorted(since) - LOOKBACK, stamps.searchsorted(first)) - MARGIN
    return stamps[row] if row >= 0 else None
