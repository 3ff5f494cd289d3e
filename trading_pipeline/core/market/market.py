"""What a market is: symbols, clock, mandate, costs and walk-forward spans, as one frozen value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Annotated

from trading_pipeline.core.market.exchanges import (
    NEVER_CLOSES,
    WEEKDAYS,
    bars_per_day,
    canonical_calendar,
    crosses_midnight,
    days_per_year,
)
from trading_pipeline.core.market.names import LONGEST_NAME, is_name
from trading_pipeline.errors import TradingError

# As this product writes them, longest first, and as some venues do.
_ALIASES = {
    "1d": "1Day",
    "4h": "4Hour",
    "1h": "1Hour",
    "30m": "30Min",
    "15m": "15Min",
    "5m": "5Min",
    "1m": "1Min",
}
TIMEFRAMES = {name: name for name in _ALIASES} | {alias: name for name, alias in _ALIASES.items()}
MANDATES = ("long_only", "neutral")
LONG_RUN_SHARPE = 0.3  # ratio a year that a market of shares has over the long run


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What trading costs. Fractions of notional; rates are a year's; money is quote currency.

    The square-root law of impact: Almgren, Thum, Hauptmann and Li, Direct Estimation of Equity
    Market Impact (2005); its coefficient is of order one in many markets (Tóth et al., Anomalous
    Price Impact, 2011). Losses at delisting: Shumway, The Delisting Bias in CRSP Data (1997).
    """

    fee: Annotated[float, "of orders that take liquidity: at the open, and stops"] = 0.001
    maker_fee: Annotated[
        float | None, "of resting limit orders and take-profits; None: as `fee`"
    ] = None
    fee_per_share: Annotated[float, "money per unit traded, beside the fraction"] = 0.0
    minimum_fee: Annotated[float, "money per order, however many fills it takes"] = 0.0
    slippage: Annotated[float, "what a fill is worse than the price of its bar"] = 0.0005
    impact: Annotated[
        float, "× σ of a bar × √(quantity / volume of the bar), beside the slippage"
    ] = 0.0
    participation: Annotated[
        float, "share of a bar's volume that one symbol's orders may be; inf: any"
    ] = 0.1
    borrow: Annotated[float, "a year, on the value of short positions"] = 0.005
    funding: Annotated[
        float, "a year, paid by longs and earned by shorts (perpetuals); may be < 0"
    ] = 0.0
    debit: Annotated[float, "a year, on negative cash"] = 0.06
    leverage: Annotated[float, "gross exposure allowed per unit of equity"] = 1.0
    lot: Annotated[float, "smallest tradable step in units; 0 is any fraction"] = 0.0
    min_notional: Annotated[float, "smallest order, in quote currency"] = 1.0
    delisting_loss: Annotated[float, "of the last price, for longs; shorts get no gain"] = 0.3
    delisted_after: Annotated[int, "calendar days without a bar"] = 30

    def __post_init__(self) -> None:
        maker = self.fee if self.maker_fee is None else self.maker_fee
        for name, value in {"fee": self.fee, "maker_fee": maker, "slippage": self.slippage}.items():
            if not 0 <= value < 0.05:
                raise ValueError(f"{name} must be in [0, 0.05), was {value}")
        finite = ("borrow", "debit", "lot", "min_notional", "fee_per_share", "minimum_fee")
        for name in finite:
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be >= 0, was {getattr(self, name)}")
        if not 0 <= self.impact <= 10:
            raise ValueError(f"impact must be in [0, 10], was {self.impact}")
        if not self.participation > 0:
            raise ValueError(f"participation must be > 0 (inf is no cap), was {self.participation}")
        if not -1 <= self.funding <= 1:
            raise ValueError(f"funding must be in [-1, 1] a year, was {self.funding}")
        if not 0 < self.leverage <= 10:
            raise ValueError(f"leverage must be in (0, 10], was {self.leverage}")
        if not 0 <= self.delisting_loss < 1:
            raise ValueError(f"delisting_loss must be in [0, 1), was {self.delisting_loss}")
        if not (self.delisted_after >= 1 and float(self.delisted_after).is_integer()):
            raise ValueError(
                f"delisted_after must be a whole number of days >= 1, was {self.delisted_after}"
            )


@dataclass(frozen=True, kw_only=True)
class WalkForward:
    """Spans of the folds: calendar months, and an embargo in bars beyond the purge."""

    first_train: int = 60  # months of history before the first fold
    test: int = 12  # months of one fold; divides 12
    window: int = 60  # months that a fold trains on
    embargo: int = 0  # bars

    def __post_init__(self) -> None:
        if self.test not in (1, 2, 3, 4, 6, 12):
            raise ValueError(f"test must be 1, 2, 3, 4, 6 or 12 months, was {self.test}")
        if self.first_train < 1 or self.window < 1 or self.embargo < 0:
            raise ValueError(f"spans must be positive, were {self}")


# Horizon in bars, then months of first training, of a fold and of the training window. Bars of
# hours and minutes keep the horizon at days: over less, costs eat any forecast.
_USUAL_TERMS = {  # every exchange has those of New York
    "XNYS": {
        "1d": (21, 60, 12, 60),
        "4h": (10, 36, 12, 36),
        "1h": (35, 24, 3, 24),
        "30m": (65, 12, 3, 12),
        "15m": (130, 6, 1, 6),
        "5m": (390, 6, 1, 6),
        "1m": (390, 3, 1, 3),
    },
    "24/7": {
        "1d": (10, 24, 12, 24),
        "4h": (30, 12, 3, 12),
        "1h": (120, 6, 1, 6),
        "30m": (240, 6, 1, 6),
        "15m": (480, 6, 1, 6),
        "5m": (576, 3, 1, 3),
        "1m": (480, 3, 1, 3),
    },
}


