"""What each rule of a profile cost or saved: the book beside the same one with that rule off."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.confidence import Sampled, interval
from trading_pipeline.core.evaluation.metrics import Floats, formulas
from trading_pipeline.core.evaluation.performance import Resampling, daily_returns, day_closes

COMPARED = ("sharpe", "annual_return", "max_drawdown")


def price_of_rules(
    timestamps: pd.DatetimeIndex,
    equity: Floats,
    without: Mapping[str, Floats],
    resampling: Resampling,
) -> list[dict[str, object]]:
    """One row a rule, in the order given: rule, acted, without, and the differences.

    A difference is the book less the one without the rule, on the same resampled dates, so above 0
    the rule saved something: of a drawdown as well, which is a number below 0. A rule that never
    acted changes no close of the account, and its differences are 0.

    Args:
        timestamps: (T,). equity: (T,) of the book, quote currency. without: (T,) each, by the rule
            that was off.
    """
    closes = day_closes(timestamps)
    own = _sampled(daily_returns(equity, closes), resampling)
    rows: list[dict[str, object]] = []
    for rule, bare in without.items():
        other = _sampled(daily_returns(bare, closes), resampling)
        differences = {
            f"{name}_difference": interval(
                own[name].or_zero().minus(other[name].or_zero()), resampling.widening
            ).to_dict()
            for name in COMPARED
        }
        values = {name: interval(other[name]).to_dict()["value"] for name in COMPARED}
        acted = not np.array_equal(equity, bare)
        rows.append({"rule": rule, "acted": acted, "without": values, **differences})
    return rows


def _sampled(returns: Floats, resampling: Resampling) -> dict[str, Sampled]:
    """The metrics that are compared, with their replications (R,)."""
    a_year, again = resampling.days_per_year, returns[resampling.dates]
    known = formulas("returns")
    return {name: Sampled.of(known[name], returns, again, a_year) for name in COMPARED}
