"""The specification's twelve promises, each held against the run of the profile it was made for.

A cell is Met when the whole interval clears the easier end of the promised range, Not met when it
wholly misses it, and Undecidable otherwise; 'Not run' where its profile was not simulated.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.evaluation.confidence import Estimate

MET, NOT_MET, UNDECIDABLE, NOT_RUN = "Met", "Not met", "Undecidable", "Not run"
PROFILES = ("conservative", "moderate", "aggressive")


class Promise(NamedTuple):
    """One cell of the specification's table 'Expected Performance'."""

    metric: str
    profile: str
    promised: str
    needed: float  # the easier end; at least this (a drawdown is negative: no deeper than this)


PROMISES = (
    Promise("annual_return", "conservative", "25-35%", 0.25),
    Promise("annual_return", "moderate", "50-70%", 0.50),
    Promise("annual_return", "aggressive", "100%+", 1.00),
    Promise("sharpe", "conservative", "1.0-1.5", 1.0),
    Promise("sharpe", "moderate", "1.5-2.0", 1.5),
    Promise("sharpe", "aggressive", "2.0+", 2.0),
    Promise("max_drawdown", "conservative", "-10% to -15%", -0.15),
    Promise("max_drawdown", "moderate", "-15% to -20%", -0.20),
    Promise("max_drawdown", "aggressive", "-20% to -30%", -0.30),
    Promise("win_rate", "conservative", "52-55%", 0.52),
    Promise("win_rate", "moderate", "55-58%", 0.55),
    Promise("win_rate", "aggressive", "55-60%", 0.55),
)


def judged(estimate: Estimate, needed: float) -> str:
    """'Met', 'Not met' or 'Undecidable'; an undefined interval decides nothing."""
    if estimate.low >= needed:
        return MET
    return NOT_MET if estimate.high < needed else UNDECIDABLE


def days_to_decide(estimate: Estimate, needed: float, n_days: int) -> int | None:
    """More days until the interval would clear `needed`, were the value to stay what it is.

    Intervals narrow with the square root of the days. None where the end is undefined or the
    value is so near to `needed` that no working life would do (100 years of days).
    """
    distance = estimate.value - needed
    reach = estimate.high - estimate.value if distance < 0 else estimate.value - estimate.low
    if not np.isfinite(reach) or distance == 0:
        return None
    more = n_days * ((reach / distance) ** 2 - 1)
    return int(np.ceil(more)) if 0 <= more < 36_500 else None


def scoreboard(
    profiles: Mapping[str, Mapping[str, Estimate]], n_days: int
) -> list[dict[str, str | float | None]]:
    """The twelve cells in the specification's order, as plain values.

    Args:
        profiles: metrics of the run of each profile, by its name; one may be missing.
        n_days: days measured.
    """
    return [_cell(promise, profiles.get(promise.profile), n_days) for promise in PROMISES]


def _cell(
    promise: Promise, measured: Mapping[str, Estimate] | None, n_days: int
) -> dict[str, str | float | None]:
    estimate = measured[promise.metric] if measured else Estimate(float("nan"))
    status = judged(estimate, promise.needed) if measured else NOT_RUN
    # A drawdown only deepens with time, so waiting does not narrow it.
    waits = status == UNDECIDABLE and promise.metric != "max_drawdown"
    return {
        "metric": promise.metric,
        "profile": promise.profile,
        "promised": promise.promised,
        "needed": promise.needed,
        **estimate.to_dict(),
        "status": status,
        "needs_days": days_to_decide(estimate, promise.needed, n_days) if waits else None,
    }
