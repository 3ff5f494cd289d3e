"""Is the small curve the equity, and is it small enough to be shown at once?"""

import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from trading_pipeline.adapters.reports.charts.sparkline import SHOWN_AT_ONCE, equity_markdown


def curves(markdown: str) -> list[np.ndarray]:
    """Points of the two curves, (n, 2), benchmark first."""
    (encoded,) = re.findall(r"\(data:image/svg\+xml,([^\s()]+)\)", markdown)
    root = ElementTree.fromstring(unquote(encoded))
    paths = [path.attrib["d"] for path in root]
    numbers = [[int(each) for each in re.findall(r"-?\d+", path)] for path in paths]
    return [np.cumsum(np.reshape(points, (-1, 2)), axis=0) for points in numbers]


def walk(seed: int, volatility: float, n_bars: int = 1_800) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(0, volatility, n_bars)
    return 100_000 * np.exp(np.cumsum(steps))


@pytest.mark.parametrize("volatility", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("n_bars", [2, 30, 1_800])
def test_it_is_short_enough_to_be_shown_at_once(volatility, n_bars):
    markdown = equity_markdown(
        walk(1, volatility, n_bars), walk(2, volatility, n_bars), "equal_weight_managed"
    )
    assert len(markdown) < SHOWN_AT_ONCE


def test_the_curves_are_the_equity_on_one_log_scale():
    equity, benchmark = walk(1, 0.01), walk(2, 0.01)
    drawn = curves(equity_markdown(equity, benchmark, "cash"))
    both = np.log(np.concatenate([equity, benchmark]))
    for points, true in zip(drawn, (benchmark, equity), strict=True):
        assert len(points) >= 32
        rows = np.linspace(0, len(true) - 1, len(points)).round().astype(int)
        height = np.log(true[rows])
        slope, _ = np.polyfit(height, points[:, 1], 1)
        assert np.corrcoef(height, points[:, 1])[0, 1] < -0.999
        assert slope * np.ptp(both) == pytest.approx(-150, rel=0.25)
        assert np.all(np.diff(points[:, 0]) > 0)


def test_a_lost_account_is_drawn_at_the_bottom():
    equity = np.linspace(100_000, -5_000, 500)
    _, points = curves(equity_markdown(equity, np.full(500, 100_000.0), "cash"))
    assert points[-1, 1] == points[:, 1].max() <= 150


def test_the_words_say_which_is_which_and_where_they_end():
    markdown = equity_markdown(np.array([1.0, 162_000.4]), np.array([1.0, 2e6]), "buy_and_hold")
    assert "blue: strategy, 162,000 at the end; grey: buy-and-hold, 2,000,000" in markdown
