"""The top of the report's page: the three verdicts, and what to know before believing a number."""

from html import escape

from trading_pipeline.adapters.reports.html import bullets, minus, section, table, with_line
from trading_pipeline.adapters.reports.verdicts import (
    PREAMBLE,
    Spoken,
    Summary,
    luck_sentences,
    spoken_verdicts,
    trials_sentence,
)
from trading_pipeline.core.evaluation.verdict import titled


def verdict_section(summary: Summary) -> str:
    """Three cards, each with its question, answer and reasons; the warnings below them."""
    cards = "".join(_card(each) for each in spoken_verdicts(summary))
    warnings = bullets(summary["warnings"])
    said = f'<div class="warnings"><h3>Before believing any number</h3>{warnings}</div>'
    return (
        f'<section><div class="verdicts">{cards}</div>'
        f'<p class="quiet">{escape(PREAMBLE)} {escape(trials_sentence(summary))}</p>'
        f"{said if warnings else ''}</section>"
    )


def _card(each: Spoken) -> str:
    return (
        f'<article class="verdict {"proven" if each.proven else "open"}">'
        f"<h2>{escape(each.title)}</h2><b>{escape(each.answer)}</b>"
        f'<p class="quiet">{escape(each.question)}</p>{bullets(each.reasons)}</article>'
    )


_P_VALUE = with_line(
    "p-value, one-sided",
    "How often luck alone would show as much: at most 0.025 where the lower end of the verdict's "
    "interval is above 0.",
)
_FIGURES = (
    ("p_value", _P_VALUE, ".3f"),
    ("sharpe", "Sharpe ratio a year", "+.2f"),
    ("probabilistic_sharpe", "Probability that it is truly above 0", ".3f"),
    ("deflated_sharpe", "Probability that it is above the luck of the best trial", ".3f"),
    ("minimum_track_record", "Days that would make the latter 0.95", ",.0f"),
)


def significance_section(summary: Summary) -> str:
    """The figures behind the verdicts."""
    found, hardest = summary["significance"], summary["verdict"]["hardest_baseline"]
    columns = [found["edge"], found["adds"]]
    rows = [
        [label, *(_figure(each[name], form) for each in columns)] for name, label, form in _FIGURES
    ]
    heads = ["", f"Over {escape(titled(hardest or 'no rule'))}", "Beyond a mix of all rules"]
    return section(
        "Significance",
        "Of the returns that the first two verdicts judge. The second probability is the deflated "
        "Sharpe ratio, the last line the minimum track record; n/a: no length would do.",
        table(heads, rows, "significance"),
        bullets([*_notes(summary), *luck_sentences(summary)]),
    )


def _figure(value: float | None, form: str) -> str:
    return "n/a" if value is None else minus(f"{value:{form}}")


def _notes(summary: Summary) -> list[str]:
    found = summary["significance"]
    adds, tried = found["adds"], found["edge"]["effective_trials"]
    notes = []
    if tried is not None and tried > 1:
        notes.append(
            f"Over {titled(summary['verdict']['hardest_baseline'])} at equal volatility the best "
            f"of {tried:,} trials without any skill is expected to show a Sharpe ratio of "
            f"{found['edge']['expected_maximum_sharpe']:.2f}."
        )
    if adds["unexplained"] is not None:
        notes.append(
            f"{len(adds['baselines'])} simple rules that are no copies of one another leave "
            f"{adds['unexplained']:.0%} of the book's volatility unexplained."
        )
    return notes
