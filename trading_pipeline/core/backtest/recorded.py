"""A recorded session once more, on the path of the backtest: the orders and equity that follow.

Letters: T rows of the panel, N symbols, K bars of the session; bar k is row first + k.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis, inputs_of
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import hold_over_gaps
from trading_pipeline.core.trading.engine.dtypes import (
    DIVIDENDS,
    ENTRY,
    STOP_LEVEL,
    TAKE_LEVEL,
    TRAILED,
    UNSCORED,
    Account,
    Array,
    CashFlow,
    Decision,
    Fill,
    Trace,
)
from trading_pipeline.core.trading.engine.loop import VETOES
from trading_pipeline.core.trading.groups import groups_of
from trading_pipeline.core.trading.inputs import prepare
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.trader import Bar, Filled, Signals, Trader

# Brings an account through bar k: what became of its orders, and the mark.
Live = Callable[[int, Trader, Bar], Filled]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """What a session saw and was told: bars, predictions, and the operator's word."""

    panel: Panel  # (T, N), up to the session's newest bar
    first: int  # row of its first bar
    score: np.ndarray  # (T, N)
    volatility: np.ndarray  # (T, N) that was forecast
    half_life: np.ndarray  # (T,)
    eligible: np.ndarray  # (T, N) bool
    halted: np.ndarray  # (K,) the operator's word at each decision: 0, HOLDING or CLOSING
    missed: np.ndarray  # (K,) bool, bars that were lived through and not decided on

    @property
    def bars(self) -> int:
        """K."""
        return len(self.panel.timestamps) - self.first

    def basis(self, market: Market) -> Basis:
        """What its account is decided on."""
        prepared = prepare(self.panel)
        inputs, evidence = inputs_of(
            self.panel,
            prepared,
            self.score,
            self.half_life,
            self.volatility,
            self.eligible,
            groups_of(self.panel, market),
            market,
        )
        stop = len(self.panel.timestamps)
        return Basis(
            panel=self.panel,
            start=self.first,
            stop=stop,
            prepared=prepared,
            inputs=inputs,
            evidence=evidence,
        )


def simulated(k: int, trader: Trader, bar: Bar) -> Filled:
    """Orders fill as the engine fills them."""
    return trader.fill(bar)


def replayed(
    recorded: Recorded, basis: Basis, terms: Terms, session: str, live: Live = simulated
) -> BacktestResult:
    """The orders, fills and equity that follow from what was recorded, all bars at once.

    The newest bar is not decided on: nothing could fill it. A backtest knows no operator and no
    broker, and misses no bar: where a session did, its kernels are called bar by bar on the same
    inputs.

    Args:
        basis: of what was recorded. live: as of `bar_by_bar`.
    """
    if recorded.halted.any() or recorded.missed[:-1].any() or live is not simulated:
        return bar_by_bar(recorded, basis, terms, session, live)
    return basis.trade(terms)


