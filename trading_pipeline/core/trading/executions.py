"""Executions of a broker: checked, as the kernels take them, and as a table of fills."""

from collections.abc import Sequence
from math import isfinite
from typing import cast

import numpy as np
import pandas as pd

from trading_pipeline.core.trading.broker import Execution
from trading_pipeline.core.trading.engine.dtypes import Array, Booking, Fill
from trading_pipeline.core.trading.engine.reasons import kind_of, names_of
from trading_pipeline.core.trading.tables import order_id
from trading_pipeline.errors import TradingError

_EXIT = "/1"  # the end of a protective order's id, see `order_id`


def bookings_of(
    executions: Sequence[Execution],
    symbols: tuple[str, ...],
    session: str,
    decided_at: pd.Timestamp | None,
    opened: pd.Timestamp,
) -> Array[Booking]:
    """(E,) in the order given, that of time.

    Args:
        decided_at: the decision whose orders are pending. opened: the stamp of the bar that they
            are booked in; what came before it was held over the night.

    Raises:
        TradingError: one of another market, one that comes twice, or one that no broker can have
            made; says which.
    """
    rows, columns = Booking.zeros(len(executions)), {name: n for n, name in enumerate(symbols)}
    seen: set[str] = set()
    for row, each in enumerate(executions):
        if each.symbol not in columns:
            raise TradingError(f"the account has no {each.symbol}, which was traded: {each}")
        if each.execution_id in seen:
            raise TradingError(f"the execution {each.execution_id} was told twice: {each}")
        seen.add(each.execution_id)
        money = isfinite(each.price) and each.price > 0 and isfinite(each.fee)
        if not money or not isfinite(each.quantity) or each.quantity == 0:
            raise TradingError(f"no broker can have executed that: {each}")
        pending = decided_at and order_id(session, decided_at, each.symbol, 0)
        ours = each.client_order_id.startswith(f"{session}/")
        rows["symbol"][row], rows["early"][row] = columns[each.symbol], each.filled_at < opened
        rows["ours"][row] = each.client_order_id == pending
        rows["exits"][row] = ours and each.client_order_id.endswith(_EXIT)
        rows["quantity"][row], rows["price"][row], rows["fee"][row] = (
            each.quantity,
            each.price,
            each.fee,
        )
    return rows


def table_of(
    executions: Sequence[Execution],
    bookings: Array[Booking],
    at: pd.Timestamp,
    open_: np.ndarray,
    named: Array[Fill],
) -> pd.DataFrame:
    """One row per execution, with the columns of `fills_of`.

    Args:
        at: the bar they were booked in. open_: (N,) its opens: `slippage` is what an order lost
            against them, negative if it gained; 0 where there is none, and for exits.
        named: (N, 3) rows of `book_bar`, which name the exits.
    """
    bits = [int(named[row["symbol"], 1]["reasons"]) if row["exits"] else 0 for row in bookings]
    start = np.where(bookings["exits"] == 1, np.nan, open_[bookings["symbol"]])
    lost = bookings["quantity"] * (bookings["price"] - start)
    return pd.DataFrame(
        {
            "client_order_id": _text([each.client_order_id for each in executions]),
            "filled_at": pd.DatetimeIndex([at] * len(executions), tz="UTC"),
            "symbol": _text([each.symbol for each in executions]),
            "quantity": bookings["quantity"],
            "price": bookings["price"],
            "fee": bookings["fee"],
            "slippage": np.nan_to_num(lost),
            "kind": _text([kind_of(each) for each in bits]),
            "reasons": _text([names_of(each) for each in bits]),
        }
    )


def events_of(bookings: Array[Booking], open_: np.ndarray, rows: Array[Fill]) -> Array[Fill]:
    """What happened in a bar as the engine notes it: all executions of an order are one fill.

    Args:
        open_: as of `table_of`.
        rows: (N, 3) of `book_bar`, which has the reasons and what no broker does.
    """
    made = rows.copy()
    made["symbol"], made["slot"] = np.arange(len(rows))[:, None], range(rows.shape[1])
    for each in bookings:
        row = made[each["symbol"], each["exits"]]
        units = abs(row["quantity"]) + abs(each["quantity"])
        paid = abs(row["quantity"]) * row["price"] + abs(each["quantity"]) * each["price"]
        row["quantity"] += each["quantity"]
        row["price"], row["age"] = paid / units, max(row["age"], 1)
        row["fee"] += each["fee"]
        if not each["exits"] and np.isfinite(open_[each["symbol"]]):
            row["slippage"] += each["quantity"] * (each["price"] - open_[each["symbol"]])
    flat = cast(Array[Fill], made.reshape(-1))
    happened: Array[Fill] = flat[(flat["reasons"] != 0) | (flat["quantity"] != 0)]
    return happened


def _text(values: list[str]) -> pd.Series:
    return pd.Series(values, dtype="str")
