"""The table of a sweep as text, and as a picture where two limits were swept."""

import textwrap
from collections.abc import Hashable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.adapters.reports.charts.palette import INK, NEUTRAL
from trading_pipeline.adapters.reports.charts.pictures import draw_cells, math_off, png_of
from trading_pipeline.adapters.reports.csv_file import csv_of
from trading_pipeline.adapters.reports.summary_text import WIDTH
from trading_pipeline.adapters.reports.verdicts import choice_sentences
from trading_pipeline.core.evaluation.sweep import Luck
from trading_pipeline.core.evaluation.verdict import MINIMUM_DEFLATED_SHARPE, titled
from trading_pipeline.errors import StoreError

_MEASURES = ("return", "volatility", "Sharpe", "95 % interval", "drawdown", "turnover")
_RULES_TRIPPED = ("halved", "flat")


def sweep_text(table: pd.DataFrame, limits: tuple[str, ...]) -> str:
    """One line a variant, in the order swept; the market's own profile is marked with a star.

    Args:
        table: limits swept, columns of `sweep_table`, `own`.
    """
    lines = [("", *limits, *_MEASURES, *_RULES_TRIPPED)]
    lines += [_cells(row, limits) for row in table.to_dict("records")]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    spread = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in spread)


def _cells(row: Mapping[Hashable, Any], limits: tuple[str, ...]) -> tuple[str, ...]:
    return (
        "*" if row["own"] else "",
        *(f"{row[name]:.12g}" for name in limits),
        f"{row['annual_return']:+.1%}",
        f"{row['annual_volatility']:.1%}",
        _decimal(row["sharpe"]),
        _interval(row),
        f"{row['max_drawdown']:.1%}",
        f"{row['turnover']:.1f}",
        str(row["halvings"]),
        str(row["flattenings"]),
    )


def luck_text(variants: int, new: int, luck: Luck) -> str:
    """What has to be said below such a table."""
    over, deflated = "a rule baseline", "not available"
    if luck.deflated is not None:
        over, deflated = titled(luck.hardest), f"{luck.deflated:.2f}"
    text = [
        f"{variants} variants were tried, {new} of them for the first time; {luck.trials} trials "
        f"of this panel are journalled by now. Those that move alike are one: {luck.effective} "
        "are really different.",
        f"The best row is {luck.best}, with a Sharpe ratio of {_decimal(luck.sharpe)}. Over {over} "
        f"at equal volatility the best of {luck.effective} without any skill is expected to show "
        f"one of {luck.expected_maximum:.2f}; the deflated Sharpe ratio of the best row over that "
        f"is {deflated}, and at least {MINIMUM_DEFLATED_SHARPE} is needed.",
        *choice_sentences(variants, luck.overfitting, luck.superiority, luck.hardest),
        "Choosing by this table is fitting. Reports made from now on count these trials.",
    ]
    return "\n".join(textwrap.fill(each, WIDTH) for each in text)


def write_sweep(path: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV; the first column is the name of the variant.

    Raises:
        StoreError: the file cannot be written.
    """
    _write(path, csv_of(table, index=True))


def draw_sweep(path: Path, table: pd.DataFrame, limits: tuple[str, ...], title: str) -> None:
    """Write a PNG: the Sharpe ratio over two limits, with its interval; the own profile is framed.

    A combination that was left out stays empty. Colours are the same on both sides of zero.

    Raises:
        ValueError: other than two limits. StoreError: the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    if len(limits) != 2:
        raise ValueError(f"a picture has two limits, not {len(limits)}: {', '.join(limits)}")
    down, across = (sorted(set(table[name])) for name in limits)
    figure = Figure(
        figsize=(2.4 + 1.1 * len(across), 1.4 + 0.6 * len(down)), dpi=110, layout="constrained"
    )
    axes = figure.subplots()
    values = np.full((len(down), len(across)), np.nan)
    texts = [[""] * len(across) for _ in down]
    for _, row in table.iterrows():
        y, x = down.index(row[limits[0]]), across.index(row[limits[1]])
        values[y, x] = row["sharpe"]
        texts[y][x] = f"{row['sharpe']:.2f}\n{_interval(row)}"
        if row["own"]:
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=INK, lw=2))
    draw_cells(axes, values, texts, 0.5)
    axes.set_xticks(range(len(across)), [f"{value:g}" for value in across])
    axes.set_yticks(range(len(down)), [f"{value:g}" for value in down])
    axes.set_xlabel(limits[1])
    axes.set_ylabel(limits[0])
    axes.set_title(math_off(title), loc="left", fontsize=10)
    figure.text(0.01, -0.02, "Choosing a cell is fitting.", color=NEUTRAL, fontsize=8, va="top")
    _write(path, png_of(figure, bbox_inches="tight"))


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _interval(row: Mapping[Hashable, Any]) -> str:
    return f"[{_decimal(row['sharpe_low'])}, {_decimal(row['sharpe_high'])}]"


def _decimal(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "n/a"
