"""Pictures for the UI, drawn by matplotlib: Plotly's static export would need a browser."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from trading_pipeline.adapters.reports.palette import BAND, BASELINES, STRATEGY
from trading_pipeline.adapters.reports.series import ReportSeries, money_ticks
from trading_pipeline.core.evaluation.verdict import titled


def draw_equity(path: Path, series: ReportSeries, title: str) -> None:
    """Write a PNG: equity on a log scale, baselines, and the band of random portfolios behind."""
    figure, axes = _empty(10, 5)
    if len(series.random_equity):
        low, high = np.quantile(series.random_equity, [0.05, 0.95], axis=0)
        label = "5-95 % of random portfolios"
        axes.fill_between(series.timestamps, low, high, color=BAND, label=label)
    for (name, equity), colour in zip(series.baselines.items(), cycle(BASELINES), strict=False):
        axes.plot(series.timestamps, equity, color=colour, linewidth=0.9, label=titled(name))
    axes.plot(series.timestamps, series.equity, color=STRATEGY, linewidth=2, label="strategy")
    axes.set_yscale("log")
    ticks = money_ticks(series)
    axes.set_yticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_title(title.replace("$", r"\$"), loc="left")
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper left")
    figure.savefig(path, format="png", metadata={"Software": None})


def loss_curve(curves: Sequence[Sequence[Mapping[str, float]]]) -> str:
    """Markdown with the picture of a training inlined: loss, and validation coefficient.

    Args:
        curves: of each seed, its looks at validation: {step, loss, information}.
    """
    figure, axes = _empty(7, 3.2)
    right = axes.twinx()
    for looks in curves:
        steps = [look["step"] for look in looks]
        axes.plot(steps, [look["loss"] for look in looks], color=STRATEGY, marker=".")
        right.plot(steps, [look["information"] for look in looks], color=BASELINES[0], marker=".")
    axes.set_xlabel("training step")
    axes.set_ylabel("training loss", color=STRATEGY)
    right.set_ylabel("validation coefficient, price head", color=BASELINES[0])
    right.spines[["top"]].set_visible(False)
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return as_markdown(picture.getvalue(), "loss by training step")


def as_markdown(png: bytes, title: str) -> str:
    """A picture inlined, so that the UI shows it without a file server."""
    return f"![{title}](data:image/png;base64,{b64encode(png).decode('ascii')})"


def _empty(width: float, height: float) -> tuple[Any, Any]:
    """A figure and its axes, without pyplot: that keeps global state and may want a screen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
