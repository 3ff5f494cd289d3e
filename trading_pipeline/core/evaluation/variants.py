"""What becomes of the result when one thing changes: costs, delay, capital, profile, seed, or side.

Every Sharpe ratio has an interval from the dates that all numbers of a report are resampled on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trading_pipeline.core.backtest.result import Curves
from trading_pipeline.core.backtest.variants import Variants
from trading_pipeline.core.evaluation.confidence import Sampled, interval
from trading_pipeline.core.evaluation.metrics import METRICS, formulas, turnover
from trading_pipeline.core.evaluation.performance import (
    DailyAccount,
    Resampling,
    by_day,
    daily_returns,
    estimates,
    sampled_metrics,
    solvent,
)
from trading_pipeline.core.evaluation.portfolio.earnings import SIDES, Earnings

Row = dict[str, Any]
HALF = 0.5  # of the Sharpe ratio, or of the return, that is left where capacity is reached
_MEASURED = ("sharpe", "annual_return")


class Measured(NamedTuple):
    """One path of equity, with the replications of what is told of it."""

    sampled: Mapping[str, Sampled]  # by the names of `_MEASURED`
    turnover: float  # a year

    def row(self, resampling: Resampling, **first: Any) -> Row:
        """Plain numbers with their intervals, after those of `first`."""
        known = {
            name: interval(each, resampling.widening, METRICS[name].limits).to_dict()
            for name, each in self.sampled.items()
        }
        return {**first, **known, "turnover": self.turnover}

    def sharpe_less(self, other: "Measured", resampling: Resampling) -> Row:
        """{value, low, high} of the difference in Sharpe ratio, on the same dates."""
        own, rival = (each.sampled["sharpe"].or_zero() for each in (self, other))
        return dict(interval(own.minus(rival), resampling.widening).to_dict())


def measure(curves: Curves, closes: np.ndarray, resampling: Resampling) -> list[Measured]:
    """Each of the paths, of which a single one is a list of one.

    Args:
        closes: (D,) from `day_closes`.
    """
    a_year, known, measured = resampling.days_per_year, formulas("returns"), []
    equity, traded = np.atleast_2d(curves.equity), np.atleast_2d(curves.turnover)
    for own, share in zip(equity, np.where(solvent(equity), traded, 0.0), strict=True):
        returns = daily_returns(own, closes)
        again = returns[resampling.dates]
        sampled = {name: Sampled.of(known[name], returns, again, a_year) for name in _MEASURED}
        measured.append(Measured(sampled, float(turnover(by_day(share, closes), a_year))))
    return measured


def cost_figures(variants: Variants, closes: np.ndarray, resampling: Resampling) -> Row:
    """Keys multiples, break_even, one_bar_late.

    `multiples`: rows of multiple (of the costs of trading), sharpe, annual_return, turnover, and
    sharpe_difference to the benchmark at the same costs.

    `break_even`: the multiple at which the strategy's annual_return, or its sharpe_difference, is
    no longer above 0, on a straight line between multiples that were simulated. 0: it is not even
    without costs; None: it still is at `tested_to`.
    """
    own = measure(variants.at_costs, closes, resampling)
    rivals = measure(variants.benchmark_at_costs, closes, resampling)
    rows = [
        {
            **each.row(resampling, multiple=multiple),
            "sharpe_difference": each.sharpe_less(rival, resampling),
        }
        for multiple, each, rival in zip(variants.multiples, own, rivals, strict=True)
    ]
    even = {
        name: first_without(variants.multiples, [row[name]["value"] or 0.0 for row in rows])
        for name in ("annual_return", "sharpe_difference")
    }
    (late,) = measure(variants.one_bar_late, closes, resampling)
    on_time = own[variants.multiples.index(1.0)]
    return {
        "multiples": rows,
        "break_even": {**even, "tested_to": variants.multiples[-1]},
        "one_bar_late": {
            **late.row(resampling),
            "sharpe_difference": late.sharpe_less(on_time, resampling),
        },
    }


def first_without(at: Sequence[float], advantages: Sequence[float]) -> float | None:
    """Where an advantage first falls to 0, on a straight line between neighbours.

    Args:
        at: increasing. advantages: at each of them.

    Returns:
        The first of `at` if there is no advantage even there; None if it never goes.
    """
    for k, left in enumerate(advantages):
        if left <= 0 and k == 0:
            return float(at[0])
        if left <= 0:
            part = advantages[k - 1] / (advantages[k - 1] - left)
            return float(at[k - 1] + part * (at[k] - at[k - 1]))
    return None


def capacity(variants: Variants, closes: np.ndarray, resampling: Resampling) -> Row:
    """Keys capitals, half_at, cut_from, impact.

    `capitals`: rows of capital, sharpe, annual_return, turnover, with impact by the square-root law
    of coefficient `impact`.

    `half_at`: the capital, in quote currency, at which the Sharpe ratio or the return a year is
    down to half of what the account's own capital has, on a straight line of the capital's
    logarithm. None: it is not at the largest, or there is nothing that could halve.

    `cut_from`: the capital from which the participation cap cuts one order in twenty; None: none.
    """
    rows = [
        each.row(resampling, capital=capital)
        for capital, each in zip(
            variants.capitals, measure(variants.at_capitals, closes, resampling), strict=True
        )
    ]
    left = [min(_share_left(row, rows[0], name) for name in _MEASURED) - HALF for row in rows]
    # Below half at the first: there was nothing to begin with.
    half = first_without(list(np.log10(variants.capitals)), left) if left[0] > 0 else None
    return {
        "capitals": rows,
        "half_at": None if half is None else float(10**half),
        "cut_from": variants.cut_from,
        "impact": variants.impact,
    }


def _share_left(row: Row, first: Row, name: str) -> float:
    own, whole = (each[name]["value"] or 0.0 for each in (row, first))
    return float(own / whole) if whole > 0 else 0.0


def by_side(earnings: Earnings, resampling: Resampling) -> dict[str, Row]:
    """What the long and the short positions would be as accounts of their own, by side.

    The day's profit of a side, after its costs and with its cash flows, is taken as a share of the
    whole account's equity before: the two and the interest add up to the account's return. Metrics
    of returns, and `money` in quote currency.
    """
    profits = earnings.money.sum(axis=(0, 3))  # (2, D)
    sides = {}
    for side, money in zip(SIDES, profits, strict=True):
        share = np.divide(
            money, earnings.equity, out=np.zeros_like(money), where=earnings.equity > 0
        )
        still = np.zeros_like(share)  # turnover, exposure and benchmark: none is told of a side
        account = DailyAccount(
            returns=np.maximum(share, -1.0),  # no account loses more than all
            turnover=still,
            exposure=still,
            trades=None,
        )
        known = estimates(account, sampled_metrics(account, resampling, still), resampling)
        told = {name: known[name].to_dict() for name in formulas("returns")}
        sides[side] = {"money": float(money.sum()), **told}
    return sides


def by_seed(
    seeds: Mapping[int, Curves], closes: np.ndarray, resampling: Resampling
) -> dict[str, Row]:
    """The strategy on what each seed's network alone predicts, by seed."""
    return {
        str(seed): measure(curves, closes, resampling)[0].row(resampling)
        for seed, curves in seeds.items()
    }
