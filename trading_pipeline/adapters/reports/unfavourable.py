"""What speaks against a strategy by more than chance explains: never left out of a report."""

from collections.abc import Iterator

from trading_pipeline.adapters.reports.text import Numbers, between, written
from trading_pipeline.adapters.reports.verdicts import Summary
from trading_pipeline.core.evaluation.information_coefficient import COEFFICIENTS
from trading_pipeline.core.evaluation.metrics import METRICS, PAIRED
from trading_pipeline.core.evaluation.rules import COMPARED
from trading_pipeline.core.evaluation.verdict import titled
from trading_pipeline.core.trading.rules import rule_name

DIFFERENCES = "differences; of returns in points of a percent"


def unfavourable(summary: Summary) -> list[str]:
    """A sentence for each measured disadvantage whose interval lies wholly below zero.

    Whatever speaks against the strategy by more than chance explains is said, however much else
    speaks for it. Empty where nothing does.
    """
    compared = (_baselines, _alphas, _scores, _parts, _costs, _rules)
    measured = (row for rows in compared for row in rows(summary))
    return [
        *(
            f"{about}: {_with_ends(metric, found)}{against}."
            for about, metric, found, against in measured
            if is_below_zero(found)
        ),
        *_heads(summary),
    ]


# What a number is about, its metric, the number, and beside what it was measured.
Measured = Iterator[tuple[str, str, Numbers, str]]


def _baselines(summary: Summary) -> Measured:
    for baseline, paired in summary["paired"].items():
        for name in PAIRED:
            found = paired[f"{name}_difference"]
            yield METRICS[name].label, name, found, f" against {titled(baseline)}"


def _alphas(summary: Summary) -> Measured:
    about = f"Alpha a year to {titled(summary['benchmark'])}"
    for profile, metrics in summary["profiles"].items():
        own = profile == summary["traded"]["profile"]
        yield about + ("" if own else f", profile {profile}"), "alpha", metrics["alpha"], ""
    beyond = summary["significance"]["adds"]["alpha"]
    yield "Return a year beyond any mix of the simple rules", "alpha", beyond, ""


def _scores(summary: Summary) -> Measured:
    beyond = summary["information_coefficients"].get("beyond", {})
    for name in COEFFICIENTS:
        about = f"{METRICS[name].label} of the scores"
        yield about, name, summary["strategy"][name], ""
        if name in beyond:
            yield f"{about} beyond volatility, momentum and reversal", name, beyond[name], ""


def _parts(summary: Summary) -> Measured:
    against = f" against {titled(summary['benchmark'])}"
    for row in (*summary["periods"]["years"], *summary["periods"]["crises"]):
        difference = row["difference"]
        yield f"Return of {row['name']}", "annual_return", difference["total_return"], against
        yield f"Sharpe ratio of {row['name']}", "sharpe", difference["sharpe"], against


def _costs(summary: Summary) -> Measured:
    costs, benchmark = summary["costs"], titled(summary["benchmark"])
    if "multiples" not in costs:
        return
    for row in costs["multiples"]:
        if row["multiple"] != 1:  # which is that of the baselines
            about = f"Sharpe ratio at {row['multiple']:g} times the costs of trading"
            yield about, "sharpe", row["sharpe_difference"], f" against {benchmark} at the same"
    late = costs["one_bar_late"]["sharpe_difference"]
    yield "Sharpe ratio on yesterday's scores", "sharpe", late, " against today's"


def _rules(summary: Summary) -> Measured:
    for row in summary["rules"]:
        if row["acted"]:
            against = f" with the rule {rule_name(row['rule'])} against without it"
            for name in COMPARED:
                yield METRICS[name].label, name, row[f"{name}_difference"], against


def _heads(summary: Summary) -> list[str]:
    return [
        f"The {row['head']} head, by {row['measure']}: {_plain(row['gain'])} against the "
        f"{row['rival']}."
        for row in summary["heads"]
        if row["verdict"] == "worse"
    ]


def _with_ends(metric: str, numbers: Numbers) -> str:
    return f"{written(metric, numbers['value'], '+')} {between(metric, numbers, '+')}"


def _plain(numbers: Numbers) -> str:
    """A number without a unit, and its interval."""
    value, low, high = (f"{numbers[end]:+.4f}" for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def is_below_zero(numbers: Numbers) -> bool:
    """Whether the whole interval is."""
    return numbers["high"] is not None and numbers["high"] < 0