def bar_by_bar(
    recorded: Recorded,
    basis: Basis,
    terms: Terms,
    session: str,
    live: Live = simulated,
    *,
    newest: bool = False,
    everything: bool = False,
) -> BacktestResult:
    """An account that lives as the session did: it decides where that decided, halted as that was.

    Args:
        basis: of what was recorded.
        live: what becomes of the orders of each bar.
        newest: decide at the newest bar, too, though nothing has filled it yet.
        everything: as of `simulate`.
    """
    panel, K, N = recorded.panel, recorded.bars, len(recorded.panel.symbols)
    trader = Trader(panel.symbols, terms, session=session)
    log, held = Account.empty(K), np.empty((K, N))
    trace = Trace.columns(K, N if everything else 0)
    events: list[Array[Fill]] = []
    payments: list[Array[CashFlow]] = []
    decisions: list[Array[Decision]] = []
    for k in range(K):
        row = recorded.first + k
        filled = live(k, trader, Bar.of(panel, row))
        rows = _described(trader, panel.close[row])
        if not recorded.missed[k] and (newest or k < K - 1):
            signals = Signals.of(basis.prepared, basis.inputs, row)
            rows = trader.decide_under(int(recorded.halted[k]), signals, trace[k]).decisions
        for each in (filled.events, filled.payments, rows):
            each["bar"] = k
        kept = everything | (rows["order"] != 0) | (rows["reasons"] & VETOES != 0)
        events.append(filled.events)
        payments.append(filled.payments)
        decisions.append(rows[kept])
        _note_levels(trader, trace[k])
        log[k], held[k] = trader.account[0], trader.positions["quantity"]
    return BacktestResult(
        timestamps=panel.timestamps[recorded.first :],
        symbols=panel.symbols,
        rules=trader.rules,
        log=log,
        quantity=held,
        decisions=cast(Array[Decision], np.concatenate(decisions)),
        events=cast(Array[Fill], np.concatenate(events)),
        payments=cast(Array[CashFlow], np.concatenate(payments)),
        close=panel.close[recorded.first :],
        split=panel.conversion[recorded.first :],
        trace=cast(Array[Trace], trace.view(Trace.dtype)[..., 0]),
    )


def _described(trader: Trader, close: np.ndarray) -> Array[Decision]:
    """(N,) what is held at a close that is not decided on, as the engine describes it."""
    positions, equity = trader.positions, trader.equity
    rows = Decision.zeros(len(positions))
    rows["symbol"] = np.arange(len(positions))
    rows["quantity"], rows["signal"] = positions["quantity"], positions["signal"]
    rows["price"] = np.where(np.isnan(close), positions["last"], close)
    rows["level"] = np.nan
    if equity > 0:
        worth = rows["quantity"] * rows["price"]
        rows["weight"] = np.where(rows["quantity"] != 0, worth, 0.0) / equity
    rows["aim"] = rows["target"] = rows["weight"]
    return rows


def _note_levels(trader: Trader, trace: np.ndarray) -> None:
    """What was held at a close, into (N, S) columns of `Trace`, or into none."""
    levels = {ENTRY: "entry", STOP_LEVEL: "stop", TAKE_LEVEL: "take", TRAILED: "trailed"}
    if len(trace):
        for column, name in (levels | {UNSCORED: "unscored", DIVIDENDS: "dividends"}).items():
            trace[:, column] = trader.positions[name]


def equity_of_fills(
    recorded: Recorded, capital: float, fills: pd.DataFrame, cash_flows: pd.DataFrame
) -> np.ndarray:
    """(K,) equity at each close, from what was bought, sold and paid alone, by whomever.

    Args:
        fills: filled_at, symbol, quantity (signed), price, fee.
        cash_flows: at, amount.
    """
    panel, first, K = recorded.panel, recorded.first, recorded.bars
    stamps, shape = panel.timestamps[first:], (K, len(panel.symbols))
    split = panel.conversion[first:]
    shares = np.cumprod(split, axis=0)
    bought, cash = np.zeros(shape), np.zeros(K)
    if len(fills):
        k = stamps.get_indexer(pd.DatetimeIndex(fills["filled_at"]))
        n = pd.Index(panel.symbols).get_indexer(fills["symbol"])
        quantity = fills["quantity"].to_numpy(float)
        np.add.at(bought, (k, n), quantity / shares[k, n])
        paid = quantity * fills["price"].to_numpy(float) + fills["fee"].to_numpy(float)
        np.add.at(cash, k, -paid)
    if len(cash_flows):
        k = stamps.get_indexer(pd.DatetimeIndex(cash_flows["at"]))
        np.add.at(cash, k, cash_flows["amount"].to_numpy(float))
    price = hold_over_gaps(panel.close[first:] * shares)  # of one share of the first bar
    held = np.cumsum(bought, axis=0)
    value = np.where(held == 0, 0.0, held * np.nan_to_num(price)).sum(axis=1)
    equity: np.ndarray = capital + np.cumsum(cash) + value
    return equity
