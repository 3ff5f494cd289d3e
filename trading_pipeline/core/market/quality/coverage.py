"""Which bars are there, and which the calendar expects.

Letters: E bars that the calendar expects, N symbols.
"""

from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.calendar import TradingCalendar
from trading_pipeline.core.market.panel import Panel

INSTANT = pd.Timedelta(microseconds=1)


class Coverage:
    """A panel laid over its calendar, between the first and the last bar of all."""

    def __init__(self, panel: Panel, calendar: TradingCalendar) -> None:
        self.panel, self.calendar = panel, calendar
        stamps = panel.timestamps
        self.expected = calendar.sessions(stamps[0], stamps[-1] + INSTANT)
        place = self.expected.get_indexer(stamps)
        known = place >= 0  # rows of the panel that the calendar knows
        self.here = np.zeros((len(self.expected), len(panel.symbols)), dtype=bool)
        self.here[place[known]] = panel.traded[known]
        self.listed = self.here.any(axis=0)  # (N,) has a bar that the calendar knows

    @cached_property
    def first(self) -> NDArray[np.intp]:
        """(N,): row of a symbol's first bar, if it is listed."""
        first: NDArray[np.intp] = self.here.argmax(axis=0)
        return first

    @cached_property
    def last(self) -> NDArray[np.intp]:
        """(N,): row of its last bar."""
        last: NDArray[np.intp] = len(self.here) - 1 - self.here[::-1].argmax(axis=0)
        return last

    @cached_property
    def due(self) -> NDArray[np.bool_]:
        """(E, N): from a symbol's first bar to its last."""
        row = np.arange(len(self.here))[:, None]
        due: NDArray[np.bool_] = (row >= self.first) & (row <= self.last) & self.listed
        return due

    @cached_property
    def outage(self) -> NDArray[np.bool_]:
        """(E,): more than half of the symbols listed lack this bar; of one symbol none can tell."""
        listed = self.due.sum(axis=1)
        lacking = (self.due & ~self.here).sum(axis=1)
        out: NDArray[np.bool_] = (lacking * 2 > listed) & (listed > 1)
        # Before the first and after the last bar of all symbols nothing is expected; between, a
        # bar that nobody has is an outage, although nobody may be listed at it.
        out |= (listed == 0) & (len(self.panel.symbols) > 1)
        return out

    @cached_property
    def own_gaps(self) -> NDArray[np.bool_]:
        """(E, N): bars that this symbol lacks and others have."""
        gaps: NDArray[np.bool_] = self.due & ~self.here & ~self.outage[:, None]
        return gaps

    def missing_share(self) -> NDArray[np.float64]:
        """(N,): bars missing, the venue's outages included, of those between first and last."""
        lacking = (self.due & ~self.here).sum(axis=0)
        share: NDArray[np.float64] = lacking / np.maximum(self.due.sum(axis=0), 1)
        return share


def monthly_coverage(coverage: Coverage) -> pd.DataFrame:
    """Share of the expected bars that are there, by symbol (rows) and month (columns '2020-01').

    In [0, 1]; NaN in months in which the symbol was not listed yet, or no more.
    """
    month = coverage.expected.tz_localize(None).to_period("M")
    codes, months = pd.factorize(month, sort=True)
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    here, due = (
        np.add.reduceat(flags.astype(int), starts, axis=0)
        for flags in (coverage.here, coverage.due)
    )
    share = np.divide(here, due, out=np.full(due.shape, np.nan), where=due > 0)
    names = list(coverage.panel.symbols)
    return pd.DataFrame(share.T, index=names, columns=[str(each) for each in months])
