"""Markets whose truth is known: skill that was planted, none at all, and scores of known worth.

Nothing here looks at a clock or at global random state: a seed gives the same market everywhere.
Letters: T bars, N symbols.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.synthetic import (
    DAYS_PER_YEAR,
    MARKET_SHARPE,
    MARKET_SIGMA,
    autoregression,
    panel_without_actions,
)

HORIZON = 21  # bars that a score looks ahead, and after which half of it is gone
FREEDOM = 5  # of Student's t, as daily returns have
LEVEL = 0.06  # the market's expected return in σ√h, a part of every score; no book should mind it


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted:
    """A market, and what nobody in it could know."""

    panel: Panel
    score: np.ndarray  # (T, N) calibrated: expected residual return in σ√h, and LEVEL
    signal: np.ndarray  # (T, N) variance 1: what drives the residual returns
    residual: np.ndarray  # (T, N) log return of a bar beyond β × market
    beta: np.ndarray  # (N,)
    sigma: np.ndarray  # (N,) of a residual return, a bar


def planted(
    ic: float, seed: int, *, symbols: int = 100, bars: int = 7 * DAYS_PER_YEAR, noisy: bool = False
) -> Planted:
    """A market whose residual returns follow a signal that lasts.

    A return is β × market + σ × (noise + k × signal of the bar before). The signal is an AR(1) with
    a half-life of 21 bars, and k such that its correlation with the sum of the next 21 residual
    returns is `ic`. Opens are the closes before, so whoever decides at a close gets its price.
    Riskier symbols carry more of the market, as they do.

    Args:
        noisy: the score sees the signal through white noise of the same variance.
    """
    rng = np.random.default_rng(seed)
    risky, own = rng.uniform(size=(2, symbols))
    beta = 0.6 + 0.8 * (risky + own) / 2
    beta /= beta.mean()
    sigma = 0.01 + 0.02 * risky
    market = rng.normal(MARKET_SHARPE / np.sqrt(DAYS_PER_YEAR), 1.0, bars) * MARKET_SIGMA
    signal = autoregression(rng, bars, symbols, HORIZON)
    noise = rng.standard_t(FREEDOM, (bars, symbols)) / np.sqrt(FREEDOM / (FREEDOM - 2))
    noise[1:] += ic / _reach(HORIZON) * signal[:-1]
    residual = sigma * noise
    seen = (signal + rng.normal(size=signal.shape)) / 2 if noisy else signal
    returns = beta * market[:, None] + residual
    return Planted(
        panel=panel_of_returns(returns, rng),
        score=ic * seen + LEVEL,
        signal=signal,
        residual=residual,
        beta=beta,
        sigma=sigma,
    )


def _reach(horizon: int) -> float:
    """Correlation of the signal with the next `horizon` returns, in those with the next one."""
    persistence = 2 ** (-1 / HORIZON)
    reach: float = (1 - persistence**horizon) / (1 - persistence) / np.sqrt(horizon)
    return reach


def persistent_scores(
    seed: int, bars: int, symbols: int, half_life: float, spread: float = 0.03
) -> np.ndarray:
    """(T, N) scores that know nothing and last as real ones do, demeaned at each date.

    Args:
        spread: their standard deviation, in σ√h; that of calibrated scores is their information
            coefficient.
    """
    scores = autoregression(np.random.default_rng(seed), bars, symbols, half_life)
    centred: np.ndarray = spread * (scores - scores.mean(axis=1, keepdims=True))
    return centred


def turbulent(seed: int, symbols: int, bars: int, scale: float = 1.0) -> Panel:
    """A market without skill whose volatility comes in clusters, as real ones do.

    Args:
        scale: × the volatility of shares; coins have about three times theirs.
    """
    rng = np.random.default_rng(seed)
    weather = np.exp(0.4 * autoregression(rng, bars, 1, 3 * HORIZON) - 0.08)
    market = rng.normal(MARKET_SHARPE / np.sqrt(DAYS_PER_YEAR), 1.0, (bars, 1)) * MARKET_SIGMA
    own = rng.standard_t(FREEDOM, (bars, symbols)) * rng.uniform(0.008, 0.023, symbols)
    returns = scale * weather * (rng.uniform(0.6, 1.4, symbols) * market + own)
    return panel_of_returns(returns, rng)


def panel_of_returns(returns: np.ndarray, rng: np.random.Generator) -> Panel:
    """Bars (T, N) of log returns, with wicks of a random walk; opens are the closes before."""
    close = 100 * np.exp(np.cumsum(returns, axis=0))
    open_ = np.vstack([close[:1], close[:-1]])
    wicks = np.exp(np.abs(rng.normal(size=(2, *close.shape))) * 0.5 * returns.std(axis=0))
    return panel_without_actions(
        pd.bdate_range("2008-01-01", periods=len(close), tz="UTC").as_unit("us"),
        tuple(f"S{n:03d}" for n in range(close.shape[1])),
        open=open_,
        high=np.maximum(open_, close) * wicks[0],
        low=np.minimum(open_, close) / wicks[1],
        close=close,
        volume=np.full(close.shape, 1e7),
    )
