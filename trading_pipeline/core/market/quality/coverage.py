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

    @cached_property
    def due(self) -> NDArray[np.bool_]:
        """(E, N): from a symbol's first bar to its last."""
        begun = np.logical_or.accumulate(self.here, axis=0)
        goes_on = np.logical_or.accumulate(self.here[::-1], axis=0)[::-1]
        both: NDArray[np.bool_] = begun & goes_on
        return both

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
