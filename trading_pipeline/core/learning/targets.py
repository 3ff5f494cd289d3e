"""Targets: the only code that looks ahead.

Every target decided at the close of row d is measured from the open of row d + 1, where the order
would be filled, to the open of row d + 1 + h at the latest. Arrays are (T, N): rows of the market's
clock by symbols; NaN (or class -1) where a target cannot be known.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trading_pipeline.core.learning.losses import direction_classes
from trading_pipeline.core.market.beta import market_beta
from trading_pipeline.core.market.discontinuities import crosses
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION, Panel

CLIP = 4.0  # price targets, in units of sigma * sqrt(h)
ADVERSE = 2.0  # an adverse excursion, in the same unit

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """What the five heads learn, (T, N) each."""

    price: Array  # h-bar open-to-open log return without the market, / (sigma sqrt h), in [-4, 4]
    direction: NDArray[np.int64]  # 0 down, 1 flat, 2 up, -1 unknown
    next_return: Array  # log return from one next open to the following one
    next_residual: Array  # the same without beta times the market's, / sigma, in [-4, 4]
    volatility: Array  # realised volatility of the next h bars / sigma, > 0
    risk: Array  # 1 where the low falls more than 2 sigma sqrt h below the entry open, else 0
    market: Array  # (T,) h-bar open-to-open log return, mean over eligible symbols

    def __len__(self) -> int:
        return len(self.price)


def make_targets(
    panel: Panel,
    sigma: Array,
    eligible: NDArray[np.bool_],
    horizon: int,
    band: float = 0.43,
    round_trip: float = 0.003,
) -> Targets:
    """All targets of a panel; missing where the span from decision to exit crosses a break.

    The price target is what is left of a return without beta times the market's. Minus the mean
    alone it would still hold beta, whose dispersion any measure of risk predicts.

    Args:
        panel: bars; adjusted prices are used.
        sigma: volatility of a bar known at the decision, (T, N).
        eligible: whether a symbol may be traded on at a date, (T, N).
        horizon: h, in bars.
        band: half-width of the flat class in units of sigma sqrt(h); 0.43 makes terciles of a
            normal variable.
        round_trip: fraction of notional that entering and leaving costs; the band is never
            narrower.
    """
    whole = eligible & ~crosses(panel.discontinuities, horizon + 1)
    unit = np.where(whole & (sigma > 0), sigma, np.nan) * np.sqrt(horizon)
    moves = np.where(np.isfinite(unit), forward_returns(panel.adjusted_open, horizon), np.nan)
    beta, next_return = market_beta(panel), _next_return(panel, eligible)
    price = np.clip(residuals(moves, beta) / unit, -CLIP, CLIP)
    one_bar = np.where(sigma > 0, residuals(next_return, beta), np.nan) / sigma
    width = np.maximum(band, round_trip / unit)
    return Targets(
        price=price,
        direction=direction_classes(torch.from_numpy(price), torch.from_numpy(width)).numpy(),
        next_return=next_return,
        next_residual=np.clip(one_bar, -CLIP, CLIP),
        volatility=future_volatility(panel.adjusted_close, horizon) * np.sqrt(horizon) / unit,
        risk=adverse_excursion(panel.adjusted_open, panel.adjusted_low, horizon, unit),
        market=_row_mean(moves),
    )


def _next_return(panel: Panel, eligible: NDArray[np.bool_]) -> Array:
    whole = eligible & ~crosses(panel.discontinuities, 2)
    return np.where(whole, forward_returns(panel.adjusted_open, 1), np.nan)


def forward_returns(opens: Array, horizon: int) -> Array:
    """log(O[t + 1 + h] / O[t + 1]), (T, N); the last h + 1 rows are NaN."""
    logs = np.log(opens)
    result = np.full_like(logs, np.nan)
    if len(logs) > horizon + 1:
        result[: -horizon - 1] = logs[horizon + 1 :] - logs[1:-horizon]
    return result


def residuals(returns: Array, beta: Array) -> Array:
    """Minus beta times the mean over symbols of each date; dates of fewer than eight stay.

    All (T, N), returns NaN where they are not known; `beta` is known at the decision.
    """
    enough = np.isfinite(returns).sum(axis=1) >= MIN_CROSS_SECTION
    market = np.where(enough, _row_mean(returns), 0.0)
    return returns - beta * market[:, None]


def future_volatility(closes: Array, horizon: int) -> Array:
    """Root mean square of the h log returns that follow, per bar; from C[t] to C[t + h]."""
    squared = np.full_like(closes, np.nan)
    squared[1:] = np.diff(np.log(closes), axis=0) ** 2
    result = np.full_like(closes, np.nan)
    if len(closes) > horizon:
        following = np.lib.stride_tricks.sliding_window_view(squared[1:], horizon, axis=0)
        # A halted market has no volatility to forecast: a ratio of 0 has no logarithm.
        result[: len(following)] = np.sqrt(following.mean(axis=-1))
    known: Array = np.where(result > 0, result, np.nan)
    return known


def adverse_excursion(opens: Array, lows: Array, horizon: int, unit: Array) -> Array:
    """1.0 where the lowest low of rows t + 1 .. t + h is more than 2 units below O[t + 1]."""
    result = np.full_like(opens, np.nan)
    if len(opens) > horizon:
        lowest = np.lib.stride_tricks.sliding_window_view(lows[1:], horizon, axis=0).min(axis=-1)
        fall = np.log(lowest / opens[1:][: len(lowest)])
        known = np.isfinite(fall) & np.isfinite(unit[: len(lowest)])
        hit = (fall < -ADVERSE * unit[: len(lowest)]).astype(float)
        result[: len(lowest)] = np.where(known, hit, np.nan)
    return result


def _row_mean(values: Array) -> Array:
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
