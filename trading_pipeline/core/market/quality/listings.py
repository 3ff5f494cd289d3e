"""Findings about where the bars of a symbol, or of the market, begin and end."""

from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.coverage import INSTANT, Coverage
from trading_pipeline.core.market.quality.finding import Finding, counted, written

# A symbol this many bars behind the market has a stale feed; further back it has ended.
ENDED_AFTER = 21
A_YEAR = pd.Timedelta(days=365)  # in a shorter panel nobody need have ended


def find_ends(coverage: Coverage, now: datetime | None) -> list[Finding]:
    """Feeds that have stopped, symbols that came later or ended, and whether none ever ended."""
    panel = coverage.panel
    listed = coverage.here.any(axis=0)
    last = len(coverage.here) - 1 - coverage.here[::-1].argmax(axis=0)
    behind = np.where(listed, len(coverage.expected) - 1 - last, 0)
    found = [_no_bars(panel, int(n)) for n in np.flatnonzero(~panel.traded.any(axis=0))]
    lagging = np.flatnonzero((behind > 0) & (behind <= ENDED_AFTER))
    found += [_lagging(coverage, int(n), int(behind[n])) for n in lagging]
    found += _enter_and_leave(coverage, behind > ENDED_AFTER)
    return found + (_stale_market(coverage, now) if now else [])


def _no_bars(panel: Panel, n: int) -> Finding:
    return Finding(
        kind="stale",
        severity="warning",
        symbol=panel.symbols[n],
        figure="no bar at all",
        limit="one",
        text="the market lists the symbol, and there are no bars of it. Correct its name, or "
        "leave it out.",
    )


def _lagging(coverage: Coverage, n: int, behind: int) -> Finding:
    return Finding(
        kind="stale",
        severity="warning",
        symbol=coverage.panel.symbols[n],
        first=coverage.expected[-behind],
        last=coverage.expected[-1],
        rows=behind,
        figure=f"{counted(behind, 'bar')} behind the market",
        limit="0",
        text=f"its last bar is of {written(coverage.expected[-behind - 1])}: its feed has stopped, "
        "or it is halted. Download again, and ask the venue for its status.",
    )


def _stale_market(coverage: Coverage, now: datetime) -> list[Finding]:
    """Bars that have closed by `now` and that nobody has; one may be on its way."""
    newest = coverage.panel.timestamps[-1]
    later = coverage.calendar.sessions(newest + INSTANT, in_utc(now))
    closed = later[coverage.calendar.closes_of(later) <= in_utc(now)]
    if len(closed) <= 1:
        return []
    return [
        Finding(
            kind="stale",
            severity="warning",
            first=closed[0],
            last=closed[-1],
            rows=len(closed),
            figure=f"{counted(len(closed), 'bar')} behind the clock",
            limit="1",
            text=f"the newest bar is of {written(newest)}. Download, and see whether the nightly "
            "schedule is on.",
        )
    ]


def _enter_and_leave(coverage: Coverage, ended: NDArray[np.bool_]) -> list[Finding]:
    """Who is listed later than the first, who ends before the last; and if nobody ends, a hint."""
    panel, found = coverage.panel, []
    firsts = coverage.here.argmax(axis=0)
    late = np.flatnonzero(coverage.here.any(axis=0) & (firsts > 0))
    if late.size:
        found.append(_information(coverage, "listing", late, firsts[late], "listed later", ""))
    if ended.any():
        who = np.flatnonzero(ended)
        lasts = len(coverage.here) - 1 - coverage.here[::-1].argmax(axis=0)
        remedy = "Delisted, or its feed stopped long ago: history stays. "
        found.append(_information(coverage, "ended", who, lasts[who], "ended", remedy))
    elif len(panel.symbols) > 1 and panel.timestamps[-1] - panel.timestamps[0] > A_YEAR:
        found.append(
            Finding(
                kind="survivorship",
                severity="info",
                figure="no symbol ends before the panel does",
                text="the symbols seem to be today's survivors, so results on them are too good. "
                "Add those that were delisted.",
            )
        )
    return found


def _information(
    coverage: Coverage,
    kind: str,
    who: NDArray[np.int_],
    rows: NDArray[np.int_],
    what: str,
    remedy: str,
) -> Finding:
    stamps = coverage.expected[np.sort(rows)]
    names = [
        f"{coverage.panel.symbols[n]} {written(coverage.expected[row])}"
        for n, row in sorted(zip(who, rows, strict=True), key=lambda pair: int(pair[1]))
    ]
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return Finding(
        kind=kind,
        severity="info",
        first=stamps[0],
        last=stamps[-1],
        rows=len(who),
        figure=f"{len(who)} of {counted(len(coverage.panel.symbols), 'symbol')} {what}",
        text=f"{remedy}{shown}",
    )
