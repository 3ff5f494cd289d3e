"""Trades drawn on the prices of the symbols that mattered most."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.figure import (
    Figure,
    add_line,
    iso_dates,
    label,
    new_figure,
    shown,
)
from trading_pipeline.adapters.reports.charts.palette import (
    BASELINES,
    INK,
    LOSS,
    NEUTRAL,
    PAPER,
    STRATEGY,
    variable,
)
from trading_pipeline.adapters.reports.charts.series import Floats, ReportSeries, day_ends
from trading_pipeline.core.evaluation.portfolio.risk_events import in_order
from trading_pipeline.core.evaluation.portfolio.trade_marks import (
    CLOSED,
    OPENED_LONG,
    OPENED_SHORT,
    RESIZED,
    in_last_units,
    trade_marks,
)
from trading_pipeline.core.evaluation.verdict import titled

CHARTS = 12
POINTS = 1_200  # of a price curve, three to a pixel: its days, and every so many of them
_DIGITS = ",.5~r"  # of D3: five significant ones, and never an exponent
MARKS = 150  # of one role on one chart: the largest by value


class Mark(NamedTuple):
    """How a role is drawn; the shape alone tells it."""

    symbol: str  # of Plotly
    sign: str  # the same in a text
    colour: str
    size: int


_MARKS = {
    RESIZED: Mark("circle", "\N{MIDDLE DOT}", NEUTRAL, 4),
    OPENED_LONG: Mark("triangle-up", "\N{BLACK UP-POINTING TRIANGLE}", STRATEGY, 10),
    OPENED_SHORT: Mark("triangle-down", "\N{BLACK DOWN-POINTING TRIANGLE}", BASELINES[3], 10),
    CLOSED: Mark("circle-open", "\N{WHITE CIRCLE}", INK, 9),
    "stop_loss": Mark("x", "\N{MULTIPLICATION X}", LOSS, 10),
    "trailing_stop": Mark("diamond", "\N{BLACK DIAMOND}", LOSS, 10),
    "take_profit": Mark("star", "\N{BLACK STAR}", BASELINES[1], 12),
    "delisted": Mark("square", "\N{BLACK SQUARE}", INK, 9),
}
_OTHERS = (
    Mark("hexagon", "\N{BLACK HEXAGON}", BASELINES[6], 10),
    Mark("pentagon", "\N{BLACK PENTAGON}", BASELINES[4], 10),
    Mark("square-open", "\N{WHITE SQUARE}", BASELINES[5], 9),
)


def mark_of(role: str, roles: Sequence[str]) -> Mark:
    """How a role is drawn; one that nobody knows yet gets a shape by its place among those."""
    if role in _MARKS:
        return _MARKS[role]
    others = sorted(set(roles).difference(_MARKS))
    return _OTHERS[others.index(role) % len(_OTHERS)]


def biggest(rows: Sequence[Mapping[str, Any]], symbols: Sequence[str]) -> list[str]:
    """The symbols with the largest profit or loss, both sides together; at most CHARTS."""
    pnl: dict[str, float] = {}
    for row in rows:
        pnl[row["symbol"]] = pnl.get(row["symbol"], 0.0) + row["pnl"]
    known = [symbol for symbol in symbols if symbol in pnl]
    return sorted(known, key=lambda symbol: -abs(pnl[symbol]))[:CHARTS]


def marks_of(series: ReportSeries, symbol: str) -> pd.DataFrame:
    """What each fill of a symbol did: see `trade_marks`."""
    column = series.symbols.index(symbol)
    fills = series.fills[series.fills["symbol"] == symbol]
    return trade_marks(fills, series.timestamps, series.split[:, column])


def roles_in_order(marks: Sequence[pd.DataFrame]) -> list[str]:
    """Roles that occur, those that the report knows first."""
    return in_order((role for table in marks for role in table["role"]), _MARKS)


def key_of(roles: Sequence[str]) -> str:
    """What the marks mean, as HTML."""
    items = (
        f'<span><b style="color: {variable(mark.colour)}">{mark.sign}</b> '
        f"{escape(titled(role))}</span>"
        for role in roles
        for mark in [mark_of(role, roles)]
    )
    return f'<p class="key">{"".join(items)}</p>'


def price_chart(
    series: ReportSeries, symbol: str, marks: pd.DataFrame, roles: Sequence[str]
) -> Figure:
    """Closes of one symbol, and its fills as marks; prices per share of the last bar."""
    dates, closes = _closes(series, series.symbols.index(symbol))
    figure = new_figure(260, showlegend=False, hovermode="closest")
    figure.update_yaxes(tickformat=",~r")
    hover = f"%{{x|%Y-%m-%d}}: close %{{y:{_DIGITS}}}<extra></extra>"
    line = {"color": NEUTRAL, "width": 1}
    add_line(figure, dates, closes, None, line, hovertemplate=hover)
    for role in roles:
        own = marks[marks["role"] == role].nlargest(MARKS, "value", keep="first").sort_index()
        if len(own):
            _add_marks(figure, own, role, mark_of(role, roles))
    return figure


def _add_marks(figure: Figure, marks: pd.DataFrame, role: str, mark: Mark) -> None:
    rim = "open" in mark.symbol  # and nothing else; a white one keeps the others apart
    figure.add_scatter(
        x=iso_dates(pd.DatetimeIndex(marks["at"])),
        y=shown(marks["price"].to_numpy(np.float64)),
        mode="markers",
        marker={
            "symbol": mark.symbol,
            "size": mark.size,
            "color": mark.colour,
            "line": {"width": 1.5 if rim else 0.5, "color": mark.colour if rim else PAPER},
        },
        hovertemplate=f"%{{x|%Y-%m-%d}}: {label(role)} at %{{y:{_DIGITS}}}<extra></extra>",
    )


def _closes(series: ReportSeries, column: int) -> tuple[pd.DatetimeIndex, Floats]:
    """Dates and prices of at most POINTS closes, without those before the first bar."""
    price = series.price[:, column] * in_last_units(series.split[:, column])
    rows = np.arange(len(price)) if len(price) <= POINTS else day_ends(series.timestamps)
    rows = rows[np.isfinite(price[rows])]
    every = max(-(-len(rows) // POINTS), 1)
    rows = rows[::-1][::every][::-1]  # counted from the end, so that the last one stays
    return series.timestamps[rows], price[rows]
