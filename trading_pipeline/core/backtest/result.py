"""A backtest's result: all that a simulation wrote down, and the tables and totals made from it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.trades import positions_of, trades_of
from trading_pipeline.core.market.trailing import hold_over_gaps
from trading_pipeline.core.trading.engine.dtypes import (
    FLOWS,
    SLOTS,
    Account,
    Array,
    CashFlow,
    Decision,
    Fill,
    Parameters,
    Trace,
)
from trading_pipeline.core.trading.tables import (
    cash_flows_of,
    fills_of,
    lapsed_of,
    orders_of,
    vetoes_of,
)


class Curves:
    """What accounts recorded at each close, and what follows: (..., K), money in quote currency."""

    log: np.ndarray  # (..., K) with equity, gross, traded and fees

    def _of(self, name: str) -> np.ndarray:
        values: np.ndarray = self.log[name].copy()
        return values

    @property
    def equity(self) -> np.ndarray:
        """At each close; the first is the capital."""
        return self._of("equity")

    @property
    def gross(self) -> np.ndarray:
        """Value of longs and shorts, >= 0."""
        return self._of("gross")

    @property
    def exposure(self) -> np.ndarray:
        """Gross value as a fraction of equity, >= 0 while there is equity."""
        share: np.ndarray = self.gross / self.equity
        return share

    @property
    def turnover(self) -> np.ndarray:
        """Notional traded in the bar as a fraction of the equity before it, >= 0."""
        before = np.concatenate([self.equity[..., :1], self.equity[..., :-1]], axis=-1)
        share: np.ndarray = self._of("traded") / before
        return share

    @property
    def fees(self) -> np.ndarray:
        """Money paid in the bar, >= 0."""
        return self._of("fees")


@dataclass(frozen=True, kw_only=True, eq=False)
class BacktestResult(Curves):
    """The records of a simulated account. K bars, N symbols; money in quote currency."""

    timestamps: pd.DatetimeIndex  # (K,)
    symbols: tuple[str, ...]  # N
    rules: Array[Parameters]  # (1,) costs and limits
    log: Array[Account]  # (K,) after the decision of each close
    quantity: np.ndarray  # (K, N) units held at each close, negative is short
    decisions: Array[Decision]  # (D,) with an order or a veto, or every one
    events: Array[Fill]  # (F,) fills, and orders that lapsed
    payments: Array[CashFlow]  # (P,)
    close: np.ndarray  # (K, N) raw, as the panel had it
    split: np.ndarray  # (K, N) new shares per old one, as the panel had them
    trace: Array[Trace]  # (K, N) after the decision of each close, or (K, 0): not kept

    @property
    def cash(self) -> np.ndarray:
        """(K,) negative is borrowed."""
        return self._of("cash")

    @property
    def net(self) -> np.ndarray:
        """(K,) value of longs minus shorts."""
        return self._of("net")

    @property
    def size(self) -> np.ndarray:
        """(K,) int: FULL, HALF or FLAT, as the drawdown rule had it at each close."""
        return self._of("size")

    @property
    def forecast(self) -> np.ndarray:
        """(K,) volatility per bar that the targets would have had; 0 where nothing is managed."""
        return self._of("forecast")

    @cached_property
    def price(self) -> np.ndarray:
        """(K, N) raw price that each symbol is marked at; NaN before its first bar."""
        shares = np.cumprod(self.split, axis=0)
        held = hold_over_gaps(self.close * shares) / shares
        return np.where(np.isnan(self.close), held, self.close)

    @property
    def weight(self) -> np.ndarray:
        """(K, N) fractions of equity held at each close; 0 without equity."""
        equity = np.where(self.equity > 0, self.equity, np.inf)[:, None]
        held: np.ndarray = self.quantity * np.nan_to_num(self.price) / equity
        return held

    @property
    def reasons(self) -> np.ndarray:
        """(D,) int64 bits of `reasons`, for each of the decisions."""
        bits: np.ndarray = self.decisions["reasons"].copy()
        return bits

    @cached_property
    def fills_made(self) -> np.ndarray:
        """(K, N, 3) fills by slot, in the order of time of `SLOTS`; price NaN: none filled."""
        grid = Fill.zeros(*self.quantity.shape, len(SLOTS))
        grid["price"] = np.nan
        at = self.events[self.events["quantity"] != 0]
        grid[at["bar"], at["symbol"], at["slot"]] = at
        return grid

    @cached_property
    def flows(self) -> np.ndarray:
        """(K, N) money of each kind in FLOWS."""
        grid = np.zeros(self.quantity.shape, [(kind, "f8") for kind in FLOWS])
        for kind in FLOWS:
            grid[kind][self.payments["bar"], self.payments["symbol"]] = self.payments[kind]
        return grid

    @property
    def _decided(self) -> pd.DatetimeIndex:
        """The bar decided on before each bar; nothing is pending at the first."""
        return self.timestamps[np.maximum(np.arange(len(self.timestamps)) - 1, 0)]

    def orders(self, session: str) -> pd.DataFrame:
        """client_order_id, decided_at, symbol, side, quantity, type, limit_price, stop_price,
        reasons."""
        return orders_of(session, self.timestamps, self.symbols, self.decisions)

    def fills(self, session: str) -> pd.DataFrame:
        """client_order_id, filled_at, symbol, quantity (signed), price, fee, slippage, kind,
        reasons."""
        return fills_of(session, self._decided, self.timestamps, self.symbols, self.events)

    def lapsed(self, session: str) -> pd.DataFrame:
        """client_order_id, lapsed_at, symbol of the orders that did not fill whole in time."""
        return lapsed_of(session, self._decided, self.timestamps, self.symbols, self.events)

    def cash_flows(self) -> pd.DataFrame:
        """at, symbol, kind (dividend, borrow, funding, interest), amount."""
        interest = self._of("interest")
        return cash_flows_of(self.timestamps, self.symbols, self.payments, interest)

    def vetoes(self) -> pd.DataFrame:
        """decided_at, symbol, rule, figure, limit."""
        return vetoes_of(self.timestamps, self.symbols, self.rules, self.log, self.decisions)

    def trades(self) -> pd.DataFrame:
        """Closed round trips, from flat to flat: see `trades_of`."""
        return trades_of(self.timestamps, self.symbols, self.events, self.payments, self.split)

    def positions(self) -> pd.DataFrame:
        """What is held at the last bar: see `positions_of`."""
        known = (self.timestamps, self.symbols, self.events, self.payments, self.split)
        return positions_of(*known, self.price)
