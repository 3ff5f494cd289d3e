"""Pieces of HTML that the pages of a report are made of.

Texts are escaped where they enter; cells of a table are HTML already.
"""

from collections.abc import Iterable, Sequence
from html import escape

from trading_pipeline.adapters.reports import charts


def section(heading: str, explanation: str, *parts: str) -> str:
    """A section of the page: its heading, a quiet sentence on how to read it, and its parts."""
    said = f'<p class="quiet">{escape(explanation)}</p>' if explanation else ""
    return f"<section><h2>{escape(heading)}</h2>{said}{''.join(parts)}</section>"


def drawn(figure: charts.Figure, name: str) -> str:
    """A chart's HTML without plotly.js, which the page has once."""
    chart = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"chart-{name}",  # a random one would make every report another file
        default_height=f"{figure.layout.height}px",
        config={"responsive": True, "displayModeBar": False},
    )
    return f'<div class="chart">{chart}</div>'


def listed(texts: Iterable[str]) -> str:
    """A bulleted list; empty if there is nothing in it."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def minus(number: str) -> str:
    """A number with a true minus sign, which lines up with the plus and the digits."""
    return escape(number.replace("-", "\N{MINUS SIGN}"))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; it scrolls sideways where the screen is narrow."""
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
