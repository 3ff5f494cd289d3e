"""The charts of the report: Plotly figures that stay readable on a phone.

All are of daily closes, whatever the timeframe, so that the page stays small.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.figure import (
    Figure,
    add_band,
    add_intervals,
    add_line,
    chart_text,
    iso_dates,
    label,
    new_figure,
)
from trading_pipeline.adapters.reports.charts.palette import (
    BAND,
    GAIN,
    LOSS,
    NEUTRAL,
    STRATEGY,
    translucent,
)
from trading_pipeline.adapters.reports.charts.series import (
    ReportSeries,
    drawn_baselines,
    drawn_days,
    line_of,
    money_ticks,
)
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.portfolio.drawdowns import fall_from_peak
from trading_pipeline.core.evaluation.portfolio.risk_events import in_order
from trading_pipeline.core.trading.rules import rule_name


def paired_chart(summary: Summary) -> Figure:
    """The paired Sharpe difference to every baseline with its interval, the benchmark on top."""
    paired = {name: each["sharpe_difference"] for name, each in summary["paired"].items()}
    order = [name for name, each in paired.items() if each["low"] is not None]
    numbers = [paired[name] for name in order]
    figure = new_figure(70 + 34 * len(order), showlegend=False)
    marker = {"color": [_verdict_colour(each) for each in numbers]}
    add_intervals(figure, [label(name) for name in order], numbers, marker, "+.2f", thickness=2)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _verdict_colour(numbers: Mapping[str, float]) -> str:
    if numbers["low"] > 0:
        return GAIN
    return LOSS if numbers["high"] < 0 else NEUTRAL


def equity_chart(series: ReportSeries) -> Figure:
    """Equity on a log scale, bare baselines, and the band of random portfolios behind."""
    figure = new_figure(440, hovermode="x unified")
    days = drawn_days(series.timestamps)
    dates = series.timestamps[days]
    if len(series.random_equity):
        ends = np.quantile(series.random_equity[:, days], [0.05, 0.95], axis=0)
        add_band(figure, dates, ends[0], ends[1], "random, 5-95 %", BAND)
    for name, equity in drawn_baselines(series).items():
        colour, dashed = line_of(series, name)
        line = {"color": colour, "width": 1.2, "dash": "dash" if dashed else "solid"}
        add_line(figure, dates, equity[days], label(name), line)
    add_line(figure, dates, series.equity[days], "strategy", {"color": STRATEGY, "width": 2.8})
    figure.data[-1].legendrank = 1  # drawn last, to lie on top, but named first
    figure.update_yaxes(
        type="log", tickformat=",~s", hoverformat=",.0f", tickvals=money_ticks(series)
    )
    return figure


def drawdown_chart(series: ReportSeries, benchmark: str) -> Figure:
    """How far below its own peak the strategy was, and the benchmark beside it."""
    figure = new_figure(280, hovermode="x unified")
    days = drawn_days(series.timestamps)
    dates = series.timestamps[days]
    own, line = fall_from_peak(series.equity)[days], {"color": STRATEGY, "width": 1.6}
    area = {"fill": "tozeroy", "fillcolor": translucent(STRATEGY, 0.18)}
    add_line(figure, dates, own, "strategy", line, **area)
    if benchmark in series.baselines:
        fall = fall_from_peak(series.baselines[benchmark])[days]
        add_line(
            figure,
            dates,
            fall,
            label(benchmark),
            {"color": line_of(series, benchmark).colour, "width": 1.2},
        )
    figure.update_yaxes(tickformat=".0%", hoverformat=".1%")
    return figure


def risk_chart(series: ReportSeries, events: pd.DataFrame) -> Figure:
    """When each risk rule acted, one row per rule, over the whole period."""
    rules = in_order(events["rule"])
    figure = new_figure(80 + 32 * len(rules), showlegend=False, hovermode="closest")
    for rule in rules:
        acted = events[events["rule"] == rule]
        days = pd.DatetimeIndex(acted["at"]).normalize()
        symbols = acted["symbols"].groupby(days).max()  # one mark a day, whatever the timeframe
        figure.add_scatter(
            x=iso_dates(pd.DatetimeIndex(symbols.index)),
            y=[chart_text(rule_name(rule))] * len(symbols),
            mode="markers",
            marker={"symbol": "line-ns", "size": 14, "line": {"width": 1.5, "color": LOSS}},
            customdata=symbols.to_numpy(np.int32),
            hovertemplate="%{x|%Y-%m-%d}: %{y}, %{customdata} symbols<extra></extra>",
        )
    figure.update_xaxes(range=iso_dates(series.timestamps[[0, -1]]))
    figure.update_yaxes(
        showgrid=False,
        type="category",
        categoryorder="array",
        categoryarray=[chart_text(rule_name(rule)) for rule in reversed(rules)],
    )
    return figure
