"""Findings about discontinuities: what each bar at which a history restarts seems to be."""

import math

import numpy as np

from trading_pipeline.core.market.discontinuities import (
    LONG_GAP,
    ORDERS,
    OTHER_COMPANY,
    SIGMAS,
    VOLUME_BARS,
    VOLUME_HISTORY,
    VOLUME_SHIFT,
    Nights,
    near_power_of_ten,
    nights,
)
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import Finding, finding, times

_OTHER = "the ticker seems to have changed its company"
_VOLUME = "the unit of the volume seems to change (lots, shares, quote currency)"


def find_restarts(panel: Panel) -> list[Finding]:
    """One severe finding for every bar at which a history restarts."""
    night = nights(
        panel.timestamps, panel.adjusted_open, panel.adjusted_close, panel.adjusted_volume
    )
    return [_restart(panel, night, int(t), int(n)) for n, t in np.argwhere(panel.discontinuities.T)]


def _restart(panel: Panel, night: Nights, t: int, n: int) -> Finding:
    kind, figure, limit, meaning = _cause(panel, night, t, n)
    return finding(
        kind,
        "severe",
        f"{meaning}. What came before is taken as another symbol's: no return, target or window "
        "of features crosses it. Correct the source, or give both parts names of their own.",
        panel.timestamps[[t]],
        symbol=panel.symbols[n],
        figure=figure,
        limit=limit,
    )


def _cause(panel: Panel, night: Nights, t: int, n: int) -> tuple[str, str, str, str]:
    """Kind, figure, limit and meaning of one discontinuity."""
    jump, elapsed = float(night.jump[t, n]), float(night.elapsed[t, n])
    figure = f"opens at {times(jump)} the last close"
    limit = f"{math.exp(ORDERS):.0f} times, {SIGMAS:.0f} σ"
    if elapsed > OTHER_COMPANY:
        return "ticker", f"{elapsed:.0f} days without a bar", f"{OTHER_COMPANY:.0f} days", _OTHER
    if abs(jump) < ORDERS:
        shift = f"volume at {_shift(panel, t, n)} its level"
        return "unit", shift, f"{VOLUME_SHIFT:.0f} times", _VOLUME
    if elapsed > LONG_GAP:
        return "ticker", f"{figure}, {elapsed:.0f} days before", limit, _OTHER
    if _reverts(panel, t, n):
        return "spike", figure, limit, "a bad tick: one bar on another level"
    if near_power_of_ten(np.array([[jump]]))[0, 0]:
        return "unit", figure, limit, "the unit of the price seems to change"
    return "jump", figure, limit, "no corporate action explains it, nor does a market move so"


def _shift(panel: Panel, t: int, n: int) -> str:
    """Mean volume of the five bars up to t, in that of the 63 before.

    Not medians: where the volume shifts, some of these bars have one, and most may have none.
    """
    own = panel.adjusted_volume[: t + 1, n]
    own = own[~np.isnan(own)]
    new, old = own[-VOLUME_BARS:], own[-VOLUME_HISTORY - VOLUME_BARS : -VOLUME_BARS]
    return times(math.log(new.mean() / old.mean()))


def _reverts(panel: Panel, t: int, n: int) -> bool:
    """Whether this one, with that of the symbol's next or last bar, is an excursion of one bar."""
    rows = np.flatnonzero(panel.traded[:, n])
    place = int(np.searchsorted(rows, t))
    neighbours = rows[max(0, place - 1) : place + 2]
    return bool((panel.discontinuities[neighbours, n].sum()) > 1)
