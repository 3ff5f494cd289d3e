"""Does it pay to fit a model again more often? The same test span, with few trainings and many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading_pipeline.core.evaluation.confidence import (
    CONFIDENCE,
    Estimate,
    Sampled,
    block_length,
    interval,
    resampled_dates,
    widening,
)
from trading_pipeline.core.evaluation.information_coefficient import mean_information_coefficient
from trading_pipeline.core.evaluation.metrics import Floats, sharpe
from trading_pipeline.core.market.market import Market

REPLICATIONS = 1000


@dataclass(frozen=True, eq=False)
class Refitted:
    """What came of one interval between trainings; D days and T dates are those of all."""

    fits: int
    cpu_seconds: float  # of all of them
    returns: Floats  # (D,), daily, of the traded scores after costs
    coefficients: Floats  # (T,), rank information coefficient by date; NaN: fewer than 8 symbols


def compare_refits(
    intervals: Mapping[str, Refitted], market: Market, seed: int = 0
) -> dict[str, Any]:
    """Sharpe ratio and rank information coefficient of each interval, and paired differences.

    Args:
        intervals: by name, the one with the fewest trainings first. Each is compared with that,
            and with the one before it.

    Returns:
        Plain JSON. `intervals`: by name {fits, cpu_seconds, sharpe, rank_ic, over}, where `over`
        has the paired differences of both from other intervals, by name; estimates are {value, low,
        high}. Sharpe ratios by the stationary bootstrap, dates resampled jointly, mean block
        max(optimal, h + 1); coefficients by Newey and West's errors with 4 h lags. `answer`: what
        a reader may take from it.
    """
    returns = np.stack([each.returns for each in intervals.values()], axis=1)
    block = block_length(returns, market.horizon_in_days)
    dates = resampled_dates(len(returns), block, REPLICATIONS, seed)
    wider = widening(len(returns), block)
    sampled = {
        name: Sampled.of(sharpe, each.returns, each.returns[dates], market.days_per_year).or_zero()
        for name, each in intervals.items()
    }
    pairs = _compared(list(intervals))
    over = {(name, other): sampled[name].minus(sampled[other]) for name, other in pairs}
    table = {
        name: {
            "fits": each.fits,
            "cpu_seconds": each.cpu_seconds,
            "sharpe": interval(sampled[name], wider).to_dict(),
            "rank_ic": _information(each.coefficients, market).to_dict(),
            "over": {
                other: {
                    "sharpe": interval(over[name, other], wider).to_dict(),
                    "rank_ic": _information(
                        each.coefficients - intervals[other].coefficients, market
                    ).to_dict(),
                }
                for mine, other in pairs
                if mine == name
            },
        }
        for name, each in intervals.items()
    }
    answer = _answer(over, wider)
    return {"days": len(returns), "block": block, "intervals": table, "answer": answer}


def _compared(names: Sequence[str]) -> list[tuple[str, str]]:
    """Each name with the first one, and with the one before it."""
    pairs = [(name, names[0]) for name in names[1:]]
    pairs += list(zip(names[2:], names[1:], strict=False))
    return sorted(pairs, key=lambda pair: (names.index(pair[0]), names.index(pair[1])))


def _information(coefficients: Floats, market: Market) -> Estimate:
    return mean_information_coefficient(coefficients, market.horizon)


def _answer(over: Mapping[tuple[str, str], Sampled], wider: float) -> str:
    """In words: which differences of the Sharpe ratio are shown, of all of them together.

    A difference is shown where it is further from 0, in its standard errors, than the furthest of
    all is from its own value in 95 % of the replications. Source: Romano and Wolf (2005), one step.
    """
    spreads = {pair: wider * float(each.samples.std()) for pair, each in over.items()}
    moving = [pair for pair, spread in spreads.items() if spread > 0]
    said = []
    if moving:
        luck = [
            wider * np.abs(over[pair].samples - over[pair].samples.mean()) / spreads[pair]
            for pair in moving
        ]
        bar = float(np.quantile(np.max(luck, axis=0), CONFIDENCE))
        said = [
            f"{name} refits are {'better' if over[name, other].value > 0 else 'worse'} than {other}"
            for name, other in moving
            if abs(over[name, other].value) > bar * spreads[name, other]
        ]
    if not said:
        return (
            "No interval is shown to be better than another: the cheapest will do, until more "
            "days say otherwise."
        )
    return f"{'; '.join(said)} (at 95 % for all {len(over)} comparisons together)."
