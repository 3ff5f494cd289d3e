"""Fractional Kelly: how much gross weight the evidence of past predictions allows.

The evidence is what a plain portfolio of the same predictions would have earned, of which only
labels that have ended count. Full Kelly is mean / variance of its returns over the horizon, the
gross weight that makes an account grow fastest (Kelly, 1956; Thorp, The Kelly Criterion, 2006); a
fraction of it, because both numbers are estimates.
"""

from typing import NamedTuple

import numpy as np

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.trailing import hold_over_gaps
from trading_pipeline.core.trading.engine.dtypes import periods_of
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.terms import Terms

MINIMUM_DAYS = 250  # of predictions whose labels have ended
MINIMUM_SYMBOLS = 20  # eligible ones; fewer show no skill at choosing


class KellyEvidence(NamedTuple):
    """What was known at each close; all (T,)."""

    cap: np.ndarray  # gross weight; NaN: too little evidence, the starting cap holds
    full_kelly: np.ndarray  # gross weight, may be negative; NaN without evidence
    days: np.ndarray  # int, days of predictions whose labels have ended


def kelly_caps(
    panel: Panel, score: np.ndarray, volatility: np.ndarray, eligible: np.ndarray, terms: Terms
) -> KellyEvidence:
    """The gross weight that the profile's fraction of Kelly allows at each close.

    At every bar with scores stands a portfolio of weights proportional to score / σ with a gross
    weight of 1, held over the horizon from the next open, less a round trip of costs. At row t
    those of rows s with s + 1 + horizon <= t are known.

    Args:
        score: (T, N), NaN where nothing was predicted out of sample. volatility: (T, N) σ per bar.
        eligible: (T, N) bool. terms: with a profile; their capital plays no part.

    Returns:
        Caps between `kelly_floor` of the gross cap, which also holds where the evidence is bad, and
        all of it; NaN before 250 days, or where fewer than 20 symbols are eligible. What is known
        at a row does not change when later rows are cut off.
    """
    profile, costs, horizon = terms.profile, terms.costs, terms.horizon
    if profile is None:
        raise ValueError("the Kelly cap is a part of a profile's: give terms with one")
    shorts = terms.shortable and not profile.long_only
    weights = _unit_weights(score, volatility, eligible, shorts, terms.mandate == "neutral")
    earned = _held_returns(panel, horizon)
    made = (weights * earned).sum(axis=1) - 2 * (costs.fee + costs.slippage)
    counted = (weights != 0).any(axis=1)
    count, total, squares = (
        _ended(np.cumsum(np.where(counted, values, 0.0)), horizon)
        for values in (np.ones(len(made)), made, made**2)
    )
    mean = np.divide(total, count, out=np.full(len(made), np.nan), where=count > 1)
    variance = np.divide(squares - count * mean**2, count - 1, out=mean.copy(), where=count > 1)
    full = np.divide(mean, variance, out=np.full(len(made), np.nan), where=variance > 0)
    days = _ended(_days_so_far(panel, counted), horizon).astype(int)
    enough = (days >= MINIMUM_DAYS) & (eligible.sum(axis=1) >= MINIMUM_SYMBOLS)
    floor = profile.kelly_floor * profile.gross_cap
    cap = np.clip(profile.kelly_fraction * full, floor, profile.gross_cap)
    return KellyEvidence(np.where(enough, cap, np.nan), full, days)


def caps_in_force(evidence: KellyEvidence, profile: Profile) -> np.ndarray:
    """(T,) which cap holds at each close: 'starting', 'floor', 'evidence' or 'gross'."""
    floor = profile.kelly_floor * profile.gross_cap
    known = np.where(evidence.cap <= floor, "floor", "evidence")
    known = np.where(evidence.cap >= profile.gross_cap, "gross", known)
    return np.where(np.isnan(evidence.cap), "starting", known)


def _held_returns(panel: Panel, horizon: int) -> np.ndarray:
    """(T, N) adjusted return from the next open to the open `horizon` bars after it.

    The last known close stands in for an open that is missing, and nothing is earned over a break;
    the last rows, whose label has not ended, are 0.
    """
    closes = hold_over_gaps(panel.adjusted_close)
    before = np.vstack([np.full((1, closes.shape[1]), np.nan), closes[:-1]])
    price = np.where(np.isnan(panel.adjusted_open), before, panel.adjusted_open)
    broken = np.cumsum(panel.discontinuities, axis=0)
    earned = np.zeros(price.shape)
    rows = len(price) - 1 - horizon
    if rows > 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            earned[:rows] = price[1 + horizon :] / price[1 : rows + 1] - 1
        earned[:rows][broken[1 + horizon :] != broken[1 : rows + 1]] = 0.0
    return np.nan_to_num(earned)


def _unit_weights(
    score: np.ndarray, volatility: np.ndarray, eligible: np.ndarray, shorts: bool, neutral: bool
) -> np.ndarray:
    """(T, N) weights proportional to score / σ, gross 1; 0 where there is nothing to hold."""
    able = eligible & np.isfinite(score) & (volatility > 0)
    target = np.where(able, score, 0.0) / np.where(able, volatility, 1.0)
    if not shorts:
        target = np.maximum(target, 0.0)
    if neutral:
        count = np.maximum((target != 0).sum(axis=1, keepdims=True), 1)
        target = np.where(target != 0, target - target.sum(axis=1, keepdims=True) / count, 0.0)
    gross = np.abs(target).sum(axis=1, keepdims=True)
    weights: np.ndarray = np.divide(target, gross, out=np.zeros_like(target), where=gross > 0)
    return weights


def _days_so_far(panel: Panel, counted: np.ndarray) -> np.ndarray:
    """(T,) how many different days have a row that counts."""
    day = np.where(counted, periods_of(panel.timestamps)[:, 0], -1)
    newest = np.maximum.accumulate(day)
    new = np.diff(newest, prepend=-1) > 0
    return np.asarray(np.cumsum(new), dtype=float)


def _ended(so_far: np.ndarray, horizon: int) -> np.ndarray:
    """(T,) running figures of predictions, moved to the row at which their label has ended."""
    known = np.zeros(len(so_far))
    known[1 + horizon :] = so_far[: max(len(so_far) - 1 - horizon, 0)]
    return known
