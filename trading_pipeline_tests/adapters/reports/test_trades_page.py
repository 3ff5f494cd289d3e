"""Single trades on the page: each figure of the table, its reason, and what is still held."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from trading_pipeline.adapters.reports.trades_page import closed_trades, open_positions
from trading_pipeline_tests.adapters.reports.histories import series
from trading_pipeline_tests.core.evaluation.books import inputs


@pytest.fixture(scope="module")
def drawn():
    return series(inputs())


def cells(html):
    """Sort values and texts of each row, the heading left out."""
    rows = re.findall(r"<tr>(.*?)</tr>", html)[1:]
    found = [re.findall(r'<td(?: data-value="([^"]*)")?[^>]*>(.*?)</td>', row) for row in rows]
    return [
        [(float(value) if value else None, re.sub("<.*?>", "", text)) for value, text in row]
        for row in found
    ]


def test_a_trade_is_told_whole_and_sorts_by_its_numbers(drawn):
    """Prices, quantity, return, how long, what ended it and where, and why it was opened, escaped.

    The mean exit is 95 and the stop filled at 94: the price beside the stop is its own.
    """
    table = cells(closed_trades(drawn))
    assert len(table) == 3
    first = [text for _, text in table[0]]
    opened, closed = (drawn.trades[name][0] for name in ("opened_at", "closed_at"))
    assert first == [
        *(
            "AAPL",
            "long",
            f"{opened:%Y-%m-%d}",
            f"{closed:%Y-%m-%d}",
            "3",
            "5",
            "100.4000",
            "95.0000",
        ),
        *("+5.0\N{NO-BREAK SPACE}%", "+50", "stop loss", "94.0000", "Ordered to buy 5 &lt;b&gt;."),
    ]
    assert [row[9][0] for row in table] == [50, -20, 10]
    assert [row[8][0] for row in table] == [0.05, -0.02, 0.01]
    assert table[1][12][1] == "not recorded"
    assert table[2][12][1] == "Ordered to sell 4, towards \N{MINUS SIGN}2.00\N{NO-BREAK SPACE}%."


def test_of_many_trades_the_largest_are_shown(drawn):
    many = pd.concat([drawn.trades] * 100, ignore_index=True)
    many["pnl"] = [float(k) for k in range(300)]
    html = closed_trades(replace(drawn, trades=many))
    assert sorted(row[9][0] for row in cells(html)) == [float(k) for k in range(200, 300)]
    assert "the largest 100 of 300" in html


def test_what_is_held_at_the_end_is_told(drawn):
    """Realised profit stands beside the unrealised one and not in it."""
    html = open_positions(drawn)
    ((*known, why),) = cells(html)
    told = dict(zip(re.findall(r"<button.*?>(.*?)</button>", html), known, strict=False))
    assert [value for value, _ in known[3:]] == [30, 7, 70, 77, 539, 0.1, 49, -12]
    assert told["Average cost"] == (70, "70.0000")
    assert told["Unrealised P&amp;L"] == (49, "+49")
    assert told["Realised P&amp;L"] == (-12, "\N{MINUS SIGN}12")
    assert why[1] == "Ordered to buy 7."
    empty = replace(drawn, positions=drawn.positions.iloc[:0], trades=drawn.trades.iloc[:0])
    assert "Nothing is held" in open_positions(empty)
    assert "No trade was closed" in closed_trades(empty)
