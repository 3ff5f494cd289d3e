"""Sections of the report that a portfolio manager reads: what was held, earned, paid and risked.

Tables state what report.json holds; charts are drawn from the histories.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from trading_pipeline.adapters.reports.charts import portfolio as charts
from trading_pipeline.adapters.reports.charts import prices
from trading_pipeline.adapters.reports.charts.palette import LOSS, STRATEGY, variable
from trading_pipeline.adapters.reports.charts.rolling import rolling_charts
from trading_pipeline.adapters.reports.charts.series import ReportSeries
from trading_pipeline.adapters.reports.html import (
    chart_html,
    folded_away,
    minus,
    money,
    per_cent,
    section,
    signed,
    table,
)
from trading_pipeline.adapters.reports.text import MONTHS, Numbers, exposure_sentence, in_currency
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.portfolio.months import monthly_returns, yearly_returns
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline.core.trading.rules import rule_name

_FIRST = 12  # rows of the table of symbols that are shown at once
_SHAPES = {
    "mean": "Mean",
    "deviation": "Standard deviation",
    "skew": "Skew",
    "excess_kurtosis": "Excess kurtosis",
    "quantile_5": "5\N{NO-BREAK SPACE}% quantile",
    "shortfall_5": "Expected shortfall, 5\N{NO-BREAK SPACE}%",
    "quantile_1": "1\N{NO-BREAK SPACE}% quantile",
    "shortfall_1": "Expected shortfall, 1\N{NO-BREAK SPACE}%",
}
_UNKNOWN = "<p>Not known: only the equity of this book was recorded.</p>"


def rolling(series: ReportSeries, benchmark: str) -> str:
    """Sharpe ratio, volatility and beta of the last year, day by day."""
    heading = "Rolling Sharpe ratio, volatility and beta"
    found = rolling_charts(series, benchmark)
    if found is None:
        return section(heading, "", "<p>The history is too short for a window.</p>")
    said = (
        f"Of the last {found.window} days. The band is the 95 % sampling error of one such window "
        "of independent days: where it holds zero, the window alone says nothing. Volatility: a "
        f"year's, of daily returns. Beta: by how much the strategy moved where {titled(benchmark)} "
        "moved by one."
    )
    parts = [
        *(chart_html(found.sharpe, "rolling"), "<h3>Volatility a year</h3>"),
        chart_html(found.volatility, "rolling-volatility"),
    ]
    if found.beta is not None:
        name = escape(titled(benchmark))
        parts += [f"<h3>Beta to {name}</h3>", chart_html(found.beta, "rolling-beta")]
    return section(heading, said, *parts)


def months(series: ReportSeries) -> str:
    """Returns of calendar months as a table, and of their years."""
    returned = monthly_returns(series.timestamps, series.equity)
    values = returned.to_numpy(dtype=np.float64)
    reach = float(np.nanmax(np.abs(values), initial=0.01))
    rows = [
        [
            str(year),
            *(_month(each, reach) for each in returns),
            f'<span class="total">{per_cent(whole)}</span>',
        ]
        for returns, (year, whole) in zip(values, yearly_returns(returned).items(), strict=True)
    ]
    return section(
        "Monthly returns",
        "Per cent, and of each calendar year, the first and the last in part: blue rose, orange "
        "fell, as far as the colour is strong.",
        table(["", *MONTHS, "Year"], rows, "months"),
    )


def _month(value: float, reach: float) -> str:
    """A return in per cent on a colour that is as strong as it is large."""
    if np.isnan(value):
        return ""
    share = round(70 * min(abs(value) / reach, 1.0))
    colour = variable(STRATEGY if value > 0 else LOSS)
    mix = f"color-mix(in srgb, {colour} {share}%, transparent)"
    return f'<span style="background: {mix}">{signed(100 * value, "+.1f")}</span>'


def falls(summary: Summary) -> str:
    """The deepest drawdowns, as a table."""
    rows = [
        [
            each["start"],
            each["trough"],
            each["recovery"] or "not yet",
            per_cent(each["depth"]),
            f"{each['days_to_trough']:,}",
            f"{each['days']:,}",
        ]
        for each in summary["drawdowns"]
    ]
    if not rows:
        return "<p>The account never fell below its start.</p>"
    heads = ["Peak", "Trough", "Recovered", "Depth", "Days to trough", "Days in all"]
    return table(heads, rows, "falls")


def exposure(summary: Summary, series: ReportSeries) -> str:
    """Longs, shorts and net, what bound, then every position."""
    said = minus(exposure_sentence(summary))
    return section(
        "Exposure",
        "Value of long and of short positions at each close as a share of equity, and their sum.",
        chart_html(charts.exposure_chart(series), "exposure"),
        f"<p>{said}</p>" if said else "",
    ) + section(
        "Positions",
        "Share of equity held at each close.",
        chart_html(charts.positions_chart(series), "positions"),
    )


def costs(summary: Summary, series: ReportSeries) -> str:
    """Turnover and costs by month, and where the money went."""
    chart = charts.costs_chart(series)
    return section(
        "Turnover and costs",
        "Bought and sold each month as a share of equity; below it, what was paid each month.",
        chart_html(charts.turnover_chart(series), "turnover"),
        chart_html(chart, "costs") if chart else "<p>No costs were paid.</p>",
        "<h3>Where the money went</h3>",
        _money(summary["costs"]["paid"], escape(in_currency("Money", summary))),
    )


def _money(rows: Sequence[Mapping[str, Any]] | None, head: str) -> str:
    if rows is None:
        return _UNKNOWN
    said = {"price": "Price changes, before slippage", "total": "Change of equity"}
    body = [
        [
            _bold(escape(said.get(row["kind"], titled(row["kind"]).capitalize())), row["kind"]),
            _bold(money(row["money"]), row["kind"]),
            _points(row["a_year"]),
        ]
        for row in rows
    ]
    return table(["", head, "bp of mean equity a year"], body)


def _bold(cell: str, kind: str) -> str:
    return f'<span class="total">{cell}</span>' if kind == "total" else cell


def _points(numbers: Numbers) -> str:
    """Basis points with their interval."""
    return _interval({end: None if x is None else 1e4 * x for end, x in numbers.items()}, "+,.0f")


def _shares(numbers: Numbers, sign: str = "+", digits: int = 2) -> str:
    """Per cent with their interval."""
    return _interval(numbers, f"{sign}.{digits}%")


def _interval(numbers: Numbers, form: str) -> str:
    value, low, high = (numbers[end] for end in ("value", "low", "high"))
    if value is None:
        return "n/a"
    if low is None or high is None:
        return signed(value, form)
    return f"{signed(value, form)}<small>[{signed(low, form)}, {signed(high, form)}]</small>"


def attribution(summary: Summary) -> str:
    """By side, and by symbol."""
    found = summary["attribution"]
    if found is None:
        return section("Attribution", "", _UNKNOWN)
    said = (
        "Profit and loss of open and closed positions, after costs and with cash flows. Sides, or "
        "symbols, and interest add up to the change of equity. Share: of that change, so below "
        "zero where it went the other way. A year: part of mean equity, its 95 % interval below. "
        "Win rates are of closed trades, and have an interval from 20 on."
    )
    kinds = _kinds(found["sides"])
    rows = [_contribution(row, kinds, row["side"].capitalize()) for row in found["sides"]]
    heads = [
        escape(in_currency("P&L", summary)),
        "Share",
        "A year",
        "Trades",
        "Win rate",
        *_titles(kinds),
    ]
    for name in ("interest", "total"):
        share = found[name] / found["total"] if found["total"] else None
        row = [name.capitalize(), money(found[name]), per_cent(share, "", 0)]
        rows.append(row + [""] * (len(heads) + 1 - len(row)))
    parts = [table(["Side", *heads], rows)]
    if not found["symbols"]:
        return section("Attribution", said, *parts, "<p>No symbol was ever traded.</p>")
    lines = [
        _contribution(row, kinds, f"{escape(row['symbol'])} <small>{row['side']}</small>")
        for row in found["symbols"]
    ]
    parts += [
        "<h3>Symbols that mattered most</h3>",
        chart_html(charts.attribution_chart(found["symbols"]), "attribution"),
        table(["Symbol", *heads], lines[:_FIRST]),
    ]
    if rest := lines[_FIRST:]:
        parts.append(folded_away(f"{len(rest)} more", table(["Symbol", *heads], rest)))
    return section("Attribution", said, *parts)


def _kinds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kinds of money of a row: those columns that are not the fixed ones."""
    fixed = ("symbol", "side", "pnl", "share", "a_year", "trades", "win_rate")
    return [name for name in rows[0] if name not in fixed]


