"""The synthetic market: made-up daily bars of 20 shares, 2015-2019, in which an edge was planted.

It shows what the pipeline says where there is something to find. How much is in the volume of its
bars about their next returns, no real market tells: a correlation of 0.3 (`core/market/synthetic`).
The same bars on every machine, to the last digits that its mathematics gives alike.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import ClassVar

import pandas as pd

from trading_pipeline.adapters.sources.source import refuse_unknown, select, span_of
from trading_pipeline.core.market.actions import empty_actions
from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.set_aside import none_aside
from trading_pipeline.core.market.synthetic import synthetic_market

SYMBOLS = tuple(f"SYN{n:02}" for n in range(1, 21))
FIRST, END = pd.Timestamp("2015-01-01", tz="UTC"), pd.Timestamp("2020-01-01", tz="UTC")
CORRELATION, SEED = 0.3, 0
WHERE = "the synthetic market"


class SyntheticSource:
    """A `BarSource` of shares that nobody ever traded."""

    live: ClassVar[bool] = False

    def symbols(self) -> list[str]:
        """SYN01 to SYN20."""
        return list(SYMBOLS)

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """2015-01-02 to 2020-01-01, the sessions of New York."""
        refuse_unknown(symbols, SYMBOLS, WHERE)
        return span_of(_bars(), symbols, pd.Timedelta(days=1), WHERE)

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Bars that open in [start, end), whole ones only; see `BarSource.bars`."""
        refuse_unknown(symbols, SYMBOLS, WHERE)
        return select(_bars(), symbols, start, end)

    def set_aside(self, calendar: str) -> pd.DataFrame:
        """None: all its rows are bars."""
        return none_aside()

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame:
        """There were none."""
        refuse_unknown(symbols, SYMBOLS, WHERE)
        return empty_actions()


@cache
def _bars() -> pd.DataFrame:
    """All bars; kept, since making them takes a moment."""
    stamps = trading_calendar("XNYS", "1d").sessions(FIRST, END)
    return check_bars(synthetic_market(stamps, SYMBOLS, SEED, CORRELATION).panel.adjusted_bars())
