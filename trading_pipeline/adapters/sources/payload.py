"""What venues send, read with suspicion: JSON may hold anything where a number is promised."""

import math
from reprlib import Repr

_SHOWN = 200  # characters of what came, in an error
_BRIEF = Repr()
_BRIEF.maxlevel, _BRIEF.maxdict, _BRIEF.maxstring = 4, 12, 80


def number(value: object) -> float:
    """A JSON number, or a text of one, as many venues write prices; NaN for anything else.

    The check of bars then says which bar it was, and under which rule it is impossible.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value) if "_" not in str(value) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def excerpt(value: object) -> str:
    """What came, on one line and short enough for an error."""
    return " ".join(_BRIEF.repr(value).split())[:_SHOWN]
