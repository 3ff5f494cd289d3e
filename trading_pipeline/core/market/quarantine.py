"""Quarantine: whose bars are neither learned from nor traded, decided by what was known at each.

A symbol's bar is in quarantine while too many of its own bars are missing (a gap), and for a year
after each row that was set aside (`set_aside.py`) of a symbol that has too many of them (a doubt).

Letters: T rows of the market's clock, N symbols.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.bars import COPY, KEY
from trading_pipeline.core.market.discontinuities import (
    FEW_RETURNS,
    OTHER_COMPANY,
    VOLUME_BARS,
    VOLUME_HISTORY,
    segment_starts,
)
from trading_pipeline.core.market.trailing import (
    VOLATILITY_WINDOW,
    Mask,
    days_of,
    shifted,
    trailing_sum,
)

# Own bars missing in the last year: more than 1 %, and at least three of them.
GAP_SHARE, GAP_LEAST, SPAN = 0.01, 3, 365.0  # days
TOLERATED_GAPS = f"{GAP_SHARE:.0%} of a year's bars, but {GAP_LEAST - 1} at least"
SYMBOL_SHARE = 0.001  # of a symbol's rows so far: with more of them set aside it is in doubt
ACTIVE_ROWS = 21  # a symbol with no bar in them has ended, or is halted
# For whoever reads a part of a history: what is older changes neither discontinuities nor
# quarantine. Days of the quarantine, and before them rows of all that looks back, one after the
# other.
LOOKS_BACK_DAYS = max(SPAN, OTHER_COMPANY)
LOOKS_BACK_ROWS = (
    max(VOLATILITY_WINDOW, VOLUME_HISTORY) + VOLUME_BARS + max(FEW_RETURNS, ACTIVE_ROWS) + 1
)


def gap_quarantine(stamps: pd.DatetimeIndex, traded: Mask, discontinuities: Mask) -> Mask:
    """(T, N) bool: bars in a year of which more than 1 % (and at least 3) rows are missing.

    Only a symbol's own gaps count: rows that more than half of the active symbols lack are an
    outage of the venue. Counted since the symbol's first bar, or its last discontinuity.

    Args:
        stamps: (T,), rows at which any symbol has a bar. traded, discontinuities: (T, N).
    """
    if not len(stamps):
        return traded
    start = segment_starts(traded, discontinuities)
    due = due_bars(traded, start)
    clock = days_of(stamps)
    since = np.maximum(np.searchsorted(clock, clock - SPAN, side="right")[:, None], start)
    missing, rows = (_count_since(flags, since) for flags in (due & ~traded, due))
    found: Mask = traded & too_many(missing, rows)
    return found


def due_bars(traded: Mask, start: NDArray[np.int64]) -> Mask:
    """(T, N) bool: bars that a symbol has, or should have; `start`: `segment_starts`."""
    active = shifted(trailing_sum(traded, ACTIVE_ROWS), 1) > 0
    here = (traded & active).sum(axis=1) * 2 >= active.sum(axis=1)
    due: Mask = here[:, None] & (start >= 0)
    return due


def too_many(missing: NDArray[np.int64], due: NDArray[np.int64]) -> Mask:
    """Whether so many missing bars, of those due in a year, put a symbol into quarantine."""
    found: Mask = (missing >= GAP_LEAST) & (missing > GAP_SHARE * due)
    return found


def _count_since(flags: Mask, since: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T, N): how many of rows since[t] .. t are true; `since` (T, N), -1 is the first row."""
    total = np.vstack([np.zeros((1, flags.shape[1]), dtype=np.int64), np.cumsum(flags, axis=0)])
    counted: NDArray[np.int64] = total[1:] - np.take_along_axis(total, np.maximum(since, 0), axis=0)
    return counted


def in_doubt(stamps: pd.DatetimeIndex, symbols: Sequence[str], rows: pd.DataFrame) -> Mask:
    """(T, N) bool: at, or less than a year after, a row of the symbol that was set aside.

    Args:
        stamps: (T,). rows: columns timestamp, symbol, in order; see `rows_in_doubt`.
    """
    doubt = np.zeros((len(stamps), len(symbols)), dtype=bool)
    clock = days_of(stamps)
    for symbol, own in rows.groupby("symbol"):
        if symbol in symbols:
            days = np.append(-np.inf, days_of(pd.DatetimeIndex(own["timestamp"])))
            last = days[np.searchsorted(days, clock, side="right") - 1]
            doubt[:, symbols.index(symbol)] = clock - last < SPAN
    return doubt


def rows_in_doubt(aside: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """The rows set aside that hold their symbol out: with them, more than 0.1 % of its rows so far.

    Judged at each row by what had come until then, so that later rows change nothing. Whoever has
    more than 0.1 % of all its rows set aside is held out, if only after the last of them.

    Args:
        bars: columns timestamp, symbol: what was kept.

    Returns:
        Columns timestamp, symbol, in order. Rows without either are left out, for none can tell
        when; so are copies, for their bar is there.
    """
    doubtful = aside["timestamp"].notna() & aside["symbol"].notna() & (aside["rule"] != COPY)
    known = aside.loc[doubtful, KEY]
    kept = bars.loc[bars["symbol"].isin(known["symbol"].unique()), KEY]
    rows = pd.concat([known.assign(aside=True), kept.assign(aside=False)], ignore_index=True)
    rows = rows.sort_values("timestamp", kind="stable", ignore_index=True)
    own = rows.groupby("symbol")["aside"]
    many = own.cumsum() > SYMBOL_SHARE * (own.cumcount() + 1)
    doubted = rows.loc[rows["aside"].astype(bool) & many, KEY]
    return doubted.drop_duplicates().sort_values(KEY, ignore_index=True)
