"""Named points of a paper session, at which a test can end the process.

Nothing happens at them in production: the hook is set by whoever wants to see a kill survived.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _go_on(point: str) -> None:
    """Nothing."""


hook: Callable[[str], None] = _go_on  # is told the name of each point that is reached


@contextmanager
def around(step: str) -> Iterator[None]:
    """The two points of a step: before it, and after it if it did not fail."""
    hook(f"before {step}")
    yield
    hook(f"after {step}")
