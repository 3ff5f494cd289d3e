"""The report as one HTML page: self-contained, offline, and readable on a phone.

Whatever came from outside (names, reasons, warnings, hashes) is escaped where it enters the page.
"""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

import pandas as pd

from trading_pipeline.adapters.reports import portfolio_page as portfolio
from trading_pipeline.adapters.reports.charts import report as charts
from trading_pipeline.adapters.reports.charts.series import ReportSeries, risk_events
from trading_pipeline.adapters.reports.html import (
    bullets,
    chart_html,
    minus,
    section,
    section_links,
    signed,
    table,
)
from trading_pipeline.adapters.reports.template import PAGE
from trading_pipeline.adapters.reports.text import (
    Numbers,
    Summary,
    between,
    edge_sentence,
    head_sentences,
    heading,
    is_beyond_chance,
    ordinal,
    paired_sentence,
    period,
    rule_name,
    rules_sentence,
    start_sentence,
    trials_sentence,
    waiting_sentence,
    written,
)
from trading_pipeline.core.evaluation.metrics import METRICS, PAIRED
from trading_pipeline.core.evaluation.portfolio.risk_events import in_order
from trading_pipeline.core.evaluation.rules import COMPARED
from trading_pipeline.core.evaluation.scoreboard import PROFILES, PROMISES
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline.core.model.config import LEARNED_BASELINES


def page(summary: Summary, series: ReportSeries) -> str:
    """The whole page, with plotly.js inside; the same inputs give the same text."""
    from plotly.offline import get_plotlyjs

    events = risk_events(series)
    sections = [
        section(
            "Against every baseline",
            "Strategy minus baseline, measured on the same days. A bar that crosses zero may be "
            "chance.",
            chart_html(charts.paired_chart(summary), "paired"),
            _paired_table(summary),
        ),
        *_histories(series, summary),
        _risk(series, events),
        _rules(summary),
        section(
            "Metrics",
            "Value, and below it the 95 % interval. n/a: not defined for this book.",
            _metrics_table(summary),
        ),
        section(
            "What the scores knew",
            "Mean rank correlation across symbols between a score and the return that followed, "
            "without the market's part of it, on the dates at which the scores say anything, and "
            "below it the 95 % interval. Minus the volatility, momentum and reversal need no "
            "model; the line after them is what the scores know beyond these three. Below are the "
            "learned baselines, on the same symbols and dates.",
            _coefficients(summary),
            f"<p>{escape(start_sentence(summary))}</p>" if summary["starts"] else "",
        ),
        section(
            "What the heads knew",
            "Each head of the network beside what anyone would have said without one, on the same "
            "symbols and dates. Better by: the mean over dates, and below it the 95 % interval, "
            "which allows for overlapping outcomes; coloured where it leaves out 0, as that of one "
            "row in twenty does by chance. Not measured: fewer than 20 dates, a book that never "
            "moved, a volatility for which validation kept the 63-bar deviation, or a fold that "
            "another model traded.",
            bullets(head_sentences(summary)) or "<p>Not measured.</p>",
            _heads(summary),
        ),
        section(
            "Expected performance",
            "Promised and measured. Met: the whole interval clears the easier end of the promised "
            "range. Not met: it wholly misses it. The profile that ran is marked; the others hold "
            "the same run against their promise.",
            _scoreboard(summary),
        ),
        *_choices(summary),
        section("Warnings", "", bullets(summary["warnings"]) or "<p>None.</p>"),
        section("How this was measured", "", bullets(summary["assumptions"]), _lineage(summary)),
    ]
    return Template(PAGE).substitute(
        title=escape(f"{summary['market']}: backtest report"),
        market=escape(summary["market"]),
        period=escape(period(summary)),
        beside='<a href="features.html">The features: coverage, drift, what they said</a>',
        plotly=get_plotlyjs(),
        sections="\n".join([_verdict(summary), section_links(sections), *sections]),
    )


def _histories(series: ReportSeries, summary: Summary) -> list[str]:
    """What happened, in the order that it is asked for."""
    benchmark = summary["benchmark"]
    return [
        section(
            "Equity",
            "Log scale, after costs. Grey: the middle 90 % of random monthly portfolios on the "
            "same bars.",
            chart_html(charts.equity_chart(series), "equity"),
        ),
        portfolio.rolling(series, benchmark),
        section(
            "Drawdown",
            "Loss from the highest equity so far; below, the deepest falls of the strategy.",
            chart_html(charts.drawdown_chart(series, benchmark), "drawdown"),
            portfolio.falls(summary),
        ),
        section(
            "Monthly returns",
            "Per cent.",
            chart_html(charts.monthly_chart(series), "monthly"),
        ),
        portfolio.exposure(series),
        portfolio.costs(summary, series),
        portfolio.attribution(summary),
        portfolio.trades(summary, series),
        portfolio.distribution(summary, series),
        portfolio.extreme_days(summary),
    ]


