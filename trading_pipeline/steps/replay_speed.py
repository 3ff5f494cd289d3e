"""How fast a replay goes; a command asks before it loads what trades."""

import re

from trading_pipeline.core.market.exchanges import LENGTHS
from trading_pipeline.errors import TradingError


def seconds_a_bar(speed: str, timeframe: str) -> float:
    """How long a replay takes over a bar: 'max' is no time, 'real' is the bar's own length, and
    '60x' is a sixtieth of it.

    Raises:
        TradingError: it is none of these.
    """
    if speed == "max":
        return 0.0
    times = re.fullmatch(r"(\d+(?:\.\d+)?)x", "1x" if speed == "real" else speed)
    if times is None or not float(times[1]):
        raise TradingError(f"--speed is max, real, or times real time such as 60x, was {speed!r}")
    return LENGTHS[timeframe].total_seconds() / float(times[1])
