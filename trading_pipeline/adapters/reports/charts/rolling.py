"""Charts of the last year, day by day: Sharpe ratio, volatility and beta."""

from typing import Any, NamedTuple

import pandas as pd

from trading_pipeline.adapters.reports.charts.figure import (
    Figure,
    add_band,
    add_line,
    label,
    new_figure,
)
from trading_pipeline.adapters.reports.charts.palette import INK, STRATEGY, translucent
from trading_pipeline.adapters.reports.charts.series import (
    Floats,
    ReportSeries,
    line_of,
    thinned,
)
from trading_pipeline.core.evaluation.performance import daily_returns, day_closes
from trading_pipeline.core.evaluation.portfolio.rolling import (
    rolling_beta,
    rolling_sharpe,
    rolling_volatility,
    rolling_window,
)


class RollingCharts(NamedTuple):
    """Three charts of windows of so many days."""

    window: int
    sharpe: Figure
    volatility: Figure
    beta: Figure | None  # without a benchmark there is none


def rolling_charts(series: ReportSeries, benchmark: str) -> RollingCharts | None:
    """Of the strategy, and of its benchmark where that is drawn; None: the history is too short."""
    closes = day_closes(series.timestamps)
    window, a_year = rolling_window(len(closes), series.days_per_year), series.days_per_year
    if window is None:
        return None
    rows = thinned(len(closes), window - 1)
    dates = series.timestamps[closes[rows]]
    own, other = daily_returns(series.equity, closes), None
    colour = STRATEGY
    if benchmark in series.baselines:
        other = daily_returns(series.baselines[benchmark], closes)
        colour = line_of(series, benchmark).colour

    def lines(strategy: Floats, beside: Floats | None, **layout: Any) -> Figure:
        return _lines(dates, strategy[rows], beside if beside is None else beside[rows],
                      label(benchmark), colour, **layout)  # fmt: skip

    ratio = rolling_sharpe(own, window, a_year)
    beside = None if other is None else rolling_sharpe(other, window, a_year).value
    sharpe = lines(ratio.value, beside, height=320)
    band = ("95 % band of the strategy", translucent(STRATEGY, 0.15))
    add_band(sharpe, dates, ratio.low[rows], ratio.high[rows], *band)
    sharpe.data = (*sharpe.data[-2:], *sharpe.data[:-2])  # behind the lines
    sharpe.update_yaxes(hoverformat=".2f")
    volatility = lines(
        rolling_volatility(own, window, a_year),
        None if other is None else rolling_volatility(other, window, a_year),
    )
    volatility.update_yaxes(tickformat=".0%", hoverformat=".1%", rangemode="tozero")
    beta = None
    if other is not None:
        beta = lines(rolling_beta(own, other, window), None)
        beta.update_yaxes(hoverformat=".2f")
    return RollingCharts(window, sharpe, volatility, beta)


def _lines(
    dates: pd.DatetimeIndex,
    strategy: Floats,
    beside: Floats | None,
    name: str,
    colour: str,
    height: int = 240,
) -> Figure:
    figure = new_figure(height, hovermode="x unified")
    if beside is not None:
        add_line(figure, dates, beside, name, {"color": colour, "width": 1.4})
    line = {"color": STRATEGY, "width": 2.4}
    add_line(figure, dates, strategy, "strategy", line, showlegend=True)
    figure.add_hline(y=0, line={"color": INK, "width": 1})
    return figure
