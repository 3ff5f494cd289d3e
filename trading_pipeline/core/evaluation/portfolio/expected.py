"""Where an account should be by now, if it does what the backtest did."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_TWO_SIDED = 1.96  # standard deviations that hold 95 % of a normal distribution


class ExpectedBand(NamedTuple):
    """Equity as multiples of the capital, (K,) each; at each instant 95 % lies inside."""

    low: Floats
    middle: Floats
    high: Floats


def expected_band(returns: Floats, bars: Floats) -> ExpectedBand:
    """The range in which an account is expected after so many bars.

    A prediction interval of independent, normal log returns whose mean m and deviation s are those
    of the backtest's T bars: after k bars the log of the equity is k·m ± 1.96·s·sqrt(k + k²/T),
    where k is luck, and k²/T is how little T bars say of the mean. It holds for each instant by
    itself: over a long time most accounts leave it once.

    Args:
        returns: (T,) log returns a bar, of the backtest after costs; T >= 2.
        bars: (K,) lived through since the account was opened, >= 0.

    Raises:
        ValueError: fewer than two returns.
    """
    if len(returns) < 2:
        raise ValueError(f"a band needs at least two returns, was given {len(returns)}")
    middle = bars * returns.mean()
    reach = _TWO_SIDED * returns.std(ddof=1) * np.sqrt(bars + bars**2 / len(returns))
    return ExpectedBand(np.exp(middle - reach), np.exp(middle), np.exp(middle + reach))
