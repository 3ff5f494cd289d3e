"""Markets whose truth is known: skill that was planted, histories with nothing to find, and scores.

Nothing here looks at a clock or at global random state: a seed gives the same market everywhere.
Letters: T bars, N symbols.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from trading_pipeline.core.market.panel import Panel

HORIZON = 21  # bars that a score looks ahead, and after which half of it is gone
MARKET_SIGMA = 0.01  # a bar
MARKET_SHARPE = 0.5  # a year
DAYS_PER_YEAR = 252
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


def autoregression(
    rng: np.random.Generator, bars: int, symbols: int, half_life: float
) -> np.ndarray:
    """(T, N) stationary AR(1) of variance 1."""
    persistence = 2 ** (-1 / half_life)
    shocks = rng.normal(size=(bars, symbols))
    shocks[1:] *= np.sqrt(1 - persistence**2)
    path: np.ndarray = lfilter([1.0], [1.0, -persistence], shocks, axis=0)
    return path


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
    return _panel(
        pd.bdate_range("2008-01-01", periods=len(close), tz="UTC").as_unit("us"),
        tuple(f"S{n:03d}" for n in range(close.shape[1])),
        open=open_,
        high=np.maximum(open_, close) * wicks[0],
        low=np.minimum(open_, close) / wicks[1],
        close=close,
        volume=np.full(close.shape, 1e7),
    )


def surrogate(panel: Panel, seed: int, block: int) -> Panel:
    """A history that keeps how symbols move together, and has nothing to find.

    Blocks of whole dates are resampled with replacement from those dates at which every symbol has
    a bar, the one before, and no break; with symbols listed late those are the dates after the
    last listing. Before that every symbol gets the same mean log return: theirs on average. The
    rest of a bar keeps its ratio to the close, and its traded value.

    Raises:
        ValueError: fewer than 252 such dates.
    """
    close = np.log(panel.adjusted_close)
    moves = np.diff(close, axis=0, prepend=np.nan)
    dates = np.flatnonzero(np.isfinite(moves).all(axis=1) & ~panel.discontinuities.any(axis=1))
    if len(dates) < DAYS_PER_YEAR:
        raise ValueError(f"{len(dates)} dates have all symbols; 252 are needed to resample")
    moves = moves[dates] - moves[dates].mean(axis=0) + moves[dates].mean()
    T = len(panel.timestamps)
    starts = np.random.default_rng(seed).integers(len(dates), size=-(-T // block))
    drawn = ((starts[:, None] + np.arange(block)) % len(dates)).ravel()[:T]
    path = 100 * np.exp(np.cumsum(moves[drawn], axis=0))
    old = panel.adjusted_close[dates][drawn]
    prices = {
        name: path * getattr(panel, f"adjusted_{name}")[dates][drawn] / old
        for name in ("open", "high", "low")
    }
    volume = panel.adjusted_volume[dates][drawn] * old / path
    return _panel(panel.timestamps, panel.symbols, **prices, close=path, volume=volume)


def _panel(timestamps: pd.DatetimeIndex, symbols: tuple[str, ...], **bars: np.ndarray) -> Panel:
    """Bars without corporate actions."""
    ones = np.ones_like(bars["close"])
    return Panel(
        timestamps=timestamps,
        symbols=symbols,
        **bars,
        split=ones,
        dividend=0 * ones,
        factor=ones,
        total_return_units=True,
    )
