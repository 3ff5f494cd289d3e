"""Histories: the two kernels of one bar, called for every bar of an array."""

import numpy as np

from trading_pipeline.core.trading.compiled import entry_point, fingerprint
from trading_pipeline.core.trading.decide import decide_bar, describe_bar
from trading_pipeline.core.trading.fill import fill_bar
from trading_pipeline.core.trading.sizing import VOLATILITY_WINDOW


@entry_point
def run_history(
    rules: np.ndarray,
    account: np.ndarray,
    positions: np.ndarray,
    periods: np.ndarray,
    prices: tuple[np.ndarray, ...],
    signals: tuple[np.ndarray, ...],
    start: int,
    stop: int,
    records: tuple[np.ndarray, ...],
) -> None:
    """Rows [start, stop): every row is lived through, all but the last are decided on.

    Args:
        periods: (T, 3). prices: open, high, low, close, split, dividend, each (T, N).
        signals: eligible, score, weight, volatility, recent returns, each (T, N).
        records: log (K,), decisions (K, N), fills (K, N, 2), flows (K, N); row t is written to
            their row t - start.
    """
    open_, high, low, close, split, dividend = prices
    eligible, score, weight, volatility, returns = signals
    log, decisions, fills, flows = records
    for t in range(start, stop):
        k = t - start
        fill_bar(
            rules, account, positions, periods[t], open_[t], high[t], low[t], close[t],
            split[t], dividend[t], fills[k], flows[k],
        )  # fmt: skip
        if t < stop - 1:
            recent = returns[max(1, t + 1 - VOLATILITY_WINDOW) : t + 1]
            decide_bar(
                rules, account, positions, close[t], eligible[t], score[t], weight[t],
                volatility[t], recent, decisions[k],
            )  # fmt: skip
        else:
            describe_bar(account, positions, decisions[k])
        log[k] = account[0]


@entry_point
def run_portfolios(
    rules: np.ndarray,
    fresh_account: np.ndarray,
    fresh_positions: np.ndarray,
    periods: np.ndarray,
    prices: tuple[np.ndarray, ...],
    eligible: np.ndarray,
    weights: np.ndarray,
    asked: np.ndarray,
    nothing: np.ndarray,
    start: int,
    scratch: tuple[np.ndarray, ...],
    equity: np.ndarray,
) -> None:
    """Many unmanaged books over the same rows, keeping only their equity (R, K).

    `weights` (R, M, N) are asked for at the rows where `asked` (K,) names one of M, and `nothing`
    (1, N), all NaN, holds where it is -1. Same kernels as `run_history`, no records.
    """
    account, positions = fresh_account.copy(), fresh_positions.copy()
    open_, high, low, close, split, dividend = prices
    decisions, fills, flows = scratch
    for r in range(len(weights)):
        account[:] = fresh_account
        positions[:] = fresh_positions
        for k in range(len(asked)):
            t = start + k
            fill_bar(
                rules, account, positions, periods[t], open_[t], high[t], low[t], close[t],
                split[t], dividend[t], fills, flows,
            )  # fmt: skip
            equity[r, k] = account[0].equity
            row = weights[r, asked[k]] if asked[k] >= 0 else nothing[0]
            decide_bar(
                rules, account, positions, close[t], eligible[t], nothing[0], row,
                nothing[0], nothing, decisions,
            )  # fmt: skip


# Taken once all kernels are known, so that it does not depend on what else was imported.
VERSION = fingerprint()
