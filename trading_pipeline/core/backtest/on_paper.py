"""A session's account as it was filled, and what its fills were beside those of the engine.

`on_paper` lives through a recording with the executions that the session booked. What differs from
what the engine makes of the same orders is kept as a relation, so that a run whose orders are of
another size can be filled alike: so much of the quantity, at such a multiple of the price.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.recorded import Live, Recorded, bar_by_bar
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.broker import Execution
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Bar, Filled, Trader

_NOT_TRADED = ("cash_in_lieu", "delisted")  # kinds of fills that no order makes
_SAME = 1e-12  # relative: numbers that went through JSON and back are equal to the last bit


class Trade(NamedTuple):
    """What was traded of one order in a bar."""

    client_order_id: str
    symbol: str
    quantity: float  # signed
    price: float  # average
    fee: float
    kind: str

    def is_like(self, other: "Trade") -> bool:
        """The same quantity at the same price; fees may differ."""
        return _near(self.quantity, other.quantity) and _near(self.price, other.price)


@dataclass(frozen=True, kw_only=True, eq=False)
class OnPaper:
    """A session: what it saw, and what became of its orders. K bars."""

    session: str
    capital: float
    recorded: Recorded
    fills: pd.DataFrame  # filled_at, client_order_id, symbol, quantity, price, fee, kind
    cash_flows: pd.DataFrame  # at, amount
    equity: np.ndarray  # (K,) as it was marked


@dataclass(eq=False)
class Apart:
    """Where a session's account was not filled, or paid, as the engine would have: by bar."""

    engine: dict[int, dict[str, Trade]] = field(default_factory=dict)  # of the session's orders
    paper: dict[int, dict[str, Trade]] = field(default_factory=dict)
    # What filled in a later bar than the one after its decision: units by the bar it was due in.
    postponed: dict[int, dict[str, float]] = field(default_factory=dict)
    late: dict[int, list[Trade]] = field(default_factory=dict)  # and by the bar it filled in

    def is_filled_otherwise(self, k: int) -> bool:
        """Whether quantities or prices of a bar are not the engine's; fees alone do not count."""
        engine, paper = self.engine.get(k, {}), self.paper.get(k, {})
        return engine.keys() != paper.keys() or not all(
            paper[key].is_like(each) for key, each in engine.items()
        )

    @property
    def is_filled_as_modelled(self) -> bool:
        """Whether all quantities and prices are the engine's."""
        return not any(map(self.is_filled_otherwise, self.paper))


def on_paper(
    paper: OnPaper, basis: Basis, terms: Terms, **how: bool
) -> tuple[BacktestResult, Apart]:
    """The account of a session with the fills and payments that it booked, and where they are not
    the engine's.

    Args:
        basis: of what was recorded. how: as `bar_by_bar` takes it.
    """
    stamps = paper.recorded.panel.timestamps[paper.recorded.first :]
    told, paid = _told(paper.fills, stamps), _paid(paper.cash_flows, stamps)
    apart = Apart()

    def live(k: int, trader: Trader, bar: Bar) -> Filled:
        """As the engine fills the bar, unless the session booked otherwise: then as it did."""
        before = deepcopy(trader)
        filled = trader.fill(bar)
        engine, booked = trades_of(filled.fills), told.get(k, [])
        if not _alike(engine, booked):
            vars(trader).update(vars(before))
            apart.engine[k], apart.paper[k] = _by_order(engine), _by_order(booked)
            _note_late(apart, k, paper.session, stamps)
            filled = trader.book(bar, executions_of(booked, bar))
        amounts = filled.cash_flows["amount"]
        extra = paid[k] - float(amounts.sum())
        if abs(extra) > _SAME * float(amounts.abs().sum()):
            trader.account["cash"] += extra
            trader.account["equity"] += extra
        return filled

    return bar_by_bar(paper.recorded, basis, terms, paper.session, live, **how), apart


def timed(apart: Apart, costs: Costs) -> Live:
    """Orders fill as the engine fills them, but in the bars in which the session's did: those that
    came late at the open, with the modelled slippage and fee."""

    def live(k: int, trader: Trader, bar: Bar) -> Filled:
        """As the engine fills the bar, without what came late, and with what came here."""
        if k not in apart.postponed and k not in apart.late:
            return trader.fill(bar)
        trades = [
            _part(each, _left_in_time(apart, k, each), costs)
            for each in trades_of(deepcopy(trader).fill(bar).fills)
        ]
        opens = dict(zip(trader.symbols, bar.open.tolist(), strict=True))
        late = [_at_open(each, opens[each.symbol], costs) for each in apart.late.get(k, [])]
        return trader.book(bar, executions_of([*trades, *late], bar))

    return live


def executed(apart: Apart, costs: Costs) -> Live:
    """Orders fill as the session's did beside the engine's: in part or not at all, at another
    price, in another bar; fees are those of the model."""

    def live(k: int, trader: Trader, bar: Bar) -> Filled:
        """As the engine fills the bar, or as far as the session's orders were filled."""
        if not apart.is_filled_otherwise(k):
            return trader.fill(bar)
        engine, paper = apart.engine[k], apart.paper[k]
        trades = [
            _as_on_paper(each, engine.get(key := each.client_order_id), paper.get(key), costs)
            for each in trades_of(deepcopy(trader).fill(bar).fills)
        ]
        strange = [_charged(each, costs) for key, each in paper.items() if key not in engine]
        return trader.book(bar, executions_of([*trades, *strange], bar))

    return live


