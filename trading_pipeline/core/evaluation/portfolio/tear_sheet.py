"""What a portfolio manager asks beyond the metrics of an account, as values for report.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.metrics import Floats
from trading_pipeline.core.evaluation.performance import DailyAccount, Resampling, day_closes
from trading_pipeline.core.evaluation.portfolio.attribution import attribution
from trading_pipeline.core.evaluation.portfolio.distribution import shape_of
from trading_pipeline.core.evaluation.portfolio.drawdowns import deepest_falls
from trading_pipeline.core.evaluation.portfolio.earnings import Earnings
from trading_pipeline.core.evaluation.portfolio.extreme_days import extreme_days


@dataclass(frozen=True, kw_only=True, eq=False)
class Holdings:
    """What is known beyond equity: who earned what, what was traded, which rule acted."""

    earnings: Earnings
    trades: pd.DataFrame  # closed: symbol, side, closed_at, pnl
    events: pd.DataFrame  # from `risk_events`
    bound: Mapping[str, float]  # from `bound_of`


def portfolio(
    timestamps: pd.DatetimeIndex,
    equity: Floats,
    daily: Mapping[str, DailyAccount],
    benchmark: str,
    holdings: Holdings | None,
    resampling: Resampling,
) -> dict[str, object]:
    """Keys distribution, drawdowns, attribution, worst_days, best_days.

    The last three are None when the holdings are not known.

    Args:
        timestamps: (T,); equity: (T,) of the strategy; daily: the strategy's and the baselines'.
    """
    days = np.append(0, day_closes(timestamps))
    own, other = daily["strategy"].returns, daily[benchmark].returns
    shapes = {"strategy": own, benchmark: other}
    return {
        "distribution": {
            name: {key: each.to_dict() for key, each in shape_of(returns, resampling).items()}
            for name, returns in shapes.items()
        },
        "drawdowns": [asdict(fall) for fall in deepest_falls(equity[days], timestamps[days])],
        **_held(own, other, holdings, resampling),
    }


def _held(
    own: Floats, other: Floats, holdings: Holdings | None, resampling: Resampling
) -> dict[str, object]:
    if holdings is None:
        return dict.fromkeys(("attribution", "worst_days", "best_days"))
    earnings = holdings.earnings
    days = extreme_days(own, other, earnings, holdings.events)
    return {
        "attribution": attribution(earnings, holdings.trades, resampling),
        "worst_days": days["worst"],
        "best_days": days["best"],
    }
