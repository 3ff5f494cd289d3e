"""Calibration: what the heads say, turned into an expected return that can be taken at its word.

What is fitted is fitted on validation, which no weight has seen. Letters: L dates of validation,
T of any span, N symbols; h is the horizon in bars, σ the volatility of a bar.
"""

from math import log, sqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trading_pipeline.core.learning.samples import Samples, encode_dates, walk
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.validation import (
    coefficients_by_date,
    pearson_information_coefficient,
)
from trading_pipeline.core.learning.walkforward import Fold, Rows
from trading_pipeline.core.learning.windows import Block, stretches_of
from trading_pipeline.core.long_run import (
    LEAST_DATES,
    critical_value,
    long_run_variance,
    mean_and_reach,
)
from trading_pipeline.core.market.exchanges import NEVER_CLOSES, WEEKDAYS
from trading_pipeline.core.market.market import LONG_RUN_SHARPE, Market
from trading_pipeline.core.market.panel import MIN_CROSS_SECTION
from trading_pipeline.core.model.network import TradingNetwork, threads_for
from trading_pipeline.core.proper_scores import VOLATILITY_FLOOR, qlike

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the price head, that are tried
# A Sharpe ratio measured over Y years is off by 1 / sqrt(Y); the long-run one may be off by 0.2.
PRIOR_YEARS = 25
_LAGS_PER_HORIZON = 2  # the overlap, and as much again for scores that persist

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Calibration(NamedTuple):
    """How the price and the position head become one score, and which volatility is forecast."""

    weight: float  # of the price head, in [0, 1]
    position_scale: float  # brings a position to the price head's unit
    slope: float  # expected residual return, in units of σ√h, per unit of the demeaned blend; >= 0
    slope_error: float  # standard error of the slope before it was shrunk
    market: float  # the market's expected return in units of a symbol's σ√h, >= 0
    half_life: float  # bars after which half of a score's say is gone
    volatility_weight: float = 0.0  # of the volatility head: 1 where it is surely better, or 0

    def score(self, price: Array, position: Array, eligible: Mask) -> Array:
        """Expected return in units of σ√h, all (..., N); the market's alone below 8 eligible."""
        blend = blended(price, position, self.weight, self.position_scale)
        return self.slope * demeaned(blend, eligible) + self.market

    def volatility(self, multiple: Array, sigma: Array) -> Array:
        """Forecast volatility of a bar: the head's multiple of σ, or σ itself, to the last bit."""
        return multiple * sigma if self.volatility_weight else sigma


def blended(price: Array, position: Array, weight: float, position_scale: float) -> Array:
    """The two heads as one, in no unit yet."""
    return weight * price + (1 - weight) * position_scale * position


def demeaned(values: Array, known: Mask) -> Array:
    """Minus the mean over the known symbols of a date, (..., N); 0 where fewer than 8 are known."""
    count = known.sum(axis=-1, keepdims=True)
    mean = np.where(known, values, 0.0).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    return np.where(known & (count >= MIN_CROSS_SECTION), values - mean, 0.0)


def fit_slope(blend: Array, target: Array, horizon: int) -> tuple[float, float]:
    """Slope of what came true on the blend, shrunk towards 0, and its standard error before that.

    One regression through the origin over all dates and symbols, both demeaned at each date. Its
    error allows for symbols that move together, by summing a date's moments first, and for targets
    that overlap, by the covariances of 2 h lags with fixed-b critical values; it is never below
    that of independent dates, since moments that sum to 0 have little left at many lags. The slope
    is multiplied by 1 - (error / slope)², or by 0 where the error is larger (positive-part James
    and Stein, 1961).

    A negative slope gives 0: a model that is wrong on validation is not traded the other way, for
    nothing that it learned says that its opposite would be right.

    Args:
        blend, target: (L, N), NaN where unknown.

    Returns:
        (0.0, 0.0) where there is nothing to fit: fewer than 20 dates of 8 symbols, or all blends
        are equal.
    """
    known = np.isfinite(blend) & np.isfinite(target)
    wide = known.sum(axis=1) >= MIN_CROSS_SECTION
    blend, target, known = blend[wide], target[wide], known[wide]
    x, y = demeaned(blend, known), demeaned(target, known)
    # A spread of less than rounding is none.
    if len(x) < LEAST_DATES or np.abs(x).max() <= 1e-6 * np.abs(blend[known]).max():
        return 0.0, 0.0
    squares = float((x * x).sum())
    slope = float((x * y).sum()) / squares
    moments = (x * (y - slope * x)).sum(axis=1)
    lags = min(_LAGS_PER_HORIZON * horizon, len(moments) - 1)
    wider = critical_value(lags / len(moments)) / critical_value(0.0)
    variance = max(long_run_variance(moments, lags), long_run_variance(moments, 0))
    error = wider * sqrt(len(moments) * variance) / squares
    return (slope * (1 - (error / slope) ** 2) if slope > error else 0.0), error


