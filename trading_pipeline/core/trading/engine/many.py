"""Histories of many accounts at once, of each of which little more than the equity is kept."""

import numpy as np

from trading_pipeline.core.trading.engine.compiled import entry_point, kernel
from trading_pipeline.core.trading.engine.decide import decide_bar
from trading_pipeline.core.trading.engine.dtypes import (
    SLOTS,
    Account,
    Array,
    Parameters,
    Position,
    Record,
)
from trading_pipeline.core.trading.engine.loop import (
    Known,
    Prices,
    Scratch,
    clear_fill,
    fill_row,
    span_of,
)


class Path(Record):
    """What remains of each bar where a whole account would be too much to keep for many."""

    equity: float
    gross: float
    traded: float
    fees: float


@entry_point
def run_accounts(
    rules: Array[Parameters],
    fresh_account: Array[Account],
    fresh_positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    known: Known,
    kelly: np.ndarray,
    rows: tuple[int, int],
    scratch: Scratch,
    paths: Array[Path],
    accounts: Array[Account],
) -> None:
    """Many managed accounts over the same rows, one for each of `rules` (R,).

    Args:
        kelly: (R, T) the cap of each, in place of that of `known`.
        paths: (R, K), written to. accounts: (R,) as the last bar left them, as well.
    """
    positions = fresh_positions.copy()
    start, stop = rows
    for r in range(len(rules)):
        account = accounts[r : r + 1]
        account[:] = fresh_account
        positions[:] = fresh_positions
        for t in range(start, stop):
            _live(rules[r : r + 1], account, positions, periods, prices, t, scratch)
            if t < stop - 1:
                decide_bar(
                    rules[r : r + 1], account, positions, prices.close[t], known.eligible[t],
                    known.score[t], known.weight[t], known.volatility[t], known.forecast[t],
                    known.beta[t], known.recent, span_of(t), known.market, known.groups[t],
                    kelly[r, t], known.half_life[t], scratch.decisions, scratch.untraced,
                )  # fmt: skip
            _keep(account[0], paths[r, t - start])


@entry_point
def run_portfolios(
    rules: Array[Parameters],
    fresh_account: Array[Account],
    fresh_positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    known: Known,
    weights: np.ndarray,
    asked: np.ndarray,
    start: int,
    scratch: Scratch,
    equity: np.ndarray,
) -> None:
    """Many unmanaged accounts over the same rows, keeping only their equity (R, K).

    `weights` (R, M, N) are asked for at the rows where `asked` (K,) names one of M; elsewhere, at
    -1, it is held.
    """
    account, positions = fresh_account.copy(), fresh_positions.copy()
    nothing = np.full((1, len(positions)), np.nan)
    for r in range(len(weights)):
        account[:] = fresh_account
        positions[:] = fresh_positions
        for k in range(len(asked)):
            t = start + k
            _live(rules, account, positions, periods, prices, t, scratch)
            equity[r, k] = account[0].equity
            if asked[k] >= 0:
                decide_bar(
                    rules, account, positions, prices.close[t], known.eligible[t], nothing[0],
                    weights[r, asked[k]], known.volatility[t], nothing[0], known.beta[t],
                    known.recent, span_of(t), known.market, known.groups[0], np.nan, np.nan,
                    scratch.decisions, scratch.untraced,
                )  # fmt: skip


@kernel
def _live(
    rules: Array[Parameters],
    account: Array[Account],
    positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    t: int,
    scratch: Scratch,
) -> None:
    """One bar of which only the account remains."""
    fills, flows = scratch.fills, scratch.flows
    count = fill_row(rules, account, positions, periods, prices, t, scratch)
    for n in scratch.active[:count]:
        if not positions[n].noted:
            continue
        for slot in SLOTS:
            clear_fill(fills[n, slot])
        flows[n].dividend, flows[n].borrow, flows[n].funding = 0.0, 0.0, 0.0


@kernel
def _keep(account: Account, path: Path) -> None:
    path.equity, path.gross = account.equity, account.gross
    path.traded, path.fees = account.traded, account.fees
