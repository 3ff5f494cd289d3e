"""A market of five months, and sources that hold its bars in memory."""

from datetime import date

import dagster as dg
import pandas as pd

from trading_pipeline.adapters.sources.source import BarSource, refuse_unknown, select, span_of
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.set_aside import none_aside
from trading_pipeline.core.progress import Progress
from trading_pipeline.steps.home import Home, Sources

MARKET = Market(
    name="test",
    source="sample",
    symbols=("AAPL", "IBM"),
    start=date(2000, 3, 10),
    end=date(2000, 8, 1),
    costs=Costs(lot=1),
)


class TableSource:
    """Bars from memory, as they are: a source that may lie."""

    live = False

    def __init__(self, bars: pd.DataFrame, actions: pd.DataFrame | None = None) -> None:
        self.table, self.events = bars, actions

    def symbols(self) -> list[str]:
        return sorted(self.table["symbol"].unique())

    def span(self, symbols) -> tuple[pd.Timestamp, pd.Timestamp]:
        return span_of(self.table, symbols, pd.Timedelta(days=1), "the table")

    def bars(self, symbols, start, end) -> pd.DataFrame:
        refuse_unknown(symbols, self.symbols(), "the table")
        return select(self.table, symbols, start, end)

    def set_aside(self, calendar) -> pd.DataFrame:
        return none_aside()

    def actions(self, symbols) -> pd.DataFrame | None:
        return self.events


class FakeSources(Sources):
    """Hands out one source for every market."""

    def __init__(self, source: BarSource) -> None:
        self.source = source

    def open(self, market: Market) -> BarSource:
        return self.source


def sources_of(source: BarSource) -> dg.ResourceDefinition:
    return dg.ResourceDefinition.hardcoded_resource(FakeSources(source))


def resources_of(home: Home, source: BarSource) -> dict[str, object]:
    """What the assets of a market need."""
    return {
        "home": home,
        "alerts": home.alerts(),
        "brokers": {},
        "sources": sources_of(source),
        "progress": dg.ResourceDefinition.hardcoded_resource(Progress()),
    }


def without_days(bars, first, last, symbols=("IBM",)):
    """The bars without those of some symbols on the days from `first` to `last`."""
    gone = bars["timestamp"].between(pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))
    return bars[~(gone & bars["symbol"].isin(symbols))].reset_index(drop=True)