def half_life(blend: Array, known: Mask, horizon: int) -> float:
    """Bars after which the autocorrelation of the demeaned blend has halved, in [1, 10 h].

    From the correlation at a quarter of the horizon, as if it fell geometrically; h where it cannot
    be measured. Both (L, N).
    """
    lag = max(1, round(horizon / 4))
    values = demeaned(blend, known)
    before, after = values[:-lag], values[lag:]
    both = known[:-lag] & known[lag:]
    before, after = np.where(both, before, 0.0), np.where(both, after, 0.0)
    scale = sqrt(float((before**2).sum()) * float((after**2).sum()))
    if not scale > 0:
        return float(horizon)
    correlation = float((before * after).sum()) / scale
    if correlation <= 0:
        return 1.0
    bars = lag * log(2) / -log(correlation) if correlation < 1 else np.inf
    return float(np.clip(bars, 1.0, 10.0 * horizon))


def market_score(returns: Array, sigma: Array, market: Market) -> float:
    """What the market is expected to return, in units of σ√h, >= 0.

    Its long-run Sharpe ratio (that of shares on exchanges; 0 for currencies and coins, of which no
    long run is known) counts as 25 years, and the training window's own as its length.

    Args:
        returns: (T,), of the equal-weight market over h bars, log; NaN where unknown.
        sigma: (T, N), volatility of a bar, NaN where a symbol is not learned from.
    """
    known = returns[np.isfinite(returns)]
    a_year = market.bars_per_year / market.horizon  # horizons
    prior = 0.0 if market.calendar in (NEVER_CLOSES, WEEKDAYS) else LONG_RUN_SHARPE
    units = sigma[np.isfinite(sigma)] * sqrt(market.horizon)
    if len(known) < 2 or not known.std() > 0 or not len(units):
        return 0.0
    own, years = known.mean() / known.std() * sqrt(a_year), len(known) / market.bars_per_year
    expected = (PRIOR_YEARS * prior + years * own) / (PRIOR_YEARS + years)
    return float(max(expected, 0.0) / sqrt(a_year) * known.std() / units.mean())


def calibrate(
    price: Array,
    position: Array | None,
    multiple: Array | None,
    samples: Samples,
    targets: Targets,
    fold: Fold,
    market: Market,
) -> tuple[Calibration, dict[str, Any]]:
    """The blend of price and position head that does best on validation, calibrated there.

    Args:
        price, position, multiple: what the heads say on the dates of validation, (L, N), the last
            of a volatility in units of σ; None: there is no such head.

    Returns:
        The calibration, and the blend's information coefficients, of all dates and of each.
    """
    rows = slice(fold.validation.first, fold.validation.last + 1)
    known = samples.usable[rows]
    target = np.where(known, targets.price[rows], np.nan)
    realised = np.where(known, targets.volatility[rows], np.nan)
    weight, scale = 1.0, 0.0
    if position is not None:
        weight, scale = best_blend(price, position, target, market.horizon)
    blend = price if position is None else blended(price, position, weight, scale)
    slope, error = fit_slope(blend, target, market.horizon)
    seen = slice(fold.train.first, fold.validation.last + 1)
    sigma = np.where(samples.usable, samples.sigma.double().cpu().numpy(), np.nan)
    return Calibration(
        weight=weight,
        position_scale=scale,
        slope=slope,
        slope_error=error,
        market=market_score(targets.market[seen], sigma[seen], market),
        half_life=half_life(blend, known, market.horizon),
        volatility_weight=float(
            multiple is not None and forecasts_better(multiple, realised, market.horizon)
        ),
    ), {
        "validation_information": pearson_information_coefficient(blend, target),
        "validation_coefficients": coefficients_by_date(blend, target).tolist(),
    }


