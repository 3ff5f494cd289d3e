"""An account by the day, and every metric of it with its replications.

Statistics are of daily closes whatever the timeframe: bars of an hour or a minute hold no more
evidence about a Sharpe ratio than their days do, and resampling them would cost a thousand times
as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.evaluation.confidence import (
    Estimate,
    Sampled,
    interval,
    persistent,
    range_of,
    widening,
)
from trading_pipeline.core.evaluation.metrics import METRICS, Floats, formulas, tally

FEWEST_TRADES = 20  # with fewer an interval of their win rate says nothing


def day_closes(timestamps: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Positions of the last bar of each UTC day, (D,).

    The first bar is the starting point and no day of its own: with daily bars D = T - 1.
    """
    day = timestamps.normalize()
    last = np.append(day[1:] != day[:-1], True)
    last[0] = False
    return np.flatnonzero(last)


def by_day(values: Floats, closes: NDArray[np.intp]) -> Floats:
    """Sums over the bars of each day, along the last axis but one, or the only one.

    (T,) -> (D,) and (..., T, N) -> (..., D, N); the first bar belongs to no day.

    Args:
        closes: (D,) from `day_closes`.
    """
    starts = np.append(1, closes[:-1] + 1)[: len(closes)]
    return np.asarray(np.add.reduceat(values, starts, axis=max(values.ndim - 2, 0)))


def solvent(equity: Floats) -> NDArray[np.bool_]:
    """True until equity first reaches zero or less, (..., T) -> (..., T): ruin is for good."""
    return np.asarray(np.minimum.accumulate(equity, axis=-1) > 0)


def daily_returns(equity: Floats, closes: NDArray[np.intp]) -> Floats:
    """Simple returns from day to day, (..., T) -> (..., D), the first from the first bar.

    An account that reaches zero or less is ruined: it lost everything that day, and 0 after.
    """
    held = np.where(solvent(equity), equity, 0.0)
    after, before = held[..., closes], held[..., np.append(0, closes[:-1])]
    return np.divide(after, before, out=np.ones_like(after), where=before > 0) - 1


@dataclass(frozen=True)
class AccountView:
    """One simulated account as the evaluation sees it; T bars, the first before any fill."""

    equity: Floats  # (T,), quote currency, marked at each close
    trades: pd.DataFrame | None  # closed: columns closed_at, pnl in quote currency; None: n/a
    turnover: Floats  # (T,), value traded in the bar over equity, >= 0
    exposure: Floats  # (T,), gross exposure at the close over equity, >= 0


@dataclass(frozen=True, kw_only=True)
class DailyAccount:
    """One account by the day, over D days."""

    returns: Floats  # (D,), simple, >= -1
    turnover: Floats  # (D,), traded value over equity, summed over the day's bars
    exposure: Floats  # (D,), gross exposure over equity, the mean of the day's bars
    trades: Floats | None  # (D, 4) sums of `tally` of those that closed; None: has no trades

    @classmethod
    def of(cls, timestamps: pd.DatetimeIndex, view: AccountView) -> Self:
        """Gather bars, (T,), into days."""
        closes, alive = day_closes(timestamps), solvent(view.equity)
        traded, held = (np.where(alive, share, 0.0) for share in (view.turnover, view.exposure))
        return cls(
            returns=daily_returns(view.equity, closes),
            turnover=by_day(traded, closes),
            exposure=by_day(held, closes) / by_day(np.ones(len(held)), closes),
            trades=None if view.trades is None else closed_by_day(view.trades, timestamps[closes]),
        )


def closed_by_day(trades: pd.DataFrame, days: pd.DatetimeIndex) -> Floats:
    """Sums of `tally` over the trades that closed on each day, (D, 4).

    Trades of one day are drawn together: the same market moved them.

    Args:
        trades: columns closed_at, a bar, and pnl. days: (D,), the last bar of each.
    """
    sums = np.zeros((len(days), 4))
    # Trades that closed before the first day, at the first bar, belong to it.
    day = days.searchsorted(pd.DatetimeIndex(trades["closed_at"])).clip(max=len(days) - 1)
    np.add.at(sums, day, tally(trades["pnl"].to_numpy(dtype=np.float64)))
    return sums


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """The one set of resampled dates that all accounts of a report share."""

    dates: NDArray[np.int32]  # (R, D)
    block: int  # mean block, in days
    days_per_year: float
    seed: int

    @property
    def widening(self) -> float:
        """By how much intervals of its replications are widened; see `widening`."""
        return widening(self.dates.shape[1], self.block)

    def totals(self, values: Floats) -> Floats:
        """Sum of G columns over the days of each replication: (D, G) -> (R, G)."""
        replications, days = self.dates.shape
        cells = self.dates + np.arange(replications)[:, None] * days
        drawn = np.bincount(cells.ravel(), minlength=replications * days)
        # No matrix product: its last digits depend on how many threads there are.
        counts = drawn.reshape(replications, days).astype(np.float64)
        return np.asarray(np.einsum("rd,dg->rg", counts, values))


