"""Trials: how many configurations were tried before this one was believed, and how many of them
were really different ones."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.evaluation.metrics import STILL, Floats
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    active_returns,
    expected_maximum_sharpe,
    trial_variance,
)

SAME_TRIAL = 0.97  # correlation of active returns from which on two trials are one
_SEEN = 0.8  # share of the days of a report that a trial must have seen to be compared on them
_OVERLAP = 20  # days that two trials share, below which their correlation counts as 0


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What the trial ledger says of one panel; a ledger that is absent or broken has none.

    Each trial is a distinct (configuration, panel), counted once however often it was evaluated.
    """

    count: int  # on this panel, >= 1: the one that is evaluated is among them
    elsewhere: int = 0  # on other panels; they are said, and deflate nothing here
    # Daily returns after costs, (D, K): one row a UTC day, increasing, tz-aware; one column for
    # every trial of this panel whose returns are stored, K <= count. NaN: a day it did not see.
    returns: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"trials: count must be at least 1, was {self.count}")
        if self.returns.shape[1] > self.count:
            raise ValueError(
                f"trials: {self.returns.shape[1]} have returns, of {self.count} that are counted"
            )
        days = self.returns.index
        if len(days) and not (
            isinstance(days, pd.DatetimeIndex) and str(days.tz) == "UTC" and days.is_unique
        ):
            raise ValueError("trials: the index of returns must be distinct UTC days")

    def on(self, days: pd.DatetimeIndex) -> Floats:
        """Returns (D, K) on the days of a report, of the trials that saw enough of them; else NaN.

        Args:
            days: (D,), UTC midnights.
        """
        if not self.returns.shape[1]:
            return np.empty((len(days), 0))
        values = self.returns.reindex(days).to_numpy(dtype=np.float64)
        return np.asarray(values[:, np.isfinite(values).mean(axis=0) >= _SEEN])


@dataclass(frozen=True, kw_only=True, eq=False)
class EffectiveTrials:
    """How many really different ones the trials of a panel were, and what luck gives the best."""

    count: int  # all of them
    effective: int  # clusters, and one for each trial whose returns are not known; in [1, count]
    variance: float  # of the clusters' Sharpe ratios a day, at least 1 / D
    streams: Floats  # (D, C) active returns of each cluster, the mean of its members; NaN: unseen

    @property
    def hurdle(self) -> float:
        """Sharpe ratio a day that the best of as many worthless ones is expected to show."""
        return expected_maximum_sharpe(self.effective, self.variance)


def effective_trials(active: Floats, count: int) -> EffectiveTrials:
    """Cluster trials by the correlation of their active returns: near copies are one trial.

    Average linkage over the distance sqrt((1 - correlation) / 2), cut where trials of a correlation
    of SAME_TRIAL are as far apart. Silhouettes, by which Lopez de Prado and Lewis choose the number
    of clusters, cannot tell one cluster from none at all, which are the two cases that matter. A
    cluster's return is the mean of its members' at equal volatility.

    Args:
        active: (D, K) daily active returns of the trials of this panel that are known, K <= count;
            NaN on days that a trial did not see.
        count: of all trials of the panel, the unknown included, >= 1.

    Source: Lopez de Prado and Lewis, Detection of False Investment Strategies Using Unsupervised
    Learning Methods, Quantitative Finance 19 (2019).
    """
    days, known = active.shape
    scaled = _scaled(active)
    labels = _clusters(scaled)
    streams = np.array([_mean(scaled[:, labels == label]) for label in np.unique(labels)])
    streams = streams.T if len(streams) else np.empty((days, 0))
    return EffectiveTrials(
        count=count,
        effective=max(streams.shape[1] + count - known, 1),
        variance=trial_variance(_sharpes(streams), max(days, 1)),
        streams=streams,
    )


def active_trials(returns: Floats, baseline: Floats) -> Floats:
    """Active returns (D, K) of trials over a baseline (D,), each on the days that it saw."""
    active = np.full(returns.shape, np.nan)
    for column, own in enumerate(returns.T):
        seen = np.isfinite(own)
        active[seen, column] = active_returns(own[seen], baseline[seen])
    return active


def _scaled(active: Floats) -> Floats:
    """Every column at unit volatility, (D, K); one that never moves is NaN."""
    deviation = np.array([np.std(column[np.isfinite(column)]) for column in active.T])
    moving = np.where(deviation > STILL, deviation, np.nan)
    return np.asarray(active / moving)


def _clusters(scaled: Floats) -> NDArray[np.int64]:
    """(K,) the cluster of each trial; one that never moves is a cluster of its own."""
    from scipy.cluster.hierarchy import fcluster, linkage  # late: half a second to load
    from scipy.spatial.distance import squareform

    if scaled.shape[1] < 2:
        return np.zeros(scaled.shape[1], dtype=np.int64)
    # Over the days that two trials share. By pandas: a matrix product's last digits depend on
    # how many threads there are, and a cut follows.
    alike = pd.DataFrame(scaled).corr(min_periods=_OVERLAP).fillna(0.0).to_numpy()
    distance = np.sqrt((1 - np.clip(alike, -1, 1)) / 2)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    cut = np.sqrt((1 - SAME_TRIAL) / 2)
    return np.asarray(fcluster(tree, cut, "distance"), dtype=np.int64)


def _mean(values: Floats) -> Floats:
    """(D,) mean over what is known of each row; NaN where nothing is."""
    known = np.isfinite(values).sum(axis=1)
    total = np.where(np.isfinite(values), values, 0.0).sum(axis=1)
    return np.asarray(np.where(known, total / np.maximum(known, 1), np.nan))


def _sharpes(streams: Floats) -> Floats:
    """(C,) Sharpe ratios a day over the days that each stream saw; NaN if it never moves."""
    moments = (SharpeMoments.of(each[np.isfinite(each)]) for each in streams.T)
    return np.array([each.sharpe if each else np.nan for each in moments])
