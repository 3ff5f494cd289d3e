"""Fractional Kelly: how much of the tilt the evidence of past predictions allows.

The evidence is what a book of the same predictions earned beyond its benchmark, both at the costs
of the turnover that they had. Full Kelly is the mean over the variance of that, the multiple of the
tilt which makes an account grow fastest (Kelly, 1956; Thorp, The Kelly Criterion, 2006); a fraction
of it, because both numbers are estimates. A rising market is no evidence.
"""

from dataclasses import replace
from math import inf
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.engine.dtypes import (
    Decision,
    Trace,
    new_account,
    new_positions,
    periods_of,
)
from trading_pipeline.core.trading.engine.evidence import Shadow, run_shadow
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.inputs import Inputs, Prepared, known_grids
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.terms import Terms

MINIMUM_DAYS = 250  # of active returns
MINIMUM_SYMBOLS = 20  # eligible ones; fewer show no skill at choosing


class KellyEvidence(NamedTuple):
    """What was known at each close; all (T,)."""

    share: np.ndarray  # of the tilt, [0, 1]; NaN: too little evidence, the starting cap holds
    full_kelly: np.ndarray  # multiple of the tilt, after shrinking; NaN without evidence
    active: np.ndarray  # return of the bar beyond the benchmark's, after costs; NaN: none
    days: np.ndarray  # int, days of active returns so far

    def share_under(self, profile: Profile) -> np.ndarray:
        """(T,) share of the tilt by the same evidence and another fraction of Kelly, or floor."""
        allowed = np.clip(profile.kelly_fraction * self.full_kelly, profile.kelly_floor, 1.0)
        return np.where(np.isnan(self.share), np.nan, allowed)


def kelly_evidence(panel: Panel, prepared: Prepared, inputs: Inputs, terms: Terms) -> KellyEvidence:
    """The share of the tilt that the profile's fraction of Kelly allows at each close.

    From the first scored row on, a fully invested book follows the tilt at the whole tracking error
    and another the benchmark alone; each trades when the account's own rule says that it is worth
    its cost. The mean of what the first earned beyond the second is shrunk by its standard error.

    Args:
        inputs: scores, and all that they are traded by; `kelly` plays no part.
        terms: with a profile; their capital plays no part.

    Returns:
        Shares between `kelly_floor`, which also holds where the evidence is bad, and 1; NaN before
        250 days, or where fewer than 20 symbols are eligible. What is known at a row does not
        change when later rows are cut off.

    Raises:
        ValueError: there are no scores, or no profile.
    """
    if terms.profile is None or inputs.score is None:
        raise ValueError("evidence is that of scores under a profile: give both")
    profile, T = terms.profile, len(panel.timestamps)
    scored = np.flatnonzero(np.isfinite(inputs.score).any(axis=1))
    start = int(scored[0]) if len(scored) else T
    active = np.full(T, np.nan)
    active[start + 1 :] = _earned(panel, prepared, inputs, terms, start)[start + 1 :]
    if terms.mandate != "neutral":
        alone = replace(inputs, score=np.full(panel.close.shape, np.nan))
        active[start + 1 :] -= _earned(panel, prepared, alone, terms, start)[start + 1 :]
    full = np.full(T, np.nan)
    full[start + 1 :] = _shrunk_kelly(active[start + 1 :], terms.horizon)
    day = periods_of(panel.timestamps)[:, 0]
    days = np.zeros(T, dtype=int)
    days[start + 1 :] = np.cumsum(np.diff(day[start:]) > 0)
    able = prepared.traded if inputs.eligible is None else inputs.eligible
    enough = (days >= MINIMUM_DAYS) & (able.sum(axis=1) >= MINIMUM_SYMBOLS) & np.isfinite(full)
    share = np.clip(profile.kelly_fraction * full, profile.kelly_floor, 1.0)
    return KellyEvidence(np.where(enough, share, np.nan), full, active, days)


def shares_in_force(evidence: KellyEvidence, profile: Profile) -> np.ndarray:
    """(T,) which share holds at each close: 'starting', 'floor', 'evidence' or 'whole'."""
    known = np.where(evidence.share <= profile.kelly_floor, "floor", "evidence")
    known = np.where(evidence.share >= 1, "whole", known)
    return np.where(np.isnan(evidence.share), "starting", known)


def _earned(
    panel: Panel, prepared: Prepared, inputs: Inputs, terms: Terms, start: int
) -> np.ndarray:
    """(T,) returns after costs of a fully invested book that follows the scores from a row on."""
    N, profile = len(panel.symbols), terms.profile
    if profile is not None and terms.mandate != "neutral":
        whole = replace(
            profile, volatility_target=inf, gross_cap=1.0, net_cap=1.0, drawdown_limit=inf
        )
        terms = replace(terms, profile=whole, costs=replace(terms.costs, leverage=1.0))
    shadow = Shadow(
        new_account(1.0), new_positions(N), Decision.zeros(N), np.zeros(N), Trace.columns(0)
    )
    earned = np.zeros(len(panel.timestamps))
    run_shadow(
        parameters_of(terms, scored=True),
        shadow,
        prepared.prices,
        known_grids(panel, prepared, inputs),
        (start, len(earned)),
        earned,
    )
    return earned


def _shrunk_kelly(returns: np.ndarray, lags: int) -> np.ndarray:
    """(K,) mean over variance of the returns so far, the mean times t² / (1 + t²); >= 0.

    t is the mean over its standard error, which allows for correlation up to `lags` bars apart with
    the weights of Newey and West (1987), and is never below that of uncorrelated returns.
    """
    K = len(returns)
    count = np.arange(1, K + 1)
    so_far = np.concatenate([[0.0], np.cumsum(returns)])
    mean = so_far[1:] / count
    variance = np.maximum(np.cumsum(returns**2) / count - mean**2, 0.0)
    long_run = variance.copy()
    for lag in range(1, min(lags, K - 1) + 1):
        products = np.zeros(K)
        products[lag:] = np.cumsum(returns[lag:] * returns[:-lag])
        left = np.maximum(count - lag, 0)
        ends = so_far[1:] - so_far[lag] + so_far[left]  # both factors of every product
        covariance = (products - mean * ends + left * mean**2) / count
        long_run += np.where(left > 0, 2 * (1 - lag / (lags + 1)) * covariance, 0.0)
    error = np.maximum(long_run, variance) / count
    gain = np.maximum(mean, 0.0)
    shrunk = np.divide(gain**3, gain**2 + error, out=np.zeros(K), where=gain > 0)
    full: np.ndarray = np.divide(shrunk, variance, out=np.full(K, np.nan), where=variance > 0)
    return full
