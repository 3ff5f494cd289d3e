"""Calendar features: known in advance, so they cannot look ahead."""

import numpy as np
import pandas as pd

from trading_pipeline.core.features.feature import FRACTION, Family
from trading_pipeline.core.features.windows import Array
from trading_pipeline.core.market.calendar import is_daily
from trading_pipeline.core.market.exchanges import NEVER_CLOSES, zone_of

FAMILY = Family("calendar", lookback=1, scale=FRACTION)


class Clock:
    """Opening instants of bars as the market's own clock shows them.

    Args:
        timestamps: (T,), tz-aware UTC.
        calendar: of `exchanges`, such as "XNYS"; None is UTC.

    Where all bars are stamped 00:00 UTC they are daily: a stamp is a session date, no instant.

    Raises:
        ValueError: there is no such calendar.
    """

    def __init__(self, timestamps: pd.DatetimeIndex, calendar: str | None) -> None:
        zone = zone_of(calendar or NEVER_CLOSES)
        local = timestamps if is_daily(timestamps) else timestamps.tz_convert(zone)
        self.local = local.tz_localize(None)


@FAMILY.feature(
    name="time_of_day",
    formula="time since midnight at the exchange / 24 h",
    source="Heston, Korajczyk and Sadka (2010)",
)
def time_of_day(clock: Clock) -> Array:
    """Fraction of the day that had passed when the bar opened; (T,), in [0, 1)."""
    passed = clock.local - clock.local.normalize()
    return np.asarray(passed / pd.Timedelta(days=1), dtype=np.float64)


@FAMILY.feature(
    name="day_of_week",
    formula="days since Monday / 7",
    source="French (1980)",
)
def day_of_week(clock: Clock) -> Array:
    """Days since Monday / 7; (T,), in [0, 1)."""
    return np.asarray(clock.local.dayofweek, dtype=np.float64) / 7.0


@FAMILY.feature(
    name="day_of_month",
    formula="(day - 1) / days of the month",
    source="Ariel (1987), turn of the month",
)
def day_of_month(clock: Clock) -> Array:
    """Fraction of the month that had passed when the day began; (T,), in [0, 1)."""
    days = np.asarray(clock.local.days_in_month, dtype=np.float64)
    return (np.asarray(clock.local.day, dtype=np.float64) - 1.0) / days