def usual_terms(calendar: str, timeframe: str) -> tuple[int, WalkForward]:
    """Horizon in bars, and spans, of a market that does not say others.

    Raises:
        ValueError: no such calendar or timeframe.
    """
    check_clock(calendar, timeframe)
    around_the_clock = calendar == NEVER_CLOSES or (calendar == WEEKDAYS and timeframe != "1d")
    like = NEVER_CLOSES if around_the_clock else "XNYS"
    horizon, first_train, test, window = _USUAL_TERMS[like][timeframe]
    return horizon, WalkForward(first_train=first_train, test=test, window=window)


def check_clock(calendar: str, timeframe: str) -> None:
    """Refuse a calendar or a timeframe that no market can have.

    Raises:
        ValueError: no such calendar or timeframe, or bars of hours of an exchange whose sessions
            cross midnight UTC: all that counts by days here counts UTC dates.
    """
    if timeframe not in _ALIASES:
        raise ValueError(f"timeframe must be one of {', '.join(_ALIASES)}, was {timeframe!r}")
    if (meant := canonical_calendar(calendar)) != calendar:
        raise ValueError(f"calendar {calendar!r} is spelled {meant!r}")
    if timeframe != "1d" and crosses_midnight(calendar):
        raise ValueError(
            f"sessions of {calendar} cross midnight UTC, so bars of {timeframe} cannot be told by "
            "days; give daily bars of it"
        )


@dataclass(frozen=True, kw_only=True)
class Market:
    """One entry of pipeline.toml. Impossible markets cannot be constructed."""

    name: str
    source: str
    symbols: tuple[str, ...]
    start: date  # first day of the history
    end: date | None = None  # day after the last one; None: the market goes on
    timeframe: str = "1d"
    calendar: str = "XNYS"
    mandate: str = "long_only"  # or "neutral": longs and shorts are worth the same
    shortable: bool = False
    horizon: int = 21  # bars
    profile: str = "moderate"
    costs: Costs = field(default_factory=Costs)
    walk_forward: WalkForward = field(default_factory=WalkForward)
    limits: Mapping[str, float] = field(default_factory=dict)  # that differ from the profile's
    # Weights of a long-only account without a tilt, by symbol; none: equal ones.
    benchmark: Mapping[str, float] = field(default_factory=dict)
    sectors: Mapping[str, str] = field(default_factory=dict)  # symbol -> name, for a shared cap
    # As counted in bars that the calendar does not fit (extended hours); None: the calendar's.
    measured_bars_per_year: int | None = None
    measured_days_per_year: int | None = None

    def __post_init__(self) -> None:
        check_clock(self.calendar, self.timeframe)
        for name in ("measured_bars_per_year", "measured_days_per_year"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, was {count}")
        if self.mandate not in MANDATES:
            raise ValueError(f"mandate must be one of {MANDATES}, was {self.mandate!r}")
        if self.mandate == "neutral" and not self.shortable:
            raise ValueError(f"{self.name}: a neutral mandate needs shortable = true")
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"{self.name}: symbols must be one or more, each once")
        if bad := [each for each in self.symbols if not is_name(each)]:
            raise ValueError(
                f"{self.name}: a symbol is a name of printable characters, {LONGEST_NAME} at most, "
                f"was {bad[0]!r:.{LONGEST_NAME}}"
            )
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"{self.name}: end {self.end} is not after start {self.start}")
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 bar, was {self.horizon}")
        if strangers := sorted(set(self.sectors) - set(self.symbols)):
            raise ValueError(f"sectors name {', '.join(strangers)}, not in symbols")

        if strangers := sorted(set(self.benchmark) - set(self.symbols)):
            raise ValueError(f"benchmark names {', '.join(strangers)}, not in symbols")
        if bad := [name for name, each in self.benchmark.items() if not 0 <= each < float("inf")]:
            raise ValueError(f"benchmark weights must be finite and >= 0, was {bad[0]} not")
        if self.benchmark and not any(self.benchmark.values()):
            raise ValueError("benchmark weights are all 0; leave them out for equal ones")

    @property
    def synthetic(self) -> bool:
        """Whether its bars are made up, with an edge planted in them: every report says so."""
        return self.source == "synthetic"

    @property
    def bars_per_year(self) -> int:
        """What rates and volatilities of a bar are made annual with, and the other way round."""
        usual = bars_per_day(self.calendar, self.timeframe) * days_per_year(self.calendar)
        return self.measured_bars_per_year or usual

    @property
    def days_per_year(self) -> int:
        """What statistics of daily returns are made annual with."""
        return self.measured_days_per_year or days_per_year(self.calendar)

    @property
    def horizon_in_days(self) -> int:
        """The horizon, rounded up to whole days."""
        return -(-self.horizon * self.days_per_year // self.bars_per_year)


def unknown_symbol(market: str, symbol: str, symbols: Sequence[str]) -> TradingError:
    """The error of a symbol that a market does not have: names those that are alike, and all."""
    spelt = {name.upper(): name for name in symbols}
    near = [spelt[name] for name in get_close_matches(symbol.upper(), spelt, n=3)]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    shown = ", ".join(symbols[:30]) + (" ..." if len(symbols) > 30 else "")
    return TradingError(f"{market} has no symbol {symbol!r}; {meant}it has {len(symbols)}: {shown}")
