"""The quality of market data for a person: a table for the terminal, Markdown for the UI."""

from io import StringIO
from typing import TYPE_CHECKING

from trading_pipeline.core.market.quality.finding import SEVERITIES, Finding, counted, written
from trading_pipeline.core.market.quality.report import Quality

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 110  # columns, where there is no terminal to ask
SHOWN = 60  # findings; more are counted
_STYLES = {"severe": "red", "warning": "yellow", "info": "dim"}


def headline(quality: Quality) -> str:
    """'sample: 4 symbols, 11,958 bars of 1d, 2000-03-01 to 2013-03-01, calendar XNYS'."""
    return (
        f"{quality.name}: {counted(len(quality.symbols), 'symbol')}, "
        f"{counted(quality.bars, 'bar')} of {quality.calendar.timeframe}, "
        f"{written(quality.first)} to {written(quality.last)}, calendar {quality.calendar.name}"
    )


def missing(quality: Quality) -> str:
    """'No bar that the calendar expects is missing.', or how many are, and how many at the end."""
    late = f"{counted(quality.late, 'newer bar')} should be there (see stale)"
    share = f"{quality.missing / max(quality.expected, 1):.2%}"
    counts = f"{quality.missing:,} of {quality.expected:,} expected bars are missing ({share})"
    if quality.late:
        until = counts if quality.missing else "No bar is missing up to each symbol's last one"
        return f"{until}, but {late}."
    return f"{counts}." if quality.missing else "No bar that the calendar expects is missing."


def verdict(quality: Quality) -> str:
    """'Nothing severe; 1 warning, 3 notes.'"""
    severe, warnings, notes = (quality.count(severity) for severity in SEVERITIES)
    worst = f"{severe:,} severe" if severe else "Nothing severe"
    return f"{worst}; {counted(warnings, 'warning')}, {counted(notes, 'note')}."


def quality_text(quality: Quality, width: int | None = None, colour: bool = False) -> str:
    """The whole report as text, the worst first.

    Args:
        width: columns; the terminal's if None, or 110 where there is none.
        colour: whether to write the escape codes of a terminal.
    """
    from rich.console import Console

    page = StringIO()
    console = Console(
        file=page, width=width or WIDTH, force_terminal=colour, highlight=False, no_color=not colour
    )
    console.print(headline(quality), markup=False, soft_wrap=True)
    console.print(f"{verdict(quality)} {missing(quality)}", markup=False)
    if quality.findings:
        console.print(_table(quality.findings[:SHOWN]))
    if (more := len(quality.findings) - SHOWN) > 0:
        console.print(f"and {counted(more, 'finding')} more, none of them worse", markup=False)
    return page.getvalue()


def _table(findings: tuple[Finding, ...]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    for name in ("severity", "kind", "symbol", "when"):
        table.add_column(name, overflow="fold", max_width=16)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("what, and what to do", ratio=1, overflow="fold")
    for each in findings:
        style = _STYLES[each.severity]
        cells = [cell.replace(" to ", "\n") for cell in _cells(each)]
        table.add_row(*(Text(cell, style=style) for cell in cells), Text(explained(each)))
    return table


def when(finding: Finding) -> str:
    """First and last stamp, once where they are the same."""
    stamps = [written(stamp) for stamp in (finding.first, finding.last) if stamp is not None]
    return " to ".join(dict.fromkeys(stamps))


def explained(finding: Finding) -> str:
    """Figure, limit and text in one sentence or two."""
    limit = f" (limit: {finding.limit})" if finding.limit else ""
    return f"{finding.figure}{limit}: {finding.text}" if finding.text else finding.figure + limit


def _cells(finding: Finding) -> tuple[str, ...]:
    rows = f"{finding.rows:,}" if finding.rows else ""
    return finding.severity, finding.kind, finding.symbol or "all", when(finding), rows


def quality_markdown(quality: Quality, shown: int = 30) -> str:
    """The findings as a Markdown table."""
    lines = [f"{verdict(quality)} {missing(quality)}", ""]
    if quality.findings:
        lines += [
            "| severity | kind | symbol | when | rows | what, and what to do |",
            "| --- | --- | --- | --- | ---: | --- |",
        ]
    for each in quality.findings[:shown]:
        cells = (_safe(cell) for cell in (*_cells(each), explained(each)))
        lines.append("| " + " | ".join(cells) + " |")
    if (more := len(quality.findings) - shown) > 0:
        lines += ["", f"and {counted(more, 'finding')} more: `trading-pipeline quality` lists them"]
    return "\n".join(lines) + "\n"


def _safe(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")
