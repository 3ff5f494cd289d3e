"""Made-up markets, in which it is known what there is to find: one planted signal, or nothing.

Letters: T bars, N symbols.
"""

from dataclasses import dataclass
from math import log

import numpy as np
import pandas as pd

from trading_pipeline.core.market.panel import Panel

PERSISTENCE = 0.9  # autocorrelation of the planted signal from one bar to the next
HALF_LIFE = log(0.5) / log(PERSISTENCE)  # bars
DAYS_PER_YEAR = 252
MARKET_SIGMA, MARKET_SHARPE = 0.01, 0.5  # a bar, a year
SECTORS, SECTOR_SIGMA = 5, 0.004
VOLUME_SPREAD = 0.4  # of the logarithm of volume about its level
NIGHT = 0.2  # share of a return's variance between a close and the next open


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticMarket:
    """Bars, and what nobody who only sees them could know."""

    panel: Panel
    signal: np.ndarray  # (T, N) standard normal, known at the close of its row: volume shows it
    ahead: np.ndarray  # (T, N) expected log return of the next bar beyond market and sector

    def score(self, volatility: np.ndarray, horizon: int) -> np.ndarray:
        """(T, N) expected residual return of the next `horizon` bars in units of σ√h.

        Args:
            volatility: σ of a bar, (T, N).
        """
        reach = (1 - PERSISTENCE**horizon) / (1 - PERSISTENCE)
        expected: np.ndarray = self.ahead * reach / (volatility * np.sqrt(horizon))
        return expected


def synthetic_market(
    timestamps: pd.DatetimeIndex, symbols: tuple[str, ...], seed: int, correlation: float = 0.0
) -> SyntheticMarket:
    """Shares that move as real ones do, and whose volume tells of the next bar's return, or not.

    A return is β × market + sector + own. Each of the three is GARCH(1,1) with Student-t
    innovations; those of the market are the estimates of the S&P 500 index 1999-2018 (α 0.10,
    β 0.89, 6.5 degrees of freedom), and its Sharpe ratio is 0.5 a year. β is in [0.6, 1.4]; what is
    a symbol's own has a volatility of 13-32 % a year (α 0.06, β 0.92, 5 degrees of freedom). A
    fifth of a return's variance comes at night. The logarithm of volume is a symbol's level and an
    AR(1) of 0.9: the signal.

    Args:
        correlation: of the signal at a close with the symbol's own return from the next open to
            the close after it, in [0, 1); 0 plants nothing.
    """
    rng, shape = np.random.default_rng(seed), (len(timestamps), len(symbols))
    beta, sigma = rng.uniform(0.6, 1.4, shape[1]), rng.uniform(0.008, 0.02, shape[1])
    signal = autoregression(rng, *shape, HALF_LIFE)
    told = np.vstack([np.zeros((1, shape[1])), correlation * signal[:-1]])
    market, _ = _garch(rng, (shape[0], 1), 0.10, 0.89, 6.5)
    sectors, _ = _garch(rng, (shape[0], SECTORS), 0.10, 0.89, 6.5)
    own, scale = _garch(rng, shape, 0.06, 0.92, 5.0)
    drift = MARKET_SHARPE / np.sqrt(DAYS_PER_YEAR)
    noise = (
        MARKET_SIGMA * beta * (market + drift)
        + SECTOR_SIGMA * sectors[:, np.arange(shape[1]) % SECTORS]
        + sigma * np.sqrt(1 - correlation**2) * own
    )
    level = rng.uniform(13.0, 17.0, shape[1])
    panel = _panel_of_returns(
        noise,
        sigma * scale * told,
        rng,
        timestamps,
        symbols,
        np.exp(level + VOLUME_SPREAD * signal),
    )
    following = np.vstack([scale[1:], scale[-1:]])  # a bar's variance is known at the close before
    return SyntheticMarket(
        panel=panel, signal=signal, ahead=sigma * following * correlation * signal
    )


def autoregression(
    rng: np.random.Generator, bars: int, symbols: int, half_life: float
) -> np.ndarray:
    """(T, N) stationary AR(1) of variance 1, of which half is left after `half_life` bars."""
    from scipy.signal import lfilter  # late: it takes a third of a second to load

    persistence = 2 ** (-1 / half_life)
    shocks = rng.normal(size=(bars, symbols))
    shocks[1:] *= np.sqrt(1 - persistence**2)
    path: np.ndarray = lfilter([1.0], [1.0, -persistence], shocks, axis=0)
    return path


def _garch(
    rng: np.random.Generator, shape: tuple[int, int], alpha: float, beta: float, freedom: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (T, N) of variance 1 in the long run, and the volatility that each was drawn with.

    Source: Bollerslev, A Conditionally Heteroskedastic Time Series Model (1987).
    """
    returns = rng.standard_t(freedom, shape) * np.sqrt((freedom - 2) / freedom)
    volatility = np.ones(shape)
    variance = np.ones(shape[1])
    for t in range(shape[0]):
        volatility[t] = np.sqrt(variance)
        returns[t] *= volatility[t]
        variance = 1 - alpha - beta + alpha * returns[t] ** 2 + beta * variance
    return returns, volatility


def _panel_of_returns(
    noise: np.ndarray,
    by_day: np.ndarray,
    rng: np.random.Generator,
    timestamps: pd.DatetimeIndex,
    symbols: tuple[str, ...],
    volume: np.ndarray,
) -> Panel:
    """Bars (T, N) of log returns: noise by night and by day, and what comes by day alone."""
    bridge, *wicks = rng.normal(size=(3, *noise.shape)) * noise.std(axis=0)
    night = NIGHT * noise + np.sqrt(NIGHT * (1 - NIGHT)) * bridge
    close = 100 * np.exp(np.cumsum(noise + by_day, axis=0))
    open_ = np.vstack([np.full((1, noise.shape[1]), 100.0), close[:-1]]) * np.exp(night)
    return panel_without_actions(
        timestamps,
        symbols,
        open=open_,
        high=np.maximum(open_, close) * np.exp(0.5 * np.abs(wicks[0])),
        low=np.minimum(open_, close) * np.exp(-0.5 * np.abs(wicks[1])),
        close=close,
        volume=volume,
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
    return panel_without_actions(
        panel.timestamps, panel.symbols, **prices, close=path, volume=volume
    )


def panel_without_actions(
    timestamps: pd.DatetimeIndex, symbols: tuple[str, ...], **bars: np.ndarray
) -> Panel:
    """The panel of bars (T, N) without corporate actions."""
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
