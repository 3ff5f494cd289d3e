"""Records of the kernels as tables: orders, fills, cash flows and vetoes.

The same functions serve a whole history and a single bar, so that both write the same rows.
Letters: K bars, N symbols. Stamps are those of bars: an order is `decided_at` the bar whose close
was decided on, a fill is `filled_at` the bar in which it happened.
"""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.trading.engine.dtypes import (
    FLOWS,
    KINDS,
    LIMIT,
    STOP,
    Account,
    Array,
    CashFlow,
    Decision,
    Fill,
    Parameters,
)
from trading_pipeline.core.trading.engine.loop import VETOES
from trading_pipeline.core.trading.engine.reasons import (
    LAPSED,
    REASONS,
    REFUSED,
    Facts,
    kind_of,
    names_of,
)

_STAMP, _TEXT, _NUMBER = "stamp", "str", "float64"
_ORDERS = {
    **{"client_order_id": _TEXT, "decided_at": _STAMP, "symbol": _TEXT, "side": _TEXT},
    **{"quantity": _NUMBER, "type": _TEXT, "limit_price": _NUMBER, "stop_price": _NUMBER},
    "reasons": _TEXT,
}
_FILLS = {
    **{"client_order_id": _TEXT, "filled_at": _STAMP, "symbol": _TEXT},
    **dict.fromkeys(("quantity", "price", "fee", "slippage"), _NUMBER),
    **{"kind": _TEXT, "reasons": _TEXT},
}
_LAPSED = {"client_order_id": _TEXT, "lapsed_at": _STAMP, "symbol": _TEXT}
_CASH_FLOWS = {"at": _STAMP, "symbol": _TEXT, "kind": _TEXT, "amount": _NUMBER}
_VETOES = {
    **{"decided_at": _STAMP, "symbol": _TEXT, "rule": _TEXT},
    **{"figure": _NUMBER, "limit": _NUMBER},
}


def order_id(session: str, decided_at: pd.Timestamp, symbol: str, sequence: int) -> str:
    """The client order id: sending an order twice sends the same id."""
    return f"{session}/{decided_at:%Y%m%dT%H%M%S}/{symbol}/{sequence}"


def orders_of(
    session: str, timestamps: pd.DatetimeIndex, symbols: tuple[str, ...], decisions: Array[Decision]
) -> pd.DataFrame:
    """One row per order of (D,) decisions; quantity > 0 in units, on the side named."""
    rows = decisions[decisions["order"] != 0]
    if not len(rows):
        return _nothing(_ORDERS, timestamps)
    stamps = timestamps[rows["bar"]]
    names = _names(symbols, rows["symbol"])
    keys = zip(stamps, names, strict=True)
    return pd.DataFrame(
        {
            "client_order_id": _text([order_id(session, at, name, 0) for at, name in keys]),
            "decided_at": stamps,
            "symbol": names,
            "side": _text(np.where(rows["order"] > 0, "buy", "sell")),
            "quantity": np.abs(rows["order"]),
            "type": _text(np.array(KINDS, dtype=object)[rows["kind"]]),
            "limit_price": np.where(rows["kind"] == LIMIT, rows["level"], np.nan),
            "stop_price": np.where(rows["kind"] == STOP, rows["level"], np.nan),
            "reasons": _text([names_of(bits) for bits in rows["reasons"]]),
        }
    )


def fills_of(
    session: str,
    decided: pd.DatetimeIndex,
    filled: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    fills: Array[Fill],
) -> pd.DataFrame:
    """One row per fill of (F,) events: by bar, by slot, then by symbol.

    Args:
        decided: (K,) the bar decided on before each bar; `filled`: (K,) the bars themselves.

    Returns:
        quantity is signed; price includes slippage; fee and slippage are money; a protective
        order that filled has sequence 1 and is named in `kind` (stop_loss, trailing_stop,
        take_profit, or delisted for a settlement), cash for the fraction of a share that a split
        left has sequence 2 (cash_in_lieu), the others are 'order'.
    """
    rows = fills[fills["quantity"] != 0]
    if not len(rows):
        return _nothing(_FILLS, filled)
    rows = rows[np.lexsort((rows["symbol"], rows["slot"], rows["bar"]))]
    names = _names(symbols, rows["symbol"])
    keys = zip(_decided(decided, rows), names, rows["slot"], strict=True)
    return pd.DataFrame(
        {
            "client_order_id": _text([order_id(session, at, name, int(i)) for at, name, i in keys]),
            "filled_at": filled[rows["bar"]],
            "symbol": names,
            "quantity": rows["quantity"],
            "price": rows["price"],
            "fee": rows["fee"],
            "slippage": rows["slippage"],
            "kind": _text([kind_of(bits) for bits in rows["reasons"]]),
            "reasons": _text([names_of(bits) for bits in rows["reasons"]]),
        }
    )


