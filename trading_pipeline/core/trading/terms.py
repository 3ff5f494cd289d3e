"""What an account is opened with and trades under, as one frozen value."""

from dataclasses import dataclass
from typing import Self

from trading_pipeline.core.market.market import MANDATES, Costs, Market
from trading_pipeline.core.trading.profiles import Profile, profile_of


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms of one account. Terms that contradict each other cannot be constructed.

    Raises:
        ValueError: an unknown mandate, a neutral one that may not be short, or no bars in a year.
    """

    capital: float  # quote currency, > 0
    costs: Costs
    bars_per_year: int
    horizon: int = 1  # bars; stops are in units of σ√horizon
    mandate: str = "long_only"  # or 'neutral'; shorts need `shortable`, and a profile that has them
    shortable: bool = False
    profile: Profile | None = None  # None: nothing is managed, weights are traded as asked for

    def __post_init__(self) -> None:
        if not 0 < self.capital < float("inf"):
            raise ValueError(f"capital must be positive and finite, was {self.capital}")
        if self.mandate not in MANDATES:
            raise ValueError(f"mandate must be one of {MANDATES}, was {self.mandate!r}")
        long_only = self.profile is not None and self.profile.long_only
        if self.mandate == "neutral" and (long_only or not self.shortable):
            raise ValueError(
                "a neutral mandate needs a shortable market and a profile that may be short"
            )
        if self.bars_per_year < 1 or self.horizon < 1:
            raise ValueError(
                f"bars_per_year {self.bars_per_year} and horizon {self.horizon} must be >= 1"
            )

    @classmethod
    def of(cls, market: Market, capital: float) -> Self:
        """The terms of every account of a market, in a backtest and on paper."""
        return cls(
            capital=capital,
            costs=market.costs,
            bars_per_year=market.bars_per_year,
            horizon=market.horizon,
            mandate=market.mandate,
            shortable=market.shortable,
            profile=profile_of(market),
        )

    @property
    def shorts(self) -> bool:
        """Whether positions may be negative."""
        long_only = self.profile is not None and self.profile.long_only
        return self.shortable and self.mandate != "long_only" and not long_only
