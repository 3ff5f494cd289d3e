"""What speaks against a strategy by more than chance explains: never left out of a report."""

from trading_pipeline.adapters.reports.text import Numbers, between, written
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.information_coefficient import COEFFICIENTS
from trading_pipeline.core.evaluation.metrics import METRICS, PAIRED
from trading_pipeline.core.evaluation.rules import COMPARED
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline.core.trading.rules import rule_name


def unfavourable(summary: Summary) -> list[str]:
    """A sentence for each measured disadvantage whose interval lies wholly below zero.

    Whatever speaks against the strategy by more than chance explains is said, however much else
    speaks for it. Empty where nothing does.
    """
    benchmark = titled(summary["benchmark"])
    said = [
        f"{METRICS[name].label}: {_with_ends(name, found)} against {titled(baseline)}."
        for baseline, paired in summary["paired"].items()
        for name in PAIRED
        if is_below_zero(found := paired[f"{name}_difference"])
    ]
    if is_below_zero(alpha := summary["strategy"]["alpha"]):
        said.append(f"Alpha a year to {benchmark}: {_with_ends('alpha', alpha)}.")
    beyond = summary["significance"]["adds"]["alpha"]
    if is_below_zero(beyond):
        text = _with_ends("alpha", beyond)
        said.append(f"Return a year beyond any mix of the simple rules: {text}.")
    for name in COEFFICIENTS:
        found = summary["strategy"][name]
        if is_below_zero(found):
            said.append(f"{METRICS[name].label} of the scores: {_with_ends(name, found)}.")
    said += [
        f"Return of {row['name']}: {_with_ends('annual_return', difference)} against {benchmark}."
        for kind in ("years", "crises")
        for row in summary["periods"][kind]
        if is_below_zero(difference := row["difference"]["total_return"])
    ]
    said += [
        f"The rule {rule_name(row['rule'])} cost {METRICS[name].label.lower()}: "
        f"{_with_ends(name, found)}."
        for row in summary["rules"]
        for name in COMPARED
        if row["acted"] and is_below_zero(found := row[f"{name}_difference"])
    ]
    said += [
        f"The {row['head']} head, by {row['measure']}: {_plain(row['gain'])} against the "
        f"{row['rival']}."
        for row in summary["heads"]
        if row["verdict"] == "worse"
    ]
    return said


def _with_ends(metric: str, numbers: Numbers) -> str:
    return f"{written(metric, numbers['value'], '+')} {between(metric, numbers, '+')}"


def _plain(numbers: Numbers) -> str:
    """A number without a unit, and its interval."""
    value, low, high = (f"{numbers[end]:+.4f}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def is_below_zero(numbers: Numbers) -> bool:
    """Whether the whole interval is."""
    return numbers["high"] is not None and numbers["high"] < 0
