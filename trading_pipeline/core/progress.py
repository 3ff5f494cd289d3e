"""Progress: who watches long work."""

from collections.abc import Callable

Advance = Callable[[int, int, str], None]  # (done, total, note)


class Progress:
    """Who watches long work; this one does not look."""

    def start(self, label: str, log: Callable[[str], None]) -> Advance:
        """Called once for each piece of work; returns what to call with (done, total, note)."""
        return lambda done, total, note: None
