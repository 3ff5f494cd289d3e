"""Fractional Kelly: how much of the tilt the evidence of past predictions allows.

The evidence is what a book of the same predictions earned beyond its benchmark, both at the costs
of the turnover that they had. Full Kelly is the mean over the variance of that, the multiple of the
tilt which makes an account grow fastest (Kelly, 1956; Thorp, The Kelly Criterion, 2006); a fraction
of it, because both numbers are estimates. A rising market is no evidence.
"""

from dataclasses import replace
from math import inf, nan
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
from trading_pipeline.core.trading.engine.evidence import Shadow, ShadowBar, run_shadow, shadow_bar
from trading_pipeline.core.trading.engine.loop import Known, Prices
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.inputs import Inputs, Prepared, known_grids
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.terms import Terms

EVIDENCE_DAYS = 250  # of active returns
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
    return RunningEvidence(panel, prepared, inputs, terms).so_far


class RunningEvidence:
    """The evidence of a history, which goes on bar by bar."""

    def __init__(self, panel: Panel, prepared: Prepared, inputs: Inputs, terms: Terms) -> None:
        """At the close of the panel's last row; arguments and errors as of `kelly_evidence`."""
        if terms.profile is None or inputs.score is None:
            raise ValueError("evidence is that of scores under a profile: give both")
        self.profile, self.lags = terms.profile, terms.horizon
        alone = terms.mandate != "neutral"
        if alone:
            whole = replace(
                terms.profile, volatility_target=inf, gross_cap=1.0, net_cap=1.0, drawdown_limit=inf
            )
            terms = replace(terms, profile=whole, costs=replace(terms.costs, leverage=1.0))
        self._rules = parameters_of(terms, scored=True)
        self._books = [_shadow(len(panel.symbols)) for _ in range(1 + alone)]
        known, T = known_grids(panel, prepared, inputs), len(panel.timestamps)
        scored = np.flatnonzero(np.isfinite(inputs.score).any(axis=1))
        start = int(scored[0]) if len(scored) else T
        active, day = np.full(T, np.nan), periods_of(panel.timestamps)[:, 0]
        active[start + 1 :] = self._run(prepared.prices, known, (start, T))[start + 1 :]
        days = np.zeros(T, dtype=int)
        days[start + 1 :] = np.cumsum(np.diff(day[start:]) > 0)
        full = np.full(T, np.nan)
        full[start + 1 :] = _shrunk_kelly(active[start + 1 :], self.lags)
        share = self._share(full, days, known.eligible.sum(axis=1))
        self.so_far = KellyEvidence(share, full, active, days)
        self._begun, self._active = start < T, active[start + 1 :].tolist()
        self._days, self._day = (int(days[-1]), int(day[-1])) if T else (0, 0)

    def step(self, day: int, known: ShadowBar) -> float:
        """The share at the close of the next row, which is of that day; `so_far` stays."""
        if not self._begun and not np.isfinite(known.score).any():
            return nan
        told = known, known._replace(score=np.full(known.score.shape, nan))
        earned = [
            shadow_bar(self._rules, book, *each)
            for book, each in zip(self._books, told, strict=False)
        ]
        if self._begun:
            self._active.append(earned[0] - sum(earned[1:]))
            self._days += day > self._day
        self._begun, self._day = True, day
        able = int(known.eligible.sum())
        if self._days < EVIDENCE_DAYS or able < MINIMUM_SYMBOLS:
            return nan
        full = _shrunk_kelly(np.array(self._active), self.lags)[-1:]
        return float(self._share(full, np.array([self._days]), np.array([able]))[0])

    def _run(self, prices: Prices, known: Known, rows: tuple[int, int]) -> np.ndarray:
        """(T,) what the tilt earned beyond the benchmark in each bar of some rows, else 0."""
        T = len(known.score)
        alone = known._replace(score=np.full(known.score.shape, nan))
        earned = np.zeros((2, T))
        for book, each, out in zip(self._books, (known, alone), earned, strict=False):
            run_shadow(self._rules, book, prices, each, rows, out)
        beyond: np.ndarray = earned[0] - earned[1]
        return beyond

    def _share(self, full: np.ndarray, days: np.ndarray, able: np.ndarray) -> np.ndarray:
        enough = (days >= EVIDENCE_DAYS) & (able >= MINIMUM_SYMBOLS) & np.isfinite(full)
        share = np.clip(self.profile.kelly_fraction * full, self.profile.kelly_floor, 1.0)
        return np.where(enough, share, nan)


def _shadow(symbols: int) -> Shadow:
    return Shadow(
        new_account(1.0),
        new_positions(symbols),
        Decision.zeros(symbols),
        np.zeros(symbols),
        Trace.columns(0),
    )


def shares_in_force(evidence: KellyEvidence, profile: Profile) -> np.ndarray:
    """(T,) which share holds at each close: 'starting', 'floor', 'evidence' or 'whole'."""
    known = np.where(evidence.share <= profile.kelly_floor, "floor", "evidence")
    known = np.where(evidence.share >= 1, "whole", known)
    return np.where(np.isnan(evidence.share), "starting", known)


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
