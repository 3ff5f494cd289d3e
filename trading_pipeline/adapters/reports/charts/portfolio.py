"""Charts of what a portfolio manager asks: risk over time, holdings, costs, attribution, shape."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.figure import (
    Figure,
    add_intervals,
    add_line,
    chart_text,
    iso_dates,
    label,
    new_figure,
    shown,
)
from trading_pipeline.adapters.reports.charts.palette import (
    BASELINES,
    DIVERGING,
    INK,
    LOSS,
    STRATEGY,
)
from trading_pipeline.adapters.reports.charts.series import (
    Floats,
    ReportSeries,
    day_ends,
    solvent_weights,
    thinned,
)
from trading_pipeline.core.evaluation.performance import by_day, daily_returns, day_closes, solvent
from trading_pipeline.core.evaluation.portfolio.attribution import INTEREST, is_cost
from trading_pipeline.core.evaluation.portfolio.distribution import histogram
from trading_pipeline.core.evaluation.portfolio.months import by_month

_AREAS = 8  # more symbols than this are a heat map, not a stack of areas
_ROWS = 20  # of the heat map of positions: the largest ones
_SEEN = 0.05  # basis points of equity a month: less is written as 0.0
_SHOWN = 20  # symbols of the attribution
_PATTERNS = ("", "/", "x", ".", "\\", "+", "-")  # told apart without colours, too


def exposure_chart(series: ReportSeries) -> Figure:
    """Longs, shorts and, where there are both, their net as shares of equity, at daily closes."""
    days = day_ends(series.timestamps)
    days = days[thinned(len(days))]
    weights, dates = solvent_weights(series)[days], series.timestamps[days]
    figure = new_figure(280, hovermode="x unified")
    sides = (("long", np.maximum(weights, 0), STRATEGY), ("short", np.minimum(weights, 0), LOSS))
    held = [side for side in sides if side[1].any()]
    for name, part, colour in held:
        line = {"width": 1, "color": colour}
        add_line(figure, dates, part.sum(axis=1), name, line, fill="tozeroy", showlegend=True)
    if len(held) > 1:  # else the one side is the net
        line = {"width": 1.6, "color": INK, "dash": "dot"}
        add_line(figure, dates, weights.sum(axis=1), "net", line)
    figure.update_yaxes(tickformat=".0%", hoverformat=".1%")
    return figure


def positions_chart(series: ReportSeries) -> Figure:
    """Weights over time: stacked areas of a few long positions, else the largest as a heat map."""
    days = day_ends(series.timestamps)
    weights, dates = solvent_weights(series)[days], series.timestamps[days]
    if len(series.symbols) <= _AREAS and (weights >= 0).all():
        return _stacked(weights, dates, series.symbols)
    return _heated(weights, dates, series.symbols)


def _stacked(weights: Floats, dates: pd.DatetimeIndex, symbols: Sequence[str]) -> Figure:
    figure = new_figure(300, hovermode="x unified")
    for column, (symbol, colour) in enumerate(zip(symbols, cycle(BASELINES), strict=False)):
        line, name = {"width": 0.5, "color": colour}, chart_text(symbol)
        add_line(figure, dates, weights[:, column], name, line, stackgroup="book")
    figure.update_yaxes(tickformat=".0%", hoverformat=".1%", rangemode="tozero")
    return figure


def _heated(weights: Floats, dates: pd.DatetimeIndex, symbols: Sequence[str]) -> Figure:
    """Week by week, so that 100 symbols over ten years stay a small picture."""
    largest = np.argsort(-np.abs(weights).mean(axis=0), kind="stable")[:_ROWS]
    weeks = pd.DataFrame(weights[:, largest], index=dates).resample("W").last().dropna(how="all")
    values = weeks.to_numpy(dtype=np.float64).T
    reach = float(np.abs(values).max(initial=0.01))
    figure = new_figure(90 + 20 * len(largest))
    figure.add_heatmap(
        z=shown(values),
        x=iso_dates(pd.DatetimeIndex(weeks.index)),
        y=[chart_text(symbols[column]) for column in largest],
        zmin=-reach,
        zmax=reach,
        colorscale=DIVERGING,
        colorbar={"tickformat": ".0%", "thickness": 10, "orientation": "h", "y": -0.25},
        hovertemplate="%{y} %{x}: %{z:+.1%}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure


def turnover_chart(series: ReportSeries) -> Figure:
    """Value traded each month as a share of equity."""
    closes = day_closes(series.timestamps)
    alive = np.where(solvent(series.equity), series.turnover, 0.0)
    months, traded = by_month(by_day(alive, closes), series.timestamps[closes])
    figure = new_figure(220, showlegend=False)
    figure.add_bar(
        x=months,
        y=shown(traded),
        marker={"color": STRATEGY},
        hovertemplate="%{x|%b %Y}: %{y:.0%} of equity<extra></extra>",
    )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def costs_chart(series: ReportSeries) -> Figure | None:
    """What was paid each month, by kind, in basis points of equity; None when nothing was."""
    earnings = series.earnings
    money = {
        **dict(zip(earnings.kinds, earnings.money.sum(axis=(1, 3)), strict=True)),
        INTEREST: earnings.interest,
    }
    paid = {}
    for kind, amount in money.items():
        equity = earnings.equity
        share = np.divide(-amount, equity, out=np.zeros(len(amount)), where=equity > 0)
        months, cost = by_month(1e4 * share, earnings.days)
        if is_cost(kind) and np.abs(cost).max() >= _SEEN:
            paid[kind] = cost
    if not paid:
        return None
    figure = new_figure(280, barmode="relative", hovermode="x unified")
    for (kind, cost), colour, pattern in zip(
        paid.items(), cycle(BASELINES), cycle(_PATTERNS), strict=False
    ):
        figure.add_bar(
            x=months,
            y=shown(cost),
            name=label(kind),
            marker={"color": colour, "pattern": {"shape": pattern}},
        )
    figure.update_xaxes(hoverformat="%b %Y")
    figure.update_yaxes(title="bp of equity", hoverformat=".1f")
    return figure


def attribution_chart(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Contribution a year of the symbols that mattered most, with its interval."""
    largest = [row for row in rows if row["a_year"]["value"] is not None][:_SHOWN]
    numbers = [
        {end: row["a_year"]["value"] if x is None else x for end, x in row["a_year"].items()}
        for row in largest
    ]
    long = [row["side"] == "long" for row in largest]
    figure = new_figure(70 + 24 * len(largest), showlegend=False)
    marker = {
        "color": [STRATEGY if each else LOSS for each in long],
        "symbol": ["triangle-up" if each else "triangle-down" for each in long],
    }
    names = [f"{chart_text(row['symbol'])} {row['side']}" for row in largest]
    add_intervals(figure, names, numbers, marker, "+.2%", 1.5, hover="%{y}: ")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(title="part of mean equity, a year", tickformat=".1%")
    return figure


def distribution_chart(series: ReportSeries) -> Figure | None:
    """Daily returns as a histogram, and a normal of the same mean and deviation; None: no moves."""
    found = histogram(daily_returns(series.equity, day_closes(series.timestamps)))
    if found is None:
        return None
    middle = (found.edges[1:] + found.edges[:-1]) / 2
    figure = new_figure(300, bargap=0.05)
    figure.add_bar(
        x=shown(middle),
        y=found.days.astype(np.int32),
        name="days",
        marker={"color": STRATEGY},
        hovertemplate="%{x:+.2%}: %{y} days<extra></extra>",
    )
    figure.add_scatter(
        x=shown(middle),
        y=shown(found.normal),
        name="normal of the same deviation",
        mode="lines",
        line={"color": BASELINES[3], "width": 2, "dash": "dash"},
        hovertemplate="normal: %{y:.1f} days<extra></extra>",
    )
    figure.update_xaxes(tickformat="+.1%")
    figure.update_yaxes(title="days", rangemode="tozero")
    return figure
