"""The quality of a market's data: all findings, the coverage, and who is held out of trading.

Three ways lead from a finding to what is traded. Bars that break an invariant are refused and
never stored. A break restarts its symbol's history, a gap quarantines its symbol (`breaks.py`):
both are severe, causal, and concern that symbol only. All else is for a person to judge.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from trading_pipeline.core.market.bars import KEY, broken_rules
from trading_pipeline.core.market.calendar import TradingCalendar, on_open_days
from trading_pipeline.core.market.finding import (
    Finding,
    counted,
    merged,
    named,
    ordered,
    told,
    told_names,
    written,
)
from trading_pipeline.core.market.gaps import find_closed, find_gaps, in_quarantine
from trading_pipeline.core.market.listings import find_ends
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.plausible import find_jumps, find_repeats, find_zero_volume
from trading_pipeline.core.market.presence import Presence, coverage
from trading_pipeline.core.market.restarts import find_restarts
from trading_pipeline.errors import BarsError

_EACH = 50  # rows named by number at most; a file full of errors needs no list of them
_SAME_KEY = "(timestamp, symbol) is a duplicate of an earlier row"


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
    def severe(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity == "severe")

    def count(self, severity: str) -> int:
        return sum(each.severity == severity for each in self.findings)


def examine(
    bars: pd.DataFrame,
    actions: pd.DataFrame | None,
    calendar: TradingCalendar,
    name: str,
    *,
    symbols: tuple[str, ...] | None = None,
    now: datetime | None = None,
    rows: tuple[Finding, ...] = (),
) -> Quality:
    """Everything that can be found in a panel of at least one bar.

    Args:
        bars, actions, symbols: as of `Panel.of`; bars of closed days are found and left out.
        calendar: which bars are expected.
        name: of the market or file; for the report.
        now: when a market that goes on is looked at; None for a panel that has ended.
        rows: what `find_broken_rows` said about the rows that the bars lack.

    Raises:
        BarsError: all bars are of days, or of hours, at which the market is closed.
    """
    panel = Panel.of(on_open_days(bars, calendar, name), actions, symbols)
    presence = Presence(panel, calendar)
    if not len(presence.expected):
        raise BarsError(
            f"{name}: {calendar.name} expects no bar of {calendar.timeframe} from "
            f"{written(panel.timestamps[0])} to {written(panel.timestamps[-1])}; name the calendar "
            "that the bars are of"
        )
    found = [
        *find_gaps(presence),
        *find_closed(bars, calendar),
        *find_ends(presence, now),
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
        expected=int(presence.due.sum()),
        missing=int((presence.due & ~presence.here).sum()),
        findings=ordered([*rows, *merged(found)]),
        coverage=coverage(presence),
    )


_ADJUSTED = Finding(
    kind="adjusted",
    severity="info",
    figure="no corporate actions",
    text="prices are taken as total-return units: a dividend is in them already, a split must be, "
    "and lots and minimum orders are not those of the time.",
)


def find_broken_rows(table: pd.DataFrame, where: str) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """The rows of a typed table that obey every rule, and a finding for each rule that is broken.

    Of rows with the same key the first is kept, and their values are compared.

    Args:
        table: as `typed_bars` returns it, of one file or of several.
        where: what the rows are counted in, from 0.
    """
    found, broken = [], np.zeros(len(table), dtype=bool)
    for rule, rows in broken_rules(table):
        if rule != _SAME_KEY and rows.any():
            found.append(_invariant(table, rows, rule, where))
            broken |= rows
    found += _duplicates(table, where)
    kept = ~broken & ~table.duplicated(KEY).to_numpy()
    return table[kept].reset_index(drop=True), tuple(found)


def _invariant(table: pd.DataFrame, rows: np.ndarray, rule: str, where: str) -> Finding:
    remedy = "Such bars are refused: correct them, or leave them out"
    return _of_rows(table, rows, "invariant", rule, where, remedy)


def _duplicates(table: pd.DataFrame, where: str) -> list[Finding]:
    """Rows whose key came before: with the same values, and with others."""
    repeated = table.duplicated(KEY).to_numpy()
    equal = table.duplicated().to_numpy()
    rules = {
        "repeats an earlier row": (repeated & equal, "Such files are refused: drop the copies"),
        "has the key of an earlier row and other values": (
            repeated & ~equal,
            "Such files are refused: find out which row is right, and drop the other",
        ),
    }
    return [
        _of_rows(table, rows, "duplicate", rule, where, remedy)
        for rule, (rows, remedy) in rules.items()
        if rows.any()
    ]


def _of_rows(
    table: pd.DataFrame, rows: np.ndarray, kind: str, rule: str, where: str, remedy: str
) -> Finding:
    numbers, broken = np.flatnonzero(rows), table[rows]
    symbols = broken["symbol"].unique()
    stamps = pd.DatetimeIndex(broken["timestamp"])
    listed = ", ".join(map(str, numbers[:_EACH]))
    more = f" and {len(numbers) - _EACH:,} more" if len(numbers) > _EACH else ""
    who = "" if len(symbols) == 1 else f", {told_names(symbols)}"
    return Finding(
        kind=kind,
        severity="severe",
        symbol=named(symbols),
        first=stamps.min(),
        last=stamps.max(),
        rows=len(numbers),
        figure=f"{counted(len(numbers), 'row')}: {rule}",
        limit="none",
        text=f"{where}: row{'s' if len(numbers) > 1 else ''} {listed}{more} ({told(stamps)}{who}). "
        f"{remedy}.",
    )


def held_out(panel: Panel) -> list[str]:
    """One line for each symbol that breaks or gaps hold out of learning and trading."""
    lines = []
    for n in np.flatnonzero(panel.breaks.any(axis=0) | panel.quarantined.any(axis=0)):
        stamps = panel.timestamps[panel.breaks[:, n]]
        parts = [f"history restarts at {told(stamps)}"] if len(stamps) else []
        if panel.quarantined[:, n].any():
            text = in_quarantine(panel, int(n))
            parts.append(text[0].lower() + text[1:])
        lines.append(f"{panel.symbols[n]}: {'; '.join(parts)}")
    return lines
