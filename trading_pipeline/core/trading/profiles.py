"""Risk profiles: every limit an account trades under, as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isinf
from typing import Annotated, Any, get_origin, get_type_hints

from trading_pipeline.core.market.exchanges import NEVER_CLOSES
from trading_pipeline.core.market.market import Market


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Limits of one account. Limits out of order cannot be constructed.

    Weights are fractions of equity, losses fractions of the equity they are measured from; a
    limit of infinity is off.
    """

    name: str
    volatility_target: Annotated[float, "a year; inf takes the caps alone"]
    tracking_error: Annotated[float, "a year, of the tilt on the benchmark at most"]
    gross_cap: Annotated[float, "sum of absolute weights"]
    net_cap: Annotated[float, "absolute sum of weights"]
    long_only: bool
    # Small universes get 1.5 equal shares, and no symbol less than its benchmark weight.
    symbol_cap: Annotated[float, "absolute weight of one symbol"]
    kelly_fraction: Annotated[float, "of full Kelly, once there is evidence"]
    starting_cap: Annotated[float, "share of the tilt while there is none"] = 0.5
    kelly_floor: Annotated[float, "share of it left when the evidence is bad"] = 0.25
    group_cap: Annotated[float, "share of the tilt for a sector or cluster"] = inf
    # Losses are against the close of the previous day, ISO week, month.
    daily_loss: Annotated[float, "fraction lost in a day: no new exposure"] = inf
    weekly_loss: Annotated[float, "the same in a week"] = inf
    monthly_loss: Annotated[float, "the same in a month"] = inf
    drawdown_limit: Annotated[float, "drawdown at which nothing is left; less of it, less goes"] = (
        inf
    )
    halve: Annotated[float, "drawdown at which positions are halved; inf: never"] = inf
    flat: Annotated[float, "drawdown at which they are closed"] = inf
    flat_days: Annotated[int, "days without positions after that"] = 21
    half_days: Annotated[int, "days at half size, at most"] = 63  # less after a new peak
    stop_loss: Annotated[float, "in σ√h from the average entry"] = inf
    take_profit: Annotated[float, "the same, in favour"] = inf
    trailing_stop: Annotated[float, "in σ√h from the best price; inf: off"] = inf
    breaker: Annotated[float, "× usual volatility: no new exposure"] = inf
    limit_entry: Annotated[float, "σ below the close to wait for; 0: at the open"] = 0.0
    band: Annotated[float, "× the no-trade region that costs and risk call for; 0: none"] = 1.0

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            _require(getattr(self, name) > 0, f"{name} must be > 0, was {getattr(self, name)}")
        for name in ("starting_cap", "kelly_floor"):
            share = getattr(self, name)
            _require(0 < share <= 1, f"{name} must be in (0, 1], was {share}")
        for name in ("limit_entry", "band"):
            value = getattr(self, name)
            _require(0 <= value < inf, f"{name} must be >= 0 and finite, was {value}")
        for name in ("flat_days", "half_days"):
            bars = getattr(self, name)
            _require(1 <= bars < inf, f"{name} must be >= 1 and finite, was {bars}")
        losses = (self.daily_loss, self.weekly_loss, self.monthly_loss)
        _require(0 < losses[0] <= losses[1] <= losses[2], f"loss limits must rise, were {losses}")
        _require(0 < self.halve <= self.flat, f"halve {self.halve} must be in (0, {self.flat}]")
        _require(self.tracking_error < inf, "tracking_error must be finite")
        _require(self.breaker > 1, f"breaker must be > 1, was {self.breaker}")


# What each limit means, in a line: everything of a profile that is a number.
LIMITS: dict[str, str] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Profile, include_extras=True).items()
    if get_origin(hint) is Annotated
}
_POSITIVE = (
    *("volatility_target", "tracking_error", "gross_cap", "net_cap", "symbol_cap", "group_cap"),
    *("kelly_fraction", "drawdown_limit", "stop_loss", "take_profit", "trailing_stop"),
)


def _require(valid: bool, complaint: str) -> None:
    if not valid:
        raise ValueError(complaint)


PROFILES: dict[str, Profile] = {
    "conservative": Profile(
        name="conservative",
        volatility_target=0.08,
        tracking_error=0.02,
        gross_cap=1.0,
        net_cap=1.0,
        long_only=True,
        symbol_cap=0.05,
        kelly_fraction=0.10,
        daily_loss=0.023,
        weekly_loss=0.033,
        monthly_loss=0.046,
        drawdown_limit=0.18,
        group_cap=0.3,
        breaker=3.5,
        stop_loss=5.0,
        take_profit=10.0,
    ),
    "moderate": Profile(
        name="moderate",
        volatility_target=0.12,
        tracking_error=0.04,
        gross_cap=1.5,
        net_cap=1.0,
        long_only=False,
        symbol_cap=0.08,
        kelly_fraction=0.25,
        daily_loss=0.034,
        weekly_loss=0.049,
        monthly_loss=0.068,
        drawdown_limit=0.26,
        group_cap=0.4,
        breaker=3.5,
        stop_loss=5.0,
        take_profit=10.0,
    ),
    "aggressive": Profile(
        name="aggressive",
        volatility_target=0.20,
        tracking_error=0.08,
        gross_cap=2.0,
        net_cap=1.0,
        long_only=False,
        symbol_cap=0.12,
        kelly_fraction=0.50,
        daily_loss=0.057,
        weekly_loss=0.082,
        monthly_loss=0.114,
        drawdown_limit=0.43,
        group_cap=0.5,
        breaker=3.5,
        stop_loss=5.0,
        take_profit=10.0,
    ),
}
_GONE = {
    "span": "scores are smoothed over a fifth of the horizon",
    "band_floor": "the no-trade region follows from costs and risk, and `band` scales it",
}
_CRYPTO_SYMBOL_CAP = {"conservative": 0.15, "moderate": 0.20, "aggressive": 0.30}
_CRYPTO_BREAKER = 5.5  # × usual volatility: their tails are heavier


def profile_of(market: Market) -> Profile:
    """The profile a market trades under: crypto gets its own cap per symbol, then come `limits`.

    Raises:
        ValueError: the market names a profile or limit that does not exist, or an absurd number.
    """
    if market.profile not in PROFILES:
        raise ValueError(f"profile must be one of {list(PROFILES)}, was {market.profile!r}")
    profile = PROFILES[market.profile]
    if market.calendar == NEVER_CLOSES:
        profile = replace(
            profile, symbol_cap=_CRYPTO_SYMBOL_CAP[profile.name], breaker=_CRYPTO_BREAKER
        )
    profile = with_limits(profile, market.limits)
    if isinf(profile.gross_cap):
        raise ValueError("gross_cap must be finite: scores are sized up to it")
    return profile


def with_limits(profile: Profile, limits: Mapping[str, float]) -> Profile:
    """The profile with some of its numbers replaced.

    Raises:
        ValueError: no such limit, one that is not a whole number but has to be, or an absurd one.
    """
    kinds = get_type_hints(Profile)
    for name in sorted(_GONE.keys() & limits.keys()):
        raise ValueError(f"there is no limit {name} any more: {_GONE[name]}; take it out")
    if unknown := sorted(set(limits) - set(LIMITS)):
        raise ValueError(f"no such limit: {', '.join(unknown)}; there are {', '.join(LIMITS)}")
    for name, value in limits.items():
        if kinds[name] is int and not float(value).is_integer():
            raise ValueError(f"{name} must be a whole number, was {value}")
    numbers: dict[str, Any] = {name: kinds[name](value) for name, value in limits.items()}
    return replace(profile, **numbers)
