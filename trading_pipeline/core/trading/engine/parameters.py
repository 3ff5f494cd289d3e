"""Costs and limits as the one record that the kernels read."""

from collections.abc import Mapping
from dataclasses import asdict
from math import inf, isinf, sqrt
from typing import Any, cast

import numpy as np

from trading_pipeline.core.market.market import LONG_RUN_SHARPE
from trading_pipeline.core.trading.engine.dtypes import Array, Parameters
from trading_pipeline.core.trading.engine.loop import VERSION
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.core.trading.to_dict import records_to_dicts

_NAMES = Parameters.dtype.names or ()
# The name of the empty last field makes compiled kernels recognise their own version.
PARAMETERS = np.dtype([*Parameters.dtype.descr, (f"kernels_{VERSION}", "i8")])
_RATES = ("borrow", "funding", "debit")  # a year
_STOPS = ("stop_loss", "take_profit", "trailing_stop")  # in units of σ√h
_UNMANAGED = (  # limits that are off without a profile; the others are not looked at then
    *("daily_loss", "weekly_loss", "monthly_loss", "drawdown_limit", "halve", "flat"),
    *("net_cap", "gross_cap", *_STOPS, "group_cap", "breaker"),
)
SMOOTHED = 0.2  # of the horizon, over which scores are smoothed
ENOUGH = 0.5  # information ratio a year that deserves the whole tracking error


def parameters_of(terms: Terms, *, scored: bool) -> Array[Parameters]:
    """(1,) record of all parameters, of an account that trades scores or weights.

    Raises:
        ValueError: scores without a gross cap, up to which they are sized.
    """
    profile = terms.profile
    if scored and profile is not None and isinf(profile.gross_cap):
        raise ValueError("scores are sized up to the gross cap, so gross_cap must be finite")
    switches: dict[str, float] = {
        "managed": profile is not None,
        "scored": scored,
        "shorts": terms.shorts,
    }
    switches |= {"horizon": terms.horizon, "neutral": terms.mandate == "neutral"}
    return _versioned(_costs(terms) | _limits(terms) | switches)


def parameters_to_dict(rules: Array[Parameters]) -> dict[str, Any]:
    """The parameters as plain data."""
    return records_to_dicts(rules[list(_NAMES)])[0]


def _versioned(values: Mapping[str, Any]) -> Array[Parameters]:
    """(1,) record of these values that belongs to the kernels as they are."""
    rules = cast(Array[Parameters], np.zeros(1, PARAMETERS))
    for name, value in values.items():
        rules[name] = value
    return rules


def _costs(terms: Terms) -> dict[str, float]:
    """The costs, of which rates are a bar's, and no fee is left to be what another is."""
    costs = terms.costs
    rates = {name: getattr(costs, name) / terms.bars_per_year for name in _RATES}
    maker = costs.fee if costs.maker_fee is None else costs.maker_fee
    return asdict(costs) | rates | {"maker_fee": maker, "cost": costs.fee + costs.slippage}


def _limits(terms: Terms) -> dict[str, float]:
    """The limits, in weights and in σ of a bar."""
    profile = terms.profile
    if profile is None:
        return dict.fromkeys(_UNMANAGED, inf)
    known = {name: each for name, each in asdict(profile).items() if name in _NAMES}
    year, target = terms.bars_per_year, profile.volatility_target
    return known | {
        "volatility_target": target / sqrt(year),
        "tracking_error": profile.tracking_error / sqrt(year),
        "enough": ENOUGH / sqrt(year),
        "ageing": 1 / year,
        # Whose best exposure has the target's volatility; without one, a fifth a year.
        "market_aversion": LONG_RUN_SHARPE / (0.2 if isinf(target) else target),
        "alpha": min(1.0, 2 / (SMOOTHED * terms.horizon + 1)),
        **{name: getattr(profile, name) * sqrt(terms.horizon) for name in _STOPS},
    }
