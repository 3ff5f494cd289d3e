"""What a paper session and the backtest differ by: sections, Markdown, and a picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trading_pipeline.adapters.reports.charts.palette import BASELINES, INK, STRATEGY
from trading_pipeline.adapters.reports.charts.pictures import empty_picture, math_off, png_of
from trading_pipeline.adapters.reports.explanation import Section

_SHOWN = 20  # days
_BASIS_POINT = 1e-4
_MEANINGS = {
    "data": "bars that were revised since the session saw them",
    "signal": "predictions that were others than those that are stored now",
    "timing": "bars that were missed, halts of the operator, orders that filled in a later bar",
    "fill": "prices and quantities that were executed, beside the engine's",
    "cost": "fees, dividends, borrow, funding and interest that were paid, beside the model's",
    "unexplained": "nothing that was recorded; `trading-pipeline replay` says where it begins",
}


def sections_of(summary: Mapping[str, Any], shown: int = _SHOWN) -> Iterator[Section]:
    """The whole in words, its parts, and the newest days."""
    yield Section(
        f"{summary['session']} of {summary['market']}, {summary['start'][:10]} to "
        f"{summary['end'][:10]}, from a capital of {summary['capital']:,.2f}",
        [(sentence,) for sentence in _sentences(summary)],
        ("",),
    )
    parts = [(name, _money(summary["parts"][name]), text) for name, text in _meant(summary).items()]
    yield Section("Where it comes from", parts, ("part", "money", "what it is"), (1,))
    names = ("paper", "backtest", "difference", *_meant(summary))
    rows = [
        (
            day["day"][:10],
            *(_money(day[name]) for name in names[:3]),
            _points(day["share"]),
            *(_money(day[name]) for name in names[3:]),
        )
        for day in summary["days"][-shown:]
    ]
    header = ("day", *names[:3], "of equity", *names[3:])
    days = len(summary["days"])
    title = f"The last {len(rows)} of {days} days" if len(rows) < days else "By day"
    yield Section(title, rows, header, tuple(range(1, len(header))))


def markdown_divergence(summary: Mapping[str, Any]) -> str:
    """The same, for a page."""
    whole, parts, days = sections_of(summary)
    words = " ".join(row[0] for row in whole.rows)
    return "\n\n".join([f"**{whole.title}**", words, _table(parts), _table(days)]) + "\n"


def draw_divergence(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a PNG: the difference and its parts, added up day by day, in basis points of the
    capital."""
    import numpy as np
    import pandas as pd

    figure, axes = empty_picture(10, 5)
    days = pd.DataFrame(summary["days"])
    stamps, unit = pd.to_datetime(days["day"]), summary["capital"] * _BASIS_POINT
    for name, colour in zip(_meant(summary), BASELINES, strict=False):
        added = np.cumsum(days[name].to_numpy(float)) / unit
        axes.plot(stamps, added, color=colour, linewidth=1.2, label=name)
    whole = np.cumsum(days["difference"].to_numpy(float)) / unit
    axes.plot(stamps, whole, color=STRATEGY, linewidth=2, label="paper less backtest")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_ylabel("basis points of the capital")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
    title = f"{summary['market']}, {summary['session']}: paper less backtest, and why"
    axes.set_title(math_off(title), loc="left")
    figure.autofmt_xdate()
    path.write_bytes(png_of(figure))


def _sentences(summary: Mapping[str, Any]) -> Iterator[str]:
    more = "more" if summary["difference"] > 0 else "less"
    yield (
        f"The session earned {_money(summary['paper'])}, the backtest of the same days "
        f"{_money(summary['backtest'])}."
    )
    if _money(summary["difference"]) in ("+0.00", "-0.00"):
        yield "Nothing differs."
        return
    tolerance = summary["tolerance"]
    yield (
        f"That is {abs(summary['difference']):,.2f} {more}, {_points(summary['total'])} of the "
        f"backtest's equity; {_points(tolerance['total'], '')} are tolerated."
    )
    yield (
        f"The day furthest apart is {summary['worst']['day'][:10]}: "
        f"{_points(summary['worst']['share'])} of equity; {_points(tolerance['day'], '')} are."
    )


def _meant(summary: Mapping[str, Any]) -> dict[str, str]:
    """The parts that are told; `unexplained` is one only where something is."""
    left = any(_money(day["unexplained"])[1:] != "0.00" for day in summary["days"])
    return {name: text for name, text in _MEANINGS.items() if left or name != "unexplained"}


def _money(amount: float) -> str:
    return f"{amount:+,.2f}"


def _points(share: float | str | None, sign: str = "+") -> str:
    """A fraction in basis points; 'inf' is no limit, None a share of nothing."""
    return "-" if share is None else f"{float(share) / _BASIS_POINT:{sign},.1f} bp"


def _table(section: Section) -> str:
    marks = ["---:" if n in section.numbers else "---" for n in range(len(section.header))]
    lines = [section.header, tuple(marks), *section.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
