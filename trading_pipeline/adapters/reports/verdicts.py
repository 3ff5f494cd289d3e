"""The three verdicts in plain words: what was asked, the answer, and why."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trading_pipeline.core.evaluation.summary import FOREIGN
from trading_pipeline.core.evaluation.verdict import EARNS, PROVEN, titled

Summary = Mapping[str, Any]  # the content of report.json

PREAMBLE = (
    "'Not proven' is no 'no': it means that luck alone could explain what was measured. A few "
    "years seldom prove anything."
)


class Spoken(NamedTuple):
    """One verdict as a person would give it."""

    title: str
    question: str
    answer: str
    reasons: tuple[str, ...]  # why, hardest first
    proven: bool


def spoken_verdicts(summary: Summary) -> tuple[Spoken, Spoken, Spoken]:
    """The edge, what the book adds to the baselines, and the network."""
    verdict = summary["verdict"]
    edge = Spoken(
        "The planted edge" if summary["synthetic"] else "The edge",
        "Was the return for its risk better than that of every simple rule, such as buying and "
        "holding, by more than luck explains? Ask this of a book that is to replace them.",
        _given(summary, verdict["edge"]),
        _why(verdict["reasons"], _edge_shown(summary), _wait(summary, "needs_days")),
        verdict["edge"] == PROVEN,
    )
    adds = Spoken(
        "Adds to the baselines",
        "Did it earn anything that no mix of the simple rules would have earned, by more than luck "
        "explains? Ask this of a book that is to be held beside them.",
        _given(summary, verdict["adds"]),
        _why(verdict["adds_reasons"], _alpha_shown(summary), _wait(summary, "adds_needs_days")),
        verdict["adds"] == PROVEN,
    )
    network = Spoken(
        "The network",
        "Did the neural network do better than each of the simpler models that were fitted to the "
        "same data, by more than luck explains?",
        verdict["network"],
        tuple(verdict["network_reasons"]),
        verdict["network"] == EARNS,
    )
    return edge, adds, network


def _given(summary: Summary, answer: str) -> str:
    """The answer, and on what condition."""
    if answer == PROVEN and summary["origin"] == FOREIGN:
        return f"{PROVEN}, if the predictions are out of sample, which nothing here shows"
    return answer


def _why(against: list[str], shown: str, wait: str) -> tuple[str, ...]:
    return (*against, *([wait] if wait else [])) if against else (shown,)


def _wait(summary: Summary, key: str) -> str:
    """How much longer a history would have to be; empty when that is not the obstacle."""
    days = summary["verdict"][key]
    if days is None:
        return ""
    years = days / summary["bootstrap"]["days_per_year"]
    span = f"{days:,} more days" + (f" (about {years:.0f} years)" if years >= 2 else "")
    return f"Needs {span}, were everything to stay as measured."


def _edge_shown(summary: Summary) -> str:
    hardest = summary["verdict"]["hardest_baseline"]
    if hardest is None:
        return ""
    numbers = summary["paired"][hardest]["sharpe_difference"]
    return (
        f"Better than each of the simple rules. The hardest is {titled(hardest)}: the Sharpe ratio "
        f"is {numbers['value']:.2f} above its own, 95 % interval [{numbers['low']:+.2f}, "
        f"{numbers['high']:+.2f}]."
    )


def _alpha_shown(summary: Summary) -> str:
    alpha = summary["significance"]["adds"]["alpha"]
    ends = [alpha[end] for end in ("value", "low", "high")]
    if None in ends:
        return ""
    value, low, high = (f"{100 * end:+.1f} %" for end in ends)
    return (
        f"It earned {value} a year that no mix of the simple rules explains, 95 % interval [{low}, "
        f"{high}]."
    )


def trials_sentence(summary: Summary) -> str:
    """How many configurations were tried before this one was believed."""
    found = summary["significance"]
    trials, effective = summary["trials"], found["edge"]["effective_trials"]
    if trials is None:
        return "Trials unknown; the warnings say why."
    said = f"Trials so far, on this panel: {trials:,}"
    if effective is not None and effective < trials:
        said += f", of which {effective:,} really different"
    elsewhere = f" On other panels: {found['elsewhere']:,}." if found["elsewhere"] else ""
    return f"{said}.{elsewhere}"


def luck_sentences(summary: Summary) -> list[str]:
    """What the choice among the trials of the panel is worth, where that can be said."""
    found, baseline = summary["significance"], summary["verdict"]["hardest_baseline"]
    superiority = found["superiority_p_value"] if (found["known_trials"] or 0) > 1 else None
    known = found["known_trials"] or 0
    return choice_sentences(known, found["overfitting_probability"], superiority, baseline)


def choice_sentences(
    trials: int, overfitting: float | None, superiority: float | None, baseline: str | None
) -> list[str]:
    """What choosing the best of so many trials is worth; [] where neither figure is known."""
    said = []
    if overfitting is not None:
        said.append(
            f"Probability of backtest overfitting: {100 * overfitting:.0f} %. So often the trial "
            "that was best on one half of the history was below the median on the other; choosing "
            f"blindly among {trials} comes to {100 * (trials // 2) / trials:.0f} %."
        )
    if superiority is not None and baseline is not None:
        said.append(
            f"Were no trial better than {titled(baseline)}, the best of them would look this good "
            f"or better with a probability of {superiority:.2f} (test of superior predictive "
            "ability)."
        )
    return said