def lapsed_of(
    session: str,
    decided: pd.DatetimeIndex,
    filled: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    fills: Array[Fill],
) -> pd.DataFrame:
    """Orders that did not fill, or not whole, while they were good.

    Returns:
        client_order_id, lapsed_at, symbol.
    """
    rows = fills[(fills["reasons"] & LAPSED != 0) & (fills["slot"] == 0)]
    if not len(rows):
        return _nothing(_LAPSED, filled)
    rows = rows[np.lexsort((rows["symbol"], rows["bar"]))]
    names = _names(symbols, rows["symbol"])
    keys = zip(_decided(decided, rows), names, strict=True)
    ids = _text([order_id(session, at, name, 0) for at, name in keys])
    return pd.DataFrame({"client_order_id": ids, "lapsed_at": filled[rows["bar"]], "symbol": names})


def cash_flows_of(
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    flows: Array[CashFlow],
    interest: np.ndarray,
) -> pd.DataFrame:
    """One row per payment: at, symbol ('' for interest), kind, amount (negative: paid).

    Args:
        flows: (P,); interest: (K,) money.
    """
    if not len(flows) and not interest.any():
        return _nothing(_CASH_FLOWS, timestamps)
    parts = []
    for kind in FLOWS:
        rows = flows[flows[kind] != 0]
        parts.append((rows["bar"], rows["symbol"], kind, rows[kind]))
    k = np.flatnonzero(interest)
    parts.append((k, np.full(len(k), -1), "interest", interest[k]))
    k, n, kinds, amounts = (
        np.concatenate([np.broadcast_to(part[i], len(part[0])) for part in parts]) for i in range(4)
    )
    order = np.argsort(k, kind="stable")
    table = {
        "at": timestamps[k[order]],
        "symbol": _names((*symbols, ""), n[order]),
        "kind": _text(kinds[order]),
        "amount": amounts[order],
    }
    return pd.DataFrame(table)


def vetoes_of(
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    rules: Array[Parameters],
    log: Array[Account],
    decisions: Array[Decision],
) -> pd.DataFrame:
    """One row per rule that refused an order or part of it: what it measured, and its limit.

    Args:
        rules: (1,); log: (K,); decisions: (D,).

    Returns:
        decided_at, symbol, rule, figure, limit; the last two are NaN for rules without a number.
    """
    if not (decisions["reasons"] & VETOES).any():
        return _nothing(_VETOES, timestamps)
    parts = []
    for bit, row in sorted(REASONS.items()):
        if row.kind == REFUSED:
            rows = decisions[decisions["reasons"] & bit != 0]
            facts = Facts(rules[0], log[rows["bar"]], rows)
            measured = (
                np.full(len(rows), value, dtype=float)
                for value in (row.figure(facts), row.limit(facts))
            )
            parts.append((rows["bar"], rows["symbol"], np.full(len(rows), row.name), *measured))
    k, n, rule, figure, limit = map(np.concatenate, zip(*parts, strict=True))
    table = pd.DataFrame(
        {
            "decided_at": timestamps[k],
            "symbol": _names(symbols, n),
            "rule": _text(rule),
            "figure": figure,
            "limit": limit,
        }
    )
    return table.iloc[np.lexsort((n, k))].reset_index(drop=True)


def _decided(decided: pd.DatetimeIndex, rows: Array[Fill]) -> pd.DatetimeIndex:
    """The bars that the orders behind (F,) events were decided on."""
    return decided[np.maximum(rows["bar"] - (rows["age"] - 1), 0)]


def _names(symbols: tuple[str, ...], n: np.ndarray) -> Any:
    return _text(np.array(symbols, dtype=object)[n])


def _text(values: object) -> Any:
    """An array, for a table aligns series with one another, which takes longer than all else."""
    return pd.array(values, dtype="str")


def _nothing(columns: dict[str, str], stamps: pd.DatetimeIndex) -> pd.DataFrame:
    """A table without rows: most bars have one of each kind, and making one takes a millisecond."""
    return _empty(tuple(columns.items()), str(stamps.dtype)).copy(deep=False)


@cache
def _empty(columns: tuple[tuple[str, str], ...], stamp: str) -> pd.DataFrame:
    kinds = {name: stamp if kind == _STAMP else kind for name, kind in columns}
    return pd.DataFrame({name: pd.array([], dtype=kind) for name, kind in kinds.items()})
