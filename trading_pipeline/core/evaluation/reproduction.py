"""Does a report that was made again say the same? Figure by figure.

On the same kind of processor, with the same packages, every figure is equal bit for bit. On another
one sums are added in another order: a training turns last bits into weights that differ a little,
so its figures are held to stated tolerances.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What says where a report comes from, and not what it found.
_NOT_FIGURES = ("lineage", "code_version")
_NUMBERS = re.compile(r"[-+]?\d[\d,.]*")


class Tolerance(NamedTuple):
    """How far a figure may be from the one that it repeats: the wider of the two."""

    absolute: float
    relative: float

    def allows(self, was: float, now: float) -> bool:
        return abs(now - was) <= max(self.absolute, self.relative * abs(was))


EXACT = Tolerance(0.0, 0.0)


class Difference(NamedTuple):
    """A figure that is not repeated."""

    key: str  # dotted, as `trace` takes it
    was: Any
    now: Any


def figures_of(summary: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a summary by its dotted key: numbers, texts, truths, None."""
    if isinstance(summary, Mapping | list) and summary:
        pairs = summary.items() if isinstance(summary, Mapping) else enumerate(summary)
        for name, each in pairs:
            yield from figures_of(each, f"{key}.{name}" if key else str(name))
    else:
        yield key, summary


def differences(
    was: Mapping[str, Any], now: Mapping[str, Any], tolerance: Tolerance = EXACT
) -> tuple[int, list[Difference]]:
    """How many figures a report has, and which of them another one does not repeat.

    Args:
        was, now: contents of report.json.
        tolerance: of numbers; where it is not `EXACT`, numbers within texts may be any.
    """
    before, after = _figures(was), _figures(now)
    keys = dict.fromkeys([*before, *after])
    missing = object()
    differing = [
        Difference(key, before.get(key, "(none)"), after.get(key, "(none)"))
        for key in keys
        if not _same(before.get(key, missing), after.get(key, missing), tolerance)
    ]
    return len(keys), differing


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: each for name, each in summary.items() if name not in _NOT_FIGURES}
    return dict(figures_of(kept))


def _same(was: Any, now: Any, tolerance: Tolerance) -> bool:
    if isinstance(was, float | int) and isinstance(now, float | int):
        both = type(was) is bool or type(now) is bool
        return was is now if both else tolerance.allows(was, now)
    if tolerance != EXACT and isinstance(was, str) and isinstance(now, str):
        return _NUMBERS.sub("#", was) == _NUMBERS.sub("#", now)
    return type(was) is type(now) and bool(was == now)