def _titles(kinds: Iterable[str]) -> list[str]:
    return [escape(titled(kind).capitalize()) for kind in kinds]


def _contribution(row: Mapping[str, Any], kinds: Sequence[str], name: str) -> list[str]:
    return [
        name,
        money(row["pnl"]),
        per_cent(row["share"], "", 0),
        _shares(row["a_year"]),
        f"{row['trades']:,}",
        _shares(row["win_rate"], "", 0),
        *(money(row[kind]) for kind in kinds),
    ]


def trades(summary: Summary, series: ReportSeries) -> str:
    """Prices of the symbols that mattered most, and what was done at them."""
    heading = "Trades on prices"
    rows = (summary["attribution"] or {"symbols": []})["symbols"]
    symbols = prices.biggest(rows, series.symbols)
    if not symbols or series.fills.empty:
        return section(heading, "", "<p>Nothing was traded.</p>")
    said = (
        f"Closes of the {len(symbols)} symbols with the largest profit or loss, per share of the "
        f"last day. Marks stand at the price paid. At most {prices.MARKS} of a kind on a chart, "
        "the largest."
    )
    marks = {symbol: prices.marks_of(series, symbol) for symbol in symbols}
    roles = prices.roles_in_order(list(marks.values()))
    cells = [
        f"<div><h3>{escape(symbol)} {_made(rows, symbol)}</h3>"
        + chart_html(prices.price_chart(series, symbol, marks[symbol], roles), f"price-{place}")
        + "</div>"
        for place, symbol in enumerate(symbols)
    ]
    return section(heading, said, prices.key_of(roles), f'<div class="grid">{"".join(cells)}</div>')


