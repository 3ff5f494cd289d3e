"""What the charts of all pages are made of: Plotly figures in one look, and their common traces."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.palette import INK, NEUTRAL, PAPER, RULE
from trading_pipeline.adapters.reports.charts.series import Floats
from trading_pipeline.core.evaluation.verdict import titled

Figure = Any  # plotly.graph_objects.Figure, which is imported only when a chart is drawn


def chart_text(text: str) -> str:
    """A text for a chart: Plotly reads tags in its texts, and knows no entity for a quote."""
    return escape(text, quote=False)


def label(name: str) -> str:
    """A name for a chart, as a sentence says it."""
    return chart_text(titled(name))


def new_figure(height: int, **layout: Any) -> Figure:
    """An empty figure in the report's look."""
    import plotly.graph_objects as go

    axis = {"gridcolor": RULE, "linecolor": RULE, "zerolinecolor": NEUTRAL, "automargin": True}
    dated = {"hoverformat": "%Y-%m-%d"} if layout.get("hovermode") == "x unified" else {}
    look = {
        "template": "none",  # the usual one is 6 kB of settings that nothing here uses
        "autotypenumbers": "strict",  # a symbol may be a number
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {
            "orientation": "h",
            "y": -0.14,
            "yanchor": "top",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
        "hoverlabel": {
            "bgcolor": PAPER,
            "bordercolor": NEUTRAL,
            "font": {"color": INK},
            "namelength": -1,  # whole names
        },
        "dragmode": False,  # a finger scrolls the page; the page switches zooming on for a mouse
        "xaxis": axis | dated,
        "yaxis": axis,
    }
    return go.Figure(layout=look | layout)  # at once: updates take five times as long


def add_line(
    figure: Figure,
    dates: pd.DatetimeIndex,
    values: Floats,
    name: str | None,
    line: Mapping[str, Any],
    **looks: Any,
) -> None:
    """A curve over dates; `name` is HTML already."""
    x, y = iso_dates(dates), shown(values)
    figure.add_scatter(x=x, y=y, name=name, mode="lines", line=line, **looks)


def shown(values: Floats | NDArray[np.float32]) -> list[Any]:
    """Numbers of five digits, or whole ones: more than a screen shows, and few bytes once packed.

    Last bits of a sum, which another processor adds up otherwise, are gone as well.
    """
    known = np.asarray(values, dtype=np.float64)
    scale = 10.0 ** np.maximum(4 - np.floor(np.log10(np.maximum(np.abs(known), 1e-12))), 0)
    numbers: list[Any] = (np.round(known * scale) / scale).tolist()
    return numbers


def iso_dates(dates: pd.DatetimeIndex) -> list[str]:
    """Dates as Plotly reads them."""
    return list(dates.strftime("%Y-%m-%d"))


def add_band(
    figure: Figure, dates: pd.DatetimeIndex, low: Floats, high: Floats, name: str, colour: str
) -> None:
    """An area between two curves over dates."""
    shared = {"x": iso_dates(dates), "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(y=shown(low), showlegend=False, **shared)
    figure.add_scatter(y=shown(high), fill="tonexty", fillcolor=colour, name=name, **shared)


def add_intervals(
    figure: Figure,
    names: Sequence[str],
    numbers: Sequence[Mapping[str, float]],
    marker: Mapping[str, Any],
    form: str,
    thickness: float,
    hover: str = "",
) -> None:
    """A dot a row at {value, low, high} with its interval, and a line at zero.

    Args:
        names: HTML already. form: of the numbers, in D3. hover: before them.
    """
    values, lows, highs = ([each[end] for each in numbers] for end in ("value", "low", "high"))
    ends = f"%{{customdata[0]:{form}}}, %{{customdata[1]:{form}}}"
    figure.add_scatter(
        x=values,
        y=names,
        mode="markers",
        marker={"size": 10, **marker},
        error_x={
            "array": [high - value for high, value in zip(highs, values, strict=True)],
            "arrayminus": [value - low for value, low in zip(values, lows, strict=True)],
            "color": NEUTRAL,
            "thickness": thickness,
        },
        customdata=list(zip(lows, highs, strict=True)),
        hovertemplate=f"{hover}%{{x:{form}}} [{ends}]<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": INK, "width": 1})
