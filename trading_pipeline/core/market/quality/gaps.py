"""Findings about bars that are missing, and about bars where none may be."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.calendar import TradingCalendar
from trading_pipeline.core.market.exchanges import NEVER_CLOSES, SATURDAY, bars_per_day
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.coverage import INSTANT, Coverage
from trading_pipeline.core.market.quality.finding import (
    Finding,
    abbreviated,
    counted,
    finding,
    named,
    runs_of,
    when,
    written,
)
from trading_pipeline.core.market.quarantine import GAP_SHARE, TOLERATED_GAPS

_CULPRITS = 20  # symbols named; they are what has to be corrected


def find_gaps(coverage: Coverage) -> list[Finding]:
    """Outages of the venue, and every symbol's own gaps."""
    outages = [_outages(coverage)] if coverage.outage.any() else []
    gappy = np.flatnonzero(coverage.own_gaps.any(axis=0))
    return outages + [_own_gap(coverage, int(n)) for n in gappy]


def _outages(coverage: Coverage) -> Finding:
    stamps, runs = coverage.expected[coverage.outage], runs_of(coverage.outage)
    share = coverage.outage.mean()
    unit = _unit(coverage.calendar)
    longest = sorted(runs, key=lambda run: run[0] - run[1])[:6]
    listed = ", ".join(
        f"{written(coverage.expected[a])} ({counted(b - a + 1, unit)})" for a, b in sorted(longest)
    )
    others = " and others" if len(runs) > len(longest) else ""
    return finding(
        "outage",
        "warning" if share > GAP_SHARE else "info",
        f"most listed symbols lack these bars: {listed}{others}. An outage is nobody's gap; if "
        "the venue did trade then, download these days again.",
        stamps,
        figure=f"{counted(len(runs), 'venue outage')}, {counted(len(stamps), unit)}, {share:.2%}",
        limit=f"{GAP_SHARE:.0%} of all bars",
    )


def _unit(calendar: TradingCalendar) -> str:
    day = "day" if calendar.name == NEVER_CLOSES else "session"
    return {"1d": day, "1h": "hour", "1m": "minute"}.get(calendar.timeframe, "bar")


def _own_gap(coverage: Coverage, n: int) -> Finding:
    gap = coverage.own_gaps[:, n]
    stamps, longest = coverage.expected[gap], max(b - a + 1 for a, b in runs_of(gap))
    quarantined = coverage.panel.quarantined[:, n]
    share = len(stamps) / coverage.due[:, n].sum()
    unit = _unit(coverage.calendar)
    rests = coverage.calendar.name != NEVER_CLOSES
    halt = rests and longest >= _bars_of_a_session(coverage.calendar)
    text = f"missing while others traded: {when(stamps)}; {longest:,} in a row at most"
    text += " (whole sessions in a row may be a halt)" if halt else ""
    if len(coverage.panel.symbols) == 1:
        text += " (of one symbol alone, an outage of the venue looks the same)"
    if quarantined.any():
        text += f". {in_quarantine(coverage.panel, n)}"
    return finding(
        "gap",
        "severe" if quarantined.any() else "warning",
        f"{text}. Download them again, or fill them in the source.",
        stamps,
        symbol=coverage.panel.symbols[n],
        figure=f"{counted(len(stamps), unit)} missing, {share:.2%}",
        limit=TOLERATED_GAPS,
    )


def in_quarantine(panel: Panel, n: int) -> str:
    """'in quarantine from 2020-01-02 to 2020-12-31, 251 bars'."""
    rows = np.flatnonzero(panel.quarantined[:, n])
    first, last = panel.timestamps[rows[0]], panel.timestamps[rows[-1]]
    bars = counted(len(rows), "bar")
    span = f"from {written(first)} to {written(last)}, {bars}"
    why = " (rows of it were set aside)" if _is_doubted(panel, n) else ""
    return f"In quarantine {span}{why}: neither learned from nor traded"


def _is_doubted(panel: Panel, n: int) -> bool:
    return bool(np.broadcast_to(panel.in_doubt, panel.close.shape)[:, n].any())


def _bars_of_a_session(calendar: TradingCalendar) -> int:
    daily = calendar.timeframe == "1d"
    return 2 if daily else bars_per_day(calendar.name, calendar.timeframe)


def find_closed(bars: pd.DataFrame, calendar: TradingCalendar) -> list[Finding]:
    """Bars that the calendar does not know: weekends, holidays, outside the session.

    One finding for each of these, however many symbols have such bars.

    Args:
        bars: canonical, those of closed days included.
    """
    if bars.empty:
        return []
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    strange = stamps[~stamps.isin(calendar.sessions(stamps[0], stamps[-1] + INSTANT))]
    if not len(strange):
        return []
    broken = bars[bars["timestamp"].isin(strange)]
    why = pd.Series(_why_closed(strange, calendar), index=strange)
    reasons = broken["timestamp"].map(why).to_numpy()
    return [_closed(rows, str(why), calendar) for why, rows in broken.groupby(reasons)]


def _closed(rows: pd.DataFrame, reason: str, calendar: TradingCalendar) -> Finding:
    stamps, names = pd.DatetimeIndex(rows["timestamp"]), rows["symbol"].value_counts().index
    several = len(names) > 1
    who = f" ({abbreviated(names, _CULPRITS)})" if several else ""
    of_symbols = f" of {counted(len(names), 'symbol')}" if several else ""
    remedy = "Drop them, or correct their stamps."
    if calendar.closed_on(stamps[:1])[0]:
        remedy = (
            "Left out of features, models and trades, for nothing trades then. Drop them, correct "
            "their stamps, or name the calendar that they are of."
        )
    return finding(
        "closed",
        "warning",
        f"{when(stamps.unique())}{who}. {remedy}",
        stamps,
        symbol=named(names),
        figure=f"{counted(len(rows), 'bar')}{of_symbols} {reason}",
        limit=f"none: {calendar.name} is closed",
    )


def _why_closed(stamps: pd.DatetimeIndex, calendar: TradingCalendar) -> NDArray[np.object_]:
    """(K,) words on stamps that the calendar does not know."""
    if calendar.name == NEVER_CLOSES:
        return np.full(len(stamps), f"not at the opening of a {calendar.timeframe} bar", object)
    open_ = "not at 00:00 UTC of a session" if calendar.timeframe == "1d" else "outside the session"
    closed = np.where(stamps.dayofweek >= SATURDAY, "on a weekend", "on a holiday")
    reasons: NDArray[np.object_] = np.where(calendar.closed_on(stamps), closed, open_)
    return reasons
