"""What the heads knew: each beside what anyone would have said without a network.

Probabilities and volatilities by proper scores, positions by what they earn, all on the symbols and
dates at which both spoke. Symbols move together, so each date is one observation, their mean; dates
overlap by the horizon, which the interval allows for. Letters: T rows, N symbols, h the horizon, σ
the deviation of the last 63 returns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from trading_pipeline.core.backtest.basis import forecast_of, predicted_grid
from trading_pipeline.core.evaluation.confidence import Estimate
from trading_pipeline.core.evaluation.information_coefficient import rank_correlations
from trading_pipeline.core.evaluation.metrics import STILL, Floats
from trading_pipeline.core.long_run import mean_and_reach
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.proper_scores import (
    VOLATILITY_FLOOR,
    log_loss,
    qlike,
    ranked_probability,
)

ADVERSE = 2.0  # a fall that the risk head warns of, in units of σ√h
# That the low of h bars lies so deep below their first open, for a random walk without drift: by
# reflection, twice what its end does. Lows are those of all trades, so nothing is taken off for
# looking at closes alone, which would make it 2 Φ(-2 - 0.5826 / √h) (Broadie, Glasserman and Kou,
# A Continuity Correction for Discrete Barrier Options, 1997).
NORMAL_TAIL = 2 * float(ndtr(-ADVERSE))

Windows = Mapping[str, tuple[slice, slice]]  # rows that a fold learned from, and was used on


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What came true, (T, N) each, as the targets of training say it; NaN where not known."""

    price: Floats  # h-bar return without the market, in units of σ√h
    direction: NDArray[np.int64]  # 0 down, 1 flat, 2 up, -1 not known
    next_return: Floats  # log, from one next open to the following one
    volatility: Floats  # realised over h bars, as a multiple of σ
    risk: Floats  # 1 where a fall came
    sigma: Floats  # known at the decision


