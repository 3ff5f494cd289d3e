"""Costs and limits as the one record that the kernels read."""

from math import inf, isinf, sqrt
from typing import Any

import numpy as np

from trading_pipeline.core.market.market import BOOKS, Costs
from trading_pipeline.core.trading.engine.loop import VERSION
from trading_pipeline.core.trading.profiles import Profile
from trading_pipeline.core.trading.to_dict import records_from_dicts, records_to_dicts

_NUMBERS = (
    "fee",  # fraction of notional
    "maker_fee",
    "fee_per_share",
    "minimum_fee",
    "slippage",
    "impact",
    "participation",
    "borrow",  # per bar, on the value of shorts
    "funding",  # per bar, on the value of what is held
    "debit",  # per bar, on negative cash
    "leverage",
    "lot",
    "min_notional",
    "delisting_loss",
    "volatility_target",  # per bar
    "gross_cap",
    "net_cap",
    "symbol_cap",
    "group_cap",  # weight: share of the gross cap × the gross cap
    "starting_cap",  # the same
    "daily_loss",
    "weekly_loss",
    "monthly_loss",
    "halve",
    "flat",
    "stop_loss",  # × σ per bar: σ√h units × √h
    "take_profit",
    "trailing_stop",
    "breaker",
    "limit_entry",  # × σ per bar
    "alpha",  # of the smoothing
    "band",
    "band_floor",
)
_SWITCHES = (
    *("horizon", "flat_days", "half_days", "delisted_after"),
    *("managed", "scored", "shorts", "neutral"),
)
# Limits that the profile states as the kernels read them.
_SAME = (
    *("gross_cap", "net_cap", "symbol_cap", "daily_loss", "weekly_loss", "monthly_loss"),
    *("halve", "flat", "flat_days", "half_days", "band", "band_floor", "breaker", "limit_entry"),
)
_COSTS = (  # that the kernels read as they are
    *("fee", "fee_per_share", "minimum_fee", "slippage", "impact", "participation", "leverage"),
    *("lot", "min_notional", "delisting_loss", "delisted_after"),
)
_BARRIERS = ("stop_loss", "take_profit", "trailing_stop")  # in units of σ√h
_FIELDS = [(name, "f8") for name in _NUMBERS] + [(name, "i8") for name in _SWITCHES]
# The name of the empty last field makes compiled kernels recognise their own version.
RULES = np.dtype([*_FIELDS, (f"kernels_{VERSION}", "i8")])


def parameters_of(
    *,
    costs: Costs,
    bars_per_year: int,
    horizon: int,
    book: str,
    shortable: bool,
    profile: Profile | None,
    scored: bool,
) -> np.ndarray:
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
    rules = np.zeros(1, RULES)
    for name, value in values.items():
        rules[name] = value
    return rules


def parameters_to_dict(rules: np.ndarray) -> dict[str, Any]:
    """The parameters as plain data, for `parameters_from_dict`."""
    return records_to_dicts(rules[[*_NUMBERS, *_SWITCHES]])[0]


def parameters_from_dict(plain: dict[str, Any]) -> np.ndarray:
    """(1,) record that `parameters_to_dict` wrote.

    Raises:
        TradingError: it was written by a version with other parameters.
    """
    known = records_from_dicts(np.dtype(_FIELDS), [plain], "rules")
    rules = np.zeros(1, RULES)
    for name, _ in _FIELDS:
        rules[name] = known[name]
    return rules


def _costs(costs: Costs, bars_per_year: int) -> dict[str, float]:
    rates = {name: getattr(costs, name) / bars_per_year for name in ("borrow", "funding", "debit")}
    maker = costs.fee if costs.maker_fee is None else costs.maker_fee
    return {name: getattr(costs, name) for name in _COSTS} | rates | {"maker_fee": maker}


def _limits(profile: Profile | None, bars_per_year: int, horizon: int) -> dict[str, float]:
    if profile is None:
        off = ("daily_loss", "weekly_loss", "monthly_loss", "halve", "flat", "net_cap", "gross_cap")
        return dict.fromkeys((*off, *_BARRIERS, "group_cap", "breaker"), inf)
    return {name: getattr(profile, name) for name in _SAME} | {
        "volatility_target": profile.volatility_target / sqrt(bars_per_year),
        "starting_cap": profile.starting_cap * profile.gross_cap,
        "group_cap": profile.group_cap * profile.gross_cap,
        "alpha": 2 / (profile.span + 1),
        **{name: getattr(profile, name) * sqrt(horizon) for name in _BARRIERS},
    }
