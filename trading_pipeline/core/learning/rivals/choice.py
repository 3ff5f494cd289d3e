"""Which model a fold trades with, where `model` is "best": what validation says, taken soberly."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.long_run import LAGS_PER_HORIZON, LEAST_DATES, standard_error
from trading_pipeline.core.model.config import CANDIDATES


class Choice(NamedTuple):
    """The candidate that is taken, and why."""

    name: str
    reason: str  # a sentence, without its full stop


def choose(metrics: Mapping[str, Mapping[str, Any]], horizon: int) -> Choice:
    """The one-standard-error rule (Breiman, Friedman, Olshen and Stone, 1984, section 3.4.3).

    Of the candidates whose validation information coefficient is within one standard error of the
    highest one, the simplest is taken: ridge, ridge with lags, LightGBM, LSTM, network. The error
    is that of the difference between the two on the same dates, and allows for targets of h bars
    that overlap. Where there are too few dates of eight symbols to tell it, the simplest of all.

    Args:
        metrics: of each candidate's checkpoint, by its name.
        horizon: h, in bars.
    """
    names = [name for name in CANDIDATES if name in metrics]
    by_date = {
        name: np.asarray(metrics[name]["validation_coefficients"], np.float64) for name in names
    }
    if min(np.isfinite(each).sum() for each in by_date.values()) < LEAST_DATES:
        why = "validation has too few dates of eight symbols to compare models, and it is simplest"
        return Choice(names[0], why)
    said = {name: float(metrics[name]["validation_information"]) for name in names}
    best = max(names, key=lambda name: said[name])
    errors = {name: _error(by_date[best] - by_date[name], horizon) for name in names}
    chosen = next(name for name in names if said[best] - said[name] <= errors[name])
    if chosen == best:
        why = f"its validation information coefficient of {said[best]:+.3f} is the highest"
        return Choice(chosen, f"{why}, and no simpler model's is within one standard error of it")
    return Choice(
        chosen,
        f"its validation information coefficient of {said[chosen]:+.3f} is within one standard "
        f"error ({errors[chosen]:.3f}) of the highest, {said[best]:+.3f} of {best}, and it is the "
        "simplest that is",
    )


def _error(series: NDArray[np.float64], horizon: int) -> float:
    """Of the mean of a series by date whose targets overlap, (L,); NaN dates are left out."""
    known = series[np.isfinite(series)]
    return standard_error(known, min(LAGS_PER_HORIZON * horizon, len(known) - 1))
