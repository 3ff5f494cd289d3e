"""The timing oracle: two signals that know the future, and what they must earn.

Knowing the next open at a close must be worth nothing, for the order is filled at that open.
Knowing the open after it must be worth a fortune. A simulation or a table of targets that is off
by one bar shows at once.
"""

from typing import NamedTuple

import numpy as np

from trading_pipeline.core.market.panel import Panel


class TimingOracle(NamedTuple):
    """Gross Sharpe ratios a year of books that are equal-weighted by the sign of a signal."""

    night_right: float  # sign(O[t+1] / C[t]), held from O[t+1] to O[t+2]: nothing
    night_at_close: float  # the same, wrongly filled at C[t] and held to C[t+1]
    day_right: float  # sign(O[t+2] / O[t+1]), held from O[t+1] to O[t+2]: a fortune
    day_late: float  # the same, filled one bar late: nothing


def timing_oracle(panel: Panel, bars_per_year: int = 252) -> TimingOracle:
    """Both signals, filled right and filled wrong, on adjusted prices and without costs."""
    night, day = timing_signals(panel)
    open_, close = panel.adjusted_open, panel.adjusted_close
    overnight_on = _ahead(close, 1) / close - 1
    from_next_open = _ahead(open_, 2) / _ahead(open_, 1) - 1
    one_bar_late = _ahead(open_, 3) / _ahead(open_, 2) - 1
    pairs = (
        (night, from_next_open),
        (night, overnight_on),
        (day, from_next_open),
        (day, one_bar_late),
    )
    return TimingOracle(*(_sharpe(signal, earned, bars_per_year) for signal, earned in pairs))


def timing_signals(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """(T, N) signs in {-1, 0, 1} of O[t+1] / C[t] and of O[t+2] / O[t+1]; NaN where unknown."""
    open_, close = panel.adjusted_open, panel.adjusted_close
    night = np.sign(_ahead(open_, 1) / close - 1)
    return night, np.sign(_ahead(open_, 2) / _ahead(open_, 1) - 1)


def _ahead(values: np.ndarray, bars: int) -> np.ndarray:
    """(T, N) the value `bars` rows later; NaN at the end."""
    later = np.full(values.shape, np.nan)
    later[:-bars] = values[bars:]
    return later


def _sharpe(signal: np.ndarray, earned: np.ndarray, bars_per_year: int) -> float:
    """Sharpe ratio of the mean over symbols present of sign × return."""
    product = signal * earned
    present = ~np.isnan(product)
    held = present.any(axis=1)
    book = np.nansum(product[held], axis=1) / present[held].sum(axis=1)
    return float(book.mean() / book.std(ddof=1) * np.sqrt(bars_per_year))
