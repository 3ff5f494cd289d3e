"""Corporate actions: splits and cash dividends, and what they do to prices.

A table of actions has the columns
    timestamp  datetime64[us, UTC]  ex-date, stamped as the bars of that date are
    symbol     str
    kind       str                  "split" or "dividend"
    value      float64, > 0         split: new shares per old one; dividend: cash per share, in
                                    quote currency, as held after any split of that same date
Several of one symbol, kind and date are one of the same effect: cash is summed, splits multiplied.
An empty table says 'none happened'; no table at all says 'prices are adjusted already'.

Adjusted prices are price × factor, where the factor is 1 at a symbol's first bar and changes on
ex-dates only, so that a later event never changes an earlier value. The gross adjusted return of
an ex-date is split × (close + dividend) / previous close: what a holder really earned.
Source: Center for Research in Security Prices, Data Definitions, 'Holding period total return'.
"""

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import (
    KEY,
    STAMPS,
    describe_row,
    empty_table,
    in_order,
    numbers_of,
    stamps_of,
    symbols_of,
)
from trading_pipeline.errors import BarsError

ACTION_COLUMNS = ("timestamp", "symbol", "kind", "value")
KINDS = ("split", "dividend")
# Jumps of close / adj_close below this are rounding, not events: 0.1 cent on 100.
SMALLEST_EVENT = 1e-5
# What companies split by: n for 1, 1 for n, and the odd ones below two, such as 3 for 2.
_WHOLE_SPLITS = np.array([float(n) for n in range(2, 51)] + [1 / n for n in range(2, 51)])
_ODD_SPLITS = np.array([6 / 5, 5 / 4, 4 / 3, 3 / 2, 5 / 3])
# A dividend may share its date with a whole split; more cash than this is no ordinary dividend.
_CASH_WITH_SPLIT = 0.02  # of the price
# Below two a large cash dividend is as likely as a split, so it has to be one exactly.
_EXACTLY = 1e-4


def empty_actions() -> pd.DataFrame:
    """The table that says 'none happened'."""
    return empty_table(timestamp=STAMPS, symbol="str", kind="str", value="float64")


def check_actions(actions: pd.DataFrame, where: str = "corporate actions") -> pd.DataFrame:
    """The actions in canonical form (sorted, RangeIndex), or an error that names row and rule.

    A row that repeats an earlier one in every column is the same action, told twice.

    Raises:
        BarsError: a column is missing or of the wrong type, a kind is unknown, or a value is not
            positive and finite.
    """
    if missing := [name for name in ACTION_COLUMNS if name not in actions]:
        raise BarsError(f"{where}: lacks column {', '.join(missing)}")
    if actions.empty:
        return empty_actions()
    typed = pd.DataFrame(
        {
            "timestamp": stamps_of(actions["timestamp"], where),
            "symbol": symbols_of(actions, where),
            "kind": actions["kind"].astype("str").to_numpy(),
            "value": numbers_of(actions["value"], where),
        }
    )
    rules = {
        "kind is neither split nor dividend": ~typed["kind"].isin(KINDS),
        "value is not positive and finite": ~((typed["value"] > 0) & np.isfinite(typed["value"])),
    }
    for rule, broken in rules.items():
        if broken.any():
            raise BarsError(f"{where}: {describe_row(typed, broken.to_numpy())} {rule}")
    typed["kind"] = typed["kind"].astype("str")
    distinct = typed[~actions.duplicated().to_numpy()]
    return in_order(
        merge_same_day(distinct).sort_values("kind", ascending=False, ignore_index=True)
    )


def merge_same_day(actions: pd.DataFrame) -> pd.DataFrame:
    """At most one split and one dividend of a symbol and date, with the effect of all of them.

    Args:
        actions: `ACTION_COLUMNS`, each row an action of its own.
    """
    by_event = actions.groupby([*KEY, "kind"], as_index=False)["value"]
    merged = by_event.sum()
    products = by_event.prod()["value"]
    merged["value"] = merged["value"].where(merged["kind"] == "dividend", products)
    return merged


