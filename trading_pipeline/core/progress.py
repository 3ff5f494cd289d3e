"""Progress: who watches long work."""

from collections.abc import Callable

Advance = Callable[[int, int, str], None]  # (done, total, note)


class Progress:
    """Who watches long work. This one writes a log line at every tenth of it."""

    def start(self, label: str, log: Callable[[str], None]) -> Advance:
        """Called once for each piece of work; returns what to call with (done, total, note)."""
        reported = 0

        def advance(done: int, total: int, note: str = "") -> None:
            nonlocal reported
            if (tenth := 10 * done // max(total, 1)) > reported:
                reported = tenth
                log(f"{label}: {done} of {total} {note}".rstrip())

        return advance
