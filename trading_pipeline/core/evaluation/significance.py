"""How likely a Sharpe ratio is luck, given how many strategies were tried.

Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier (2012) and The Deflated Sharpe
Ratio (2014). Sharpe ratios here are per day, not annualised; kurtosis is 3 for a normal.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from trading_pipeline.core.evaluation.metrics import STILL, Floats

_EULER = 0.5772156649015329


@dataclass(frozen=True, kw_only=True)
class SharpeMoments:
    """What the significance of a Sharpe ratio depends on."""

    sharpe: float  # per day
    skew: float
    kurtosis: float  # 3 for a normal
    n_days: int

    @classmethod
    def of(cls, returns: Floats) -> Self | None:
        """Of daily returns (D,); None when they are fewer than 3 or never move."""
        deviation = float(returns.std(ddof=1)) if len(returns) > 2 else 0.0
        if deviation < STILL:
            return None
        centred = (returns - returns.mean()) / returns.std()
        return cls(
            sharpe=float(returns.mean()) / deviation,
            skew=float((centred**3).mean()),
            kurtosis=float((centred**4).mean()),
            n_days=len(returns),
        )

    @property
    def variance(self) -> float:
        """Variance of the estimated Sharpe ratio, times (D - 1)."""
        variance = 1 - self.skew * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2
        return max(variance, 1e-12)  # (k - 1) >= skew^2 keeps it >= 0; rounding need not


def probabilistic_sharpe(moments: SharpeMoments, threshold: float = 0.0) -> float:
    """Probability, in [0, 1], that the true Sharpe ratio a day is above `threshold`."""
    error = np.sqrt(moments.variance / (moments.n_days - 1))
    return float(ndtr((moments.sharpe - threshold) / error))


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio a day that the best of `trials` worthless strategies is expected to show.

    Args:
        trials: number of distinct strategies tried, >= 1; one trial expects 0.
        variance: of the trials' Sharpe ratios a day, >= 0.
    """
    if trials < 1:
        raise ValueError(f"trials must be at least 1, was {trials}")
    if trials == 1:
        return 0.0
    typical = ndtri(1 - 1 / trials)
    extreme = ndtri(1 - 1 / (trials * np.e))
    return float(np.sqrt(variance) * ((1 - _EULER) * typical + _EULER * extreme))


def trial_variance(trial_sharpes: Floats, n_days: int) -> float:
    """Variance (ddof 1) of the trials' Sharpe ratios a day, at least 1 / n_days.

    The floor is the sampling error of a Sharpe ratio: trials that happen to agree, or whose
    ratios are not known, are not allowed to make the hurdle vanish.
    """
    known = trial_sharpes[np.isfinite(trial_sharpes)]
    return max(float(known.var(ddof=1)) if len(known) > 1 else 0.0, 1 / n_days)


def deflated_sharpe(moments: SharpeMoments, trials: int, variance: float) -> float:
    """Probability, in [0, 1], that the true Sharpe ratio is above the luck of the best trial.

    One trial is the probabilistic Sharpe ratio over 0. `variance` as in `trial_variance`.
    """
    return probabilistic_sharpe(moments, expected_maximum_sharpe(trials, variance))


def minimum_track_record(
    moments: SharpeMoments, threshold: float = 0.0, confidence: float = 0.95
) -> float:
    """Days, the present ones included, after which the same Sharpe ratio would be significant.

    Infinite when the Sharpe ratio a day is not above `threshold`: then no history is enough.
    """
    advantage = moments.sharpe - threshold
    if advantage <= 0:
        return float("inf")
    return float(1 + moments.variance * (ndtri(confidence) / advantage) ** 2)


def active_returns(strategy: Floats, baseline: Floats) -> Floats:
    """Daily returns over the baseline's, the baseline scaled to the strategy's volatility.

    At equal volatility the sign of the mean is the sign of the Sharpe difference, so an account is
    neither punished for taking less risk than buy-and-hold nor paid for taking more. A baseline
    that never moves (cash) is subtracted as it is. Both (D,).
    """
    own, other = strategy.std(ddof=1), baseline.std(ddof=1)
    return strategy - (own / other if other > 0 else 1.0) * baseline
