"""The charts of the report: Plotly figures that stay readable on a phone.

All are of daily closes, whatever the timeframe, so that the page stays small.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.palette import (
    BAND,
    BASELINES,
    GAIN,
    INK,
    LOSS,
    NEUTRAL,
    RULE,
    STRATEGY,
)
from trading_pipeline.adapters.reports.series import (
    RISK_RULES,
    Floats,
    ReportSeries,
    drawdowns,
    money_ticks,
    monthly_returns,
)
from trading_pipeline.adapters.reports.text import Summary
from trading_pipeline.core.evaluation.performance import day_closes
from trading_pipeline.core.evaluation.verdict import titled

Figure = Any  # plotly.graph_objects.Figure, which is imported only when a chart is drawn

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_AREAS = 8  # more symbols than this are a heat map, not a stack of areas
_ROWS = 20  # of the heat map of positions: the largest ones


def label(name: str) -> str:
    """A name for a chart: Plotly reads some HTML in its texts, so names are escaped."""
    return escape(titled(name))


def figure_of(height: int, **layout: Any) -> Figure:
    """An empty figure in the report's look."""
    import plotly.graph_objects as go

    axis = {"gridcolor": RULE, "linecolor": RULE, "zerolinecolor": NEUTRAL, "automargin": True}
    figure = go.Figure()
    figure.update_layout(
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
    import plotly.graph_objects as go

    paired = {name: each["sharpe_difference"] for name, each in summary["paired"].items()}
    order = [name for name, each in paired.items() if each["low"] is not None]
    numbers = [paired[name] for name in order]
    figure = figure_of(70 + 34 * len(order), showlegend=False)
    figure.add_trace(
        go.Scatter(
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
    days = _days(series.timestamps)
    dates = series.timestamps[days]
    if len(series.random_equity):
        _add_band(figure, dates, np.quantile(series.random_equity[:, days], [0.05, 0.95], axis=0))
    for (name, equity), colour in zip(series.baselines.items(), cycle(BASELINES), strict=False):
        _add_line(figure, dates, np.round(equity[days], 2), label(name), colour, 1.2)
    _add_line(figure, dates, np.round(series.equity[days], 2), "strategy", STRATEGY, 2.8)
    figure.data[-1].legendrank = 1  # drawn last, to lie on top, but named first
    figure.update_yaxes(type="log", tickformat=",~s", tickvals=money_ticks(series))
    return figure


def _days(timestamps: pd.DatetimeIndex) -> Any:
    """Positions of the first bar and of each day's last one."""
    return np.append(0, day_closes(timestamps))


def _add_line(
    figure: Figure, x: pd.DatetimeIndex, y: Floats, name: str, colour: str, width: float
) -> None:
    import plotly.graph_objects as go

    figure.add_trace(
        go.Scatter(
            x=_stamps(x),
            y=y,
            name=name,
            mode="lines",
            line={"color": colour, "width": width},
        )
    )


def _stamps(dates: pd.DatetimeIndex) -> list[str]:
    return list(dates.strftime("%Y-%m-%d"))


def _add_band(figure: Figure, dates: pd.DatetimeIndex, ends: Floats) -> None:
    import plotly.graph_objects as go

    shared = {"x": _stamps(dates), "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(y=np.round(ends[0], 2), showlegend=False, **shared))
    figure.add_trace(
        go.Scatter(
            y=np.round(ends[1], 2),
            fill="tonexty",
            fillcolor=BAND,
            name="random, 5-95 %",
            **shared,
        )
    )


def drawdown_chart(series: ReportSeries, benchmark: str) -> Figure:
    """How far below its own peak the strategy was, and the benchmark beside it."""
    import plotly.graph_objects as go

    figure = figure_of(280, hovermode="x unified")
    days = _days(series.timestamps)
    dates = series.timestamps[days]
    figure.add_trace(
        go.Scatter(
            x=_stamps(dates),
            y=np.round(drawdowns(series.equity)[days], 4),
            name="strategy",
            mode="lines",
            fill="tozeroy",
            fillcolor="rgba(11, 92, 173, 0.18)",
            line={"color": STRATEGY, "width": 1.6},
        )
    )
    if benchmark in series.baselines:
        fall = np.round(drawdowns(series.baselines[benchmark])[days], 4)
        _add_line(figure, dates, fall, label(benchmark), BASELINES[0], 1.2)
    figure.update_yaxes(tickformat=".0%")
    return figure


def monthly_chart(series: ReportSeries) -> Figure:
    """Returns of calendar months: years down, months across, red below zero."""
    import plotly.graph_objects as go

    table = monthly_returns(series.timestamps, series.equity)
    values = table.to_numpy(dtype=np.float64)
    reach = float(np.nanmax(np.abs(values), initial=0.01))
    figure = figure_of(60 + 30 * len(table))
    figure.add_trace(
        go.Heatmap(
            z=np.round(values, 4),
            x=_MONTHS,
            y=[str(year) for year in table.index],
            zmin=-reach,
            zmax=reach,
            colorscale=[[0, LOSS], [0.5, "#ffffff"], [1, GAIN]],
            showscale=False,
            text=[[_percent(value) for value in row] for row in values],
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertemplate="%{x} %{y}: %{z:+.1%}<extra></extra>",
            xgap=1,
            ygap=1,
            hoverongaps=False,
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(side="top", showgrid=False, tickangle=0, tickfont={"size": 10})
    return figure


def _percent(value: float) -> str:
    return "" if np.isnan(value) else str(round(100 * value))


def positions_chart(series: ReportSeries) -> Figure:
    """Weights over time: stacked areas of a few long positions, else the largest as a heat map."""
    days = _days(series.timestamps)
    weights, dates = series.weights[days], series.timestamps[days]
    if len(series.symbols) <= _AREAS and (weights >= 0).all():
        return _stacked(weights, dates, series.symbols)
    return _heated(weights, dates, series.symbols)


def _stacked(weights: Floats, dates: pd.DatetimeIndex, symbols: Sequence[str]) -> Figure:
    import plotly.graph_objects as go

    figure = figure_of(300, hovermode="x unified")
    for column, (symbol, colour) in enumerate(zip(symbols, cycle(BASELINES), strict=False)):
        figure.add_trace(
            go.Scatter(
                x=_stamps(dates),
                y=np.round(weights[:, column], 4),
                name=escape(symbol),
                mode="lines",
                line={"width": 0.5, "color": colour},
                stackgroup="book",
            )
        )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _heated(weights: Floats, dates: pd.DatetimeIndex, symbols: Sequence[str]) -> Figure:
    """Week by week, so that 100 symbols over ten years stay a small picture."""
    import plotly.graph_objects as go

    largest = np.argsort(-np.abs(weights).mean(axis=0), kind="stable")[:_ROWS]
    weeks = pd.DataFrame(weights[:, largest], index=dates).resample("W").last().dropna(how="all")
    values = weeks.to_numpy(dtype=np.float64).T
    reach = float(np.abs(values).max(initial=0.01))
    figure = figure_of(90 + 20 * len(largest))
    figure.add_trace(
        go.Heatmap(
            z=np.round(values, 4),
            x=_stamps(pd.DatetimeIndex(weeks.index)),
            y=[escape(symbols[column]) for column in largest],
            zmin=-reach,
            zmax=reach,
            colorscale=[[0, LOSS], [0.5, "#ffffff"], [1, STRATEGY]],
            colorbar={"tickformat": ".0%", "thickness": 10, "orientation": "h", "y": -0.25},
            hovertemplate="%{y} %{x}: %{z:+.1%}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure


def risk_chart(series: ReportSeries, events: pd.DataFrame) -> Figure:
    """When each risk rule acted, one row per rule, over the whole period."""
    import plotly.graph_objects as go

    acted = set(events["rule"])
    rules = [rule for rule in RISK_RULES if rule in acted]
    figure = figure_of(80 + 32 * len(rules), showlegend=False)
    figure.add_trace(
        go.Scatter(
            x=_stamps(pd.DatetimeIndex(events["at"])),
            y=[label(rule) for rule in events["rule"]],
            mode="markers",
            marker={"symbol": "line-ns", "size": 14, "line": {"width": 1.5, "color": LOSS}},
            customdata=events["symbols"],
            hovertemplate="%{x}: %{y}, %{customdata} symbols<extra></extra>",
        )
    )
    ends = series.timestamps[[0, -1]]
    figure.update_xaxes(range=_stamps(ends))
    figure.update_yaxes(
        showgrid=False,
        type="category",
        categoryorder="array",
        categoryarray=[label(rule) for rule in reversed(rules)],
    )
    return figure
