"""What time it is at a venue, whatever the clock of this machine says.

With a clock that is ahead an open bar would be stored as closed, and bars that nobody can have yet
would be noted as absent; with one that is behind the newest bars would be missed. So the venue is
asked. It is never taken to be later there than it said: no bar is believed to be over too early.
"""

from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from threading import Lock

import pandas as pd

from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.errors import SourceError

OLD = 60.0  # seconds: what it told is asked again
_YEARS = (2010, 2100)  # a clock that says another one is broken, or in another unit


class VenueClock:
    """The venue's time as it last told it; threads may share it."""

    def __init__(self, venue: str, ask: Callable[[], datetime], clock: Callable[[], float]) -> None:
        """`ask`: the venue's time; `clock`: seconds that pass here, from any beginning."""
        self._venue, self._ask, self._clock, self._lock = venue, ask, clock, Lock()
        self._told: tuple[float, pd.Timestamp] | None = None

    def __call__(self, age: float = OLD) -> pd.Timestamp:
        """UTC, told at most `age` seconds ago.

        Raises:
            SourceError: it cannot be that time; or what `ask` raises.
        """
        with self._lock:
            if self._told is None or self._clock() - self._told[0] >= age:
                told = self._ask()
                if not _YEARS[0] <= told.year < _YEARS[1]:
                    raise SourceError(f"{self._venue} clock: says that it is the year {told.year}")
                self._told = self._clock(), in_utc(told)
            return self._told[1]


def date_of(header: str | None) -> datetime | None:
    """An HTTP date in UTC, to the second, as in the headers Date and Retry-After; None if none."""
    try:
        return in_utc(parsedate_to_datetime(header)).to_pydatetime() if header else None
    except (ValueError, TypeError, OverflowError):
        return None
