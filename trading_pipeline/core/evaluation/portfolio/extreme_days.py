"""The worst and the best days: what they cost, who made them, and which rule acted."""

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings

_NAMED = 3  # symbols of a day

Row = dict[str, object]


def extreme_days(
    returns: Floats,
    benchmark: Floats,
    earnings: Earnings,
    events: pd.DataFrame,
    count: int = 10,
) -> dict[str, list[Row]]:
    """The `count` worst and best days, the most extreme first; a day is in one list at most.

    Args:
        returns: (D,) of the strategy, simple; benchmark: (D,).
        earnings: of the same days.
        events: from `risk_events`.

    Returns:
        worst and best: rows of date (ISO), return, benchmark, contributors (up to three symbols
        that moved the account most in the direction of the day, with the part of the day's opening
        equity that each made) and rules (names of those that acted on that day).
    """
    order = np.argsort(returns, kind="stable")
    worst = [int(day) for day in order[:count] if returns[day] < 0]
    best = [int(day) for day in order[::-1][:count] if returns[day] > 0]
    acted = _rules_by_day(events, earnings.days)

    def row(day: int) -> Row:
        """One day, as `day` counts them in the earnings."""
        return {
            "date": f"{earnings.days[day]:%Y-%m-%d}",
            "return": float(returns[day]),
            "benchmark": float(benchmark[day]),
            "contributors": _contributors(earnings, day, float(np.sign(returns[day]))),
            "rules": acted.get(day, []),
        }

    return {"worst": [row(day) for day in worst], "best": [row(day) for day in best]}


def _contributors(earnings: Earnings, day: int, direction: float) -> list[Row]:
    """Symbols that moved the account that way, the largest first."""
    equity = earnings.equity[day]
    if not equity > 0:
        return []
    parts = earnings.money[:, :, day].sum(axis=(0, 1)) / equity
    largest = np.argsort(-direction * parts, kind="stable")[:_NAMED]
    return [
        {"symbol": earnings.symbols[n], "contribution": float(parts[n])}
        for n in largest
        if direction * parts[n] > 0
    ]


def _rules_by_day(events: pd.DataFrame, days: pd.DatetimeIndex) -> dict[int, list[str]]:
    """Day -> names of the rules that acted on it, sorted."""
    if events.empty:
        return {}
    day = days.searchsorted(pd.DatetimeIndex(events["at"]))
    names = events["rule"].groupby(day).unique()
    return {int(key): sorted(rules) for key, rules in names.items()}
