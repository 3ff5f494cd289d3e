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
    accounts: Array[Account],
    fresh_positions: Array[Position],
    periods: np.ndarray,
    prices: Prices,
    known: Known,
    kelly: np.ndarray,
    rows: tuple[int, int],
    scratch: Scratch,
    paths: Array[Path],
) -> None:
    """Many accounts over the same rows, one for each of `rules` (R,).

    Args:
        accounts: (R,) that have never traded; left as the last bar leaves them.
        kelly: (R, T) the cap of each, in place of that of `known`.
        paths: (R, K), written to.
    """
    positions = fresh_positions.copy()
    start, stop = rows
    for r in range(len(rules)):
        account = accounts[r : r + 1]
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
