"""The sample market: daily bars of AAPL, GOOG, IBM and MSFT, 2000-2013, that need no network.

They come with the PyPI package `bokeh-sampledata` (public-domain Quandl WIKI data): raw prices
and volumes, and a close adjusted for splits and dividends. The adjusted close includes actions
after the last bar, so only its day-to-day changes are used.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import ClassVar

import pandas as pd

from trading_pipeline.adapters.sources.source import refuse_unknown, select, span_of
from trading_pipeline.core.market.actions import actions_from_adjusted
from trading_pipeline.core.market.bars import COLUMNS, check_bars
from trading_pipeline.core.market.set_aside import none_aside

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
WHERE = "the sample market"


class SampleSource:
    """A `BarSource` of four large companies; the default, and what the demo runs on."""

    live: ClassVar[bool] = False

    def symbols(self) -> list[str]:
        """AAPL, GOOG, IBM, MSFT."""
        return list(SYMBOLS)

    def span(self, symbols: Sequence[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
        """2000-03-01 to 2013-03-02; GOOG was listed on 2004-08-19."""
        refuse_unknown(symbols, SYMBOLS, WHERE)
        return span_of(_tables()[0], symbols, pd.Timedelta(days=1), WHERE)

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> pd.DataFrame:
        """Raw daily bars that open in [start, end); see `BarSource.bars`."""
        refuse_unknown(symbols, SYMBOLS, WHERE)
        return select(_tables()[0], symbols, start, end)

    def set_aside(self, calendar: str) -> pd.DataFrame:
        """None: all its rows are bars."""
        return none_aside()

    def actions(self, symbols: Sequence[str]) -> pd.DataFrame:
        """The splits and dividends that the adjusted close implies; see `BarSource.actions`."""
        refuse_unknown(symbols, SYMBOLS, WHERE)
        actions = _tables()[1]
        return actions[actions["symbol"].isin(list(symbols))].reset_index(drop=True)


@cache
def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """All bars and actions; kept, since reading the package's text takes a third of a second."""
    from bokeh_sampledata import stocks

    rows = pd.concat(
        pd.DataFrame(getattr(stocks, symbol)).assign(symbol=symbol) for symbol in SYMBOLS
    )
    rows["timestamp"] = pd.to_datetime(rows["date"], format="%Y-%m-%d", utc=True)
    closes = rows.pivot(index="timestamp", columns="symbol", values=["close", "adj_close"])
    actions = actions_from_adjusted(closes["close"], closes["adj_close"])
    return check_bars(rows[list(COLUMNS)], where=WHERE), actions