def _made(rows: Sequence[Mapping[str, Any]], symbol: str) -> str:
    """What a symbol made on both sides, beside its name."""
    own = [row for row in rows if row["symbol"] == symbol]
    pnl, count = sum(row["pnl"] for row in own), sum(row["trades"] for row in own)
    plural = "" if count == 1 else "s"
    return f'<span class="quiet">{money(pnl)}, {count:,} closed trade{plural}</span>'


def distribution(summary: Summary, series: ReportSeries) -> str:
    """Daily returns as a histogram and in numbers, beside the benchmark's."""
    chart = charts.distribution_chart(series)
    books = summary["distribution"]
    rows = [
        [said, *(_shape(key, numbers[key]) for numbers in books.values())]
        for key, said in _SHAPES.items()
    ]
    return section(
        "Daily returns",
        "Simple returns of one day. A quantile is the return that so many days fell below; the "
        "expected shortfall is the mean of those days. A normal has neither skew nor excess "
        "kurtosis. Without an interval: too few days lie in the tail, and a kurtosis is always "
        "the work of one or two.",
        chart_html(chart, "distribution") if chart else "<p>The account never moved.</p>",
        table(["", *_titles(books)], rows),
    )


def _shape(key: str, numbers: Numbers) -> str:
    if key in ("skew", "excess_kurtosis"):
        return _interval(numbers, "+.2f")
    return _shares(numbers, "" if key == "deviation" else "+")


def extreme_days(summary: Summary) -> str:
    """The worst and the best days."""
    heading, worst = "Worst and best days", summary["worst_days"]
    if worst is None:
        return section(heading, "", _UNKNOWN)
    name = titled(summary["benchmark"])
    parts = []
    for title, rows in (("Worst", worst), ("Best", summary["best_days"])):
        heads = [title, "Return", escape(name.capitalize()), "Made by", "Rules that acted"]
        body = [_day(row) for row in rows]
        parts.append(table(heads, body, "days") if body else f"<p>{title}: none.</p>")
    said = "Made by: the symbols that moved the account most that way, as shares of its equity."
    return section(heading, said, *parts)


def _day(row: Mapping[str, Any]) -> list[str]:
    made = ", ".join(
        f"{escape(each['symbol'])} {per_cent(each['contribution'])}" for each in row["contributors"]
    )
    rules = ", ".join(escape(rule_name(rule)) for rule in row["rules"])
    return [row["date"], per_cent(row["return"], digits=2), per_cent(row["benchmark"], digits=2),
            made or "none", rules or "none"]  # fmt: skip
