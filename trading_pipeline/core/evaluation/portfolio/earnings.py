"""What an account earned, by day, symbol, side and kind: the money that attribution shares out.

Every change of equity has a place: prices moved a position, a fill cost slippage and a fee, a cash
flow came or went, or the account paid interest. So the parts add up to the change of equity.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.performance import by_day, day_closes
from trading_pipeline.core.trading.engine.dtypes import SLOTS

SIDES = ("long", "short")
PRICE, SLIPPAGE, FEES = "price", "slippage", "fees"  # cash flows have the names of their fields


@dataclass(frozen=True, kw_only=True, eq=False)
class Earnings:
    """Money won (> 0) and paid (< 0) over D days, P kinds, N symbols; quote currency."""

    days: pd.DatetimeIndex  # (D,), the last bar of each
    symbols: tuple[str, ...]  # N
    kinds: tuple[str, ...]  # P: price (before slippage), slippage, fees, then the cash flows
    money: Floats  # (P, 2, D, N); the second axis is SIDES
    interest: Floats  # (D,), of the account, not of a symbol
    equity: Floats  # (D,), before each day; 0 once the account is ruined
    unexplained: Floats  # (D,), what is missing to the change of equity; 0 but for rounding

    @property
    def total(self) -> float:
        """How much the equity changed from the first bar to the last."""
        return float(self.money.sum() + self.interest.sum() + self.unexplained.sum())


def earnings_of(result: BacktestResult) -> Earnings:
    """Share out every change of an account's equity.

    A fill that turns a long position into a short one belongs to both sides, divided by quantity.
    What a position held over the night pays or gets belongs to the side that it was on.
    """
    closes = day_closes(result.timestamps)
    legs = _legs(result)
    flows = {kind: _sided(result.flows[kind], legs.side) for kind in result.flows.dtype.names or ()}
    parts = {PRICE: legs.price, SLIPPAGE: -legs.slippage, FEES: -legs.fees, **flows}
    money = np.stack([by_day(part, closes) for part in parts.values()])
    interest = by_day(result.log["interest"], closes)
    starts = result.equity[np.append(0, closes[:-1])]
    change = result.equity[closes] - starts
    return Earnings(
        days=result.timestamps[closes],
        symbols=result.symbols,
        kinds=tuple(parts),
        money=money,
        interest=interest,
        equity=np.where(np.minimum.accumulate(starts) > 0, starts, 0.0),
        unexplained=change - money.sum(axis=(0, 1, 3)) - interest,
    )


class _Legs(NamedTuple):
    """Of each side (axis 0: SIDES), bar and symbol, (2, K, N)."""

    price: Floats
    slippage: Floats
    fees: Floats
    side: NDArray[np.bool_]  # (K, N), True: what came over the night was long


def _legs(result: BacktestResult) -> _Legs:
    """Divide fills and values of positions into the long and the short part of each bar."""
    value = result.quantity * np.nan_to_num(result.price)
    price = np.stack([_change(np.maximum(value, 0)), _change(np.minimum(value, 0))])
    slippage, fees = np.zeros_like(price), np.zeros_like(price)
    before = np.vstack([np.zeros((1, len(result.symbols))), result.quantity[:-1]])
    held = before * result.split
    side = _first_side(before, result.fills_made["quantity"])
    for slot in SLOTS:
        fill = result.fills_made[:, :, slot]
        quantity = fill["quantity"]
        part = _shares(held, quantity)
        cost = np.where(quantity != 0, quantity * fill["price"] - fill["slippage"], 0.0)
        price -= part * cost  # at the price before slippage, which is a kind of its own
        slippage += part * fill["slippage"]
        fees += part * fill["fee"]
        held = held + quantity
    return _Legs(price, slippage, fees, side)


def _change(value: Floats) -> Floats:
    """From bar to bar, (K, N); the first bar starts from nothing."""
    return np.diff(value, axis=0, prepend=0.0)


def _shares(held: Floats, quantity: Floats) -> Floats:
    """The share of each fill that belongs to the long and to the short side, (2, K, N)."""
    closing = np.where(held * quantity < 0, np.minimum(np.abs(held), np.abs(quantity)), 0.0)
    opening = np.abs(quantity) - closing
    size = np.where(quantity != 0, np.abs(quantity), 1.0)
    long = (np.where(held > 0, closing, 0.0) + np.where(quantity > 0, opening, 0.0)) / size
    return np.stack([long, np.where(quantity != 0, 1 - long, 0.0)])


def _first_side(before: Floats, fills: Floats) -> NDArray[np.bool_]:
    """Whether the position of each bar was long: as it began, or else as its first fill made it."""
    first = np.take_along_axis(fills, np.argmax(fills != 0, axis=2)[:, :, None], axis=2)[:, :, 0]
    return np.where(before != 0, before, first) >= 0


def _sided(amount: Floats, long: NDArray[np.bool_]) -> Floats:
    """(K, N) money as (2, K, N), on the side it belongs to."""
    return np.stack([np.where(long, amount, 0.0), np.where(long, 0.0, amount)])
