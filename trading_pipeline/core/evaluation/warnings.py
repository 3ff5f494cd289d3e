"""Warnings that every report carries, whatever its settings: none of them can be switched off."""

from trading_pipeline.core.evaluation.verdict import MINIMUM_DAYS, PROVEN, Verdict

UNPROVEN = (
    "this recipe is not proven: neither an edge nor anything beyond the simple rules was shown, so "
    "trade it on paper only"
)
UNKNOWN_ORIGIN = (
    "these predictions were made elsewhere: nothing here shows that they are out of sample. If "
    "what made them has seen a later bar, in its data, its fit or the choice of its settings, "
    "every number is too good, whatever the verdicts say"
)
TRIALS_UNKNOWN = (
    "the number of trials is unknown, so nothing can be proven: the best of enough worthless "
    "strategies always looks good"
)


def standing_warnings(verdict: Verdict, days: int, foreign: bool) -> list[str]:
    """What follows from the verdicts, the length of the history, D days, and from who predicted."""
    warnings = [UNKNOWN_ORIGIN] if foreign else []
    if PROVEN not in (verdict.edge.answer, verdict.adds.answer):
        warnings.append(UNPROVEN)
    if verdict.edge.trials is None:
        warnings.append(TRIALS_UNKNOWN)
    if days < MINIMUM_DAYS:
        warnings.append(
            f"the history is short: of {days} days no verdict is possible, it takes {MINIMUM_DAYS}"
        )
    return warnings
