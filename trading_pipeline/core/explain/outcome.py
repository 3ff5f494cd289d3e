"""What became of a decision: fills, orders that lapsed, the position after it, and its trade."""

import math
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.rerun import Rerun
from trading_pipeline.core.explain.order import ReasonText, told
from trading_pipeline.core.trading.engine.reasons import LAPSED, kind_of

BASIS_POINT = 1e-4


@dataclass(frozen=True)
class FillOutcome:
    """A fill, or an order that lapsed (quantity 0)."""

    at: pd.Timestamp  # the bar in which it happened
    kind: str  # order, stop_loss, trailing_stop, take_profit, delisted, cash_in_lieu
    quantity: float  # signed
    price: float  # slippage included; NaN: nothing filled
    open: float  # of that bar, raw
    against_open: float  # what the price is worse than the open, in basis points
    slippage: float  # money
    slippage_bp: float  # of the notional without it
    fee: float  # money
    fee_bp: float
    lapsed: bool
    reasons: tuple[ReasonText, ...]


@dataclass(frozen=True)
class Held:
    """A position at a close."""

    at: pd.Timestamp
    quantity: float
    price: float
    weight: float  # fraction of equity
    since: pd.Timestamp | None  # bar in which it was opened
    average_cost: float  # price a unit, as `positions_of` has it
    stop: float  # price levels; NaN: none
    take: float
    trailing: bool  # the stop is the trailing one


@dataclass(frozen=True)
class Trade:
    """A round trip."""

    side: str
    opened_at: pd.Timestamp
    closed_at: pd.Timestamp | None  # None: open when the backtest ends
    bars: int
    invested: float  # money; NaN while it is open
    pnl: float  # after fees, with dividends and borrow; NaN while it is open
    exit: str


_TRADE = [field.name for field in fields(Trade)]


def became(run: Rerun, k: int, n: int) -> tuple[FillOutcome, ...]:
    """What happened to the order decided at bar k, and to the symbol in the bar after it."""
    events = run.result.events[run.result.events["symbol"] == n]
    ordered = run.decided(k)[n]["order"] != 0
    # An order that was cut to nothing has no age.
    decided = events["bar"] - np.maximum(events["age"], 1)
    of_order = (events["slot"] == 0) & (decided == k) & ordered
    barrier = (events["slot"] != 0) & (events["bar"] == k + 1)
    rows = events[of_order | barrier]
    return tuple(_filled(run, k, n, event) for event in rows[np.argsort(rows["bar"])])


def _filled(run: Rerun, k: int, n: int, event: np.void) -> FillOutcome:
    bar = int(event["bar"])
    quantity, paid = float(event["quantity"]), float(event["price"])
    opened = float(run.panel.open[run.row(bar), n])
    notional = abs(quantity) * paid
    worse = math.copysign(1.0, quantity) * (paid / opened - 1) if quantity else math.nan
    slippage, fee = float(event["slippage"]), float(event["fee"])
    bits, unslipped = int(event["reasons"]), notional - math.copysign(slippage, quantity)
    return FillOutcome(
        at=run.result.timestamps[bar],
        kind=kind_of(bits),
        quantity=quantity,
        price=paid if quantity else math.nan,
        open=opened,
        against_open=worse / BASIS_POINT,
        slippage=slippage,
        slippage_bp=slippage / unslipped / BASIS_POINT if notional else math.nan,
        fee=fee,
        fee_bp=fee / notional / BASIS_POINT if notional else math.nan,
        lapsed=bool(bits & LAPSED),
        reasons=told(bits, run.facts(k, n)),
    )


def held_at(run: Rerun, k: int, n: int) -> Held | None:
    """The position at the close of bar k; None if there is none."""
    here, position = run.decided(k)[n], run.result.trace[k, n]
    if here["quantity"] == 0:
        return None
    return Held(
        at=run.result.timestamps[k],
        **{name: float(here[name]) for name in ("quantity", "price", "weight")},
        since=run.result.timestamps[_opened(run, k, n)],
        average_cost=float(position["entry"] + position["dividends"]),
        **{name: float(position[name]) for name in ("stop", "take")},
        trailing=bool(position["trailed"]),
    )


def _opened(run: Rerun, k: int, n: int) -> int:
    """The bar in which the position held at the close of bar k was opened, as trades count it."""
    book = run.result
    own = _trades_of(run, n)
    own = own[own["closed_at"] <= book.timestamps[k]]
    closed = int(book.timestamps.get_loc(own["closed_at"].max())) if len(own) else 0
    empty = np.flatnonzero(book.quantity[:k, n] == 0)
    # A fill that closed a position may have opened the next one.
    return max(closed, int(empty[-1]) + 1 if len(empty) else 0)


def _trades_of(run: Rerun, n: int) -> pd.DataFrame:
    """The closed round trips of a symbol."""
    return run.trades[run.trades["symbol"] == run.result.symbols[n]]


def trades_with(run: Rerun, k: int, n: int, filled: tuple[FillOutcome, ...]) -> tuple[Trade, ...]:
    """The round trips that the fills belong to, or else the one that is held at bar k."""
    book = run.result
    marks = [each.at for each in filled if each.quantity]
    marks = marks or ([book.timestamps[k]] if book.quantity[k, n] else [])
    if not marks:
        return ()
    own = _trades_of(run, n)
    traded = any(each.quantity for each in filled)
    ended = own["closed_at"] >= min(marks) if traded else own["closed_at"] > min(marks)
    inside = (own["opened_at"] <= max(marks)) & ended
    trips = [Trade(**trip) for trip in own.loc[inside, _TRADE].to_dict("records")]
    return (*trips, *_still_open(run, n, max(marks)))


def _still_open(run: Rerun, n: int, mark: pd.Timestamp) -> list[Trade]:
    """The position that the backtest ends with, if it was there at `mark`."""
    book, last = run.result, len(run.result.log) - 1
    if book.quantity[last, n] == 0:
        return []
    opened = _opened(run, last, n)
    if book.timestamps[opened] > mark:
        return []
    side = "long" if book.quantity[last, n] > 0 else "short"
    return [Trade(side, book.timestamps[opened], None, last - opened, math.nan, math.nan, "")]