def forecasts_better(multiple: Array, realised: Array, horizon: int) -> bool:
    """Whether a forecast of volatility surely beats σ: the mean gain of its QLIKE, by dates.

    Beaten has to be the best multiple of σ in hindsight, which is no worse than σ itself: a level
    that is off is no reason to trade by another volatility, for the tilt is scaled to its tracking
    error as a whole. At a one-sided 97.5 %, with an error that allows for targets that overlap and
    symbols that move together.

    Args:
        multiple, realised: (L, N), forecast and what came true as multiples of σ, > 0; NaN where
            unknown.
    """
    realised = np.maximum(realised, VOLATILITY_FLOOR)
    known = np.isfinite(realised) & np.isfinite(multiple)
    if not known.any():
        return False
    level = np.sqrt(np.mean(realised[known] ** 2))
    gain = np.where(known, qlike(level, realised) - qlike(multiple, realised), 0.0)
    count = np.where(known.any(axis=1), known.sum(axis=1), np.nan)
    mean, reach = mean_and_reach(gain.sum(axis=1) / count, horizon)
    return mean > reach


def believe(
    networks: list[TradingNetwork], samples: Samples, rows: Rows, horizon: int, price: Array
) -> Array:
    """Scale what the encoders add to the price by what validation says of it; the price then.

    Terms stand out by far among many; what thousands of weights add to them may be noise, and a
    slope that is shrunk by its own error tells. All networks get the factor, in [0, 1].

    Args:
        rows: of validation.
        price: (L, N), mean of what the networks say on these rows.
    """
    target = samples.targets_on(rows)
    path = np.mean([_terms_on(network, samples, rows) for network in networks], axis=0)
    gain = min(fit_slope(price - path, target - path, horizon)[0], 1.0)
    for network in networks:
        network.answers.gain.fill_(gain)
    believed: Array = path + gain * (price - path)
    return believed


def _terms_on(network: TradingNetwork, samples: Samples, rows: Rows) -> Array:
    """What the terms say on consecutive dates, (L, N)."""
    every = np.arange(samples.usable.shape[1])
    bars = stretches_of(
        samples.grid, Block(slice(rows.first, rows.last + 1), every), network.config.n_steps
    )
    with torch.inference_mode():
        told = [network.terms(each[None], len(rows))[0] for each in bars]
    return torch.stack(told, dim=1).double().cpu().numpy()


def best_blend(price: Array, position: Array, target: Array, horizon: int) -> tuple[float, float]:
    """Weight of the price head, and what brings positions to its unit; (L, N) each, target NaN
    where unknown.

    Of the blends that are tried the one with the highest mean correlation, where it surely beats
    the price alone: by dates, at a one-sided 97.5 %. Five blends of noise have a best one too.
    """
    known = np.isfinite(target)
    spread = float(position[known].std()) if known.any() else 0.0
    scale = float(price[known].std()) / spread if spread > 1e-9 else 0.0
    by_date = {
        weight: coefficients_by_date(blended(price, position, weight, scale), target)
        for weight in WEIGHTS
    }
    best = max(WEIGHTS, key=lambda weight: float(np.nansum(by_date[weight])))
    gain, reach = mean_and_reach(by_date[best] - by_date[1.0], horizon)
    return best if gain > reach else 1.0, scale


def heads_on(
    networks: list[TradingNetwork], samples: Samples, rows: Rows
) -> tuple[Array, Array, Array]:
    """Price, position and volatility on consecutive dates, (L, N) each, as predicted: from a flat
    book on."""
    dates = np.arange(rows.first, rows.last + 1)
    block = Block(slice(rows.first, rows.last + 1), np.arange(samples.usable.shape[1]))
    price, position, volatility = [], [], []
    with torch.inference_mode(), threads_for(networks[0].config):
        for network in networks:
            answers = walk(network, samples, block, encode_dates(network, samples, dates))
            price.append(answers.price.double().cpu().numpy())
            position.append(answers.position.double().cpu().numpy())
            volatility.append(answers.volatility.double().cpu().numpy())
    return np.mean(price, axis=0), np.mean(position, axis=0), np.mean(volatility, axis=0)
