"""Which code made a number."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def code_version() -> str:
    """The package's version, and a SHA-256 of its source files: 0.1.0+3f2a9c81d0b4."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{version('trading-pipeline')}+{digest.hexdigest()[:12]}"
