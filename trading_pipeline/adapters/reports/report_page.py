"""The report as one HTML page: self-contained, offline, and readable on a phone.

Whatever came from outside (names, reasons, warnings, hashes) is escaped where it enters the page.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from trading_pipeline.adapters.reports import periods_page as periods
from trading_pipeline.adapters.reports import portfolio_page as portfolio
from trading_pipeline.adapters.reports import trades_page as trades
from trading_pipeline.adapters.reports.charts import report as charts
from trading_pipeline.adapters.reports.charts.series import ReportSeries, risk_events
from trading_pipeline.adapters.reports.glossary import baseline_said, measure_said, rule_said
from trading_pipeline.adapters.reports.headline import beside_benchmark, header
from trading_pipeline.adapters.reports.html import (
    bullets,
    chart_html,
    minus,
    number_cell,
    section,
    section_links,
    signed,
    table,
    with_line,
)
from trading_pipeline.adapters.reports.report_files import FILES, PAGES, SAID
from trading_pipeline.adapters.reports.template import whole_page
from trading_pipeline.adapters.reports.text import (
    Numbers,
    between,
    head_sentences,
    heading,
    in_currency,
    is_beyond_chance,
    rules_sentence,
    start_sentence,
    written,
)
from trading_pipeline.adapters.reports.variants_page import one_thing_changed
from trading_pipeline.adapters.reports.verdict_section import significance_section, verdict_section
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.information_coefficient import COEFFICIENTS
from trading_pipeline.core.evaluation.metrics import METRICS, PAIRED
from trading_pipeline.core.evaluation.portfolio.risk_events import in_order
from trading_pipeline.core.evaluation.rules import COMPARED
from trading_pipeline.core.evaluation.scoreboard import PROFILES, PROMISES
from trading_pipeline.core.evaluation.summary import WALK_FORWARD
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.core.trading.rules import rule_name


def page(summary: Summary, series: ReportSeries) -> str:
    """The whole page; the same inputs give the same text."""
    events, benchmark = risk_events(series), summary["benchmark"]
    sections = [
        section(
            "Metrics",
            "The value, and below it the 95 % interval; of the maximum drawdown, what another "
            "history of as many days would have shown. Alpha and beta are to "
            f"{titled(benchmark)}. n/a: not defined for this book.",
            _metrics_table(summary),
        ),
        section(
            "Against every baseline",
            "Strategy minus baseline, measured on the same days; the chart shows the Sharpe ratio. "
            "A bar that crosses zero may be chance.",
            chart_html(charts.paired_chart(summary), "paired"),
            _paired_table(summary),
        ),
        *_histories(series, summary),
        _risk(series, events),
        _rules(summary),
        one_thing_changed(summary),
        *_of_the_model(summary),
        significance_section(summary),
        *_folds(summary),
        section("How this was measured", "", bullets(summary["assumptions"]), _lineage(summary)),
        _files(summary),
    ]
    first = beside_benchmark(summary)
    return whole_page(
        f"{summary['market']}: backtest report",
        summary["market"],
        header(summary),
        [first, verdict_section(summary), section_links([first, *sections]), *sections],
    )


def _of_the_model(summary: Summary) -> list[str]:
    """What scores and heads knew, and what the profiles came to."""
    return [
        section(
            "What the scores knew",
            "Mean correlation across symbols between a score and the return that followed, "
            "without the market's part of it, on the dates at which the scores say anything, and "
            "below it the 95 % interval, which knows that returns overlap; the second column is of "
            "ranks, in which a large move counts no more than a small one. Minus the volatility, "
            "momentum and reversal need no model; the line after them is what the scores know "
            "beyond these three. Below are the learned baselines, on the same symbols and dates.",
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
            "Target: the range that the specification of this pipeline names for each risk "
            "profile, set before anything was measured; an aim, no forecast. Below it, "
            "what the profile's own run came to. Met: the whole interval clears the easier end of "
            "the range. Not met: it wholly misses it. "
            "Undecidable: it holds that end, or too few trades were closed; more days decide, but "
            "not of a drawdown, which only deepens.",
            _scoreboard(summary),
        ),
    ]


def _histories(series: ReportSeries, summary: Summary) -> list[str]:
    """What happened, in the order that it is asked for."""
    benchmark = summary["benchmark"]
    return [
        section(
            "Equity",
            "Log scale, after costs. Grey: the middle 90 % of portfolios of random scores, sized, "
            "limited and charged as the strategy is. The baselines drawn are without risk rules; "
            "the tables have them managed too.",
            chart_html(charts.equity_chart(series), "equity"),
        ),
        portfolio.rolling(series, benchmark),
        section(
            "Drawdown",
            "Loss from the highest equity so far; below, the deepest falls of the strategy.",
            chart_html(charts.drawdown_chart(series, benchmark), "drawdown"),
            portfolio.falls(summary),
        ),
        portfolio.months(series),
        *periods.parts(summary, series),
        portfolio.exposure(summary, series),
        portfolio.costs(summary, series),
        portfolio.attribution(summary),
        portfolio.trades(summary, series),
        trades.closed_trades(series),
        trades.open_positions(series),
        portfolio.distribution(summary, series),
        portfolio.extreme_days(summary),
    ]


def _paired_table(summary: Summary) -> str:
    rows = [
        [
            with_line(escape(heading(name)), baseline_said(name)),
            *(number_cell(metric, paired[f"{metric}_difference"], "+") for metric in PAIRED),
        ]
        for name, paired in summary["paired"].items()
    ]
    return table(["Baseline", *(METRICS[metric].label for metric in PAIRED)], rows)


def _metrics_table(summary: Summary) -> str:
    books = {"strategy": summary["strategy"], **summary["baselines"]}
    rows = [
        [
            with_line(
                escape(in_currency(metric.label, summary)) if metric.money else metric.label,
                metric.said,
            ),
            *(number_cell(name, numbers[name]) for numbers in books.values()),
        ]
        for name, metric in METRICS.items()
    ]
    heads = (escape(heading(name)) for name in books)
    return table(["", *heads], rows, "metrics")


_NOT_KNOWN = {"value": None, "low": None, "high": None}
_KNOWING = {
    "scores": "The scores that were traded",
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
        [label, *(number_cell(metric, found[name][metric], "+") for metric in COEFFICIENTS)]
        for name, label in _KNOWING.items()
        if name in found
    ]
    return table(["", *(METRICS[metric].label for metric in COEFFICIENTS)], rows)


def _folds(summary: Summary) -> list[str]:
    """Of each fold, what its scores knew on validation, and which model was chosen, if any was."""
    found, choices = summary["validation"], summary["choices"]
    if not found and not choices:
        return []
    said = (
        "Validation IC of the scores: their information coefficient on the last part of what the "
        "fold learned from, which comes before everything in this report, and below it the 95 % "
        "interval. n/a: all scores alike. No interval: fewer than eight symbols, or 20 dates."
    )
    if choices:
        said += " The model was chosen on it: the simplest within one standard error of the best."
    rows = [
        [
            escape(fold),
            number_cell("information_coefficient", _of_fold(found.get(fold)), "+"),
            *([escape(choices.get(fold, ""))] if choices else []),
        ]
        for fold in dict.fromkeys([*found, *choices])
    ]
    heads = ["Fold", "Validation IC of the scores", *(["Model"] if choices else [])]
    return [section("Fold by fold", said, table(heads, rows))]


def _of_fold(found: Numbers | None) -> Numbers:
    """An exact zero without an interval is of scores that never differ."""
    if found is None or (found["value"] == 0 and found["low"] is None):
        return _NOT_KNOWN
    return found


def _heads(summary: Summary) -> str:
    rows = [
        [
            with_line(
                f"{escape(row['head'].capitalize())}, by {escape(row['measure'])}",
                measure_said(row["measure"]),
            ),
            _figure(row["value"]),
            f'{_figure(row["rival_value"])}<small class="words">{escape(row["rival"])}</small>',
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
    rows = [
        [METRICS[metric].label, *(_judged(cells[metric, profile]) for profile in PROFILES)]
        for metric in dict.fromkeys(promise.metric for promise in PROMISES)
    ]
    return table(["", *map(str.capitalize, PROFILES)], rows, "scoreboard")


def _judged(cell: Summary) -> str:
    """The answer, the target, and what was measured."""
    days, kind = cell["needs_days"], cell["status"].lower().replace(" ", "-")
    value, ends = (written(cell["metric"], cell["value"]), between(cell["metric"], cell))
    measured = minus(f"{value} {ends}".rstrip()) if cell["value"] is not None else ""
    lines = (
        f"target {minus(cell['promised'])}",
        measured,
        f"needs {days:,} more days" if days else "",
    )
    said = "".join(f"<small>{line}</small>" for line in lines if line)
    return f'<span class="{kind}">{cell["status"]}</span>{said}'


def _risk(series: ReportSeries, events: pd.DataFrame) -> str:
    said = "Bars at which a rule that protects the account acted."
    if events.empty:
        return section("Risk events", said, "<p>No rule acted.</p>")
    rows = [
        [escape(rule_name(rule)), f"{len(bars):,}", f"{bars['at'].min():%Y-%m-%d}",
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
        label = with_line(name[0].upper() + name[1:], rule_said(row["rule"]))
        rows.append([label, *(_saved(row, metric) for metric in COMPARED)])
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


def _files(summary: Summary) -> str:
    """Links to what lies beside the page."""
    shown = [(name, said) for name, said in SAID.items() if name != FILES["html"]]
    if summary["origin"] != WALK_FORWARD:
        shown = [each for each in shown if each[0] not in [FILES[page] for page in PAGES]]
    items = (f'<li><a href="{name}">{name}</a>: {escape(said)}</li>' for name, said in shown)
    return section("Files", "Beside this page, in the same folder.", f"<ul>{''.join(items)}</ul>")


def _lineage(summary: Summary) -> str:
    """The hashes; `trading-pipeline trace` tells the rest."""
    lineage = summary["lineage"]
    folds = lineage.get("models", {}).get(summary["model"], {})
    named = {
        "data": summary["data_hash"],
        "code": summary["code_version"],
        "configuration": summary["config_hash"],
        "asset in the web UI": f"{summary['market']}/backtest_report",
        **{name: value for name, value in lineage.items() if isinstance(value, str)},
        **{f"checkpoint of fold {key}": fold["checkpoint"] for key, fold in folds.items()},
    }
    rows = [
        [escape(titled(name)), f"<code>{escape(str(value or 'unknown'))}</code>"]
        for name, value in named.items()
    ]
    return table(["Made from", "Version"], rows, "lineage")
