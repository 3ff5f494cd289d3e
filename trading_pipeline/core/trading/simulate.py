"""Backtests: a history of bars and of predictions or weights in, a book out."""

import numpy as np

from trading_pipeline.core.market.breaks import hold_over_gaps
from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.panel import volatility as panel_volatility
from trading_pipeline.core.trading.book import Book
from trading_pipeline.core.trading.loop import run_history
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.rules import rules_of
from trading_pipeline.core.trading.sizing import VOLATILITY_WINDOW
from trading_pipeline.core.trading.state import (
    ACCOUNT,
    DECISION,
    FILL,
    FLOW,
    new_account,
    new_positions,
    periods_of,
)
from trading_pipeline.errors import TradingError


def simulate(
    panel: Panel,
    *,
    start: int,
    stop: int,
    capital: float,
    costs: Costs,
    bars_per_year: int,
    horizon: int,
    book: str,
    shortable: bool,
    profile: Profile | None = None,
    score: np.ndarray | None = None,
    volatility: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    eligible: np.ndarray | None = None,
) -> Book:
    """Trade rows [start, stop) of a panel: decided at each close, filled at the next open.

    The last row is not decided on, for nothing could fill it. Given scores, a book is sized and
    guarded by the profile. Given weights, it is traded as asked when there is no profile (NaN
    holds), and otherwise the weights last asked for are scaled, capped and guarded as scores are.

    Args:
        panel: T rows, N symbols. A symbol without a bar keeps its last price; its order lapses.
        capital: quote currency, > 0. horizon: bars; stops are in units of σ√horizon.
        book: 'long_only' or 'neutral'; shorts need `shortable` and a profile that allows them.
        score: (T, N) expected return in units of σ√h; NaN: no prediction, so nothing new.
        volatility: (T, N) σ per bar; the panel's own 63-bar one if None.
        weights: (T, N) target fractions of equity.
        eligible: (T, N) bool, who may be bought; all symbols with a bar if None.

    Raises:
        ValueError: rows, shapes or options that make no sense.
        TradingError: a score or weight is infinite.
    """
    if (score is None) == (weights is None):
        raise ValueError("give either scores or weights")
    if score is not None and profile is None:
        raise ValueError("scores are sized by a profile: give one")
    T = len(panel.timestamps)
    if not 0 <= start < stop <= T:
        raise ValueError(f"rows [{start}, {stop}) are not within the panel's {T}")
    rules = rules_of(
        costs=costs,
        bars_per_year=bars_per_year,
        horizon=horizon,
        book=book,
        shortable=shortable,
        profile=profile,
        scored=score is not None,
    )
    inputs = (
        panel.traded if eligible is None else _grid(panel, eligible, "eligible", bool),
        _numbers(panel, score, "score"),
        _numbers(panel, weights, "weights"),
        panel_volatility(panel)
        if volatility is None
        else _numbers(panel, volatility, "volatility"),
        recent_returns(panel),
    )
    return _run(panel, rules, new_account(capital), inputs, start, stop)


def recent_returns(panel: Panel) -> np.ndarray:
    """(T, N) simple close-to-close returns, adjusted; 0 where a symbol has no bar, or no past."""
    close = hold_over_gaps(panel.adjusted_close)
    returns = np.zeros(close.shape)
    returns[1:] = close[1:] / close[:-1] - 1
    returns[panel.breaks] = 0.0
    return np.nan_to_num(returns)


def recent_rows(panel: Panel, row: int) -> np.ndarray:
    """(K, N) of `recent_returns` that a decision at the close of `row` looks at, K <= 63."""
    return recent_returns(panel)[max(1, row + 1 - VOLATILITY_WINDOW) : row + 1]


def price_grids(panel: Panel) -> tuple[np.ndarray, ...]:
    """Open, high, low, close, split, dividend (T, N), as kernels take them."""
    grids = (panel.open, panel.high, panel.low, panel.close, panel.conversion, panel.dividend)
    return tuple(np.ascontiguousarray(grid, dtype=float) for grid in grids)


def _run(
    panel: Panel,
    rules: np.ndarray,
    account: np.ndarray,
    inputs: tuple[np.ndarray, ...],
    start: int,
    stop: int,
) -> Book:
    K, N = stop - start, len(panel.symbols)
    log, decisions = np.zeros(K, ACCOUNT), np.zeros((K, N), DECISION)
    fills, flows = np.zeros((K, N, 2), FILL), np.zeros((K, N), FLOW)
    records = (log, decisions, fills, flows)
    run_history(
        rules,
        account,
        new_positions(N),
        periods_of(panel.timestamps),
        price_grids(panel),
        inputs,
        start,
        stop,
        records,
    )
    return Book(
        timestamps=panel.timestamps[start:stop],
        symbols=panel.symbols,
        rules=rules,
        log=log,
        decisions=decisions,
        fills_made=fills,
        flows=flows,
        split=panel.conversion[start:stop],
    )


def _numbers(panel: Panel, values: np.ndarray | None, name: str) -> np.ndarray:
    """A (T, N) grid of float64 that is finite or NaN; all NaN if there is none."""
    if values is None:
        return np.full(panel.close.shape, np.nan)
    grid = _grid(panel, values, name, float)
    if np.isinf(grid).any():
        t, n = (int(index[0]) for index in np.nonzero(np.isinf(grid)))
        where = f"{panel.symbols[n]} at {panel.timestamps[t]}"
        raise TradingError(f"{name} of {where} is infinite; use NaN for 'none'")
    return grid


def _grid(panel: Panel, values: np.ndarray, name: str, kind: type) -> np.ndarray:
    if values.shape != panel.close.shape:
        raise ValueError(f"{name} has shape {values.shape}, the panel {panel.close.shape}")
    return np.ascontiguousarray(values, dtype=kind)
