"""The frame of every page: its head, its heading, its sections, and what it does by itself."""

from collections.abc import Iterable
from html import escape

from trading_pipeline.adapters.reports.script import plotly_script, script
from trading_pipeline.adapters.reports.style import style


def whole_page(title: str, heading: str, below: Iterable[str], sections: Iterable[str]) -> str:
    """A page that needs nothing from outside; the same arguments give the same text.

    Args:
        title: of the window. heading: of the page.
        below: lines under the heading, HTML already. sections: HTML already.
    """
    lines = "".join(f"<p>{line}</p>" for line in below if line)
    body = "\n".join(part for part in sections if part)
    plotly = plotly_script() if "data-figure=" in body else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{style()}
</style>
</head>
<body>
<main>
<header><button id="theme" type="button">Dark</button><h1>{escape(heading)}</h1>{lines}</header>
{body}
</main>
{plotly}
{script()}
</body>
</html>
"""
