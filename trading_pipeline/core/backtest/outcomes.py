"""What became of each order of a table, read from what the engine recorded."""

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.trading.engine import reasons
from trading_pipeline.core.trading.engine.loop import VETOES
from trading_pipeline.core.trading.engine.reasons import names_of
from trading_pipeline.core.trading.engine.risk import CLOSING

OUTCOMES = (
    "filled",
    "filled in part",
    "lapsed",  # its price was not reached in time, or there was no bar or no volume
    "refused",  # by a rule, before it was placed
    "replaced",  # by a later order of the symbol, while it waited
    "cancelled",  # by a stop, a settlement or a limit of the account, while it waited
    "waiting",  # at the last bar
    "too late",  # decided at the last bar: there is no next open
    "cancels",  # quantity 0: takes back the one that waits
)
_CUTS = reasons.BUYING_POWER | reasons.LAPSED


def outcomes_of(orders: np.ndarray, result: BacktestResult, start: int) -> pd.DataFrame:
    """One row per order: decided_at, symbol, side, quantity, filled, outcome, reasons.

    Args:
        orders: (M,) ORDER, as `orders_from` gives them.
        start: the row of the panel that the result begins with.

    Returns:
        `filled` is in units, on the order's side; `outcome` is one of OUTCOMES; `reasons` are the
        names of the rules that refused or cut it, joined by '|'.
    """
    N, last = len(result.symbols), len(result.timestamps) - 1
    bar, symbol, quantity = orders["bar"] - start, orders["symbol"], orders["quantity"]
    key = bar.astype(np.int64) * N + symbol
    placed, decided = _decided(result, key, N)
    filled, happened = _executed(result, key, N)
    short = np.abs(filled) < np.abs(quantity) * (1 - 1e-9)
    until = bar + orders["bars"]  # the last bar that it is good for
    cases = {
        "cancels": quantity == 0,
        "too late": bar == last,
        "refused": (placed == 0) | (decided & CLOSING != 0),
        "filled in part": (filled != 0) & (short | (happened & _CUTS != 0)),
        "filled": filled != 0,
        "lapsed": happened & _CUTS != 0,
        "replaced": _next_of_symbol(bar, symbol, last) < np.minimum(until, last),
        "waiting": until > last,
    }
    outcome = np.select(list(cases.values()), list(cases), "cancelled")
    why = (decided & (VETOES | reasons.LOT | reasons.LONG_ONLY)) | (
        happened & (_CUTS | reasons.PARTICIPATION)
    )
    why[cases["refused"] & (why == 0)] = reasons.LOT  # less than a lot is no order at all
    why[np.isin(outcome, ("filled", "cancels", "too late"))] = 0
    return pd.DataFrame(
        {
            "decided_at": result.timestamps[bar],
            "symbol": pd.Series(np.array(result.symbols, dtype=object)[symbol], dtype="str"),
            "side": pd.Series(np.where(np.signbit(quantity), "sell", "buy"), dtype="str"),
            "quantity": np.abs(quantity),
            "filled": np.where(outcome == "refused", 0.0, np.abs(filled)),
            "outcome": pd.Series(outcome, dtype="str"),
            "reasons": pd.Series([names_of(each) for each in why], dtype="str"),
        }
    )


def _decided(result: BacktestResult, key: np.ndarray, N: int) -> tuple[np.ndarray, np.ndarray]:
    """(M,) quantity placed of each order, and the bits of the decision on it."""
    rows = result.decisions
    place, known = _places(rows["bar"].astype(np.int64) * N + rows["symbol"], key)
    placed, bits = np.zeros(len(key)), np.zeros(len(key), np.int64)
    placed[place[known]], bits[place[known]] = rows["order"][known], rows["reasons"][known]
    return placed, bits


def _executed(result: BacktestResult, key: np.ndarray, N: int) -> tuple[np.ndarray, np.ndarray]:
    """(M,) quantity filled of each order, and the bits of all that happened to it."""
    rows = result.events[result.events["slot"] == 0]
    age = np.maximum(rows["age"], 1)  # 0: cut to nothing in its first bar
    place, known = _places((rows["bar"] - age).astype(np.int64) * N + rows["symbol"], key)
    filled, bits = np.zeros(len(key)), np.zeros(len(key), np.int64)
    np.add.at(filled, place[known], rows["quantity"][known])
    np.bitwise_or.at(bits, place[known], rows["reasons"][known].astype(np.int64))
    return filled, bits


def _places(found: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each of the keys found is in the increasing `key`, and whether it is there."""
    place = np.searchsorted(key, found)
    inside = place < len(key)
    known = inside.copy()
    known[inside] = key[place[inside]] == found[inside]
    return place, known


def _next_of_symbol(bar: np.ndarray, symbol: np.ndarray, last: int) -> np.ndarray:
    """(M,) bar of the next order of the same symbol; one after the last bar if there is none."""
    following = pd.Series(bar).groupby(symbol).shift(-1).fillna(last + 1)
    after: np.ndarray = following.to_numpy(np.int64)
    return after
