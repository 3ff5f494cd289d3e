"""How sure a number is: the stationary bootstrap, all accounts resampled on the same dates.

Politis and Romano, The Stationary Bootstrap, JASA 89 (1994): blocks of geometric length keep the
dependence between neighbouring days, and one set of resampled dates for all accounts keeps the
dependence between accounts, so a difference of two accounts is as precise as it really is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.long_run import LEAST_DATES, critical_value, standard_error

CONFIDENCE = 0.95  # two-sided, so the lower end is a one-sided bound at 97.5 %
ONE_SIDED = 0.025  # level of the lower end
_DEFINED = 0.95  # share of replications that must be defined for an interval to be


class Estimate(NamedTuple):
    """A number with the ends of its 95 % interval; NaN is undefined."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def times(self, factor: float) -> "Estimate":
        """In another unit, such as a year's; `factor` > 0."""
        return Estimate(*(factor * each for each in self))

    @property
    def p_value(self) -> float:
        """Probability of so much where the true value is 0, of a normal one with this lower bound.

        One-sided, in [0, 1]; at most 0.025 exactly where the bound is above 0; NaN without a bound.
        """
        if not np.isfinite(self.low):
            return float("nan")
        reach = self.value - self.low
        far = self.value / reach if reach > 0 else np.copysign(np.inf, self.value or -1.0)
        chance = float(ndtr(-ndtri(1 - ONE_SIDED) * far))
        return (
            min(chance, ONE_SIDED)
            if self.low > 0
            else max(chance, float(np.nextafter(ONE_SIDED, 1)))
        )

    def to_dict(self) -> dict[str, float | None]:
        """{value, low, high} for JSON: undefined and infinite become None."""
        return {k: float(v) if np.isfinite(v) else None for k, v in self._asdict().items()}


class Sampled(NamedTuple):
    """A number and what it was in each replication, (R,)."""

    value: float
    samples: Floats

    @classmethod
    def of(
        cls, formula: Callable[..., Any], returns: Floats, again: Floats, days_per_year: float
    ) -> Self:
        """A formula's value of daily returns (D,), and of their replications (R, D)."""
        return cls(float(formula(returns, days_per_year)), formula(again, days_per_year))

    def minus(self, other: "Sampled") -> "Sampled":
        """The paired difference: replications of the same dates are subtracted."""
        return Sampled(self.value - other.value, self.samples - other.samples)

    def or_zero(self) -> "Sampled":
        """Undefined counts as 0: what the Sharpe ratio of an account that never moves is worth."""
        value = self.value if np.isfinite(self.value) else 0.0
        return Sampled(value, np.where(np.isfinite(self.samples), self.samples, 0.0))


def block_length(returns: Floats, horizon: int) -> int:
    """Mean block in days: the longest optimal one of any column, and at least horizon + 1.

    Args:
        returns: (D, K) daily returns of K accounts; accounts that never move are left out.
        horizon: bars that one prediction looks ahead, in days.

    Returns:
        Whole days in [1, D / 4]: a quarter of the history at most, or there is nothing to resample.

    Source: Politis and White (2004) with the correction of Patton, Politis and White (2009).
    """
    from arch.bootstrap import optimal_block_length

    longest = max(float(horizon + 1), len(returns) ** (1 / 3))
    moving = returns[:, returns.std(axis=0) > 0]
    if moving.shape[1] and len(returns) >= 20:
        longest = max(longest, float(optimal_block_length(moving)["stationary"].max()))
    return int(np.clip(np.ceil(longest), 1, max(len(returns) // 4, 1)))


def resampled_dates(n_days: int, block: int, replications: int, seed: int) -> NDArray[np.int32]:
    """Indices of days, (replications, n_days), in blocks of geometric length with mean `block`."""
    # Imported late: arch takes seconds, and whoever prints a finished summary needs none of it.
    from arch.bootstrap import StationaryBootstrap

    days = np.arange(n_days, dtype=np.int32)
    bootstrap = StationaryBootstrap(block, days, seed=np.random.default_rng(seed))
    return np.stack([data[0] for data, _ in bootstrap.bootstrap(replications)])


def widening(n_days: int, block: int) -> float:
    """Factor >= 1 that undoes how much resampled blocks understate the error of a mean.

    Blocks of mean length b weigh a covariance over k days by (1 - 1/b)^k, which makes a variance
    as unsure as Bartlett's weights with 1.5 (b - 1) lags do; `critical_value` knows by how much
    that asks for more. Measured, for a mean of 20 to 1,500 days in blocks of up to a quarter of
    them: 95 % intervals cover 94-96 % where days are independent, and 92-95 % where neighbours
    correlate 0.3; without the factor 250 days in blocks of 22 cover 90-91 %.
    """
    share = min(1.5 * (block - 1) / n_days, 1.0)
    return critical_value(share) / critical_value(0.0)


def interval(
    sampled: Sampled, factor: float = 1.0, limits: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate:
    """Percentile interval of the replications, stretched by `factor` about the value.

    Args:
        sampled: the value and its replications; undefined ones may be NaN.
        factor: from `widening`.
        limits: the range of the statistic; the interval is cut to it.

    Returns:
        NaN ends where the value, or more than 5 % of the replications, are undefined.
    """
    low, high = np.clip(sampled.value + factor * (_ends(sampled) - sampled.value), *limits)
    return Estimate(sampled.value, float(low), float(high))


def range_of(sampled: Sampled) -> Estimate:
    """What lies between the outermost 2.5 % of the replications, and the value in any case."""
    low, high = _ends(sampled)
    return Estimate(sampled.value, float(min(low, sampled.value)), float(max(high, sampled.value)))


def _ends(sampled: Sampled) -> Floats:
    """Quantiles (2,) of the replications; NaN where too much is undefined."""
    finite = sampled.samples[np.isfinite(sampled.samples)]
    if not np.isfinite(sampled.value) or len(finite) < max(_DEFINED * len(sampled.samples), 1):
        return np.full(2, np.nan)
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(finite, [tail, 1 - tail]))


def persistent(
    value: float, influence: Floats, limits: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate:
    """A number and its interval from the long-run variance of what each day adds to its error.

    For series that depend on themselves for longer than blocks are: an exposure that follows the
    volatility, or the volatility. Lags reach over half the history, which costs a fifth of the
    width where days are independent. Measured over 1,500 days with a half-life of 21: 94 % covered,
    where blocks of 22 days cover 77 %; of 63 days: 91 %, and 60 %. A half-life of more than a
    twentieth of the history is covered less.

    Args:
        value: of the statistic. influence: (D,), its derivative by the weight of each day.
        limits: its range; above 0 the interval is on a log scale.
    """
    days = len(influence)
    if not np.isfinite(value) or days < LEAST_DATES:
        return Estimate(value)
    lags = days // 2
    reach = critical_value(lags / days) * standard_error(influence, lags)
    if limits[0] == 0.0:
        factor = np.exp(reach / value) if value > 0 else 1.0
        return Estimate(value, float(value / factor), float(min(value * factor, limits[1])))
    return Estimate(value, *np.clip([value - reach, value + reach], *limits).tolist())
