"""docs/licences.md: the licence of every package that an installation brings.

`make docs` writes it anew: `python -m trading_pipeline_tests.licences > docs/licences.md`.
"""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "trading-pipeline"
EXTRAS = "docker", "kubernetes", "onnx", "ray", "s3"  # what users install; not `dev`
# Whatever is done with such a package, also in a product that is sold, is allowed.
PERMISSIVE = re.compile(r"\b(MIT|BSD|0BSD|Apache|PSF|Python Software|ISC|NCSA|Zlib|CC0|CNRI)\b")
# Those whose metadata say nothing, or that ask for more, and why they may be used.
NAMED = {
    "TA-Lib": ("BSD-2-Clause", "says its repository; the C library inside is BSD-3-Clause"),
    "psycopg2-binary": ("LGPL", "asks to publish changes of itself, and we change nothing"),
    "certifi": ("MPL-2.0", "asks to publish changes of its own files, and we change nothing"),
    "orjson": ("MPL-2.0", "as certifi"),
    "tqdm": ("MPL-2.0", "as certifi"),
}


def packages() -> dict[str, str]:
    """Name to licence, as the packages' metadata say, of all that is installed with ours."""
    names = sorted(_needed())
    told = subprocess.run(
        [Path(sys.executable).with_name("pip-licenses"), "--format=json", "--from=mixed",
         "--packages", *names],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {row["Name"]: row["License"] for row in json.loads(told.stdout)}
    return {name: NAMED.get(name, (said, ""))[0] for name, said in found.items() if name != OURS}


def _needed() -> set[str]:
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [(OURS, frozenset(EXTRAS))]
    while left:
        name, extras = each = left.pop()
        if each in seen:
            continue
        try:
            requires = distribution(name).requires or ()
        except PackageNotFoundError:  # an extra that this machine does without
            continue
        seen.add(each)
        for needed in map(Requirement, requires):
            wanted = ({"extra": extra} for extra in (*extras, ""))
            if needed.marker is None or any(map(needed.marker.evaluate, wanted)):
                left.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return {name for name, _ in seen}


def page() -> str:
    """The Markdown."""
    rows = sorted(packages().items(), key=lambda row: row[0].lower())
    reasons = {name: why for name, (_, why) in NAMED.items()}
    lines = [
        "# Licences of what is installed",
        "",
        "This program is MIT. It is installed with these packages, and none is a part of it;",
        "all may be used in what is sold. Development brings more, which users do not get.",
        "",
        "| package | licence | why it may be used |",
        "|---|---|---|",
        *(f"| {name} | {said} | {reasons.get(name, 'permissive')} |" for name, said in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
