"""A finding: one thing about market data that a person should know, and what to do about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Severity = Literal["info", "warning", "severe"]
# Severe is what changes what is traded: rows that are refused, and symbols broken or quarantined.
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "info")
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of trouble of one symbol, or of the whole market (`symbol` is empty)."""

    kind: str
    severity: Severity
    symbol: str = ""
    first: pd.Timestamp | None = None  # of the bars concerned, present or missing
    last: pd.Timestamp | None = None
    rows: int = 0  # how many they are
    figure: str = ""  # what was measured
    limit: str = ""  # what would have been tolerated
    text: str  # what it is, and what to do


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first; then by kind, symbol and time."""
    rank = {severity: place for place, severity in enumerate(SEVERITIES)}
    return tuple(sorted(findings, key=lambda f: (rank[f.severity], f.kind, f.symbol, str(f.first))))


def told(stamps: pd.DatetimeIndex | Sequence[pd.Timestamp], shown: int = _SHOWN) -> str:
    """'2020-01-02, 2020-01-03 and 7 more'; with the time of day where there is one."""
    named = ", ".join(written(stamp) for stamp in stamps[:shown])
    return named + (f" and {len(stamps) - shown:,} more" if len(stamps) > shown else "")


def told_names(names: Sequence[str]) -> str:
    """'AAA, BBB and 3 others'."""
    shown = ", ".join(map(str, names[:5]))
    return shown + (f" and {len(names) - 5} others" if len(names) > 5 else "")


def written(stamp: pd.Timestamp) -> str:
    """'2020-01-02', or '2020-01-02 14:30' within a day; UTC."""
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"


def times(log_ratio: float) -> str:
    """'100 times', or '1/100 of'."""
    ratio = math.exp(abs(log_ratio))
    return f"{ratio:,.4g} times" if log_ratio > 0 else f"1/{ratio:,.4g} of"


def counted(number: int, noun: str) -> str:
    """'1 bar', '2,000 bars'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every stretch of true values; flags (K,)."""
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(int))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
