"""The quality of a market's data: all findings, the coverage, and who is held out of trading.

Three ways lead from a finding to what is traded. Rows that break an invariant are set aside and
never stored as bars (`set_aside.py`). A discontinuity restarts its symbol's history, a gap
quarantines its symbol: both are severe, causal, and concern that symbol only. All else is for a
person to judge.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import COPY, RIVAL, broken_rules
from trading_pipeline.core.market.calendar import TradingCalendar, on_open_days
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.coverage import Coverage, monthly_coverage
from trading_pipeline.core.market.quality.finding import (
    Finding,
    abbreviated,
    counted,
    finding,
    merged,
    named,
    ordered,
    when,
    written,
)
from trading_pipeline.core.market.quality.gaps import find_closed, find_gaps, in_quarantine
from trading_pipeline.core.market.quality.listings import find_ends
from trading_pipeline.core.market.quality.outliers import find_jumps, find_repeats, find_zero_volume
from trading_pipeline.core.market.quality.restarts import find_restarts
from trading_pipeline.errors import BarsError

_EACH = 50  # rows named by number at most; a file full of errors needs no list of them


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What is known about the data of one market."""

    name: str
    calendar: TradingCalendar
    symbols: tuple[str, ...]
    bars: int
    first: pd.Timestamp
    last: pd.Timestamp
    expected: int  # bars by the calendar, between each symbol's first and last
    missing: int  # of those
    findings: tuple[Finding, ...]  # the worst first
    coverage: pd.DataFrame  # symbols × months, share of the expected bars; NaN: not listed

    @property
    def late(self) -> int:
        """Bars that have closed since a symbol's last one, or the market's; not in `missing`."""
        return sum(each.rows for each in self.findings if each.kind == "stale")

    @property
    def severe(self) -> tuple[Finding, ...]:
        """What must not be traded on."""
        return tuple(each for each in self.findings if each.severity == "severe")

    def count(self, severity: str) -> int:
        """Findings of that severity."""
        return sum(each.severity == severity for each in self.findings)


def examine(
    bars: pd.DataFrame,
    actions: pd.DataFrame | None,
    calendar: TradingCalendar,
    name: str,
    *,
    symbols: tuple[str, ...] | None = None,
    doubts: pd.DataFrame | None = None,
    now: datetime | None = None,
    rows: tuple[Finding, ...] = (),
) -> Quality:
    """Everything that can be found in a panel of at least one bar.

    Args:
        bars, actions, symbols, doubts: as of `Panel.of`; bars of closed days are left out.
        calendar: which bars are expected.
        name: of the market or file; for the report.
        now: when a market that goes on is looked at; None for a panel that has ended.
        rows: what `find_broken_rows` said about the rows that the bars lack.

    Raises:
        BarsError: all bars are of days, or of hours, at which the market is closed.
    """
    panel = Panel.of(on_open_days(bars, calendar, name), actions, symbols, doubts=doubts)
    coverage = Coverage(panel, calendar)
    if not len(coverage.expected):
        raise BarsError(
            f"{name}: {calendar.name} expects no bar of {calendar.timeframe} from "
            f"{written(panel.timestamps[0])} to {written(panel.timestamps[-1])}; name the calendar "
            "that the bars are of"
        )
    found = [
        *find_gaps(coverage),
        *find_closed(bars, calendar),
        *find_ends(coverage, now),
        *find_restarts(panel),
        *find_jumps(panel),
        *find_repeats(panel),
        *find_zero_volume(panel),
        *([_ADJUSTED] if panel.total_return_units else []),
    ]
    return Quality(
        name=name,
        calendar=calendar,
        symbols=panel.symbols,
        bars=len(bars),
        first=panel.timestamps[0],
        last=panel.timestamps[-1],
        expected=int(coverage.due.sum()),
        missing=int((coverage.due & ~coverage.here).sum()),
        findings=ordered([*rows, *merged(found)]),
        coverage=monthly_coverage(coverage),
    )


_ADJUSTED = finding(
    "adjusted",
    "info",
    "prices are taken as total-return units: a dividend is in them already, a split must be, and "
    "lots and minimum orders are not those of the time.",
    figure="no corporate actions",
)


def find_broken_rows(table: pd.DataFrame, where: str) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """The rows of a typed table that obey every rule, and a finding for each rule that is broken.

    Args:
        table: as `typed_bars` returns it, of one file or of several.
        where: what the rows are counted in, from 0.
    """
    found, broken = [], np.zeros(len(table), dtype=bool)
    for rule, rows in broken_rules(table):
        if rows.any():
            kind, remedy = _REPEATS.get(rule, ("invariant", "correct them, or leave them out"))
            found.append(_broken(table[rows], np.flatnonzero(rows), kind, rule, where, remedy))
            broken |= rows
    return table[~broken].reset_index(drop=True), tuple(found)


_REPEATS = {
    COPY: ("duplicate", "drop the copies"),
    RIVAL: ("duplicate", "find out which row is right, and drop the others"),
}


def _broken(
    rows: pd.DataFrame, numbers: np.ndarray, kind: str, rule: str, where: str, remedy: str
) -> Finding:
    stamps, symbols = rows["timestamp"], rows["symbol"].dropna().unique()
    listed = ", ".join(map(str, numbers[:_EACH]))
    more = f" and {len(numbers) - _EACH:,} more" if len(numbers) > _EACH else ""
    who = f", {abbreviated(symbols)}" if len(symbols) > 1 else ""
    return finding(
        kind,
        "severe",
        f"{where}: row{'s' if len(numbers) > 1 else ''} {listed}{more} ({_dates(stamps)}{who}). "
        f"Such rows are set aside: {remedy}.",
        stamps,
        symbol=named(symbols),
        figure=f"{counted(len(numbers), 'row')}: {rule}",
        limit="none",
    )


def find_set_aside(aside: pd.DataFrame) -> tuple[Finding, ...]:
    """A finding for each file and rule of the rows that a store has set aside."""
    return tuple(
        _set_aside(rows, str(where), str(rule))
        for (where, rule), rows in aside.groupby(["file", "rule"])
    )


def _set_aside(rows: pd.DataFrame, where: str, rule: str) -> Finding:
    stamps, symbols = rows["timestamp"], rows["symbol"].dropna().unique()
    return finding(
        "set aside",
        "warning",
        f"came from {where}, and became gaps ({_dates(stamps)}, "
        f"{abbreviated(symbols) or 'no symbol'}). Correct the source, and download again; of a "
        "venue with --refetch.",
        stamps,
        symbol=str(symbols[0]) if len(symbols) == 1 else "",
        figure=f"{counted(len(rows), 'row')}: {rule}",
        limit="none",
    )


def _dates(stamps: pd.Series) -> str:
    return when(pd.DatetimeIndex(stamps.dropna())) or "no time"


def held_out(panel: Panel) -> list[str]:
    """One line for each symbol that discontinuities or gaps hold out of learning and trading."""
    lines = []
    for n in np.flatnonzero(panel.discontinuities.any(axis=0) | panel.quarantined.any(axis=0)):
        stamps = panel.timestamps[panel.discontinuities[:, n]]
        parts = [f"history restarts at {when(stamps)}"] if len(stamps) else []
        if panel.quarantined[:, n].any():
            text = in_quarantine(panel, int(n))
            parts.append(text[0].lower() + text[1:])
        lines.append(f"{panel.symbols[n]}: {'; '.join(parts)}")
    return lines
