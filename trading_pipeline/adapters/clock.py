"""What time it is and how it passes: chosen once, at the edge, and handed on.

Whatever is journalled, waited for or called late goes by it, so that a test lives through a week in
minutes. Only how long a process itself has worked or waited for a lock is measured otherwise.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def utc_now() -> datetime:
    """By this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """This machine's, unless something else is given."""

    now: Callable[[], datetime] = utc_now  # aware
    sleep: Callable[[float], None] = time.sleep  # seconds
    elapsed: Callable[[], float] = time.monotonic  # seconds from any beginning; never goes back


WALL = Clock()