def actions_from_adjusted(raw_close: pd.DataFrame, adj_close: pd.DataFrame) -> pd.DataFrame:
    """The splits and dividends that turned raw closes into adjusted ones.

    Only day-to-day changes of adj_close / close are used: its level contains later events. A
    change is read as a split where companies make such ones: n for 1 or 1 for n, also on the date
    of a dividend of at most 2 %, or exactly 6 for 5, 5 for 4, 4 for 3, 3 for 2, 5 for 3. Any
    other rise below a doubling is a dividend, and the rest a split of exactly that size. However
    it is read, the total return is the same.

    Args:
        raw_close: (T, N) prices as traded, timestamps × symbols, > 0, NaN where there is no bar.
        adj_close: (T, N) the same prices adjusted for splits and dividends, on the same labels.

    Returns:
        Actions in canonical form; dividends to a ten-thousandth of a cent.

    Raises:
        BarsError: an adjusted close is missing or not positive where there is a raw one.
    """
    rows = []
    for symbol in raw_close.columns:
        close = raw_close[symbol].dropna()
        adjusted = adj_close[symbol].loc[close.index]
        if not (adjusted > 0).all():
            first = adjusted.index[~(adjusted > 0)][0]
            raise BarsError(f"{symbol} at {first:%Y-%m-%d} has a close but no adjusted close > 0")
        level = adjusted / close
        steps = (level / level.shift()).iloc[1:]
        for stamp, step in steps[(steps - 1).abs() > SMALLEST_EVENT].items():
            split = split_of(step)
            dividend = round((step / split - 1) * close[stamp], 6)
            if split != 1:
                rows.append((stamp, symbol, "split", split))
            if dividend > SMALLEST_EVENT * close[stamp]:
                rows.append((stamp, symbol, "dividend", dividend))
    found = pd.DataFrame(rows, columns=list(ACTION_COLUMNS))
    return check_actions(found) if rows else empty_actions()


def split_of(step: float) -> float:
    """The split in a change of adj_close / close: shares per old share, 1.0 where it has none."""
    odd = np.abs(step / _ODD_SPLITS - 1)
    if odd.min() < _EXACTLY:
        return float(_ODD_SPLITS[odd.argmin()])
    cash = step / _WHOLE_SPLITS - 1
    fits = (cash > -SMALLEST_EVENT) & (cash <= _CASH_WITH_SPLIT)
    if fits.any():
        return float(_WHOLE_SPLITS[fits][np.abs(cash[fits]).argmin()])
    return 1.0 if 1 <= step < 2 else float(step)


def place_actions(
    actions: pd.DataFrame,
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    traded: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Actions on the grid of a panel: each on its symbol's first bar at or after the ex-date.

    Args:
        actions: canonical; those of other symbols, at or before a symbol's first bar, or after
            its last, have nobody to concern and are left out.
        timestamps: (T,) increasing. symbols: N names. traded: (T, N) bool, where there is a bar.

    Returns:
        split (T, N), 1.0 where there is none, and dividend (T, N), cash per share as held after
        the split of that same bar, 0.0 where there is none. Several actions that meet on one bar
        after a halt become one split and one dividend of the same effect.
    """
    split, dividend = np.ones(traded.shape), np.zeros(traded.shape)
    column = {symbol: n for n, symbol in enumerate(symbols)}
    listed = {n: np.flatnonzero(traded[:, n]) for n in range(len(symbols))}
    rows = timestamps.searchsorted(pd.DatetimeIndex(actions["timestamp"]))
    # Within a date a split comes first: dividends are per share as held after it.
    for row, symbol, kind, value in zip(
        rows, actions["symbol"], actions["kind"], actions["value"], strict=True
    ):
        n = column.get(symbol)
        own = listed[n] if n is not None else ()
        place = np.searchsorted(own, row)
        if n is None or not 0 < place < len(own):
            continue
        t = own[place]
        if kind == "split":
            split[t, n] *= value
            dividend[t, n] /= value
        else:
            dividend[t, n] += value
    return split, dividend


def forward_factors(
    close: np.ndarray, split: np.ndarray, dividend: np.ndarray, start: np.ndarray | float = 1.0
) -> np.ndarray:
    """Adjustment factors that only the past enters.

    Args:
        close: (T, N) raw closes, quote currency, NaN where there is no bar.
        split, dividend: (T, N) as from `place_actions`.
        start: (N,) the factor at each symbol's first bar here, where older bars are left out.

    Returns:
        (T, N): `start` from a symbol's first bar, multiplied by split × (1 + dividend / close) on
        every later ex-date; held over missing bars; NaN before the first bar.
    """
    traded = ~np.isnan(close)
    step = split * (1 + dividend / np.where(traded, close, 1.0))
    step[:1] *= start  # first, so that products round as those of the whole history do
    factor = np.cumprod(step, axis=0)
    factor[~np.logical_or.accumulate(traded, axis=0)] = np.nan
    return factor
