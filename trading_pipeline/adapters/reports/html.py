"""Pieces of HTML that the pages of a report are made of.

Texts are escaped where they enter; cells of a table are HTML already.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape

from trading_pipeline.adapters.reports.charts.figure import Figure
from trading_pipeline.adapters.reports.script import packed
from trading_pipeline.adapters.reports.text import (
    Numbers,
    between,
    written,
)

_PER_CENT = re.compile(r"(?<=\d) ?%")
_NEGATIVE = re.compile(r"(?<![\w.,)\]-])-(?=\.?\d)")


def section(heading: str, explanation: str, *parts: str) -> str:
    """A section of the page: its heading, a quiet sentence on how to read it, and its parts."""
    said = f'<p class="quiet">{minus(explanation)}</p>' if explanation else ""
    body = f"<h2>{escape(heading)}</h2>{said}{''.join(parts)}"
    anchor = "-".join(re.findall(r"[a-z]+", heading.lower()))
    return f'<section id="{anchor}">{body}</section>'


def section_links(sections: Iterable[str]) -> str:
    """Links to the sections of a page, made by `section`."""
    found = re.findall(r'<section id="(.*?)"><h2>(.*?)</h2>', "".join(sections))
    links = (f'<a href="#{place}">{heading}</a>' for place, heading in found)
    return f'<nav aria-label="Contents">{" ".join(links)}</nav>'


def folded_away(summary: str, *parts: str) -> str:
    """What is shown on demand only."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def chart_html(figure: Figure, name: str) -> str:
    """The place of a chart, with what is drawn there: the page has plotly.js once."""
    height = figure.layout.height
    return (
        f'<div class="chart" id="chart-{name}" style="min-height: {height}px" '
        f'data-figure="{packed(figure.to_json())}"></div>'
    )


def bullets(texts: Iterable[str]) -> str:
    """A bulleted list; empty if there is nothing in it."""
    items = "".join(f"<li>{minus(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def minus(text: str) -> str:
    """A text for a page, its numbers with a true minus sign, which lines up with the plus, and one
    blank before '%', at which no line breaks.

    A hyphen within a word or a date stays one.
    """
    signed = _NEGATIVE.sub("\N{MINUS SIGN}", text)
    return escape(_PER_CENT.sub("\N{NO-BREAK SPACE}%", signed))


def signed(value: float, form: str) -> str:
    """A number in Python's format `form`; what rounds to nothing has no sign."""
    text = f"{value:{form}}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return minus(text)


def money(amount: float, sign: str = "+") -> str:
    """An amount without cents: '+1,234'."""
    return signed(amount, f"{sign},.0f")


def per_cent(share: float | None, sign: str = "+", digits: int = 1) -> str:
    """'+1.2 %'; undefined is n/a."""
    return "n/a" if share is None else signed(share, f"{sign}.{digits}%")


def with_line(name: str, said: str) -> str:
    """A name, HTML already, and below it a text on what it means, where there is one."""
    return f"{name}<small>{escape(said)}</small>" if said else name


def number_cell(metric: str, numbers: Numbers, sign: str = "-") -> str:
    """A metric's value, and below it the interval."""
    interval = minus(between(metric, numbers, sign))
    return f"{minus(written(metric, numbers['value'], sign))}<small>{interval}</small>"


def sortable_cell(value: float, shown: str) -> str:
    """A cell of a sortable table: what it is sorted by, and its HTML."""
    return f'<td data-value="{value:.9g}">{shown}</td>'


def sortable_table(
    heads: Iterable[str], rows: Iterable[Sequence[str]], kind: str = "", unsorted: str = ""
) -> str:
    """A table that a click on a heading sorts, by the text of cells or by their `sortable_cell`.

    Args:
        heads: texts. rows: of whole cells. unsorted: the heading that does not sort.
    """
    head = "".join(
        f"<th>{escape(each)}</th>"
        if each == unsorted
        else f'<th><button type="button">{escape(each)}</button></th>'
        for each in heads
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div><div class="wide"><table class="sortable {kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; it scrolls sideways where the screen is narrow."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return (
        f'<div><div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )
