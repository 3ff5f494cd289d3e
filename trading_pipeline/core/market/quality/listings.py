"""Findings about where the bars of a symbol, or of the market, begin and end."""

from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.calendar import in_utc
from trading_pipeline.core.market.quality.coverage import INSTANT, Coverage
from trading_pipeline.core.market.quality.finding import Finding, counted, finding, written

# A symbol this many bars behind the market has a stale feed; further back it has ended.
ENDED_AFTER = 21
A_YEAR = pd.Timedelta(days=365)  # in a shorter panel nobody need have ended

_SURVIVORS = finding(
    "survivorship",
    "info",
    "the symbols seem to be today's survivors, so results on them are too good. Add those that "
    "were delisted.",
    figure="no symbol ends before the panel does",
)


def find_ends(coverage: Coverage, now: datetime | None) -> list[Finding]:
    """Feeds that have stopped, symbols that came later or ended, and whether none ever ended."""
    panel = coverage.panel
    behind = np.where(coverage.listed, len(coverage.expected) - 1 - coverage.last, 0)
    found = [_no_bars(panel.symbols[n]) for n in np.flatnonzero(~panel.traded.any(axis=0))]
    lagging = np.flatnonzero((behind > 0) & (behind <= ENDED_AFTER))
    found += [_lagging(coverage, int(n), int(behind[n])) for n in lagging]
    found += _enter_and_leave(coverage, behind > ENDED_AFTER)
    return found + (_stale_market(coverage, now) if now else [])


def _no_bars(symbol: str) -> Finding:
    return finding(
        "stale",
        "warning",
        "the market lists the symbol, and there are no bars of it. Correct its name, or leave it "
        "out.",
        symbol=symbol,
        figure="no bar at all",
        limit="one",
    )


def _lagging(coverage: Coverage, n: int, behind: int) -> Finding:
    return finding(
        "stale",
        "warning",
        f"its last bar is of {written(coverage.expected[-behind - 1])}: its feed has stopped, or "
        "it is halted. Download again, and ask the venue for its status.",
        coverage.expected[-behind:],
        symbol=coverage.panel.symbols[n],
        figure=f"{counted(behind, 'bar')} behind the market",
        limit="0",
    )


def _stale_market(coverage: Coverage, now: datetime) -> list[Finding]:
    """Bars that have closed by `now` and that nobody has; one may be on its way."""
    newest = coverage.panel.timestamps[-1]
    later = coverage.calendar.sessions(newest + INSTANT, in_utc(now))
    closed = later[coverage.calendar.closes_of(later) <= in_utc(now)]
    if len(closed) <= 1:
        return []
    text = (
        f"the newest bar is of {written(newest)}. Download, and see whether the nightly schedule "
        "is on."
    )
    figure = f"{counted(len(closed), 'bar')} behind the clock"
    return [finding("stale", "warning", text, closed, figure=figure, limit="1")]


def _enter_and_leave(coverage: Coverage, ended: NDArray[np.bool_]) -> list[Finding]:
    """Who is listed later than the first, who ends before the last; and if nobody ends, a hint."""
    panel, found = coverage.panel, []
    late = coverage.listed & (coverage.first > 0)
    if late.any():
        found.append(_at_rows(coverage, "listing", late, coverage.first, "listed later"))
    if ended.any():
        remedy = "Delisted, or its feed stopped long ago: history stays. "
        found.append(_at_rows(coverage, "ended", ended, coverage.last, "ended", remedy))
    elif len(panel.symbols) > 1 and panel.timestamps[-1] - panel.timestamps[0] > A_YEAR:
        found.append(_SURVIVORS)
    return found


def _at_rows(
    coverage: Coverage,
    kind: str,
    who: NDArray[np.bool_],
    rows: NDArray[np.int_],
    what: str,
    remedy: str = "",
) -> Finding:
    """Information on some symbols, `who` (N,), at a row (N,) of each, in order of time."""
    panel, order = coverage.panel, np.flatnonzero(who)
    order = order[np.argsort(rows[order], kind="stable")]
    stamps = coverage.expected[rows[order]]
    names = [f"{panel.symbols[n]} {written(stamp)}" for n, stamp in zip(order, stamps, strict=True)]
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    figure = f"{len(names)} of {counted(len(panel.symbols), 'symbol')} {what}"
    return finding(kind, "info", f"{remedy}{shown}", stamps, figure=figure)
