"""What the variants of a sweep came to, and how much of the best one is luck.

The best of many variants looks good even if none is: what it shows has to be deflated by how many
really different ones were tried. Source: Bailey and Lopez de Prado, The Deflated Sharpe Ratio
(2014).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.sweep import Sweep
from trading_pipeline.core.evaluation.confidence import (
    Estimate,
    Sampled,
    block_length,
    interval,
    resampled_dates,
    widening,
)
from trading_pipeline.core.evaluation.evidence import chosen_by_luck, superiority
from trading_pipeline.core.evaluation.metrics import (
    Floats,
    annual_return,
    annual_volatility,
    max_drawdown,
    sharpe,
    turnover,
)
from trading_pipeline.core.evaluation.performance import by_day, daily_returns, day_closes, solvent
from trading_pipeline.core.evaluation.significance import (
    SharpeMoments,
    active_returns,
    deflated_sharpe,
)
from trading_pipeline.core.evaluation.summary import check_days
from trading_pipeline.core.evaluation.trials import Trials, active_trials, effective_trials
from trading_pipeline.core.evaluation.verdict import hardest_of
from trading_pipeline.core.market.market import Market

REPLICATIONS = 1000
_WATCHED = 25  # variants; every so many, whoever watches is told


class Luck(NamedTuple):
    """What chance alone gives the best of all trials, and the best variant beside it."""

    trials: int  # of the panel
    effective: int  # really different ones among them
    expected_maximum: float  # Sharpe ratio a year of the best of as many worthless ones
    best: str  # name of the variant with the highest Sharpe ratio
    sharpe: float  # of it, a year, over a zero rate
    deflated: float | None  # probability in [0, 1] that it has an edge; None: never moves
    hardest: str  # `hardest_of` the baselines; empty without any
    overfitting: float | None  # `overfitting_probability` of the variants; None: too few days
    superiority: float | None  # `superiority_p_value` of the trials over `hardest`; None: as above


def sweep_table(
    sweep: Sweep,
    market: Market,
    replications: int = REPLICATIONS,
    seed: int = 0,
    watch: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """One row a variant, in the order of the sweep; the index holds their names.

    Returns:
        annual_return, annual_volatility, sharpe with the ends of its 95 % interval (sharpe_low,
        sharpe_high; stationary bootstrap, the same dates for all), max_drawdown, turnover (a
        year), fees (quote currency), halvings and flattenings. Undefined is NaN.

    Raises:
        EvaluationError: fewer than 20 days of returns.
    """
    returns, a_year = _returns(sweep, market), market.days_per_year
    block = block_length(returns.T, market.horizon_in_days)
    dates = resampled_dates(returns.shape[1], block, replications, seed)
    factor = widening(returns.shape[1], block)
    closes = day_closes(sweep.timestamps)
    traded = np.where(solvent(sweep.equity), sweep.turnover, 0.0)
    rows = []
    for r, own in enumerate(returns):
        sampled = Sampled.of(sharpe, own, own[dates], a_year)
        value, low, high = interval(sampled, factor)
        rows.append(
            {
                "annual_return": float(annual_return(own, a_year)),
                "annual_volatility": float(annual_volatility(own, a_year)),
                "sharpe": value,
                "sharpe_low": low,
                "sharpe_high": high,
                "max_drawdown": float(max_drawdown(own)),
                "turnover": float(turnover(by_day(traded[r], closes), a_year)),
                "fees": float(sweep.fees[r].sum()),
                "halvings": int(sweep.accounts["halvings"][r]),
                "flattenings": int(sweep.accounts["flattenings"][r]),
            }
        )
        if watch is not None and (r % _WATCHED == 0 or r + 1 == len(returns)):
            watch(r + 1, len(returns), "")
    return pd.DataFrame(rows, index=pd.Index(sweep.names, name="variant"))


def _returns(sweep: Sweep, market: Market) -> Floats:
    """(R, D) daily returns of the variants."""
    check_days(market, sweep.timestamps)
    return daily_returns(sweep.equity, day_closes(sweep.timestamps))


def luck_of(sweep: Sweep, market: Market, baselines: Mapping[str, Floats], trials: Trials) -> Luck:
    """How the best variant stands beside what the best of as many worthless ones would show.

    Args:
        baselines: equity (K,) of each, on the bars of the sweep.
        trials: of the panel so far, those of the sweep included.
    """
    returns, a_year = _returns(sweep, market), market.days_per_year
    closes = day_closes(sweep.timestamps)
    own = sharpe(returns, a_year)
    best = int(np.argmax(np.where(np.isfinite(own), own, -np.inf)))
    rivals = {name: daily_returns(equity, closes) for name, equity in baselines.items()}
    block = block_length(returns.T, market.horizon_in_days)
    hardest = hardest_of(_differences(returns[best], rivals, block, a_year)) or ""
    known = trials.on(sweep.timestamps[closes].normalize())
    others = active_trials(known, rivals[hardest]) if hardest else known
    tried = effective_trials(others, trials.count)
    judged = hardest and SharpeMoments.of(active_returns(returns[best], rivals[hardest]))
    return Luck(
        trials=tried.count,
        effective=tried.effective,
        expected_maximum=tried.hurdle * float(np.sqrt(a_year)),
        best=sweep.names[best],
        sharpe=float(own[best]),
        deflated=deflated_sharpe(judged, tried.effective, tried.variance) if judged else None,
        hardest=hardest,
        overfitting=chosen_by_luck(returns.T),
        superiority=superiority(tried, block, seed=0),
    )


def _differences(
    own: Floats, rivals: Mapping[str, Floats], block: int, a_year: float
) -> dict[str, Estimate]:
    """Paired differences in Sharpe ratio, with their intervals, of daily returns (D,)."""
    dates = resampled_dates(len(own), block, REPLICATIONS, seed=0)
    mine, *others = (
        Sampled.of(sharpe, each, each[dates], a_year).or_zero() for each in (own, *rivals.values())
    )
    factor = widening(len(own), block)
    return {
        name: interval(mine.minus(each), factor) for name, each in zip(rivals, others, strict=True)
    }
