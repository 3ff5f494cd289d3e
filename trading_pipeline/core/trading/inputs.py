"""What the kernels read of a panel and of what was decided about it: checked arrays.

Letters: T rows, N symbols.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.market.beta import market_beta
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.panel import volatility as panel_volatility
from trading_pipeline.core.market.trailing import hold_over_gaps
from trading_pipeline.core.trading.engine.compiled import own
from trading_pipeline.core.trading.engine.dtypes import (
    Account,
    Array,
    Position,
    new_account,
    new_positions,
    periods_of,
)
from trading_pipeline.core.trading.engine.loop import Known, Prices
from trading_pipeline.core.trading.engine.sizing import YEAR_WINDOW
from trading_pipeline.errors import TradingError


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """What is known at each close of a panel, beside its bars: scores, or weights, or both.

    Weights are target fractions of equity (NaN: hold), and beside scores those of the benchmark
    (NaN: none of it; a row of nothing: equal ones).
    """

    score: np.ndarray | None = None  # (T, N) expected return in σ√h; NaN: nothing was predicted
    weights: np.ndarray | None = None  # (T, N)
    half_life: np.ndarray | None = None  # (T,) of the scores, bars > 0; NaN: the horizon
    volatility: np.ndarray | None = None  # (T, N) σ per bar; None: the panel's own 63-bar one
    # (T, N) volatility of a bar to size by, and the unit of the scores, in place of σ; NaN: σ.
    forecast: np.ndarray | None = None
    eligible: np.ndarray | None = None  # (T, N) bool, who may be bought; None: all with a bar
    groups: np.ndarray | None = None  # (T, N) int in [-1, N), sharing the cap per group; -1: none
    kelly: np.ndarray | None = None  # (T,) share of the tilt that evidence allows; NaN: none yet


class Prepared(NamedTuple):
    """What all accounts over a panel have in common."""

    prices: Prices
    periods: np.ndarray  # (T, 3) `periods_of`
    traded: np.ndarray  # (T, N) where there is a bar
    recent: np.ndarray  # (N, T) `recent_returns`
    market: np.ndarray  # (T,) `market_returns`
    volatility: np.ndarray  # (T, N) the panel's own
    beta: np.ndarray  # (T, N) `market_beta`

    def opened(self, capital: float) -> tuple[Array[Account], Array[Position], np.ndarray, Prices]:
        """A new account, its positions, and the periods and prices that it lives through."""
        positions = new_positions(self.traded.shape[1])
        return new_account(capital), positions, self.periods, self.prices


def prepare(panel: Panel) -> Prepared:
    """Do once what every simulation on this panel needs.

    Raises:
        TradingError: a price is not positive and finite, or missing in a bar that has others.
    """
    returns = recent_returns(panel)
    return Prepared(
        price_grids(panel),
        periods_of(panel.timestamps),
        panel.traded,
        own(returns.T),
        market_returns(panel, returns),
        panel_volatility(panel),
        market_beta(panel),
    )


def price_grids(panel: Panel) -> Prices:
    """Prices, volume and actions of a panel.

    Raises:
        TradingError: a price is not positive and finite, or missing in a bar that has others.
    """
    bare = np.isnan(panel.close)
    for name in ("open", "high", "low", "close"):
        price = getattr(panel, name)
        sound = ((price > 0) & (price < np.inf)) != bare
        if not sound.all():
            t, n = (int(index[0]) for index in np.nonzero(~sound))
            raise TradingError(
                f"{name} of {panel.symbols[n]} at {panel.timestamps[t]} is {price[t, n]}: a bar "
                "needs four positive prices, or none. Pass bars through check_bars first."
            )
    grids = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    actions = (panel.conversion, panel.dividend)
    return Prices(*(own(grid) for grid in (*grids, *actions)))


def known_grids(panel: Panel, prepared: Prepared, inputs: Inputs) -> Known:
    """What the kernels read of them.

    Raises:
        ValueError: a shape is not that of the panel, or a group is out of range.
        TradingError: a number is infinite.
    """
    T = len(panel.timestamps)
    sigma = prepared.volatility if inputs.volatility is None else inputs.volatility
    able = prepared.traded if inputs.eligible is None else inputs.eligible
    return Known(
        eligible=grid_of(panel, able, "eligible", bool),
        score=numbers(panel, inputs.score, "score"),
        weight=numbers(panel, inputs.weights, "weights"),
        volatility=numbers(panel, sigma, "volatility"),
        forecast=numbers(panel, inputs.forecast, "forecast"),
        beta=prepared.beta,
        recent=prepared.recent,
        market=prepared.market,
        groups=_groups(panel, inputs.groups),
        kelly=_row(T, inputs.kelly, "kelly", 0.0),
        half_life=_row(T, inputs.half_life, "half_life", 1e-9),
    )


def recent_returns(panel: Panel) -> np.ndarray:
    """(T, N) simple close-to-close returns, adjusted; 0 where a symbol has no bar, or no past."""
    close = hold_over_gaps(panel.adjusted_close)
    returns = np.zeros(close.shape)
    returns[1:] = close[1:] / close[:-1] - 1
    returns[panel.discontinuities] = 0.0
    return np.nan_to_num(returns)


def recent_rows(row: int) -> slice:
    """The rows of returns that a decision at the close of `row` looks at, 252 at most."""
    return slice(max(1, row + 1 - YEAR_WINDOW), row + 1)


def market_returns(panel: Panel, returns: np.ndarray) -> np.ndarray:
    """(T,) mean of `recent_returns` (T, N) over the symbols with a bar; 0 where none has one."""
    traded = panel.traded.sum(axis=1)
    mean: np.ndarray = returns.sum(axis=1) / np.maximum(traded, 1)
    return mean


def grid_of(panel: Panel, values: np.ndarray, name: str, kind: type) -> np.ndarray:
    """(T, N) values of that kind, as kernels take them.

    Raises:
        ValueError: the shape is not that of the panel.
    """
    if values.shape != panel.close.shape:
        raise ValueError(f"{name} has shape {values.shape}, the panel {panel.close.shape}")
    return own(values, kind)


def numbers(panel: Panel, values: np.ndarray | None, name: str) -> np.ndarray:
    """A (T, N) grid of float64 that is finite or NaN; all NaN if there is none."""
    if values is None:
        return np.full(panel.close.shape, np.nan)
    grid = grid_of(panel, values, name, float)
    if np.isinf(grid).any():
        t, n = (int(index[0]) for index in np.nonzero(np.isinf(grid)))
        where = f"{panel.symbols[n]} at {panel.timestamps[t]}"
        raise TradingError(f"{name} of {where} is infinite; use NaN for 'none'")
    return grid


def _groups(panel: Panel, groups: np.ndarray | None) -> np.ndarray:
    """(T, N) int64 in [-1, N); all -1 if there are none."""
    if groups is None:
        return np.full(panel.close.shape, -1, dtype=np.int64)
    grid = grid_of(panel, groups, "groups", np.int64)
    if grid.min(initial=0) < -1 or grid.max(initial=0) >= len(panel.symbols):
        raise ValueError(f"groups must be in [-1, {len(panel.symbols)})")
    return grid


def _row(T: int, values: np.ndarray | None, name: str, least: float) -> np.ndarray:
    """(T,) numbers, or NaN; all NaN if there are none."""
    if values is None:
        return np.full(T, np.nan)
    row = own(values)
    if row.shape != (T,) or (row < least).any() or np.isinf(row).any():
        raise ValueError(f"{name} must be ({T},) finite numbers, or NaN; was {row.shape}")
    return row
