"""Sections of the report on single trades: the closed ones, and what is held at the end."""

from collections.abc import Hashable, Mapping
from html import escape
from typing import Any

import pandas as pd

from trading_pipeline.adapters.reports.charts.series import ReportSeries
from trading_pipeline.adapters.reports.html import (
    minus,
    money,
    per_cent,
    section,
    sortable_cell,
    sortable_table,
)
from trading_pipeline.core.market.bars import price_text
from trading_pipeline.core.trading.rules import rule_name

_SHOWN = 100  # trades, the largest profits and losses; trades.csv has all
_HEADS = ("Symbol", "Side", "Opened", "Closed", "Bars", "Quantity", "Entry", "Exit", "Return",
          "P&L", "Ended by", "Why it was opened")  # fmt: skip
_HELD = ("Symbol", "Side", "Since", "Bars", "Quantity", "Entry", "Price", "Value", "Return", "P&L",
         "Why it was opened")  # fmt: skip

Row = Mapping[Hashable, Any]


def closed_trades(series: ReportSeries) -> str:
    """Round trips from flat to flat, sortable by every column."""
    table, heading = series.trades, "Closed trades"
    if table.empty:
        return section(heading, "", "<p>No trade was closed.</p>")
    largest = table.loc[table["pnl"].abs().nlargest(_SHOWN, keep="first").index].sort_index()
    more = ""
    if len(table) > _SHOWN:
        more = f" Shown: the largest {_SHOWN} of {len(table):,}, by profit or loss."
    said = (
        "From flat to flat. Quantity and prices: of all that opened and raised it, and of what "
        "closed it, in units of the day it closed. Return: profit after fees, dividends and borrow "
        f"over the money invested. A click on a heading sorts.{more}"
    )
    rows = [_closed(row) for row in largest.to_dict("records")]
    return section(heading, said, sortable_table(_HEADS, rows, "trades"))


def open_positions(series: ReportSeries) -> str:
    """What is held at the last close."""
    heading = "Open positions"
    if series.positions.empty:
        return section(heading, "", "<p>Nothing is held at the end.</p>")
    said = (
        "Held at the last close, at its prices. Profit and return: what they would be, were all "
        "closed there without costs."
    )
    rows = [_open(row) for row in series.positions.to_dict("records")]
    return section(heading, said, sortable_table(_HELD, rows, "trades"))


def _closed(row: Row) -> list[str]:
    return [
        *_who(row),
        _date(row["opened_at"]),
        _date(row["closed_at"]),
        *_size(row),
        _price(row["exit_price"]),
        *_made(row),
        f"<td>{escape(rule_name(row['exit']))}</td>",
        _why(row),
    ]


def _open(row: Row) -> list[str]:
    return [
        *_who(row),
        _date(row["opened_at"]),
        *_size(row),
        _price(row["price"]),
        sortable_cell(row["value"], money(row["value"], "")),
        *_made(row),
        _why(row),
    ]


def _who(row: Row) -> list[str]:
    return [f"<td>{escape(row['symbol'])}</td>", f"<td>{escape(row['side'])}</td>"]


def _size(row: Row) -> list[str]:
    return [
        sortable_cell(row["bars"], f"{row['bars']:,}"),
        sortable_cell(row["quantity"], f"{row['quantity']:,.6g}"),
        _price(row["entry_price"]),
    ]


def _made(row: Row) -> list[str]:
    kind = "saved" if row["pnl"] > 0 else "cost"
    return [
        sortable_cell(row["return"], f'<span class="{kind}">{per_cent(row["return"])}</span>'),
        sortable_cell(row["pnl"], money(row["pnl"])),
    ]


def _price(price: float) -> str:
    return sortable_cell(price, price_text(price))


def _date(at: pd.Timestamp) -> str:
    return f"<td>{at:%Y-%m-%d}</td>"


def _why(row: Row) -> str:
    return f'<td class="why">{minus(row.get("reason") or "not recorded")}</td>'