def _verdict(summary: Summary) -> str:
    """The paired difference first, then the verdict and why, then the rank among random ones."""
    tiles = "".join(_difference(summary, metric) for metric in PAIRED) + _rank(summary)
    state = "proven" if summary["verdict"]["edge"] == "proven" else "open"
    waiting = f"<p>{escape(waiting_sentence(summary))}</p>" if waiting_sentence(summary) else ""
    return (
        f'<section class="verdict {state}"><p class="lead">{escape(paired_sentence(summary))}</p>'
        f'<div class="tiles">{tiles}</div>'
        f"<h2>{escape(edge_sentence(summary))}</h2>{bullets(summary['verdict']['reasons'])}{waiting}"
        f"<p><strong>The network:</strong> {escape(summary['verdict']['network'])}.</p>"
        f"<p>{escape(trials_sentence(summary))}{_pointer(summary)}</p></section>"
    )


def _pointer(summary: Summary) -> str:
    count = len(summary["warnings"])
    if not count:
        return ""
    return f' <a href="#warnings">{count} warning{"s" if count > 1 else ""} below.</a>'


def _tile(heading: str, value: str, below: str) -> str:
    return (
        f'<div class="tile"><span class="quiet">{heading}</span><b>{value}</b>'
        f'<span class="quiet">{below}</span></div>'
    )


def _difference(summary: Summary, metric: str) -> str:
    numbers = summary["paired"][summary["benchmark"]][f"{metric}_difference"]
    return _tile(
        f"{METRICS[metric].label} against {escape(titled(summary['benchmark']))}",
        minus(written(metric, numbers["value"], "+")),
        minus(between(metric, numbers, "+")),
    )


def _rank(summary: Summary) -> str:
    """Where the result stands among random portfolios."""
    share, count = summary["random_percentile"], summary["random"]["portfolios"]
    if share is None:
        return ""
    rank = f"{ordinal(round(100 * share))} percentile"
    return _tile("Among random portfolios", rank, f"by Sharpe ratio, of {count:,} on the same bars")


def _number(metric: str, numbers: Numbers, sign: str = "-") -> str:
    """The value, and below it the interval."""
    interval = minus(between(metric, numbers, sign))
    return f"{minus(written(metric, numbers['value'], sign))}<small>{interval}</small>"


def _paired_table(summary: Summary) -> str:
    rows = [
        [
            escape(heading(name)),
            *(_number(metric, paired[f"{metric}_difference"], "+") for metric in PAIRED),
        ]
        for name, paired in summary["paired"].items()
    ]
    return table(["Baseline", *(METRICS[metric].label for metric in PAIRED)], rows)


def _metrics_table(summary: Summary) -> str:
    books = {"strategy": summary["strategy"], **summary["baselines"]}
    rows = [
        [metric.label, *(_number(name, numbers[name]) for numbers in books.values())]
        for name, metric in METRICS.items()
    ]
    heads = (escape(heading(name)) for name in books)
    return table(["", *heads], rows, "metrics")


_KNOWING = {
    "ic": "The scores that were traded",
    "minus_sigma": "Minus the volatility",
    "momentum": "Momentum, 12 months but the last",
    "reversal": "Reversal of the last month",
    "beyond": "The scores beyond these three",
    **{name: heading(name) for name in LEARNED_BASELINES},
}


def _coefficients(summary: Summary) -> str:
    found = summary["information_coefficients"]
    if not found:
        return "<p>Not available: it takes eight symbols at a date.</p>"
    rows = [
        [label, _number("information_coefficient", found[name], "+")]
        for name, label in _KNOWING.items()
        if name in found
    ]
    return table(["", METRICS["information_coefficient"].label], rows)


def _choices(summary: Summary) -> list[str]:
    """Which model traded each fold, where validation chose it."""
    if not summary["choices"]:
        return []
    said = "Chosen before the fold, on the validation rows: the simplest within one standard error."
    rows = [[escape(fold), escape(choice)] for fold, choice in summary["choices"].items()]
    return [section("The model of each fold", said, table(["Fold", "Model"], rows))]


def _heads(summary: Summary) -> str:
    rows = [
        [
            f"{escape(row['head'].capitalize())}, by {escape(row['measure'])}",
            _figure(row["value"]),
            f"{_figure(row['rival_value'])}<small>{escape(row['rival'])}</small>",
            _gain(row["gain"]),
            f"{row['dates']:,}",
        ]
        for row in summary["heads"]
    ]
    return table(["", "Head", "Rival", "Better by", "Dates"], rows, "rules") if rows else ""


