"""Pictures for the UI, drawn by matplotlib: Plotly's static export would need a browser."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.palette import (
    BAND,
    BASELINES,
    DIVERGING,
    INK,
    STRATEGY,
)
from trading_pipeline.adapters.reports.charts.series import (
    Floats,
    ReportSeries,
    drawn_baselines,
    line_of,
    money_ticks,
)
from trading_pipeline.adapters.reports.text import MONTHS
from trading_pipeline.core.evaluation.portfolio.drawdowns import fall_from_peak
from trading_pipeline.core.evaluation.portfolio.months import monthly_returns
from trading_pipeline.core.evaluation.verdict import titled


def draw_equity(path: Path, series: ReportSeries, title: str) -> None:
    """Write a PNG: equity on a log scale, baselines, and the band of random portfolios behind."""
    figure, axes = empty_picture(10, 5)
    if len(series.random_equity):
        low, high = np.quantile(series.random_equity, [0.05, 0.95], axis=0)
        label = "5-95 % of random portfolios"
        axes.fill_between(series.timestamps, low, high, color=BAND, label=label)
    for name, equity in drawn_baselines(series).items():
        colour, dashed = line_of(series, name)
        look = {"color": colour, "linewidth": 0.9, "linestyle": "--" if dashed else "-"}
        axes.plot(series.timestamps, equity, label=titled(name), **look)
    axes.plot(series.timestamps, series.equity, color=STRATEGY, linewidth=2, label="strategy")
    axes.set_yscale("log")
    ticks = money_ticks(series)
    axes.set_yticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    _save(figure, axes, path, title)


def draw_account(path: Path, timestamps: pd.DatetimeIndex, equity: Floats, title: str) -> None:
    """Write a PNG: the equity (T,) of one account."""
    figure, axes = empty_picture(10, 5)
    axes.plot(timestamps, equity, color=STRATEGY, linewidth=2)
    axes.yaxis.set_major_formatter("{x:,.10g}")
    _save(figure, axes, path, title)


def draw_drawdown(path: Path, series: ReportSeries, benchmark: str, title: str) -> None:
    """Write a PNG: the fall from the highest equity so far, and the benchmark's as a line."""
    figure, axes = empty_picture(10, 3)
    fall = 100 * fall_from_peak(series.equity)
    axes.fill_between(series.timestamps, fall, 0, color=STRATEGY, alpha=0.35, label="strategy")
    if benchmark in series.baselines:
        other = 100 * fall_from_peak(series.baselines[benchmark])
        colour = line_of(series, benchmark).colour
        axes.plot(series.timestamps, other, color=colour, linewidth=0.9, label=titled(benchmark))
    axes.set_ylabel("per cent")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower left")
    _save(figure, axes, path, title)


def draw_months(path: Path, series: ReportSeries, title: str) -> None:
    """Write a PNG: returns of calendar months in per cent, years down, blue above zero."""
    table = monthly_returns(series.timestamps, series.equity)
    values = 100 * table.to_numpy(dtype=np.float64)
    figure, axes = empty_picture(10, 0.8 + 0.32 * len(table))
    draw_cells(axes, values, [[f"{value:.1f}" for value in row] for row in values], 1.0)
    axes.grid(visible=False)
    axes.set_xticks(range(12), MONTHS)
    axes.set_yticks(range(len(table)), [str(year) for year in table.index])
    _save(figure, axes, path, title)


def draw_cells(axes: Any, values: Floats, texts: Sequence[Sequence[str]], least: float) -> None:
    """A heat map, orange below zero, with a text in every cell that is not NaN.

    Args:
        values: (rows, columns). least: the colours reach at least as far from zero.
    """
    from matplotlib.colors import LinearSegmentedColormap

    reach = float(np.nanmax(np.abs(values), initial=least))
    colours = LinearSegmentedColormap.from_list("diverging", list(DIVERGING))
    axes.imshow(values, aspect="auto", cmap=colours, vmin=-reach, vmax=reach)
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        ink = "white" if abs(values[row, column]) > 0.7 * reach else INK
        shown = texts[row][column]
        axes.text(column, row, shown, ha="center", va="center", fontsize=8, color=ink)


def _save(figure: Any, axes: Any, path: Path, title: str) -> None:
    axes.set_title(math_off(title), loc="left")
    path.write_bytes(png_of(figure))


def math_off(title: str) -> str:
    """A text in which a dollar is a dollar: matplotlib sets what stands between two as formulas."""
    return title.replace("$", r"\$")


def png_of(figure: Any, **options: Any) -> bytes:
    """The bytes of a picture, the same for the same figure."""
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None}, **options)
    return picture.getvalue()


def loss_curve(curves: Sequence[Sequence[Mapping[str, float]]]) -> str:
    """Markdown with the picture of a training inlined: loss, and validation coefficient.

    Args:
        curves: of each seed, its looks at validation: {step, loss, information}.
    """
    figure, axes = empty_picture(7, 3.2)
    right = axes.twinx()
    for looks in curves:
        steps = [look["step"] for look in looks]
        axes.plot(steps, [look["loss"] for look in looks], color=STRATEGY, marker=".")
        right.plot(steps, [look["information"] for look in looks], color=BASELINES[0], marker=".")
    axes.set_xlabel("training step")
    axes.set_ylabel("training loss", color=STRATEGY)
    right.set_ylabel("validation coefficient, price head", color=BASELINES[0])
    right.spines[["top"]].set_visible(False)
    return as_markdown(png_of(figure), "loss by training step")


def as_markdown(png: bytes, title: str) -> str:
    """A picture inlined, so that the UI shows it without a file server."""
    return f"![{title}](data:image/png;base64,{b64encode(png).decode('ascii')})"


def empty_picture(width: float, height: float) -> tuple[Any, Any]:
    """A figure and its axes, without pyplot: that keeps global state and may want a screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
