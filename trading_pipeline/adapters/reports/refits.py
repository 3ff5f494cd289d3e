"""The comparison of how often a model is fitted, as a table and as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.reports.charts.palette import BASELINES, INK, STRATEGY
from trading_pipeline.adapters.reports.charts.pictures import empty_picture, math_off, png_of

_MEASURES = {"sharpe": ("Sharpe ratio", 2), "rank_ic": ("rank IC", 3)}


def markdown_refits(summary: Mapping[str, Any]) -> str:
    """A row for each interval: trainings, CPU time, both measures, and the paired differences."""
    table = summary["intervals"]
    first = next(iter(table))
    columns = ["refitted", "fits", "CPU seconds"]
    columns += [name for name, _ in _MEASURES.values()]
    columns += [f"{name} over {first}" for name, _ in _MEASURES.values()]
    columns += [f"{name} over the row above" for name, _ in _MEASURES.values()]
    lines = [_row(columns), _row(["---"] + ["---:"] * (len(columns) - 1))]
    for name, each in table.items():
        above = list(each["over"])[-1] if each["over"] else first
        lines.append(
            _row(
                [name, str(each["fits"]), f"{each['cpu_seconds']:,.0f}"]
                + [_estimate(each[key], digits) for key, (_, digits) in _MEASURES.items()]
                + _differences(each, first)
                + _differences(each, above)
            )
        )
    first_day, last_day = summary["start"][:10], summary["end"][:10]
    head = (
        f"{summary['market']}, {first_day} to {last_day}, {summary['days']:,} days, "
        f"{summary['model']} ({summary['preset']}): 95 % intervals, paired by date."
    )
    return "\n\n".join([head, "\n".join(lines), summary["answer"]])


def draw_refits(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a PNG: by how much each interval's Sharpe ratio differs from that of no refit, and
    what it costs."""
    figure, axes = empty_picture(8, 3.2)
    first, *others = summary["intervals"]
    table = summary["intervals"]
    for place, name in enumerate(others):
        each = table[name]["over"][first]["sharpe"]
        label = f"{table[name]['fits']} fits, {table[name]['cpu_seconds']:,.0f} s of CPU"
        if each["value"] is not None:
            axes.plot(each["value"], place, "o", color=STRATEGY)
            axes.text(each["value"], place + 0.15, label, ha="center", fontsize=8, color=INK)
        if each["low"] is not None:
            axes.hlines(place, each["low"], each["high"], color=STRATEGY)
    axes.axvline(0, color=BASELINES[0], linewidth=0.9)
    axes.set_ylim(-0.5, len(others) - 0.3)
    axes.set_yticks(range(len(others)), others)
    axes.set_xlabel(f"Sharpe ratio, less that of fitting once ({first} again), 95 % interval")
    axes.set_title(math_off(f"{summary['market']}: does refitting pay?"), loc="left")
    path.write_bytes(png_of(figure))


def _differences(row: Mapping[str, Any], other: str) -> list[str]:
    known = row["over"].get(other)
    return [
        _estimate(known[key], digits, sign="+") if known else ""
        for key, (_, digits) in _MEASURES.items()
    ]


def _estimate(estimate: Mapping[str, float | None], digits: int, sign: str = "") -> str:
    if estimate["value"] is None:
        return "n/a"
    value = f"{estimate['value']:{sign}.{digits}f}"
    if estimate["low"] is None:
        return value
    return f"{value} [{estimate['low']:{sign}.{digits}f}, {estimate['high']:{sign}.{digits}f}]"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
