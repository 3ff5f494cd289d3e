"""Calendar months: what a history adds up to in each, and what it returned in each and in years."""

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.metrics import Floats


def by_month(values: Floats, days: pd.DatetimeIndex) -> tuple[list[str], Floats]:
    """Sums of (D, ...) over calendar months: the first of each as ISO dates (M,), and (M, ...)."""
    month = days.year.to_numpy() * 12 + days.month.to_numpy() - 1
    starts = np.flatnonzero(np.diff(month, prepend=-1))
    names = [f"{days[start]:%Y-%m}-01" for start in starts]
    return names, np.add.reduceat(values, starts, axis=0)


def monthly_returns(timestamps: pd.DatetimeIndex, equity: Floats) -> pd.DataFrame:
    """Simple returns of calendar months, the first from the first bar: years × months 1-12."""
    held = pd.Series(np.maximum(equity, 0.0), index=timestamps)
    month = timestamps.year * 100 + timestamps.month
    ends = held.groupby(np.asarray(month)).last()
    after = ends.to_numpy()
    before = np.concatenate([[held.iloc[0]], after[:-1]])
    returns = np.divide(after, before, out=np.ones(len(after)), where=before > 0) - 1
    table = pd.Series(
        returns, index=pd.MultiIndex.from_arrays([ends.index // 100, ends.index % 100])
    ).unstack()
    return table.reindex(columns=range(1, 13))


def yearly_returns(months: pd.DataFrame) -> pd.Series:
    """Simple returns of calendar years, compounded from `monthly_returns`; by year."""
    return (1 + months).prod(axis=1) - 1  # what is missing counts as a month that did not move