def _as_on_paper(own: Trade, engine: Trade | None, paper: Trade | None, costs: Costs) -> Trade:
    """A trade of the engine, changed as the session's own was."""
    if engine is None:  # the session had no such order
        return own
    if paper is None:
        return own._replace(quantity=0.0)
    if paper.is_like(engine):
        return own
    if own.is_like(engine):
        return _charged(paper, costs)
    share, worse = paper.quantity / engine.quantity, paper.price / engine.price
    return _charged(own._replace(quantity=own.quantity * share, price=own.price * worse), costs)


def _left_in_time(apart: Apart, k: int, trade: Trade) -> float:
    """The share of an order that was not postponed."""
    units = apart.postponed.get(k, {}).get(trade.client_order_id, 0.0)
    engine = apart.engine.get(k, {}).get(trade.client_order_id)
    return 1.0 if engine is None else min(max(1 - units / engine.quantity, 0.0), 1.0)


def _part(trade: Trade, share: float, costs: Costs) -> Trade:
    return trade if share == 1 else _charged(trade._replace(quantity=trade.quantity * share), costs)


def _at_open(trade: Trade, open_: float, costs: Costs) -> Trade:
    if np.isnan(open_):
        return _charged(trade, costs)
    slipped = open_ * (1 + np.copysign(costs.slippage, trade.quantity))
    return _charged(trade._replace(price=float(slipped)), costs)


def _charged(trade: Trade, costs: Costs) -> Trade:
    """With the modelled fee."""
    maker = costs.fee if costs.maker_fee is None else costs.maker_fee
    rate, units = maker if trade.kind == "take_profit" else costs.fee, abs(trade.quantity)
    fee = units * trade.price * rate + units * costs.fee_per_share
    return trade._replace(fee=max(fee, costs.minimum_fee) if units else 0.0)


def _note_late(apart: Apart, k: int, session: str, stamps: pd.DatetimeIndex) -> None:
    """Find what filled in bar k and was due before."""
    bars = {f"{at:%Y%m%dT%H%M%S}": row for row, at in enumerate(stamps[:k])}
    for key, trade in apart.paper[k].items():
        decided = bars.get(key.removeprefix(f"{session}/").partition("/")[0])
        if decided is None or decided + 1 >= k or key in apart.engine[k]:
            continue
        due = apart.postponed.setdefault(decided + 1, {})
        due[key] = due.get(key, 0.0) + trade.quantity
        apart.late.setdefault(k, []).append(trade)


def trades_of(fills: pd.DataFrame) -> list[Trade]:
    """What orders traded."""
    names = list(Trade._fields)
    traded = fills[~fills["kind"].isin(_NOT_TRADED)] if len(fills) else fills
    return [Trade(*row) for row in traded[names].itertuples(index=False)] if len(traded) else []


def _told(fills: pd.DataFrame, stamps: pd.DatetimeIndex) -> dict[int, list[Trade]]:
    """The trades of a journal, by bar."""
    if not len(fills):
        return {}
    bars = stamps.get_indexer(pd.DatetimeIndex(pd.to_datetime(fills["filled_at"], utc=True)))
    return {int(k): trades_of(rows) for k, rows in fills.groupby(bars) if k >= 0}


def _paid(cash_flows: pd.DataFrame, stamps: pd.DatetimeIndex) -> np.ndarray:
    """(K,) money that came, or went, without an order."""
    paid = np.zeros(len(stamps))
    if len(cash_flows):
        k = stamps.get_indexer(pd.DatetimeIndex(pd.to_datetime(cash_flows["at"], utc=True)))
        np.add.at(paid, k[k >= 0], cash_flows["amount"].to_numpy(float)[k >= 0])
    return paid


def _by_order(trades: Iterable[Trade]) -> dict[str, Trade]:
    """The executions of each order as one trade."""
    found: dict[str, Trade] = {}
    for each in trades:
        key = each.client_order_id
        before = found.get(key)
        if before is None:
            found[key] = each
            continue
        quantity = before.quantity + each.quantity
        worth = before.quantity * before.price + each.quantity * each.price
        found[key] = each._replace(
            quantity=quantity,
            price=worth / quantity if quantity else each.price,
            fee=before.fee + each.fee,
        )
    return found


def executions_of(trades: Iterable[Trade], bar: Bar) -> list[Execution]:
    """Trades as a broker tells them, after the bar's opening."""
    return [
        Execution(
            execution_id=f"{bar.timestamp:%Y%m%dT%H%M%S}/{number}",
            client_order_id=each.client_order_id,
            symbol=each.symbol,
            filled_at=bar.timestamp.to_pydatetime(),
            quantity=each.quantity,
            price=each.price,
            fee=each.fee,
        )
        for number, each in enumerate(trades)
        if each.quantity
    ]


def _alike(engine: list[Trade], booked: list[Trade]) -> bool:
    return len(engine) == len(booked) and all(
        one[:2] == other[:2] and one.is_like(other) and _near(one.fee, other.fee)
        for one, other in zip(engine, booked, strict=True)
    )


def _near(one: Any, other: Any) -> bool:
    return bool(abs(one - other) <= _SAME * max(abs(one), abs(other)))