@dataclass(frozen=True)
class Comparison:
    """A head beside its rival, by one measure."""

    head: str
    measure: str
    rival: str
    value: float  # of the head: a mean loss, or what it earned
    rival_value: float
    gain: Estimate  # by how much the head is better
    dates: int

    @property
    def verdict(self) -> str:
        """What the interval shows."""
        if not np.isfinite(self.gain.low):
            return "not measured"
        if self.gain.low > 0:
            return "better"
        return "worse" if self.gain.high < 0 else "no difference shown"

    def to_dict(self) -> dict[str, object]:
        """For JSON: undefined numbers become None."""
        values = {"value": self.value, "rival_value": self.rival_value}
        return {
            "head": self.head,
            "measure": self.measure,
            "rival": self.rival,
            **{name: each if np.isfinite(each) else None for name, each in values.items()},
            "gain": self.gain.to_dict(),
            "dates": self.dates,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class BaseRates:
    """What a fold's training window showed on average, on the rows that the fold was used on."""

    direction: Floats  # (T, 1, 3) frequencies of the classes
    risk: Floats  # (T, 1) frequency of a fall
    volatility: Floats  # (T, 1) multiple of σ that would have had the least QLIKE

    @classmethod
    def of(cls, outcomes: Outcomes, windows: Windows) -> Self:
        """From the windows alone, whose last outcome is known before a fold begins."""
        T = len(outcomes.price)
        rates = cls(np.full((T, 1, 3), np.nan), np.full((T, 1), np.nan), np.full((T, 1), np.nan))
        for learned, used in windows.values():
            classes = outcomes.direction[learned]
            counts = np.bincount(classes[classes >= 0], minlength=3)
            rates.direction[used] = counts / max(counts.sum(), 1)
            rates.risk[used] = _mean(outcomes.risk[learned])
            rates.volatility[used] = sqrt(_mean(_realised(outcomes)[learned] ** 2))
        return rates


def compare_heads(
    panel: Panel, predictions: pd.DataFrame, outcomes: Outcomes, windows: Windows, market: Market
) -> list[Comparison]:
    """Every head beside its rivals, out of sample.

    Args:
        panel: T rows, N symbols.
        predictions: the predictions table.
        windows: by fold, of all folds in the table.
    """
    names = ("score", "p_down", "p_flat", "p_up", "position", "volatility", "risk")
    said = {name: predicted_grid(panel, predictions, name) for name in names}
    rates = BaseRates.of(outcomes, windows)
    return [
        *_direction(said, outcomes, rates, market.horizon),
        *_position(said, outcomes, market),
        *_volatility(said, outcomes, rates, market.horizon),
        *_risk(said, outcomes, rates, market.horizon),
    ]


def _direction(
    said: Mapping[str, Floats], outcomes: Outcomes, rates: BaseRates, horizon: int
) -> Iterator[Comparison]:
    happened = np.maximum(outcomes.direction, 0)
    own = np.stack([said[f"p_{name}"] for name in ("down", "flat", "up")], axis=-1)
    own[outcomes.direction < 0] = np.nan
    usual = np.broadcast_to(rates.direction, own.shape)

    def of_class(p: Floats) -> Floats:
        return log_loss(np.take_along_axis(p, happened[..., None], axis=-1)[..., 0])

    rival = "class frequencies of the training window"
    logs = compare_losses(of_class(own), of_class(usual), horizon)
    yield Comparison("direction", "log score", rival, *logs)
    ranks = (ranked_probability(own, happened), ranked_probability(usual, happened))
    ranked = compare_losses(ranks[0], ranks[1], horizon)
    yield Comparison("direction", "ranked probability score", rival, *ranked)


def _volatility(
    said: Mapping[str, Floats], outcomes: Outcomes, rates: BaseRates, horizon: int
) -> Iterator[Comparison]:
    """Where the table holds σ itself, validation kept it, and the head forecast nothing."""
    sigma = outcomes.sigma
    forecast = forecast_of(said["volatility"], sigma)
    realised = _realised(outcomes) * sigma
    own = qlike(forecast, realised)
    for rival, other in (
        ("63-bar deviation", sigma),
        ("63-bar deviation, scaled as the training window would have it", rates.volatility * sigma),
    ):
        row = compare_losses(own, qlike(other, realised), horizon)
        yield Comparison("volatility", "QLIKE", rival, *row)


def _risk(
    said: Mapping[str, Floats], outcomes: Outcomes, rates: BaseRates, horizon: int
) -> Iterator[Comparison]:
    happened = outcomes.risk

    def of_event(p: Floats) -> Floats:
        came = log_loss(np.where(happened == 1, p, 1 - p))
        return np.where(np.isfinite(happened), came, np.nan)

    for rival, other in (
        ("tail of the normal distribution", np.full_like(happened, NORMAL_TAIL)),
        ("frequency in the training window", rates.risk),
    ):
        row = compare_losses(of_event(said["risk"]), of_event(other), horizon)
        yield Comparison("risk", "log score", rival, *row)


def _position(
    said: Mapping[str, Floats], outcomes: Outcomes, market: Market
) -> Iterator[Comparison]:
    position = np.where(np.isfinite(said["score"]), said["position"], np.nan)
    score = np.where(np.isfinite(position), said["score"], np.nan)
    cost = market.costs.fee + market.costs.slippage
    books = (unit_book(position, outcomes, cost), unit_book(np.sign(score), outcomes, cost))
    a_year = market.bars_per_year
    sharpes = compare_dates(
        _sharpe_of_dates(books[0], a_year), _sharpe_of_dates(books[1], a_year), market.horizon
    )
    yield Comparison("position", "Sharpe ratio", "sign of the score", *sharpes)
    order = compare_dates(
        rank_correlations(position, outcomes.price),
        rank_correlations(score, outcomes.price),
        market.horizon,
    )
    yield Comparison("position", "rank information coefficient", "score", *order)


def unit_book(position: Floats, outcomes: Outcomes, cost: float) -> Floats:
    """(T,) what positions (T, N) in [-1, 1] earn until the next one, the same risk on each unit.

    Weights are position / σ over the number of symbols; `cost` is paid on every change, as a
    fraction of the notional. NaN where nothing is known yet, and before the first position.
    """
    earned = np.expm1(outcomes.next_return)
    known = np.isfinite(position) & np.isfinite(earned) & (outcomes.sigma > 0)
    weight = np.where(known, position, 0.0) / np.where(known, outcomes.sigma, 1.0)
    change = np.abs(np.diff(weight, axis=0, prepend=np.zeros((1, weight.shape[1]))))
    profit = weight * np.where(known, earned, 0.0) - cost * change
    count = known.sum(axis=1)
    return np.where(count > 0, profit.sum(axis=1) / np.maximum(count, 1), np.nan)


def _sharpe_of_dates(earned: Floats, bars_per_year: int) -> Floats:
    """(T,) whose mean is the Sharpe ratio of a year, and whose dates scatter as its error does.

    z - S (z² - 1) / 2 for z = earned / deviation: the influence of each date, so that the deviation
    counts as estimated. Source: Lo, The Statistics of Sharpe Ratios (2002).
    """
    deviation = float(np.nanstd(earned)) if np.isfinite(earned).any() else 0.0
    if not deviation > STILL:
        return np.full(len(earned), np.nan)
    z, ratio = earned / deviation, float(np.nanmean(earned)) / deviation
    return sqrt(bars_per_year) * (z - ratio * ((z - ratio) ** 2 - 1) / 2)


def compare_losses(own: Floats, rival: Floats, horizon: int) -> tuple[float, float, Estimate, int]:
    """What a comparison of two losses (T, N) says: whose is less?"""
    known = np.isfinite(own) & np.isfinite(rival)
    count = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    by_date = (np.where(known, each, 0.0).sum(axis=1) / count for each in (own, rival))
    value, other, gain, dates = compare_dates(next(by_date), next(by_date), horizon)
    return value, other, Estimate(-gain.value, -gain.high, -gain.low), dates


def compare_dates(own: Floats, rival: Floats, horizon: int) -> tuple[float, float, Estimate, int]:
    """What a comparison of two series (T,) says: whose is more?"""
    known = np.isfinite(own) & np.isfinite(rival)
    mean, reach = mean_and_reach(own[known] - rival[known], horizon)
    gain = Estimate(mean, mean - reach, mean + reach)
    return _mean(own[known]), _mean(rival[known]), gain, int(known.sum())


def _realised(outcomes: Outcomes) -> Floats:
    return np.maximum(outcomes.volatility, VOLATILITY_FLOOR)


def _mean(values: Floats) -> float:
    """Of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