def sampled_metrics(
    account: DailyAccount, resampling: Resampling, benchmark: Floats
) -> dict[str, Sampled]:
    """Every metric that is resampled, with its replications (R,).

    Args:
        benchmark: (D,), its daily returns.
    """
    dates, own = resampling.dates, account.returns
    again = own[dates]
    drawn: dict[str, tuple[tuple[Floats, ...], tuple[Floats, ...]]] = {
        "returns": ((own,), (again,)),
        "against": ((own, benchmark), (again, benchmark[dates])),
        "another": ((own,), (other_histories(own, again, resampling.widening),)),
    }
    sampled = {}
    for name, metric in METRICS.items():
        kind = "another" if metric.another else metric.of
        if kind in drawn and metric.formula is not None and metric.influence is None:
            once, often = (
                metric.formula(*series, resampling.days_per_year) for series in drawn[kind]
            )
            sampled[name] = Sampled(float(once), often)
    return sampled if account.trades is None else sampled | _of_trades(account.trades, resampling)


def other_histories(returns: Floats, again: Floats, widening: float) -> Floats:
    """Replications (R, D) of returns (D,) as histories that are yet to come, >= -1.

    A replication is as far off the mean of the sample as another history is off the true one; the
    sample's own error, drawn from the next replication, comes on top. Both are understated by
    blocks, which `widening` undoes.
    """
    error = again.mean(axis=-1) - returns.mean()
    error = widening * (error + np.roll(error, 1)) - error
    return np.asarray(np.maximum(again + error[:, None], -1.0))


def _of_trades(trades: Floats, resampling: Resampling) -> dict[str, Sampled]:
    """Metrics of closed trades, those of one day drawn together; (D, 4) of `DailyAccount`."""
    sums = trades.sum(axis=0)
    again = resampling.totals(trades)
    if sums[0] < FEWEST_TRADES:
        again = np.full_like(again, np.nan)
    return {
        name: Sampled(float(formula(sums)), formula(again))
        for name, formula in formulas("trades").items()
    }


def estimates(
    account: DailyAccount,
    sampled: Mapping[str, Sampled],
    resampling: Resampling,
    benchmark: Floats | None = None,
    leverage: float = np.inf,
) -> dict[str, Estimate]:
    """All METRICS in their order, each with its interval; those of scores and absent ones NaN.

    Args:
        sampled: from `sampled_metrics`. benchmark: (D,), its daily returns; None: not known.
        leverage: the most gross exposure that an account may take: a mean of it is no larger.
    """
    known = {}
    for name, metric in METRICS.items():
        series = _series(account, metric.of, benchmark)
        if series and metric.influence is not None and metric.formula is not None:
            value = float(metric.formula(*series, resampling.days_per_year))
            influence = metric.influence(*series, resampling.days_per_year)
            low, high = metric.limits
            if metric.of == "exposure":
                high = max(leverage, value)
            known[name] = persistent(value, influence, (low, high))
        elif name in sampled and metric.another:
            known[name] = range_of(sampled[name])
        elif name in sampled:
            known[name] = interval(sampled[name], resampling.widening, metric.limits)
    return {name: known.get(name, Estimate(float("nan"))) for name in METRICS}


def _series(account: DailyAccount, of: str, benchmark: Floats | None) -> tuple[Floats, ...]:
    """What a formula and its influence take, (D,) each; () where that is not known."""
    if of == "against":
        return () if benchmark is None else (account.returns, benchmark)
    values: Floats | None = getattr(account, of, None)
    return () if values is None else (values,)


def share_beaten(own: float, others: Floats) -> float | None:
    """Share of `others` (R,) below `own`, ties half, in [0, 1]; None when there are none.

    Undefined counts as 0 on both sides: an account that never moved has a Sharpe ratio of nothing.
    """
    if not len(others):
        return None
    value, rivals = np.nan_to_num(own), np.nan_to_num(others)
    return float(((rivals < value) + 0.5 * (rivals == value)).mean())
