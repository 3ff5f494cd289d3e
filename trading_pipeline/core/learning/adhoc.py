"""A market for a panel that no setting describes: what its own stamps say, and safe defaults."""

import re
from dataclasses import replace
from typing import Any

import pandas as pd

from trading_pipeline.core.learning.dataset import burn_in
from trading_pipeline.core.learning.walkforward import fitting_spans
from trading_pipeline.core.market.calendar import check_weekdays, infer_timeframe, on_open_days
from trading_pipeline.core.market.market import Costs, Market, WalkForward, usual_terms
from trading_pipeline.core.market.quality.gaps import find_closed
from trading_pipeline.core.market.stamps import Clock, clock_of
from trading_pipeline.errors import BarsError, HistoryTooShort

COSTS = Costs(fee=0.001, slippage=0.0005)


def market_of_panel(
    bars: pd.DataFrame,
    name: str,
    n_steps: int,
    template: Market | None = None,
    calendar: str | None = None,
    where: str = "panel",
) -> tuple[Market, list[str]]:
    """A market for canonical bars, and what a person should know about it.

    Args:
        bars: as `check_bars` returns them.
        name: letters, digits and underscores; see `market_name`.
        n_steps: bars of one window.
        template: a market whose settings are taken instead of the defaults.
        calendar: one that is to hold; None: the template's, or the one that fits best.
        where: file that the bars come from; begins every complaint.

    Raises:
        HistoryTooShort: no spans fit; the message names the bars needed.
        BarsError: the stamps fit no timeframe or calendar, or not those that were named.
    """
    market, measured, opened = unfitted_market(bars, name, template, calendar, where)
    clock = pd.DatetimeIndex(opened["timestamp"].unique())
    spans, shrunk = _fitting_spans(clock, market, n_steps, where)
    fitted = replace(market, walk_forward=spans)
    costs = fitted.costs
    notes = [
        f"{_count(len(fitted.symbols), 'symbol')}, {len(clock):,} bars of {fitted.timeframe}, "
        f"{measured.note}, horizon {fitted.horizon} bars, fee {costs.fee:.2%}, slippage "
        f"{costs.slippage:.2%}, training {spans.window} months, folds {spans.test} months"
    ]
    left_out = find_closed(bars[~bars["timestamp"].isin(clock)], measured.calendar)
    notes += [f"{each.figure}: {each.text}" for each in left_out]
    return fitted, notes + ([shrunk] if shrunk else [])


def unfitted_market(
    bars: pd.DataFrame,
    name: str,
    template: Market | None = None,
    calendar: str | None = None,
    where: str = "panel",
) -> tuple[Market, Clock, pd.DataFrame]:
    """`market_of_panel` with the usual spans, however short the bars; and what of them it keeps.

    Returns:
        The market, its clock, and the bars of days on which it is open.
    """
    named = calendar or (template.calendar if template else None)
    if template:
        refuse_another_timeframe(bars, template, where)
    measured = clock_of(bars, named, where)
    check_weekdays(bars, measured.calendar.name, where)
    opened = on_open_days(bars, measured.calendar, where)
    if len(opened) < len(bars):  # a year is counted in what is left
        measured = clock_of(opened, measured.calendar.name, where)
    own = {
        "name": name,
        "source": "parquet",
        "measured_bars_per_year": measured.bars_per_year,
        "measured_days_per_year": measured.days_per_year,
        **_extent(bars),
    }
    if template:
        return replace(template, calendar=measured.calendar.name, **own), measured, opened
    return _default(measured, own), measured, opened


def market_name(stem: str) -> str:
    """A file's stem as a name that Dagster and folders accept."""
    return re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_") or "panel"


def _default(measured: Clock, own: dict[str, Any]) -> Market:
    calendar, timeframe = measured.calendar.name, measured.calendar.timeframe
    horizon, spans = usual_terms(calendar, timeframe)
    return Market(
        timeframe=timeframe,
        calendar=calendar,
        horizon=horizon,
        costs=COSTS,
        walk_forward=spans,
        **own,
    )


def _fitting_spans(
    clock: pd.DatetimeIndex, market: Market, n_steps: int, where: str
) -> tuple[WalkForward, str | None]:
    try:
        return fitting_spans(clock, market.walk_forward, market.horizon, burn_in(n_steps))
    except HistoryTooShort as error:
        raise HistoryTooShort(f"{where}: {error}") from error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def refuse_another_timeframe(bars: pd.DataFrame, template: Market, where: str) -> None:
    """Raise BarsError where the bars are not of the timeframe of a market that is named."""
    timeframe = infer_timeframe(bars, where)
    if timeframe != template.timeframe:
        raise BarsError(
            f"{where}: bars are of {timeframe}, but market {template.name} says "
            f"{template.timeframe} on {template.calendar}; leave --market away, or name one that "
            "fits"
        )


def _extent(bars: pd.DataFrame) -> dict[str, Any]:
    last = bars["timestamp"].max()
    return {
        "symbols": tuple(sorted(bars["symbol"].unique())),
        "start": bars["timestamp"].min().date(),
        "end": (last + pd.Timedelta(days=1)).date(),
    }
