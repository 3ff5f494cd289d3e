"""The code location of a week: the product's definitions, by the clock that a test moves."""

from datetime import timedelta

import dagster as dg

from trading_pipeline_tests.week.moving_clock import MovingClock, install

_CLOCK = MovingClock.of_environment()
install(_CLOCK)

from trading_pipeline.steps import guard  # noqa: E402

# Time leaps: a session is asked for a sign of life as often as it is in a week at its usual pace.
guard.TTL = timedelta(hours=2)

from trading_pipeline.definitions import build  # noqa: E402  # whose watchdog reads TTL
from trading_pipeline.settings import Settings  # noqa: E402


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return build(Settings.read(), clock=_CLOCK.given)
