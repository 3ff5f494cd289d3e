"""What the verdicts were reached by, as plain values: the key `significance` of report.json."""

import numpy as np

from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.overfitting import (
    DAYS_TO_CUT,
    overfitting_probability,
    superiority_p_value,
)
from trading_pipeline.core.evaluation.performance import Resampling
from trading_pipeline.core.evaluation.significance import minimum_track_record, probabilistic_sharpe
from trading_pipeline.core.evaluation.trials import EffectiveTrials, Trials
from trading_pipeline.core.evaluation.verdict import Answer, Verdict

Figures = dict[str, float | None]


def significance(
    verdict: Verdict, trials: Trials | None, trial_returns: Floats, resampling: Resampling
) -> dict[str, object]:
    """Of both verdicts that evidence decides, and of the choice among all trials of the panel.

    Args:
        trial_returns: (D, K) daily returns of the trials that are known, NaN on days not seen.

    Returns:
        trials, elsewhere, known_trials; edge and adds (p_value, one-sided, of the hardest paired
        Sharpe difference or of the alpha: at most 0.025 exactly where its bound is above 0; of the
        returns that each judged effective_trials, expected_maximum_sharpe that luck gives the best
        of them, sharpe, both a year, probabilistic_sharpe, deflated_sharpe, minimum_track_record in
        days), adds with the alpha a year, its baselines and the share of the volatility that they
        leave unexplained; overfitting_probability; superiority_p_value. What is unknown is None.
    """
    a_year, spanned = resampling.days_per_year, verdict.spanning
    return {
        "trials": trials.count if trials else None,
        "elsewhere": trials.elsewhere if trials else None,
        "known_trials": trial_returns.shape[1] if trials else None,
        "edge": _figures(verdict.edge, a_year),
        "adds": {
            "alpha": spanned.alpha.times(a_year).to_dict(),
            "baselines": list(spanned.baselines),
            "unexplained": spanned.unexplained if np.isfinite(spanned.unexplained) else None,
            **_figures(verdict.adds, a_year),
        },
        "overfitting_probability": chosen_by_luck(trial_returns),
        "superiority_p_value": superiority(verdict.edge.trials, resampling.block, resampling.seed),
    }


def _figures(answer: Answer, a_year: float) -> Figures:
    moments, trials = answer.moments, answer.trials
    tried = {
        "p_value": answer.p_value,
        "effective_trials": trials.effective if trials else None,
        "expected_maximum_sharpe": trials.hurdle * a_year**0.5 if trials else None,
    }
    if moments is None:
        names = ("sharpe", "probabilistic_sharpe", "deflated_sharpe", "minimum_track_record")
        return tried | dict.fromkeys(names)
    needed = minimum_track_record(moments, trials.hurdle) if trials else float("nan")
    return tried | {
        "sharpe": moments.sharpe * a_year**0.5,
        "probabilistic_sharpe": probabilistic_sharpe(moments),
        "deflated_sharpe": answer.deflated,
        "minimum_track_record": needed if np.isfinite(needed) else None,
    }


def chosen_by_luck(returns: Floats) -> float | None:
    """`overfitting_probability` of trials (D, K) over the days that all saw; None: too few."""
    seen = returns[np.isfinite(returns).all(axis=1)]
    if seen.shape[1] < 2 or len(seen) < DAYS_TO_CUT:
        return None
    return overfitting_probability(seen)


def superiority(trials: EffectiveTrials | None, block: int, seed: int) -> float | None:
    """`superiority_p_value` of the clusters of trials over the days that all saw.

    Of the clusters and not of their members, so that hundreds of near copies cost nothing.
    """
    if trials is None:
        return None
    moving = trials.streams[:, np.isfinite(trials.streams).any(axis=0)]
    seen = moving[np.isfinite(moving).all(axis=1)]
    if not seen.shape[1] or len(seen) < DAYS_TO_CUT:
        return None
    return superiority_p_value(seen, block, seed=seed)
