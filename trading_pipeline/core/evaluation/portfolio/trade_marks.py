"""What each fill of a symbol did to its position, at prices that splits do not break."""

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.metrics import Floats

OPENED_LONG, OPENED_SHORT, CLOSED, RESIZED = "opened long", "opened short", "closed", "resized"
_ROUNDING = 1e-9  # of a fill: less than this left is nothing


def in_last_units(split: Floats) -> Floats:
    """Factors (T,) that turn prices of each bar into prices per share of the last bar.

    Args:
        split: (T,), new shares per old one, on the bar from which on they count.
    """
    shares = np.cumprod(split)
    return np.asarray(shares / shares[-1])


def trade_marks(fills: pd.DataFrame, timestamps: pd.DatetimeIndex, split: Floats) -> pd.DataFrame:
    """One row per fill of one symbol, in the order given: at, price, value, role.

    Args:
        fills: filled_at (bars of `timestamps`), quantity, price, and kind; oldest first.
        timestamps, split: (T,) of the symbol.

    Returns:
        price in units of the last bar, value (money, > 0), and role: opened long, opened short
        (from flat or from the other side), closed, resized, or, where a protective order filled,
        its kind.
    """
    bar = timestamps.get_indexer(pd.DatetimeIndex(fills["filled_at"]))
    factor = in_last_units(split)[bar]
    quantity, price = (fills[name].to_numpy(np.float64) for name in ("quantity", "price"))
    held = np.cumsum(quantity / factor)
    before = held - quantity / factor
    roles = [
        kind if kind != "order" else _role(float(b), float(h), abs(float(q)) * _ROUNDING)
        for kind, b, h, q in zip(fills["kind"], before, held, quantity / factor, strict=True)
    ]
    return pd.DataFrame(
        {
            "at": timestamps[bar],
            "price": price * factor,
            "value": np.abs(quantity) * price,
            "role": pd.Series(roles, dtype="str"),
        }
    )


def _role(before: float, after: float, rounding: float) -> str:
    if abs(after) <= rounding:
        return CLOSED
    if abs(before) > rounding and before * after > 0:
        return RESIZED
    return OPENED_LONG if after > 0 else OPENED_SHORT
