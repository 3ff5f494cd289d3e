"""A curve small enough to be drawn where it is mentioned: on the page of an asset.

Dagster's web UI shows Markdown of up to 1,000 characters at once, and longer one, such as an
inlined PNG, behind a link. So this is an SVG that fits.
"""

from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.adapters.reports.charts.palette import NEUTRAL, STRATEGY
from trading_pipeline.core.evaluation.verdict import titled

SHOWN_AT_ONCE = 1_000  # characters; from this length the web UI shows a link instead
_WIDTH, _HEIGHT = 480, 150
_POINTS = (96, 80, 64, 48, 32, 20)  # as many as fit

Floats = NDArray[np.float64]


def equity_markdown(equity: Floats, benchmark: Floats, name: str) -> str:
    """Strategy and benchmark on one log scale, as Markdown below `SHOWN_AT_ONCE` characters.

    Args:
        equity: (T,), quote currency, of the strategy; T >= 2.
        benchmark: (T,), the same of the benchmark.
        name: the benchmark's; it and both last values stand below the picture.
    """
    words = (
        f"blue: strategy, {equity[-1]:,.0f} at the end; grey: {titled(name)}, {benchmark[-1]:,.0f} "
        "(log scale)"
    )
    drawn = (f"{_picture(equity, benchmark, n)}\n\n{words}" for n in _POINTS)
    return next(markdown for markdown in drawn if len(markdown) < SHOWN_AT_ONCE)


def _picture(equity: Floats, benchmark: Floats, n: int) -> str:
    """Both curves at n evenly spaced bars, the last included, as Markdown."""
    rows = np.linspace(0, len(equity) - 1, n).round().astype(int)
    shown = np.log(np.maximum(np.stack([benchmark[rows], equity[rows]]), equity[0] / 100))
    low, span = shown.min(), float(np.ptp(shown)) or 1.0
    ys = ((_HEIGHT - 4) * (1 - (shown - low) / span) + 2).round().astype(int)
    xs = np.linspace(0, _WIDTH, n).round().astype(int)
    curves = "".join(
        f"<path fill='none' stroke='{colour}' stroke-width='{width}' d='{_path(xs, y)}'/>"
        for y, colour, width in zip(ys, (NEUTRAL, STRATEGY), (1, 2), strict=True)
    )
    return svg_markdown("equity", _WIDTH, _HEIGHT, curves)


def svg_markdown(title: str, width: int, height: int, shapes: str) -> str:
    """An SVG inlined, in as few characters as it takes."""
    size = f"width='{width}' height='{height}'"
    svg = quote(f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{shapes}</svg>", safe="/:=',-")
    return f"![{title}](data:image/svg+xml,{svg})"


def _path(xs: NDArray[np.int_], ys: NDArray[np.int_]) -> str:
    """An SVG path: the first point, then steps from each to the next; a minus also separates."""
    steps = np.stack([np.diff(xs), np.diff(ys)], axis=1).ravel()
    return f"M{xs[0]},{ys[0]}l{','.join(map(str, steps))}".replace(",-", "-")
