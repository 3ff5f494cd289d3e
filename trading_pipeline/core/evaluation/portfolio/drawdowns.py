"""The deepest falls of an account: when each began, where it ended, and whether it recovered."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.performance import solvent


@dataclass(frozen=True, kw_only=True)
class Fall:
    """One fall from a peak of equity, by the day; dates are ISO, in UTC."""

    start: str  # the day of the peak
    trough: str
    recovery: str | None  # the first day at or above the peak again; None: not yet
    depth: float  # fraction of the peak, in [-1, 0)
    days_to_trough: int  # days with a bar
    days: int  # from the peak to the recovery, or to the last day


def fall_from_peak(equity: Floats) -> Floats:
    """Fall from the highest equity so far, (T,) in [-1, 0]; a ruined account reads -1 for good."""
    held = np.where(solvent(equity), equity, 0.0)
    return np.asarray(held / np.maximum.accumulate(held) - 1)


def deepest_falls(equity: Floats, days: pd.DatetimeIndex, count: int = 5) -> list[Fall]:
    """The deepest falls, deepest first; the earlier of two that are equally deep.

    Args:
        equity: (D,) at the end of each day, the start included; > 0 at first.
        days: (D,).
    """
    depths = fall_from_peak(equity)
    falls = [_fall(depths, days, *span) for span in _spans(depths < 0)]
    return sorted(falls, key=lambda fall: (fall.depth, fall.start))[:count]


def _spans(below: np.ndarray) -> list[tuple[int, int]]:
    """First day below the peak, and the day after the last one, of each fall."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], below.astype(np.int8), [0]])))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _fall(depths: Floats, days: pd.DatetimeIndex, first: int, end: int) -> Fall:
    lowest = first + int(np.argmin(depths[first:end]))
    recovered = end < len(days)
    return Fall(
        start=f"{days[first - 1]:%Y-%m-%d}",
        trough=f"{days[lowest]:%Y-%m-%d}",
        recovery=f"{days[end]:%Y-%m-%d}" if recovered else None,
        depth=float(depths[lowest]),
        days_to_trough=lowest - first + 1,
        days=(end if recovered else end - 1) - first + 1,
    )
