"""The rows of `docs/robustness.md`: what was tried, what happens, how many cases, which tests."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "robustness.md"
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (\d+) \| (`.+`) \|$", re.M)


def counted(*kinds: str) -> int:
    """The cases that the page says of kinds of things, such as `Venues`."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    named = {part.partition("\n")[0]: ROW.findall(part) for part in parts}
    return sum(int(count) for kind in kinds for _, _, count, _ in named[kind])
