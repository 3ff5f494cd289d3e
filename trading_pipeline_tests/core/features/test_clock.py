"""Calendar features read the market's own clock."""

import numpy as np
import pandas as pd
import pytest

from trading_pipeline.core.features.clock import Clock, day_of_month, day_of_week, time_of_day


def clock(calendar, *stamps):
    return Clock(pd.DatetimeIndex(stamps, tz="UTC"), calendar)


def test_new_york_opens_at_half_past_nine_in_summer_and_winter():
    summer_and_winter = clock("XNYS", "2021-07-01 13:30", "2021-12-01 14:30")
    np.testing.assert_allclose(time_of_day(summer_and_winter), 9.5 / 24)


def test_a_daily_bar_keeps_its_session_date():
    """2021-11-01 00:00 UTC is still October in New York, but the session is Monday's."""
    monday = clock("XNYS", "2021-11-01")
    assert time_of_day(monday) == 0
    assert day_of_week(monday) == 0
    assert day_of_month(monday) == 0


def test_tokyo_opens_at_midnight_utc_and_not_on_a_date():
    """09:00 there is 00:00 UTC: an instant, since the bars beside it are at other hours."""
    hours = clock("XTKS", "2021-07-01 00:00", "2021-07-01 01:00")
    np.testing.assert_allclose(time_of_day(hours), [9 / 24, 10 / 24])


@pytest.mark.parametrize("calendar", ["24/7", None])
def test_crypto_and_the_unknown_read_utc(calendar):
    sunday = clock(calendar, "2021-02-28 18:00")
    assert time_of_day(sunday) == 0.75
    np.testing.assert_allclose(day_of_week(sunday), 6 / 7)
    np.testing.assert_allclose(day_of_month(sunday), 27 / 28)


def test_an_unknown_calendar_is_refused():
    with pytest.raises(ValueError, match=r"calendar must be one of .* was 'XLOM'"):
        clock("XLOM", "2021-02-28")
