"""A summary for the terminal, and as Markdown for the asset's page.

The three verdicts and why come first, then what has to be known before they are believed, then the
paired difference and everything else.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from trading_pipeline.adapters.reports.text import (
    Numbers,
    between,
    capacity_sentence,
    choice_lines,
    costs_sentence,
    exposure_sentence,
    heading,
    paired_sentence,
    percentile_sentence,
    period,
    rules_sentence,
    spaced,
    written,
)
from trading_pipeline.adapters.reports.unfavourable import DIFFERENCES, unfavourable
from trading_pipeline.adapters.reports.verdicts import (
    PREAMBLE,
    Summary,
    luck_sentences,
    spoken_verdicts,
    trials_sentence,
)
from trading_pipeline.core.evaluation.metrics import METRICS, PAIRED
from trading_pipeline.core.evaluation.verdict import titled

WIDTH = 96  # columns of the terminal text


def summary_text(summary: Summary) -> str:
    """The report in a terminal's words: plain text, lines of at most 96 columns."""
    paired = summary["paired"][summary["benchmark"]]
    against = unfavourable(summary)
    lines = [
        f"{summary['market']}: {period(summary)}",
        "",
        *_verdict_lines(summary),
        *(["", "Before believing any number"] if summary["warnings"] else []),
        *(line for text in summary["warnings"] for line in _wrapped(text, "  ! ")),
        "",
        f"Against {titled(summary['benchmark'])}, paired day by day (95 % intervals)",
        *(_difference(name, paired[f"{name}_difference"]) for name in PAIRED),
        *_wrapped(paired_sentence(summary), "  "),
        *(["", f"Worse by more than chance explains ({DIFFERENCES})"] if against else []),
        *(line for text in against for line in _wrapped(text, "  - ")),
        "",
        *_wrapped(percentile_sentence(summary), ""),
        *_wrapped(rules_sentence(summary), ""),
        *_wrapped(exposure_sentence(summary), ""),
        *_wrapped(costs_sentence(summary), ""),
        *_wrapped(capacity_sentence(summary), ""),
        *_wrapped(trials_sentence(summary), ""),
        *(line for text in luck_sentences(summary) for line in _wrapped(text, "")),
    ]
    return "\n".join(lines) + "\n"


def _verdict_lines(summary: Summary) -> list[str]:
    """Each question with its answer and the reasons for it."""
    lines = []
    for number, each in enumerate(spoken_verdicts(summary), 1):
        lines += [
            *_wrapped(f"{each.title}: {each.answer.upper()}", f"{number}. "),
            *_wrapped(each.question, "   "),
            *(line for text in each.reasons for line in _wrapped(text, "   - ")),
        ]
    chosen = (line for text in choice_lines(summary) for line in _wrapped(text, "   - "))
    return [*lines, *chosen, *_wrapped(PREAMBLE, "")]


def _difference(metric: str, numbers: Numbers) -> str:
    value = written(metric, numbers["value"], "+")
    return f"  {METRICS[metric].label:<14} {value:>8}  {between(metric, numbers, '+')}".rstrip()


def _wrapped(text: str, lead: str) -> list[str]:
    return textwrap.wrap(
        spaced(text), WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)
    )


def markdown_table(summary: Summary) -> str:
    """Every metric with its interval, beside the baselines: a Markdown table."""
    return _metrics(summary, list(METRICS), list(summary["baselines"]))


def markdown_brief(summary: Summary) -> str:
    """The metrics that matter most, beside the benchmark: few enough to be shown at once."""
    brief = [name for name, metric in METRICS.items() if metric.brief]
    return _metrics(summary, brief, [summary["benchmark"]])


def _metrics(summary: Summary, names: Sequence[str], baselines: Sequence[str]) -> str:
    rows = []
    for name in names:
        own = summary["strategy"][name]
        others = (summary["baselines"][each][name]["value"] for each in baselines)
        values = [written(name, value) for value in (own["value"], *others)]
        rows.append([METRICS[name].label, values[0], between(name, own), *values[1:]])
    titles = (heading(name) for name in baselines)
    return _markdown(["", "Strategy", "95 % interval", *titles], rows)


def markdown_attribution(summary: Summary, symbols: int = 5) -> str:
    """What sides and the largest symbols made, with the interval of a year: a Markdown table."""
    found = summary["attribution"]
    if found is None:
        return "Not known: only the equity of this book was recorded.\n"
    sums = (("Interest", found["interest"]), ("Total", found["total"]))
    rows = [_attributed(row["side"].capitalize(), row) for row in found["sides"]]
    rows += [[name, f"{amount:,.0f}", "", "", ""] for name, amount in sums]
    rows += [
        _attributed(f"{row['symbol']} {row['side']}", row) for row in found["symbols"][:symbols]
    ]
    return _markdown(["", "P&L", "A year", "95 % interval", "Trades"], rows)


def _attributed(name: str, row: Mapping[str, Any]) -> list[str]:
    yearly = row["a_year"]
    share, ends = (written("annual_return", yearly["value"]), between("annual_return", yearly))
    return [name, f"{row['pnl']:,.0f}", share, ends, f"{row['trades']:,}"]


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is of names; units stay on the line of their number."""
    lines = (
        "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in row) + " |"
        for row in (heads, ["---", *["---:"] * (len(heads) - 1)], *rows)
    )
    text = "\n".join(lines) + "\n"
    return text.replace(" %", "\u00a0%").replace(" ×", "\u00a0×")
