"""One account that trades bar by bar: the kernels of the backtest behind a typed shell.

    trader = Trader(symbols, Terms.of(market, capital), session="paper")
    for each bar that closes:
        filled = trader.fill(bar)           # what the last orders became
        decided = trader.decide(signals)    # the orders for the next open

Its state is plain data that survives a restart exactly: floats come back to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Self

import numpy as np
import pandas as pd

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.broker import Execution
from trading_pipeline.core.trading.engine.book import book_bar
from trading_pipeline.core.trading.engine.compiled import own
from trading_pipeline.core.trading.engine.decide import decide_bar
from trading_pipeline.core.trading.engine.dtypes import (
    Array,
    CashFlow,
    Decision,
    Fill,
    Position,
    Trace,
    new_account,
    new_positions,
    periods_of,
)
from trading_pipeline.core.trading.engine.fills import fill_bar
from trading_pipeline.core.trading.engine.loop import happened, new_scratch
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.executions import bookings_of, events_of, table_of
from trading_pipeline.core.trading.inputs import Inputs, Prepared, recent_rows
from trading_pipeline.core.trading.tables import (
    cash_flows_of,
    fills_of,
    lapsed_of,
    orders_of,
    vetoes_of,
)
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import packed, unpacked
from trading_pipeline.errors import TradingError

_PRICES = ("open", "high", "low", "close")
_GRIDS = (*_PRICES, "volume", "split", "dividend")
HOLDING, CLOSING = 1, 2  # what a halted account does


@dataclass(frozen=True, kw_only=True, eq=False)
class Bar:
    """One bar of N symbols: raw prices (N,), NaN where a symbol has none."""

    timestamp: pd.Timestamp
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray  # units traded in the bar
    split: np.ndarray  # new shares per old one, 1.0 for none
    dividend: np.ndarray  # cash per share, 0.0 for none

    @classmethod
    def of(cls, panel: Panel, row: int, conversion: np.ndarray | None = None) -> Self:
        """The bar of one row of a panel; `conversion`: (N,) the panel's at that row, if known."""
        values = {name: np.array(getattr(panel, name)[row], dtype=float) for name in _GRIDS}
        values["split"] = np.array(panel.conversion[row] if conversion is None else conversion)
        return cls(timestamp=panel.timestamps[row], **values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Signals:
    """What is known at a close, for N symbols; scores and weights as those of `Inputs`."""

    eligible: np.ndarray  # (N,) bool
    volatility: np.ndarray  # (N,) σ per bar
    recent: np.ndarray  # (K, N) simple returns of the last bars, K <= 252: `recent_rows`
    forecast: np.ndarray | None = None  # (N,) volatility to size by; NaN, or None: σ
    beta: np.ndarray | None = None  # (N,) `market_beta`; None: all 1
    market: np.ndarray | None = None  # (K,) mean return of the symbols that had those bars
    groups: np.ndarray | None = None  # (N,) int in [-1, N), symbols that share a cap; -1: none
    kelly: float = nan  # share of the tilt that past evidence allows; NaN: none yet
    half_life: float = nan  # of the scores, bars; NaN: the horizon
    score: np.ndarray | None = None  # (N,) expected return in units of σ√h; NaN: none
    weights: np.ndarray | None = None  # (N,) asked for (NaN: hold), or the benchmark's

    @classmethod
    def of(cls, prepared: Prepared, inputs: Inputs, row: int) -> Self:
        """Those of one row of what a backtest is given, with the returns up to there."""

        def at(values: np.ndarray | None) -> Any:
            return None if values is None else values[row]

        rows = recent_rows(row)
        own, able = inputs.volatility is None, inputs.eligible is None
        return cls(
            eligible=at(prepared.traded if able else inputs.eligible),
            volatility=at(prepared.volatility if own else inputs.volatility),
            forecast=at(inputs.forecast),
            recent=prepared.recent[:, rows].T,
            beta=prepared.beta[row],
            market=prepared.market[rows],
            groups=at(inputs.groups),
            kelly=nan if inputs.kelly is None else float(inputs.kelly[row]),
            half_life=nan if inputs.half_life is None else float(inputs.half_life[row]),
            score=at(inputs.score),
            weights=at(inputs.weights),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Filled:
    """What one bar did to the account; tables as those of a `BacktestResult`."""

    fills: pd.DataFrame
    lapsed: pd.DataFrame
    cash_flows: pd.DataFrame
    events: Array[Fill]  # (F,) what the first two are made from; an order's executions are one
    payments: Array[CashFlow]  # (P,) those of symbols


@dataclass(frozen=True, kw_only=True, eq=False)
class Decided:
    """What was ordered at one close, and what was refused."""

    orders: pd.DataFrame
    vetoes: pd.DataFrame
    decisions: Array[Decision]  # (N,) targets, weights and reasons of all symbols


class Trader:
    """An account, its positions and pending orders, and the rules it trades under."""

    def __init__(
        self, symbols: tuple[str, ...], terms: Terms, *, session: str, scored: bool = True
    ) -> None:
        self.symbols, self.session = tuple(symbols), session
        self.rules = parameters_of(terms, scored=scored)
        self.account, self.positions = new_account(terms.capital), new_positions(len(symbols))
        self.last_bar: pd.Timestamp | None = None
        self.decided_at: pd.Timestamp | None = None
        self.last_execution: str | None = None  # booked, of a broker's: `executions(after=...)`
        self._close = np.full(len(symbols), np.nan)

    def fill(self, bar: Bar) -> Filled:
        """Live through a bar: pending orders, stops, cash flows, the new close.

        Raises:
            TradingError: the bar is not later than the last one, or not one of a market: the
                message names symbol and stamp.
        """
        return self._live(bar, None)

    def book(self, bar: Bar, executions: Sequence[Execution]) -> Filled:
        """Live through a bar with what a broker did, in place of `fill`; nothing is simulated.

        The night, the mark and what an execution makes of cash and position are those of `fill`. A
        stop that the close has passed blocks its symbol, so that the next decision closes it.

        Args:
            executions: all that the broker told after `last_execution`, oldest first; those from
                before the bar are booked before its split and dividend.

        Raises:
            TradingError: as `fill`; or an execution is of another market, or cannot be one.
        """
        return self._live(bar, executions)

    def _live(self, bar: Bar, executions: Sequence[Execution] | None) -> Filled:
        _check_bar(bar, self.symbols)
        if self.last_bar is not None and bar.timestamp <= self.last_bar:
            raise TradingError(
                f"bar {bar.timestamp} came after {self.last_bar}; send bars in order"
            )
        stamp, N = pd.DatetimeIndex([bar.timestamp]), len(self.symbols)
        scratch = new_scratch(N)
        grids: Any = tuple(own(getattr(bar, name)) for name in _GRIDS)
        state: Any = self.rules, self.account, self.positions, periods_of(stamp)[0]
        after: Any = *grids, scratch.fills, scratch.flows, scratch.active
        told = None
        if executions is None:
            count = fill_bar(*(state + after))
        else:
            known = self.symbols, self.session, self.decided_at, bar.timestamp
            bookings = bookings_of(executions, *known)
            count = book_bar(*(*state, bookings, *after))
            told = table_of(executions, bookings, bar.timestamp, grids[0], scratch.fills)
            self.last_execution = executions[-1].execution_id if executions else self.last_execution
        self.last_bar, self._close = bar.timestamp, grids[3]
        decided = stamp if self.decided_at is None else pd.DatetimeIndex([self.decided_at])
        fills, flows = happened(scratch, count)
        records = (self.session, decided, stamp, self.symbols, fills)
        made = fills_of(*records)
        return Filled(
            fills=made if told is None else pd.concat([told, made], ignore_index=True),
            lapsed=lapsed_of(*records),
            cash_flows=cash_flows_of(stamp, self.symbols, flows, self.account["interest"]),
            events=fills if told is None else events_of(bookings, grids[0], scratch.fills),
            payments=flows,
        )

    def decide(self, signals: Signals, trace: np.ndarray | None = None) -> Decided:
        """The orders for the next open, at the close of the bar last filled.

        Args:
            trace: `Trace.columns(N)`, written to: how the targets came about.

        Raises:
            TradingError: no bar has been filled since the last decision.
        """
        if self.last_bar is None or self.last_bar == self.decided_at:
            raise TradingError("a decision needs a new bar: call fill() first, once for each")
        N = len(self.symbols)
        rows, nothing = Decision.zeros(N), np.full(N, np.nan)
        rows["symbol"] = np.arange(N)
        known = (signals.score, signals.weights, signals.volatility, signals.forecast)
        score, weights, volatility, forecast = (
            nothing if row is None else own(row) for row in known
        )
        eligible = own(signals.eligible, bool)
        recent = own(signals.recent.T)
        market = np.zeros(0) if signals.market is None else own(signals.market)
        beta = np.ones(N) if signals.beta is None else own(signals.beta)
        shared = np.full(N, -1) if signals.groups is None else signals.groups
        groups = own(shared, np.int64)
        decide_bar(
            self.rules, self.account, self.positions, self._close, eligible, score, weights,
            volatility, forecast, beta, recent, (0, recent.shape[1]), market, groups,
            float(signals.kelly), float(signals.half_life), rows,
            Trace.columns(0) if trace is None else trace,
        )  # fmt: skip
        self.decided_at = self.last_bar
        stamp = pd.DatetimeIndex([self.decided_at])
        return Decided(
            orders=orders_of(self.session, stamp, self.symbols, rows),
            vetoes=vetoes_of(stamp, self.symbols, self.rules, self.account, rows),
            decisions=rows,
        )

    def decide_under(self, word: int, signals: Signals, trace: np.ndarray | None = None) -> Decided:
        """`decide` under the operator's word: 0 trades, HOLDING orders nothing, CLOSING sells or
        covers all that is held."""
        if word == CLOSING:
            self.kill()
        else:
            self.revive()
        decided = self.decide(signals, trace)
        if word == HOLDING:
            self.positions["order"], decided.decisions["order"] = 0.0, 0.0
            return replace(decided, orders=decided.orders.iloc[:0])
        return decided

    def kill(self) -> None:
        """The operator's kill switch: the next decision closes everything, and nothing reopens."""
        self.account["killed"] = 1

    def revive(self) -> None:
        """Undo the kill switch."""
        self.account["killed"] = 0

    @property
    def equity(self) -> float:
        """Quote currency, at the last close."""
        return float(self.account["equity"][0])

    def price(self, symbol: str) -> float:
        """The last close of a symbol, or the price its position is marked at; NaN: none known."""
        if symbol not in self.symbols:
            return nan
        n = self.symbols.index(symbol)
        close, last = float(self._close[n]), float(self.positions["last"][n])
        return last if np.isnan(close) else close

    def holdings(self) -> pd.DataFrame:
        """Open positions: symbol, quantity, price, value, entry, stop, take."""
        held = np.flatnonzero(self.positions["quantity"])
        rows = self.positions[held]
        names = pd.Series([self.symbols[n] for n in held], dtype="str")
        table = pd.DataFrame({"symbol": names, "quantity": rows["quantity"], "price": rows["last"]})
        table["value"] = table["quantity"] * table["price"]
        return table.assign(**{name: rows[name] for name in ("entry", "stop", "take")})

    def to_dict(self, before: Array[Position] | None = None) -> dict[str, Any]:
        """The state as JSON takes it, exact: all but symbols, session and terms.

        `before`: `lasting_positions` of an earlier state; positions are written as what has changed
        since.
        """
        return {
            "account": packed(self.account),
            "positions": packed(self.lasting_positions, before),
            "close": packed(self._close),
            "last_bar": _iso(self.last_bar),
            "decided_at": _iso(self.decided_at),
            "last_execution": self.last_execution,
        }

    @property
    def lasting_positions(self) -> Array[Position]:
        """A copy of the positions without what is set anew at every bar, before it is read."""
        positions = self.positions.copy()
        positions["mark"], positions["capacity"] = 0.0, 0.0
        return positions

    def restore(self, plain: dict[str, Any], earlier: Sequence[dict[str, Any]] = ()) -> Self:
        """Become the trader that `to_dict` described, to the last bit; itself.

        Args:
            earlier: where positions are a change, the states before it, from a whole one on.

        Raises:
            TradingError: the state was written by a version with other fields, or of other symbols;
                or positions are a change and the states before it are not there.
        """
        account = unpacked(plain["account"], self.account, "account")
        positions = None
        for each in (*earlier, plain):
            positions = unpacked(each["positions"], self.positions, "positions", positions)
        assert positions is not None
        self._close = unpacked(plain["close"], self._close, "prices")
        self.account, self.positions = account, positions
        self.last_bar, self.decided_at = _stamp(plain["last_bar"]), _stamp(plain["decided_at"])
        self.last_execution = plain["last_execution"]
        return self


def _check_bar(bar: Bar, symbols: tuple[str, ...]) -> None:
    """Four prices or none, positive, in order; actions that can be applied; volume may be NaN."""
    for name in _GRIDS:
        shape = np.shape(getattr(bar, name))
        if shape != (len(symbols),):
            raise TradingError(
                f"{name} of the bar {bar.timestamp} has shape {shape}, not ({len(symbols)},)"
            )
    prices = np.array([getattr(bar, name) for name in _PRICES], dtype=float)
    open_, high, low, close = prices
    missing = np.isnan(prices).all(axis=0)
    ordered = (low <= np.minimum(open_, close)) & (high >= np.maximum(open_, close))
    sound = ((prices > 0) & (prices < np.inf)).all(axis=0) & ordered
    rules = {
        "needs four positive prices within [low, high], or none": ~(sound | missing),
        "has a volume below 0 or infinite": (bar.volume < 0) | np.isinf(bar.volume),
        "has a split that is not > 0": ~((bar.split > 0) & np.isfinite(bar.split)),
        "has a dividend that is not >= 0": ~((bar.dividend >= 0) & np.isfinite(bar.dividend)),
    }
    for rule, broken in rules.items():
        if broken.any():
            n = int(np.flatnonzero(broken)[0])
            given = {name: float(getattr(bar, name)[n]) for name in _GRIDS}
            raise TradingError(f"the bar of {symbols[n]} at {bar.timestamp} {rule}: {given}")


def _iso(stamp: pd.Timestamp | None) -> str | None:
    return None if stamp is None else stamp.isoformat()


def _stamp(iso: str | None) -> pd.Timestamp | None:
    return None if iso is None else pd.Timestamp(iso)
