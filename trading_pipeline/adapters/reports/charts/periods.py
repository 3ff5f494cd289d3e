"""Charts of a history in parts: by year, by crisis, by the month in which one began."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.figure import (
    Figure,
    add_line,
    chart_text,
    label,
    new_figure,
    shown,
)
from trading_pipeline.adapters.reports.charts.palette import INK, STRATEGY
from trading_pipeline.adapters.reports.charts.series import ReportSeries, line_of

Row = Mapping[str, Any]


def parts_chart(rows: Sequence[Row], series: ReportSeries, benchmark: str) -> Figure:
    """What the strategy and the benchmark made in each part, side by side."""
    figure = new_figure(300, barmode="group", bargap=0.25, bargroupgap=0.05, hovermode="x unified")
    names = [chart_text(row["name"]) for row in rows]
    for book, name, colour in _books(series, benchmark):
        made = np.array([row[book]["total_return"]["value"] for row in rows], dtype=np.float64)
        figure.add_bar(
            x=names,
            y=shown(made),
            name=name,
            marker={"color": colour},
            hovertemplate="%{y:+.1%}",
        )
    figure.add_hline(y=0, line={"color": INK, "width": 1})
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_layout(legend={"y": 1, "yanchor": "bottom"})  # names of crises slant on a phone
    figure.update_yaxes(tickformat=".0%")
    return figure


def starts_chart(starts: Sequence[Row], series: ReportSeries, benchmark: str) -> Figure:
    """What a year brought, by the day on which one began."""
    figure = new_figure(300, hovermode="x unified")
    dates = pd.DatetimeIndex([row["start"] for row in starts])
    for book, name, colour in reversed(_books(series, benchmark)):
        made = np.array([row[book]["first_year"] for row in starts], dtype=np.float64)
        width = 2.4 if book == "strategy" else 1.4
        add_line(figure, dates, made, name, {"color": colour, "width": width})
    figure.data[-1].legendrank = 1  # drawn last, to lie on top, but named first
    figure.add_hline(y=0, line={"color": INK, "width": 1})
    figure.update_yaxes(tickformat=".0%", hoverformat="+.1%")
    return figure


def _books(series: ReportSeries, benchmark: str) -> list[tuple[str, str, str]]:
    """Key, name and colour of the two."""
    return [
        ("strategy", "strategy", STRATEGY),
        ("benchmark", label(benchmark), line_of(series, benchmark).colour),
    ]
