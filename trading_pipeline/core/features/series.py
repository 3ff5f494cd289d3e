"""The bars of one symbol, and the quantities that many indicators share."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from trading_pipeline.core.features.windows import Array, deviation, kernel, log_change, wilder
from trading_pipeline.core.market.trailing import VOLATILITY_WINDOW

# Below this much movement, as a fraction of price, a market has not moved: a real tick is at least
# a thousand times larger, and the rounding of an average of equal prices a million times smaller.
FLAT = 1e-9
ATR_BARS = 14
WILDER_MEMORY = 240  # bars after which Wilder's smoothing of 14 keeps 5e-8 of where it started


class BarSeries(NamedTuple):
    """Adjusted bars of one symbol, oldest first: float64 (T,), any positive units."""

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array


class SymbolSeries:
    """One symbol's bars with what is derived from them once and used often. All float64 (T,)."""

    def __init__(self, bars: BarSeries) -> None:
        self.bars = bars
        self.open, self.high, self.low, self.close, self.volume = bars
        self._known: dict[tuple[Any, ...], Any] = {}

    def once(self, kernel: Callable[..., Any], *arguments: str | float) -> Any:
        """What a kernel makes of this series, computed the first time it is asked for.

        Args:
            kernel: a function of arrays and numbers that does not change its input.
            arguments: its arguments; a text is the name of one of the arrays here.
        """
        key = (kernel, *arguments)
        if key not in self._known:
            given = [getattr(self, each) if isinstance(each, str) else each for each in arguments]
            self._known[key] = kernel(*given)
        return self._known[key]

    @property
    def log_return(self) -> Array:
        """Close to close; the first is NaN."""
        returns: Array = self.once(log_change, "close", 1)
        return returns

    def deviation_of_returns(self, window: int) -> Array:
        """Standard deviation of the last `window` log returns, at least FLAT."""
        spread: Array = self.once(deviation, "log_return", window, 1)
        return np.maximum(spread, FLAT)

    @cached_property
    def sigma(self) -> Array:
        """Standard deviation of the last 63 log returns, at least FLAT; NaN for 63 bars."""
        return self.deviation_of_returns(VOLATILITY_WINDOW)

    @cached_property
    def true_range(self) -> Array:
        """Wilder's true range, in price; the first is NaN."""
        return true_range(self.high, self.low, self.close)

    @cached_property
    def atr(self) -> Array:
        """Average true range of 14 bars, in price, at least FLAT of it."""
        return np.maximum(self.average_range(ATR_BARS, WILDER_MEMORY), FLAT * self.close)

    @cached_property
    def typical(self) -> Array:
        """(high + low + close) / 3, in price."""
        return (self.high + self.low + self.close) / 3.0

    def average_range(self, window: int, memory: int) -> Array:
        """Wilder's average true range over `window` bars, restarted on the last `memory` bars."""
        return wilder(self.true_range, window, memory - 1)


@kernel
def true_range(high: Array, low: Array, close: Array) -> Array:
    """max(high, previous close) - min(low, previous close); the first is NaN.

    Source: Wilder, New Concepts in Technical Trading Systems (1978), ch. 3.
    """
    out = np.full(close.size, np.nan)
    for t in range(1, close.size):
        out[t] = max(high[t], close[t - 1]) - min(low[t], close[t - 1])
    return out


@kernel
def direction(x: Array) -> Array:
    """Sign of x[t] - x[t-1]: -1, 0 or 1; the first is NaN.

    Equal up to rounding is equal: the sum of three prices may differ in its last bit between two
    bars that are the same to the cent, and which way depends on the unit of price.
    """
    out = np.full(x.size, np.nan)
    for t in range(1, x.size):
        away = x[t] - x[t - 1]
        moved = abs(away) > 1e-12 * x[t]
        out[t] = np.sign(away) if moved else 0.0
    return out
