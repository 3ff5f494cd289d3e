"""A finding: one thing about market data that a person should know, and what to do about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Severity = Literal["info", "warning", "severe"]
# Severe is what changes what is traded: rows that are refused, and symbols broken or quarantined.
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "info")
_SHOWN = 5
_NO_BARS = pd.DatetimeIndex([])
MANY = 5  # symbols; a finding that more of them share is reported once


@dataclass(frozen=True)
class Finding:
    """One kind of trouble of one symbol, of many, or of the whole market; made by `finding`."""

    kind: str
    severity: Severity
    symbol: str  # as `named` says it; empty: the whole market
    first: pd.Timestamp | None  # of the bars concerned, present or missing
    last: pd.Timestamp | None
    rows: int  # how many they are
    figure: str  # what was measured
    limit: str  # what would have been tolerated
    text: str  # what it is, and what to do


def finding(
    kind: str,
    severity: Severity,
    text: str,
    stamps: pd.DatetimeIndex | pd.Series = _NO_BARS,
    *,
    symbol: str = "",
    figure: str = "",
    limit: str = "",
) -> Finding:
    """What is to be said of bars with these stamps, in any order; NaT where one has none."""
    known = pd.DatetimeIndex(stamps).dropna()
    first, last = (known.min(), known.max()) if len(known) else (None, None)
    rows = len(stamps)
    return Finding(kind, severity, symbol, first, last, rows, figure=figure, limit=limit, text=text)


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first; then by kind, symbol and time."""
    rank = {severity: place for place, severity in enumerate(SEVERITIES)}
    return tuple(sorted(findings, key=lambda f: (rank[f.severity], f.kind, f.symbol, str(f.first))))


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, those that many symbols share bar for bar as one.

    A fault of a feed or a venue is many symbols' on the same dates: a person mends it once.
    """
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for each in findings:
        key = (each.kind, each.severity, each.first, each.last, each.rows)
        alike.setdefault(key, []).append(each)
    found = []
    for group in alike.values():
        names, rows = [each.symbol for each in group], sum(each.rows for each in group)
        found += group if len(group) <= MANY else [of_many(group[0], names, rows)]
    return found


def of_many(example: Finding, symbols: Sequence[str], rows: int) -> Finding:
    """What is said of one symbol, as an example of what holds for several."""
    return replace(
        example,
        symbol=named(symbols),
        rows=rows,
        figure=f"{counted(len(symbols), 'symbol')}; {example.symbol}: {example.figure}",
        text=f"{example.text} The same of {abbreviated(symbols)}.",
    )


def named(symbols: Sequence[str]) -> str:
    """'AAA', or '501 symbols'."""
    return str(symbols[0]) if len(symbols) == 1 else counted(len(symbols), "symbol")


def abbreviated(names: Sequence[str], shown: int = _SHOWN) -> str:
    """'AAA, BBB and 3 others'."""
    first = ", ".join(map(str, names[:shown]))
    return first + (f" and {counted(len(names) - shown, 'other')}" if len(names) > shown else "")


def when(stamps: pd.DatetimeIndex | Sequence[pd.Timestamp], shown: int = _SHOWN) -> str:
    """'2020-01-02, 2020-01-03 and 7 more'; with the time of day where there is one."""
    named = ", ".join(written(stamp) for stamp in stamps[:shown])
    return named + (f" and {len(stamps) - shown:,} more" if len(stamps) > shown else "")


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
