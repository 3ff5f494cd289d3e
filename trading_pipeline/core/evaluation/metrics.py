"""What a book earned and risked: the metrics of the report, one formula each.

Returns are simple returns of one day, oldest first, as fractions; the last axis is time, so the
same function serves one history (D,) and a thousand resampled ones (R, D). Undefined is NaN and
never infinite: a book without a losing day has no Sortino ratio. Ratios are over a zero rate.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STILL = 1e-12  # a standard deviation below this is rounding, not risk


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, NaN where `bottom` is 0."""
    defined = np.abs(bottom) > _STILL
    return np.asarray(np.where(defined, top / np.where(defined, bottom, 1.0), np.nan))


def annual_return(returns: Floats, days_per_year: float) -> Floats:
    """Compound growth a year, in [-1, inf): (R, D) -> (R,). A ruined account reads -1."""
    with np.errstate(divide="ignore"):  # log of nothing left is -inf, and expm1 of that is -1
        growth = np.log1p(returns).mean(axis=-1)
    return np.asarray(np.expm1(growth * days_per_year))


def annual_volatility(returns: Floats, days_per_year: float) -> Floats:
    """Standard deviation (ddof 1) a year, >= 0: (R, D) -> (R,)."""
    return np.asarray(returns.std(axis=-1, ddof=1) * np.sqrt(days_per_year))


def sharpe(returns: Floats, days_per_year: float) -> Floats:
    """Mean over standard deviation (ddof 1), a year: (R, D) -> (R,). NaN when nothing moved.

    Source: Sharpe, The Sharpe Ratio, Journal of Portfolio Management 21 (1994).
    """
    mean, deviation = returns.mean(axis=-1), returns.std(axis=-1, ddof=1)
    return _ratio(mean * np.sqrt(days_per_year), deviation)


def sortino(returns: Floats, days_per_year: float) -> Floats:
    """Mean over downside deviation, a year: (R, D) -> (R,). NaN when no day lost.

    Downside deviation is the root of the mean over all days of min(return, 0) squared.
    Source: Sortino and Price, Performance Measurement in a Downside Risk Framework (1994).
    """
    downside = np.sqrt(np.square(np.minimum(returns, 0)).mean(axis=-1))
    return _ratio(returns.mean(axis=-1) * np.sqrt(days_per_year), downside)


def max_drawdown(returns: Floats, days_per_year: float = 1.0) -> Floats:
    """Deepest fall from a peak of equity, the start included, in [-1, 0]: (R, D) -> (R,)."""
    with np.errstate(divide="ignore"):
        path = np.log1p(returns).cumsum(axis=-1)
    below = path - np.maximum.accumulate(np.maximum(path, 0), axis=-1)
    return np.asarray(np.expm1(below.min(axis=-1)))


def calmar(returns: Floats, days_per_year: float) -> Floats:
    """Annual return over the depth of the maximum drawdown: (R, D) -> (R,). NaN without one.

    Source: Young, Calmar Ratio: A Smoother Tool, Futures 20 (1991), over the whole history.
    """
    return _ratio(annual_return(returns, days_per_year), -max_drawdown(returns))


def win_rate(profits: Floats) -> float:
    """Share of closed trades that made money, in [0, 1]; NaN when none is closed. (n,) -> float."""
    return float((profits > 0).mean()) if len(profits) else float("nan")


def profit_factor(profits: Floats) -> float:
    """Money won over money lost by closed trades, >= 0; NaN when none lost. (n,) -> float."""
    lost = -profits[profits < 0].sum()
    return float(profits[profits > 0].sum() / lost) if lost > 0 else float("nan")


def turnover(traded: Floats, days_per_year: float) -> Floats:
    """Traded value over equity, a year, >= 0; 2 is all sold and rebought once: (R, D) -> (R,)."""
    return np.asarray(traded.mean(axis=-1) * days_per_year)


def exposure(gross: Floats, days_per_year: float = 1.0) -> Floats:
    """Mean gross exposure as a fraction of equity, >= 0: (R, D) -> (R,)."""
    return np.asarray(gross.mean(axis=-1))


Metric = Callable[[Floats, float], Floats]

OF_RETURNS: dict[str, Metric] = {
    "annual_return": annual_return,
    "annual_volatility": annual_volatility,
    "sharpe": sharpe,
    "sortino": sortino,
    "max_drawdown": max_drawdown,
    "calmar": calmar,
}
OF_TRADES: dict[str, Callable[[Floats], float]] = {
    "win_rate": win_rate,
    "profit_factor": profit_factor,
}

# The order in which every table lists them.
NAMES = (*OF_RETURNS, *OF_TRADES, "turnover", "exposure", "information_coefficient")

# What a metric can be at all; an interval is never wider than that.
RANGE: dict[str, tuple[float, float]] = {
    "annual_return": (-1.0, np.inf),
    "annual_volatility": (0.0, np.inf),
    "max_drawdown": (-1.0, 0.0),
    "win_rate": (0.0, 1.0),
    "profit_factor": (0.0, np.inf),
    "turnover": (0.0, np.inf),
    "exposure": (0.0, np.inf),
    "information_coefficient": (-1.0, 1.0),
}
