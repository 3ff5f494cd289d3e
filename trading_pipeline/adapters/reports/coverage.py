"""Pictures of coverage: which share of the expected bars is there, by symbol and month.

Colours are classes, not a scale: one missing hour of a month must be seen beside a month lost.
"""

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.palette import RULE
from trading_pipeline.adapters.reports.charts.pictures import math_off, png_of
from trading_pipeline.adapters.reports.charts.sparkline import SHOWN_AT_ONCE, svg_markdown

# Lower bound of the share, colour, words; the last is of months in which a symbol is not listed.
CLASSES = (
    (1.0, "#9fc3e6", "all there"),
    (0.99, "#f2d479", "99 % or more"),
    (0.9, "#e8a33d", "90 to 99 %"),
    (0.5, "#d9622b", "50 to 90 %"),
    (0.0, "#8e1b1b", "less than half"),
)
UNLISTED = ("#f1f3f6", "not listed")
EACH = 60  # symbols that get a row each; of more, as many as this of the least covered do
_ROW, _MONTHS_WIDE = 0.19, 11.0  # inches


def draw_coverage(table: pd.DataFrame, title: str) -> bytes:
    """A PNG: a row a symbol and a column a month; of many symbols, the least covered and how many.

    Args:
        table: symbols × months, in [0, 1], NaN where not listed, as `quality.coverage` makes it.
    """
    from matplotlib.figure import Figure

    rows = least_covered(table, EACH)
    height = 1.3 + _ROW * max(len(rows), 4)
    many = len(rows) < len(table)
    figure = Figure(figsize=(_MONTHS_WIDE, height + 1.6 * many), dpi=110, layout="constrained")
    if many:
        upper, lower = figure.subplots(2, 1, height_ratios=[height, 1.6], sharex=True)
        _heat(upper, rows)
        _listed(lower, table)
        title = f"{title}: the {len(rows)} least covered of {len(table)} symbols, and all of them"
    else:
        upper = lower = figure.subplots()
        _heat(upper, rows)
    _months(lower, table)
    upper.set_title(math_off(title), loc="left", fontsize=10)
    _legend(figure)
    return png_of(figure)


def least_covered(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most that many rows, those with the most months' worth of missing bars, by name."""
    if len(table) <= most:
        return table
    lost = (1 - table).sum(axis=1)
    chosen = lost.sort_values(ascending=False, kind="stable").index[:most]
    return table.loc[[name for name in table.index if name in set(chosen)]]


def classes_of(table: pd.DataFrame) -> NDArray[np.int_]:
    """Place in `CLASSES` of every cell; their number where a symbol is not listed."""
    values = table.to_numpy(float)
    bounds = np.array([bound for bound, *_ in CLASSES])
    places = (values[..., None] < bounds - 1e-12).sum(axis=-1)
    found: NDArray[np.int_] = np.where(np.isnan(values), len(CLASSES), places)
    return found


def _heat(axes: Any, table: pd.DataFrame) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap([colour for _, colour, _ in CLASSES] + [UNLISTED[0]])
    axes.pcolormesh(
        np.arange(table.shape[1] + 1),
        np.arange(table.shape[0] + 1),
        classes_of(table),
        cmap=colours,
        vmin=-0.5,
        vmax=len(CLASSES) + 0.5,
        edgecolors="white",
        linewidth=0.4 if table.shape[1] <= 150 else 0,
    )
    axes.set_yticks(np.arange(len(table)) + 0.5, list(table.index), fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _listed(axes: Any, table: pd.DataFrame) -> None:
    """How many symbols are listed each month, and how many have all of their bars."""
    months = np.arange(table.shape[1])
    listed, whole = table.notna().sum(), (table >= 1).sum()
    axes.bar(months + 0.5, listed, width=1, color=CLASSES[2][1], label="listed, bars missing")
    axes.bar(months + 0.5, whole, width=1, color=CLASSES[0][1], label="listed, all there")
    axes.set_ylabel("symbols", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, loc="lower left", ncols=2, framealpha=0.9, edgecolor="none")


def _months(axes: Any, table: pd.DataFrame) -> None:
    """A label a year where there are years, else one a month."""
    months = list(table.columns)
    years = [place for place, month in enumerate(months) if month.endswith("-01")]
    if len(months) <= 24:
        axes.set_xticks(np.arange(len(months)) + 0.5, months, rotation=90, fontsize=7)
    else:
        axes.set_xticks(years, [months[place][:4] for place in years], fontsize=8)


def _legend(figure: Any) -> None:
    from matplotlib.patches import Patch

    entries = [(colour, words) for _, colour, words in CLASSES] + [UNLISTED]
    patches = [Patch(facecolor=colour, label=words, edgecolor=RULE) for colour, words in entries]
    figure.legend(
        handles=patches, loc="outside lower left", ncols=len(patches), frameon=False, fontsize=7
    )


def coverage_markdown(table: pd.DataFrame) -> str:
    """The least covered symbols as a small picture that the page of an asset shows at once."""
    drawn = (_small(least_covered(table, rows), len(table)) for rows in (16, 12, 8, 5, 3, 1))
    return next((markdown for markdown in drawn if len(markdown) < SHOWN_AT_ONCE), "")


def _small(table: pd.DataFrame, of: int) -> str:
    """An SVG, one strip a symbol; a path of each colour, as few points as it takes."""
    width, step = 480, 480 / table.shape[1]
    places = classes_of(table)
    paths = [""] * (len(CLASSES) + 1)
    for row, cells in enumerate(places):
        start = 0
        for place, run in groupby(cells):
            stop = start + len(list(run))
            left, right = round(start * step), max(round(stop * step), round(start * step) + 1)
            paths[place] += f"M{left} {row * 9}h{right - left}v8H{left}"
            start = stop
    colours = [colour for _, colour, _ in CLASSES] + [UNLISTED[0]]
    shapes = "".join(
        f"<path fill='{c}' d='{d}'/>" for c, d in zip(colours, paths, strict=True) if d
    )
    picture = svg_markdown("coverage", width, len(table) * 9, shapes)
    names = ", ".join(map(str, table.index[:8])) + ("…" if len(table) > 8 else "")
    months = f"{table.columns[0]} to {table.columns[-1]}"
    which = f"the {len(table)} least covered of {of} symbols" if len(table) < of else "by symbol"
    return f"{picture}\n\n{which} ({names}), {months}: blue is complete"