def _figure(value: float | None) -> str:
    return "n/a" if value is None else minus(f"{value:.4f}")


def _gain(gain: Numbers) -> str:
    """By how much a head is better, coloured where that is more than chance."""
    value, low, high = gain["value"], gain["low"], gain["high"]
    if value is None or low is None or high is None:
        return "n/a"
    kind = ("saved" if value > 0 else "cost") if is_beyond_chance(gain) else ""
    ends = f"[{signed(low, '+.4f')}, {signed(high, '+.4f')}]"
    return f'<span class="{kind}">{signed(value, "+.4f")}</span><small>{ends}</small>'


def _scoreboard(summary: Summary) -> str:
    cells = {(cell["metric"], cell["profile"]): cell for cell in summary["scoreboard"]}
    ran = {cell["profile"] for cell in summary["scoreboard"] if cell["ran"]}
    heads = [profile.capitalize() + (" (ran)" if profile in ran else "") for profile in PROFILES]
    rows = []
    for metric in dict.fromkeys(promise.metric for promise in PROMISES):
        own = summary["strategy"][metric]
        judged = (_judged(cells[metric, profile]) for profile in PROFILES)
        rows.append([METRICS[metric].label, minus(written(metric, own["value"])), *judged])
    return table(["", "Measured", *heads], rows, "scoreboard")


def _judged(cell: Summary) -> str:
    days = cell["needs_days"]
    waiting = f"<small>needs {days:,} more days</small>" if days else ""
    kind = cell["status"].lower().replace(" ", "-")
    return (
        f'<span class="{kind}">{cell["status"]}</span>'
        f"<small>{escape(cell['promised'])}</small>{waiting}"
    )


def _risk(series: ReportSeries, events: pd.DataFrame) -> str:
    said = "Bars at which a rule that protects the account acted."
    if events.empty:
        return section("Risk events", said, "<p>No rule acted.</p>")
    rows = [
        [escape(titled(rule)), f"{len(bars):,}", f"{bars['at'].min():%Y-%m-%d}",
         f"{bars['at'].max():%Y-%m-%d}"]
        for rule in in_order(events["rule"])
        for bars in [events[events["rule"] == rule]]
    ]  # fmt: skip
    chart = chart_html(charts.risk_chart(series, events), "risk")
    return section("Risk events", said, chart, table(["Rule", "Bars", "First", "Last"], rows))


def _rules(summary: Summary) -> str:
    """The book less the same book with one rule off; what saved most comes first."""
    heading = "What each rule cost or saved"
    acted = [row for row in summary["rules"] if row["acted"]]
    if not acted:
        return section(heading, "", f"<p>{rules_sentence(summary) or 'No rule was on.'}</p>")
    own = (minus(written(name, summary["strategy"][name]["value"])) for name in COMPARED)
    rows = [["All rules on", *own]]
    for row in sorted(acted, key=lambda row: -row["sharpe_difference"]["value"]):
        name = escape(rule_name(row["rule"]))
        rows.append([name[0].upper() + name[1:], *(_saved(row, metric) for metric in COMPARED)])
    never = ", ".join(rule_name(row["rule"]) for row in summary["rules"] if not row["acted"])
    return section(
        heading,
        "The book less the same book with that one rule off, on the same days: above 0 the rule "
        "saved, below 0 it cost. Coloured: the 95 % interval leaves out 0, as that of one rule in "
        "twenty does by chance.",
        f'<p class="lead">{minus(rules_sentence(summary))}</p>',
        table(["Rule", *(METRICS[name].label for name in COMPARED)], rows, "rules"),
        f"<p>Never acted, so nothing changes without them: {escape(never)}.</p>" if never else "",
    )


def _saved(row: Mapping[str, Any], metric: str) -> str:
    """The difference, its interval, and what the book without the rule came to."""
    difference, form = row[f"{metric}_difference"], f"+{METRICS[metric].form}"
    kind, ends = "", ""
    if is_beyond_chance(difference):
        kind = "saved" if difference["value"] > 0 else "cost"
    if difference["low"] is not None:
        ends = f"[{signed(difference['low'], form)}, {signed(difference['high'], form)}]"
    without = minus(written(metric, row["without"][metric]))
    return (
        f'<span class="{kind}">{signed(difference["value"], form)}</span>'
        f"<small>{ends}</small><small>{without} without</small>"
    )


def _lineage(summary: Summary) -> str:
    named = {
        "data": summary["data_hash"],
        "code": summary["code_version"],
        "configuration": summary["config_hash"],
        **summary["lineage"],
    }
    rows = [
        [escape(titled(name)), f"<code>{escape(str(value or 'unknown'))}</code>"]
        for name, value in named.items()
    ]
    return table(["Made from", "Version"], rows, "lineage")
