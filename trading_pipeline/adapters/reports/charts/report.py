"""The charts of the report: Plotly figures that stay readable on a phone.

All are of daily closes, whatever the timeframe, so that the page stays small.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.palette import (
    BAND,
    BASELINES,
    DIVERGING,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    RULE,
    STRATEGY,
)
from trading_pipeline.adapters.reports.charts.series import (
    Floats,
    ReportSeries,
    day_ends,
    money_ticks,
    monthly_returns,
)
from trading_pipeline.adapters.reports.text import MONTHS, Summary
from trading_pipeline.core.evaluation.portfolio.drawdowns import fall_from_peak
from trading_pipeline.core.evaluation.portfolio.risk_events import in_order
from trading_pipeline.core.evaluation.verdict import titled

Figure = Any  # plotly.graph_objects.Figure, which is imported only when a chart is drawn


def plain(text: str) -> str:
    """A text for a chart: Plotly reads tags in its texts, and knows no entity for a quote."""
    return escape(text, quote=False)


def label(name: str) -> str:
    """A name for a chart, as a sentence says it."""
    return plain(titled(name))


def figure_of(height: int, **layout: Any) -> Figure:
    """An empty figure in the report's look."""
    import plotly.graph_objects as go

    axis = {"gridcolor": RULE, "linecolor": RULE, "zerolinecolor": NEUTRAL, "automargin": True}
    figure = go.Figure()
    figure.update_layout(
        template="none",  # the usual one is 6 kB of settings that nothing here uses
        autotypenumbers="strict",  # a symbol may be a number
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        legend={
            "orientation": "h",
            "y": -0.14,
            "yanchor": "top",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
        hoverlabel={"bgcolor": "white"},
        dragmode=False,  # a finger scrolls the page; the page switches zooming on for a mouse
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(**layout)
    return figure


def paired_chart(summary: Summary) -> Figure:
    """The paired Sharpe difference to every baseline with its interval, the benchmark on top."""
    paired = {name: each["sharpe_difference"] for name, each in summary["paired"].items()}
    order = [name for name, each in paired.items() if each["low"] is not None]
    numbers = [paired[name] for name in order]
    figure = figure_of(70 + 34 * len(order), showlegend=False)
    figure.add_scatter(
        x=[each["value"] for each in numbers],
        y=[label(name) for name in order],
        mode="markers",
        marker={"size": 10, "color": [_verdict_colour(each) for each in numbers]},
        error_x={
            "array": [each["high"] - each["value"] for each in numbers],
            "arrayminus": [each["value"] - each["low"] for each in numbers],
            "color": NEUTRAL,
            "thickness": 2,
        },
        customdata=[[each["low"], each["high"]] for each in numbers],
        hovertemplate="%{x:+.2f} [%{customdata[0]:+.2f}, %{customdata[1]:+.2f}]<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(title="difference in Sharpe ratio")
    return figure


def _verdict_colour(numbers: Mapping[str, float]) -> str:
    if numbers["low"] > 0:
        return GAIN
    return LOSS if numbers["high"] < 0 else NEUTRAL


def equity_chart(series: ReportSeries) -> Figure:
    """Equity on a log scale, the baselines, and the band of random portfolios behind."""
    figure = figure_of(440, hovermode="x unified")
    days = day_ends(series.timestamps)
    dates = series.timestamps[days]
    if len(series.random_equity):
        _add_band(figure, dates, np.quantile(series.random_equity[:, days], [0.05, 0.95], axis=0))
    for name, equity in series.baselines.items():
        add_line(figure, dates, equity[days], label(name), colour_of(series, name), 1.2)
    add_line(figure, dates, series.equity[days], "strategy", STRATEGY, 2.8)
    figure.data[-1].legendrank = 1  # drawn last, to lie on top, but named first
    figure.update_yaxes(
        type="log", tickformat=",~s", hoverformat=",.0f", tickvals=money_ticks(series)
    )
    return figure


def add_line(
    figure: Figure, x: pd.DatetimeIndex, y: Floats, name: str, colour: str, width: float
) -> None:
    """A curve over dates; `name` is HTML already."""
    figure.add_scatter(
        x=stamps_of(x),
        y=small(y),
        name=name,
        mode="lines",
        line={"color": colour, "width": width},
    )


def colour_of(series: ReportSeries, baseline: str) -> str:
    """The colour of a baseline, the same in every chart."""
    return BASELINES[list(series.baselines).index(baseline) % len(BASELINES)]


def small(values: Floats) -> NDArray[np.float32]:
    """Numbers of seven digits, which is more than a screen shows, in half the bytes."""
    return np.asarray(values, dtype=np.float32)


def stamps_of(dates: pd.DatetimeIndex) -> list[str]:
    """Dates as Plotly reads them."""
    return list(dates.strftime("%Y-%m-%d"))


def _add_band(figure: Figure, dates: pd.DatetimeIndex, ends: Floats) -> None:
    shared = {"x": stamps_of(dates), "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(y=small(ends[0]), showlegend=False, **shared)
    figure.add_scatter(
        y=small(ends[1]),
        fill="tonexty",
        fillcolor=BAND,
        name="random, 5-95 %",
        **shared,
    )


def drawdown_chart(series: ReportSeries, benchmark: str) -> Figure:
    """How far below its own peak the strategy was, and the benchmark beside it."""
    figure = figure_of(280, hovermode="x unified")
    days = day_ends(series.timestamps)
    dates = series.timestamps[days]
    figure.add_scatter(
        x=stamps_of(dates),
        y=small(fall_from_peak(series.equity)[days]),
        name="strategy",
        mode="lines",
        fill="tozeroy",
        fillcolor="rgba(11, 92, 173, 0.18)",
        line={"color": STRATEGY, "width": 1.6},
    )
    if benchmark in series.baselines:
        fall = fall_from_peak(series.baselines[benchmark])[days]
        add_line(figure, dates, fall, label(benchmark), colour_of(series, benchmark), 1.2)
    figure.update_yaxes(tickformat=".0%", hoverformat=".1%")
    return figure


def monthly_chart(series: ReportSeries) -> Figure:
    """Returns of calendar months: years down, months across, red below zero."""
    table = monthly_returns(series.timestamps, series.equity)
    values = table.to_numpy(dtype=np.float64)
    reach = float(np.nanmax(np.abs(values), initial=0.01))
    figure = figure_of(60 + 30 * len(table))
    figure.add_heatmap(
        z=small(values),
        x=MONTHS,
        y=[str(year) for year in table.index],
        zmin=-reach,
        zmax=reach,
        colorscale=DIVERGING,
        showscale=False,
        text=[[_percent(value) for value in row] for row in values],
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertemplate="%{x} %{y}: %{z:+.1%}<extra></extra>",
        xgap=1,
        ygap=1,
        hoverongaps=False,
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(side="top", showgrid=False, tickangle=0, tickfont={"size": 10})
    return figure


def _percent(value: float) -> str:
    return "" if np.isnan(value) else str(round(100 * value))


def risk_chart(series: ReportSeries, events: pd.DataFrame) -> Figure:
    """When each risk rule acted, one row per rule, over the whole period."""
    rules = in_order(set(events["rule"]))
    figure = figure_of(80 + 32 * len(rules), showlegend=False, hovermode="closest")
    for rule in rules:
        shown = events[events["rule"] == rule]
        days = pd.DatetimeIndex(shown["at"]).normalize()
        symbols = shown["symbols"].groupby(days).max()  # one mark a day, whatever the timeframe
        figure.add_scatter(
            x=stamps_of(pd.DatetimeIndex(symbols.index)),
            y=[label(rule)] * len(symbols),
            mode="markers",
            marker={"symbol": "line-ns", "size": 14, "line": {"width": 1.5, "color": LOSS}},
            customdata=symbols.to_numpy(np.int32),
            hovertemplate="%{x}: %{y}, %{customdata} symbols<extra></extra>",
        )
    figure.update_xaxes(range=stamps_of(series.timestamps[[0, -1]]))
    figure.update_yaxes(
        showgrid=False,
        type="category",
        categoryorder="array",
        categoryarray=[label(rule) for rule in reversed(rules)],
    )
    return figure
