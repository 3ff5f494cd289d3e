"""A panel of anyone's own: bars from any Parquet file or folder, and what was set aside of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from trading_pipeline.adapters.sources.parquet import ParquetSource
from trading_pipeline.core.learning.adhoc import (
    market_name,
    refuse_another_timeframe,
    unfitted_market,
)
from trading_pipeline.core.market.calendar import on_rest_days
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quarantine import rows_in_doubt
from trading_pipeline.core.market.set_aside import check_share, describe_first
from trading_pipeline.core.market.stamps import clock_of
from trading_pipeline.errors import BarsError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import read_panel


class PanelFile(NamedTuple):
    """What a file or folder holds."""

    source: ParquetSource
    bars: pd.DataFrame  # canonical
    aside: pd.DataFrame  # rows that are no bars, columns of `set_aside.COLUMNS`

    def panel(self, opened: pd.DataFrame) -> Panel:
        """The panel of those bars that are of days on which the market is open."""
        actions = self.source.actions(self.source.symbols())
        return Panel.of(opened, actions, doubts=rows_in_doubt(self.aside, self.bars))


def read_panel_file(
    path: Path, strict: bool, named: str | None, template: Market | None
) -> PanelFile:
    """Read a panel, and set aside what of it are no bars.

    Args:
        strict: refuse the first such row instead.
        named: the calendar, if somebody says it.
        template: a market whose settings are to be taken, if any.

    Raises:
        SourceError: there is nothing to read.
        BarsError: it is no panel; too many of its rows are impossible, or one if `strict`.
    """
    named = named or (template.calendar if template else None)
    source = ParquetSource(path, named)
    symbols = source.symbols()
    bars = source.bars(symbols, *source.span(symbols))
    if template:
        refuse_another_timeframe(bars, template, str(path))
    calendar = clock_of(bars, named, str(path)).calendar.name
    aside, strays = source.set_aside(calendar), on_rest_days(bars, calendar)
    if strict and len(aside):
        raise BarsError(f"{describe_first(aside)}; without --strict it is set aside")
    bars = bars[~strays].reset_index(drop=True) if strays.any() else bars
    check_share(aside, len(bars), str(path))
    return PanelFile(source, bars, aside)


@dataclass(frozen=True, kw_only=True, eq=False)
class PanelBars:
    """The bars that a command is about: of a file of anyone's own, or stored ones of a market."""

    market: Market
    panel: Panel  # T rows, N symbols
    aside: pd.DataFrame

    @classmethod
    def of_file(
        cls, file: PanelFile, template: Market | None = None, calendar: str | None = None
    ) -> "PanelBars":
        """A panel of anyone's own; options as of `unfitted_market`."""
        path = file.source.path
        name = market_name(path.resolve().stem)
        market, _, opened = unfitted_market(file.bars, name, template, calendar, str(path))
        return cls(market=market, panel=file.panel(opened), aside=file.aside)

    @classmethod
    def stored(cls, home: Home, market: Market) -> "PanelBars":
        """What a market of the settings has stored."""
        aside = home.bars(market).set_aside()
        return cls(market=market, panel=read_panel(home, market), aside=aside)

    def looking_ahead(self, horizon: int | None) -> "PanelBars":
        """The same bars, for scores that look so many of them ahead; None: as many as usual."""
        if horizon is None:
            return self
        return replace(self, market=replace(self.market, horizon=horizon))
