"""Costs and limits as the one record that the kernels read."""

from collections.abc import Mapping
from dataclasses import asdict
from math import inf, isinf, sqrt
from typing import Any, cast

import numpy as np

from trading_pipeline.core.market.market import BOOKS, Costs
from trading_pipeline.core.trading.engine.dtypes import Array, Parameters
from trading_pipeline.core.trading.engine.loop import VERSION
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.to_dict import records_from_dicts, records_to_dicts

_NAMES = Parameters.dtype.names or ()
# The name of the empty last field makes compiled kernels recognise their own version.
PARAMETERS = np.dtype([*Parameters.dtype.descr, (f"kernels_{VERSION}", "i8")])
_STOPS = ("stop_loss", "take_profit", "trailing_stop")  # in units of σ√h
_UNMANAGED = (  # limits that are off without a profile; the others are not looked at then
    *("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat", "net_cap", "gross_cap"),
    *(*_STOPS, "group_cap", "breaker"),
)


def parameters_of(
    *,
    costs: Costs,
    bars_per_year: int,
    horizon: int,
    book: str,
    shortable: bool,
    profile: Profile | None,
    scored: bool,
) -> Array[Parameters]:
    """(1,) record of all parameters. Without a profile nothing is managed: weights are traded.

    Raises:
        ValueError: an unknown book, a neutral book that may not be short, or no bars in a year.
    """
    if book not in BOOKS:
        raise ValueError(f"book must be one of {BOOKS}, was {book!r}")
    if book == "neutral" and not (shortable and (profile is None or not profile.long_only)):
        raise ValueError("a neutral book needs a shortable market and a profile that may be short")
    if scored and profile is not None and isinf(profile.gross_cap):
        raise ValueError("scores are sized up to the gross cap, so gross_cap must be finite")
    if bars_per_year < 1 or horizon < 1:
        raise ValueError(f"bars_per_year {bars_per_year} and horizon {horizon} must be >= 1")
    values = _costs(costs, bars_per_year) | _limits(profile, bars_per_year, horizon)
    values |= {"horizon": horizon, "managed": profile is not None, "scored": scored}
    long_only = book == "long_only" or (profile is not None and profile.long_only)
    values |= {"shorts": shortable and not long_only, "neutral": book == "neutral"}
    return _versioned(values)


def parameters_to_dict(rules: Array[Parameters]) -> dict[str, Any]:
    """The parameters as plain data, for `parameters_from_dict`."""
    return records_to_dicts(rules[list(_NAMES)])[0]


def parameters_from_dict(plain: dict[str, Any]) -> Array[Parameters]:
    """(1,) record that `parameters_to_dict` wrote.

    Raises:
        TradingError: it was written by a version with other parameters.
    """
    known = records_from_dicts(Parameters, [plain], "rules")
    return _versioned({name: known[name] for name in _NAMES})


def _versioned(values: Mapping[str, Any]) -> Array[Parameters]:
    """(1,) record of these values that belongs to the kernels as they are."""
    rules = cast(Array[Parameters], np.zeros(1, PARAMETERS))
    for name, value in values.items():
        rules[name] = value
    return rules


def _costs(costs: Costs, bars_per_year: int) -> dict[str, float]:
    """The costs, of which rates are a bar's, and no fee is left to be what another is."""
    rates = {name: getattr(costs, name) / bars_per_year for name in ("borrow", "funding", "debit")}
    maker = costs.fee if costs.maker_fee is None else costs.maker_fee
    return asdict(costs) | rates | {"maker_fee": maker}


def _limits(profile: Profile | None, bars_per_year: int, horizon: int) -> dict[str, float]:
    """The limits, in weights and in σ of a bar."""
    if profile is None:
        return dict.fromkeys(_UNMANAGED, inf)
    known = {name: each for name, each in asdict(profile).items() if name in _NAMES}
    return known | {
        "volatility_target": profile.volatility_target / sqrt(bars_per_year),
        "starting_cap": profile.starting_cap * profile.gross_cap,
        "group_cap": profile.group_cap * profile.gross_cap,
        "alpha": 2 / (profile.span + 1),
        **{name: getattr(profile, name) * sqrt(horizon) for name in _STOPS},
    }
