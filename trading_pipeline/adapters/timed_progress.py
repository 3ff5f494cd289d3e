"""Progress in a log: how far long work is, and about how long it still takes."""

import time
from collections.abc import Callable

from trading_pipeline.core.progress import Advance, Progress

_QUIET = 3.0  # seconds after a line


def duration(seconds: float) -> str:
    """A span in the unit that suits it: '40 s', '12 min', '3.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class TimedProgress(Progress):
    """Writes what is asked for first, and then a line at every tenth, with the time that is left.

    That is the time so far, for each part of the work, times the parts that are to come; of work
    that goes on, such as a paper session, whose end is always one part ahead, nothing is said.
    Within three seconds of a line there is no other, but the last.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock  # seconds

    def start(self, label: str, log: Callable[[str], None]) -> Advance:
        """See `Progress.start`."""
        reported, known, began = 0, 0, self.clock()
        said = began  # at the last line

        def advance(done: int, total: int, note: str = "") -> None:
            """A line where another tenth is done."""
            nonlocal reported, known, said
            lasts, known = total != known, total
            if not done and note:
                log(f"{label}: {note}")
            tenth = 10 * done // max(total, 1)
            now = self.clock()
            if tenth <= reported or (done < total and now - said < _QUIET):
                return
            reported, said = tenth, now
            left = (now - began) * (total - done) / max(done, 1)
            more = f", {duration(left)} left" if total > done and not lasts else ""
            log(f"{label}: {done} of {total} {note}".rstrip() + more)

        return advance
