"""One history cut into parts: by calendar year, by crisis, and by the month in which one began.

An average over ten years may be the work of one of them, and who began in another saw none of it.
Returns are daily and simple, as fractions; D days.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.evaluation.confidence import (
    Estimate,
    Sampled,
    interval,
    range_of,
    resampled_dates,
    widening,
)
from trading_pipeline.core.evaluation.crises import Crisis
from trading_pipeline.core.evaluation.metrics import (
    METRICS,
    Floats,
    annual_return,
    max_drawdown,
    sharpe,
)
from trading_pipeline.core.evaluation.performance import Resampling, other_histories
from trading_pipeline.core.long_run import LEAST_DATES
from trading_pipeline.core.trading.engine.dtypes import month_starts

_QUANTILES = (0.5, 0.05, 0.95)

Row = dict[str, Any]


def total_return(returns: Floats, days_per_year: float = 1.0) -> Floats:
    """Compound growth over all the days, in [-1, inf): (R, D) -> (R,)."""
    return annual_return(returns, returns.shape[-1])


# Of each part, and those that have an interval, and of which the difference is given.
SLICED = {"total_return": total_return, "sharpe": sharpe, "max_drawdown": max_drawdown}
_REDRAWN = ("total_return", "sharpe")
# A total return is one of a year that is as long as the part.
_LIMITS = {name: METRICS.get(name, METRICS["annual_return"]).limits for name in SLICED}


class Books(NamedTuple):
    """The strategy and its benchmark by the day."""

    days: pd.DatetimeIndex  # (D,), UTC, the last bar of each
    strategy: Floats  # (D,)
    benchmark: Floats  # (D,)


def periods(books: Books, crises: Sequence[Crisis], resampling: Resampling) -> Row:
    """Keys years, crises: rows from `_slice`, oldest first; start_dates: see `by_start_date`."""
    dates = books.days.normalize()
    years = [
        _slice(str(year), books, np.asarray(dates.year == year), resampling)
        for year in dates.year.unique()
    ]
    fallen = []
    for crisis in crises:
        inside = (dates > crisis.peak) & (dates <= crisis.trough)
        if inside.any():
            fallen.append(_slice(crisis.name, books, np.asarray(inside), resampling))
    return {"years": years, "crises": fallen, "start_dates": by_start_date(books, resampling)}


def _slice(name: str, books: Books, inside: NDArray[np.bool_], resampling: Resampling) -> Row:
    """Keys name, start, end, days; strategy, benchmark, difference: metrics as {value, low, high}.

    The difference is paired, an undefined Sharpe ratio counting as 0. Fewer than 20 days have no
    interval, nor has a drawdown.
    """
    rows = np.flatnonzero(inside)
    days = len(rows)
    block = max(min(resampling.block, days // 4), 1)
    count = len(resampling.dates) if days >= LEAST_DATES else 0
    dates = resampled_dates(days, block, count, resampling.seed) if count else None
    sampled = [
        _sampled(returns[rows], dates, resampling.days_per_year)
        for returns in (books.strategy, books.benchmark)
    ]
    wide = widening(days, block)
    own, other = (
        {k: interval(v, wide, _LIMITS[k]).to_dict() for k, v in each.items()} for each in sampled
    )
    return {
        "name": name,
        "start": f"{books.days[rows[0]]:%Y-%m-%d}",
        "end": f"{books.days[rows[-1]]:%Y-%m-%d}",
        "days": days,
        "strategy": own,
        "benchmark": other,
        "difference": {
            metric: interval(
                sampled[0][metric].or_zero().minus(sampled[1][metric].or_zero()), wide
            ).to_dict()
            for metric in _REDRAWN
        },
    }


def _sampled(
    returns: Floats, dates: NDArray[np.int32] | None, days_per_year: float
) -> dict[str, Sampled]:
    """SLICED, and replications of those that are paired; (0,) without dates."""
    found = {}
    for name, formula in SLICED.items():
        defined = name != "sharpe" or len(returns) > 1
        value = float(formula(returns, days_per_year)) if defined else float("nan")
        redrawn = name in _REDRAWN and dates is not None
        found[name] = Sampled(
            value, formula(returns[dates], days_per_year) if redrawn else np.empty(0)
        )
    return found


def by_start_date(books: Books, resampling: Resampling) -> Row | None:
    """What those saw who began on the first day of each month; None: no year to look at.

    Returns:
        year: days of a year. starts: rows of start, days (until the end), and of strategy and
        benchmark the return of the first year, and return a year and Sharpe ratio until the end.
        spread: of each of these over the starts, as {value: median, low: 5 %, high: 95 %}.
        at_a_loss, behind: share of starts that a year later had lost, or were behind the benchmark,
        with what another history of as many days would show. Neighbouring starts share most of
        their days: there are no more than D / year independent ones.
    """
    year = round(resampling.days_per_year)
    firsts = month_starts(books.days)
    firsts = firsts[firsts + year <= len(books.days)]
    if not len(firsts):
        return None
    seen = {
        name: _since(returns, firsts, year, resampling.days_per_year)
        for name, returns in (("strategy", books.strategy), ("benchmark", books.benchmark))
    }
    starts = [
        {
            "start": f"{books.days[first]:%Y-%m-%d}",
            "days": len(books.days) - int(first),
            **{
                name: {metric: _finite(values[n]) for metric, values in each.items()}
                for name, each in seen.items()
            },
        }
        for n, first in enumerate(firsts)
    ]
    spread = {
        name: {metric: _spread(values) for metric, values in each.items()}
        for name, each in seen.items()
    }
    shares = _shares(books, firsts, year, resampling)
    return {"year": year, "starts": starts, "spread": spread, **shares}


def _since(
    returns: Floats, firsts: NDArray[np.intp], year: int, days_per_year: float
) -> dict[str, Floats]:
    """Metrics of each start, (S,)."""
    return {
        "first_year": np.array([total_return(returns[s : s + year]) for s in firsts]),
        "annual_return": np.array([annual_return(returns[s:], days_per_year) for s in firsts]),
        "sharpe": np.array([sharpe(returns[s:], days_per_year) for s in firsts]),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spread(values: Floats) -> dict[str, float | None]:
    known = values[np.isfinite(values)]
    return Estimate(*np.quantile(known, _QUANTILES) if len(known) else [float("nan")]).to_dict()


def _shares(
    books: Books, firsts: NDArray[np.intp], year: int, resampling: Resampling
) -> dict[str, Any]:
    """The shares at a loss and behind, with what another history of as many days would show."""
    dates, wide = resampling.dates, resampling.widening
    pair = (books.strategy, books.benchmark)
    own, other = (_first_years(each[None], firsts, year) for each in pair)
    again = [_first_years(other_histories(each, each[dates], wide), firsts, year) for each in pair]
    lost = Sampled(float((own < 0).mean()), (again[0] < 0).mean(axis=1))
    behind = Sampled(float((own < other).mean()), (again[0] < again[1]).mean(axis=1))
    return {"at_a_loss": range_of(lost).to_dict(), "behind": range_of(behind).to_dict()}


def _first_years(returns: Floats, firsts: NDArray[np.intp], year: int) -> Floats:
    """Log growth of the year from each start on: (R, D) -> (R, S)."""
    path = np.log(np.maximum(1 + returns, 1e-9)).cumsum(axis=-1)
    path = np.concatenate([np.zeros((len(path), 1)), path], axis=1)
    return np.asarray(path[:, firsts + year] - path[:, firsts])
