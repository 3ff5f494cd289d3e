"""What came before, row by row: arrays (T, N) that look back, and never ahead.

Letters: T rows of the market's clock, N symbols.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

VOLATILITY_WINDOW = 63  # bars of returns that σ is made of, wherever there is one


def hold_over_gaps(values: Array, starts: Mask | None = None) -> Array:
    """(T, N) with every NaN replaced by the last number above it, if there is one.

    `starts`: (T, N), rows at which a history restarts; nothing is held over them.
    """
    filled = ~np.isnan(values) if starts is None else ~np.isnan(values) | starts
    last = np.maximum.accumulate(np.where(filled, np.arange(len(values))[:, None], 0), axis=0)
    return np.take_along_axis(values, last, axis=0) if len(values) else values


def previous(values: Array) -> Array:
    """(T, N): the last number above each row; NaN where there is none."""
    return shifted(hold_over_gaps(values), 1)


def shifted(values: Array, rows: int) -> Array:
    """(T, N) moved down; NaN in the first rows."""
    moved = np.full(values.shape, np.nan)
    moved[rows:] = values[: max(0, len(values) - rows)]
    return moved


def trailing_sum(values: NDArray[Any], rows: int) -> NDArray[Any]:
    """(T, ...): sum of the last `rows` rows, fewer at the start; flags are counted.

    A sum of floats is made of its own rows alone, to the last bit, whatever came before them: by
    doubling, of 1, 2, 4 ... rows, each of two neighbours half as long.
    """
    if values.dtype.kind != "f":
        total = np.cumsum(values, axis=0)
        total[rows:] -= total[:-rows].copy()
        return total
    part = np.concatenate([np.zeros((rows - 1, *values.shape[1:])), values])
    sums, span, done = np.zeros(values.shape), 1, 0
    while done < rows:  # part[i]: the sum of the `span` rows from i on
        if rows & span:
            sums, done = sums + part[done : done + len(sums)], done + span
        if done < rows:
            part, span = part[:-span] + part[span:], 2 * span
    return sums


def trailing_mean(values: Array, rows: int) -> Array:
    """(T, N): mean of the numbers among the last `rows` rows; NaN where there are none."""
    known = np.isfinite(values)
    total = trailing_sum(np.where(known, values, 0.0), rows)
    count = trailing_sum(known, rows)
    mean: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def trailing_extreme(values: Array, rows: int, of: Callable[[Array, Array], Array]) -> Array:
    """(T, N): minimum or maximum (`np.fmin`, `np.fmax`) of the last `rows` rows, NaN left out."""
    result, covered = values, 1
    while covered < rows:
        step = min(covered, rows - covered)
        result, covered = of(result, shifted(result, step)), covered + step
    return result


def recent(flags: Mask, rows: int) -> Mask:
    """(T, N) bool: true at one of the last `rows` rows, the present one included."""
    lately: Mask = trailing_sum(flags, rows) > 0
    return lately


def days_of(stamps: pd.DatetimeIndex) -> Array:
    """(T,) days since 1970, with fractions."""
    days: Array = stamps.as_unit("us").asi8 / 86_400e6
    return days


class Tail:
    """The newest rows of what grows, `most` of them at least while there are so many."""

    def __init__(self, most: int, rows: NDArray[Any]) -> None:
        """`rows`: (K, ...), those so far."""
        kept = rows[max(0, len(rows) - most) :]
        self._rows = np.empty((2 * most, *rows.shape[1:]), rows.dtype)
        self._rows[: len(kept)] = kept
        self.most, self._end = most, len(kept)

    def append(self, row: Any) -> None:
        """One more, and the oldest goes where there are too many."""
        if self._end == len(self._rows):
            self._rows[: self.most] = self._rows[self.most :]
            self._end = self.most
        self._rows[self._end] = row
        self._end += 1

    @property
    def rows(self) -> NDArray[Any]:
        """(K, ...), K <= `most`, the newest last: a view, until the next one comes."""
        return self._rows[max(0, self._end - self.most) : self._end]
