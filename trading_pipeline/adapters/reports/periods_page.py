"""Sections of the report on the history in parts: by year, by crisis, by start date."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from trading_pipeline.adapters.reports.charts import periods as charts
from trading_pipeline.adapters.reports.charts.series import ReportSeries
from trading_pipeline.adapters.reports.html import chart_html, per_cent, section, signed, table
from trading_pipeline.adapters.reports.text import Numbers, is_beyond_chance
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.verdict import titled

Row = Mapping[str, Any]

_UNBROKEN = "\N{NON-BREAKING HYPHEN}"  # keeps a date on its line on a phone

_SINCE = {  # metric of a start -> its name and form
    "first_year": ("Return of the first year", "+.1%"),
    "annual_return": ("Return a year until the end", "+.1%"),
    "sharpe": ("Sharpe ratio until the end", "+.2f"),
}


def parts(summary: Summary, series: ReportSeries) -> list[str]:
    """By year, by crisis and by start date."""
    found, benchmark = summary["periods"], summary["benchmark"]
    return [
        section(
            "Year by year",
            f"Returns of calendar years, the first and the last in part, beside "
            f"{titled(benchmark)}. Difference: paired day by day, coloured where its 95 % interval "
            "leaves out 0, as that of one part in twenty does by chance. Fewer than 20 days have "
            "no interval.",
            chart_html(charts.parts_chart(found["years"], series, benchmark), "years"),
            _parts_table("Year", found["years"], benchmark, dated=False),
        ),
        *([] if summary["synthetic"] else [_in_crises(summary, series)]),
        section(
            "By start date",
            "What those saw who began on the first day of a month: the return of their first year, "
            "by the day on which they began.",
            *_starts(found["start_dates"], series, benchmark),
        ),
    ]


def _in_crises(summary: Summary, series: ReportSeries) -> str:
    """Made-up bars saw none."""
    return section(
        "In a crisis",
        "From the close at the market's peak to that at its trough. The dates are those of the "
        "S&P 500, or of bitcoin for markets that never close, and were chosen because the "
        "market fell. Only what lies wholly within the history is shown.",
        *_crises(summary["periods"]["crises"], series, summary["benchmark"]),
    )


def _crises(rows: Sequence[Row], series: ReportSeries, benchmark: str) -> list[str]:
    if not rows:
        return ["<p>None of those that are known lies within this history.</p>"]
    return [
        chart_html(charts.parts_chart(rows, series, benchmark), "crises"),
        _parts_table("Crisis", rows, benchmark, dated=True),
    ]


def _parts_table(head: str, rows: Sequence[Row], benchmark: str, dated: bool) -> str:
    """A line a part, with its dates or not; both books' numbers stand in one cell, the benchmark's
    below."""
    other = escape(titled(benchmark))
    heads = [head, "Days", *(
        f"{name}<small>{other}</small>" for name in ("Return", "Sharpe ratio", "Drawdown")
    ), "Difference in return", "Difference in Sharpe ratio"]  # fmt: skip
    return table(heads, (_part(row, dated) for row in rows), "parts")


def _part(row: Row, dated: bool) -> list[str]:
    dates = f"<small>{row['start']} to {row['end']}</small>".replace("-", _UNBROKEN)
    return [
        escape(row["name"]) + dates * dated,
        f"{row['days']:,}",
        _both(row, "total_return", "+.1%"),
        _both(row, "sharpe", "+.2f"),
        _both(row, "max_drawdown", "+.1%"),
        _difference(row["difference"]["total_return"], "+.1%"),
        _difference(row["difference"]["sharpe"], "+.2f"),
    ]


def _both(row: Row, metric: str, form: str) -> str:
    own, other = (row[book][metric]["value"] for book in ("strategy", "benchmark"))
    return f"{_figure(own, form)}<small>{_figure(other, form)}</small>"


def _figure(value: float | None, form: str) -> str:
    return "n/a" if value is None else signed(value, form)


def _difference(numbers: Numbers, form: str) -> str:
    """The difference with its interval, coloured where that is more than chance."""
    value, low, high = numbers["value"], numbers["low"], numbers["high"]
    if value is None or low is None or high is None:
        return _figure(value, form)
    kind = ("saved" if value > 0 else "cost") if is_beyond_chance(numbers) else ""
    ends = f"[{signed(low, form)}, {signed(high, form)}]"
    return f'<span class="{kind}">{signed(value, form)}</span><small>{ends}</small>'


def _starts(found: Row | None, series: ReportSeries, benchmark: str) -> list[str]:
    if found is None:
        return ["<p>The history is shorter than a year.</p>"]
    rows = [
        [
            name,
            *(_spread(found["spread"][book][metric], form) for book in ("strategy", "benchmark")),
        ]
        for metric, (name, form) in _SINCE.items()
    ]
    heads = ["Over all starts", "Strategy", escape(titled(benchmark).capitalize())]
    return [
        f'<p class="lead">{escape(starts_sentence(found, benchmark))}</p>',
        chart_html(charts.starts_chart(found["starts"], series, benchmark), "starts"),
        table(heads, rows),
        '<p class="quiet">Median, and below it what nine in ten starts lie between. Brackets in '
        "the sentence above: what another history of as many days would show in 95 % of cases.</p>",
    ]


def starts_sentence(found: Row, benchmark: str) -> str:
    """How many of those who began each month had lost, or were behind, after a year."""
    starts = found["starts"]
    years = starts[0]["days"] // found["year"]
    apart = "one year" if years == 1 else f"{years:,} years"
    lost, behind = (_share(found[name]) for name in ("at_a_loss", "behind"))
    return (
        f"Of {len(starts):,} who began on the first day of a month, {lost} were at a loss after a "
        f"year, and {behind} behind {titled(benchmark)}; they share {apart} between them."
    )


def _share(numbers: Numbers) -> str:
    value, low, high = (per_cent(numbers[end], "", 0) for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _spread(numbers: Numbers, form: str) -> str:
    middle, low, high = (_figure(numbers[end], form) for end in ("value", "low", "high"))
    return f"{middle}<small>{low} to {high}</small>"
