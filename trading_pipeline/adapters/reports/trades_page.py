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
_HEADS = ("Symbol", "Side", "Opened", "Closed", "Bars", "Total quantity", "Mean entry", "Mean exit",
          "Return", "P&L", "Ended by", "Last exit", "Why it was opened")  # fmt: skip
_HELD = ("Symbol", "Side", "Since", "Bars", "Quantity", "Average cost", "Price", "Value",
         "Unrealised return", "Unrealised P&L", "Realised P&L", "Why it was opened")  # fmt: skip

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
        "From flat to flat. Total quantity and mean entry: of every fill that opened or raised the "
        "position; mean exit: of every fill that lowered or closed it; last exit: the price of the "
        "fill that ended it. All are in units of the day it closed, after splits. P&L: with "
        "dividends and borrow, after fees; return: P&L over the cost of the total quantity. A "
        f"click on a heading sorts.{more}"
    )
    rows = [_closed(row) for row in largest.to_dict("records")]
    return section(heading, said, sortable_table(_HEADS, rows, "trades"))


def open_positions(series: ReportSeries) -> str:
    """What is held at the last close."""
    heading = "Open positions"
    if series.positions.empty:
        return section(heading, "", "<p>Nothing is held at the end.</p>")
    said = (
        "Held at the last close, at its prices. Average cost: moving average of the prices paid "
        "for what is still held, fees apart. Unrealised: price against that cost, as if all were "
        "closed there without costs. Realised: what the part that was closed made over its average "
        "cost, with dividends and borrow, after all fees since the position was opened. The two "
        "together are what the position made."
    )
    rows = [_open(row) for row in series.positions.to_dict("records")]
    return section(heading, said, sortable_table(_HELD, rows, "trades"))


def _closed(row: Row) -> list[str]:
    return [
        *_who(row),
        _date(row["opened_at"]),
        _date(row["closed_at"]),
        *_size(row),
        _price(row["mean_entry"]),
        _price(row["mean_exit"]),
        _share(row["return"]),
        _profit(row["pnl"]),
        f"<td>{escape(rule_name(row['exit']))}</td>",
        _price(row["last_exit"]),
        _why(row),
    ]


def _open(row: Row) -> list[str]:
    return [
        *_who(row),
        _date(row["opened_at"]),
        *_size(row),
        _price(row["average_cost"]),
        _price(row["price"]),
        sortable_cell(row["value"], money(row["value"], "")),
        _share(row["unrealised_return"]),
        _profit(row["unrealised_pnl"]),
        _profit(row["realised_pnl"]),
        _why(row),
    ]


def _who(row: Row) -> list[str]:
    return [f"<td>{escape(row['symbol'])}</td>", f"<td>{escape(row['side'])}</td>"]


def _size(row: Row) -> list[str]:
    return [
        sortable_cell(row["bars"], f"{row['bars']:,}"),
        sortable_cell(row["quantity"], f"{row['quantity']:,.6g}"),
    ]


def _share(made: float) -> str:
    kind = "saved" if made > 0 else "cost"
    return sortable_cell(made, f'<span class="{kind}">{per_cent(made)}</span>')


def _profit(amount: float) -> str:
    return sortable_cell(amount, money(amount))


def _price(price: float) -> str:
    return sortable_cell(price, price_text(price))


def _date(at: pd.Timestamp) -> str:
    return f"<td>{at:%Y-%m-%d}</td>"


def _why(row: Row) -> str:
    return f'<td class="why">{minus(row.get("reason") or "not recorded")}</td>'
