"""What an account remembers from bar to bar, and what it writes down: arrays of records.

The backtest and the paper session hold the same records and hand them to the same kernels.
Money is quote currency, prices and quantities are raw, weights are fractions of equity.

Each record is declared once, as a class: numpy's dtype derives from its fields, and mypy takes it
for one element of such an array. numba sees the dtype alone.
"""

from collections.abc import Iterator
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Self,
    TypeVar,
    cast,
    get_type_hints,
    overload,
)

import numpy as np
import pandas as pd

from trading_pipeline.core.market.market import Costs
from trading_pipeline.core.trading.profiles import Profile

FULL, HALF, FLAT = 0, 1, 2  # size allowed by the drawdown rule
MARKET, LIMIT, STOP = 0, 1, 2  # kinds of orders
KINDS = ("market", "limit", "stop")
OPENED, ENLARGED = 1, 2
NO_PERIOD = -1  # before the first bar
SLOTS = (2, 0, 1)  # of a bar's fills, in the order of time
FLOWS = ("dividend", "borrow", "funding")

Element = TypeVar("Element")
Int32 = Annotated[int, np.int32]
_FORMATS = {float: np.float64, int: np.int64}  # of fields that name no other


class Array(np.ndarray[Any, np.dtype[Any]], Generic[Element]):
    """An array of records, or of ints, as mypy sees it; at run time it is one of numpy's own."""

    if TYPE_CHECKING:

        @overload  # type: ignore[override]  # to numpy an element is Any
        def __getitem__(self, index: int | tuple[int, int], /) -> Element: ...
        @overload
        def __getitem__(self, index: str | list[str], /) -> np.ndarray: ...
        @overload
        def __getitem__(
            self, index: slice | tuple[int, slice] | np.ndarray, /
        ) -> "Array[Element]": ...
        def __getitem__(self, index: Any, /) -> Any: ...
        def __setitem__(self, index: Any, value: Any, /) -> None: ...
        def __iter__(self) -> Iterator[Element]: ...  # type: ignore[override]
        def copy(self, order: Any = "C") -> "Array[Element]": ...


class Record:
    """Base of the records: fields are annotated, and `dtype` follows from them."""

    dtype: ClassVar[np.dtype[np.void]]

    def __init_subclass__(cls, without: tuple[str, ...] = ()) -> None:
        hints = get_type_hints(cls, include_extras=True)
        names = [name for name in hints if name not in ("dtype", *without)]
        cls.dtype = np.dtype([(name, _format(hints[name])) for name in names])

    @classmethod
    def zeros(cls, *shape: int) -> "Array[Self]":
        """A new array of that shape, all zero."""
        return cast(Array[Self], np.zeros(shape, cls.dtype))

    @classmethod
    def empty(cls, *shape: int) -> "Array[Self]":
        """A new array of that shape, to be written."""
        return cast(Array[Self], np.empty(shape, cls.dtype))

    if TYPE_CHECKING:

        def __getitem__(self, name: str) -> Any:
            """A field by its name, outside of kernels."""


def _format(hint: Any) -> Any:
    """What numpy stores of a field: a type that the annotation names, or the one of its own."""
    named = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, type)]
    return named[0] if named else _FORMATS[getattr(hint, "__origin__", hint)]


class Account(Record):
    """An account, as the last bar and decision left it."""

    cash: float
    equity: float  # cash + quantity × last price, at the last close
    gross: float  # value of longs and shorts at that close
    net: float
    open_gross: float  # the same two at the open, after orders that lower exposure
    open_net: float
    day: int  # days since 1970, ISO weeks, months: the period of the last bar
    week: int
    month: int
    day_mark: float  # equity at the close of the previous period
    week_mark: float
    month_mark: float
    day_breached: int  # 1 for the rest of the period
    week_breached: int
    month_breached: int
    peak: float  # highest equity ever
    aged_peak: float  # what the drawdown control measures from; it sinks to the equity in a year
    rule_peak: float  # what the halving rule measures from; reset on re-entry
    size: int  # FULL, HALF or FLAT
    days_in_size: int
    halvings: int
    flattenings: int
    killed: int  # 1: the operator's kill switch
    bankrupt: int
    day_loss: float  # figures of the last decision
    week_loss: float
    month_loss: float
    drawdown: float  # from aged_peak
    rule_drawdown: float  # from rule_peak
    drawdown_share: float  # of the exposure that the drawdown control leaves, [0, 1]
    turbulence: float  # of the last days, in units of the usual volatility
    turbulent: int  # 1: above the circuit breaker's limit
    breaks: int  # times that the circuit breaker tripped
    kelly: float  # share of the tilt allowed by evidence, or by the lack of it
    eligible: int  # symbols that may be held
    symbol_cap: float  # invested weight that one symbol may have
    group_cap: float  # share of the tilt that a group may have
    information: float  # ratio a bar that the scores expect of the tilt
    tracking: float  # error a bar of the tilt
    aversion: float  # γ, to risk
    spread: float  # ρ: root mean square of tilt × σ over the symbols
    exposure: float  # E: what the invested weights are multiplied by
    exposure_rule: int  # bit of the rule that changed it; 0: it is 1, or a target of its own
    bound: int  # bits of the rules that keep the aims from being larger
    exposure_band: float  # change of the gross weight that is not worth its cost
    acting: int  # bits of the account's rules that refuse, halve or close now
    forecast: float  # volatility per bar of the targets, 63 bars ago to now
    interest: float  # paid before the last open, <= 0
    fees: float  # of the last bar
    traded: float  # notional of the last bar


class Position(Record):
    """A position and its pending order.

    Fields that every bar looks at come first: they share two lines of a processor's cache.
    """

    quantity: float  # negative is short
    order: float  # pending quantity
    last: float  # last price seen while it was held; NaN before
    stop: float  # price levels; NaN: none
    take: float
    seen: int  # day of the last bar while it was held, since 1970
    mark: float  # the open, or the last price without one
    capacity: float  # units that the bar's volume still allows
    order_left: float  # part of the order that the volume does not allow
    noted: int  # 1: this bar did something to the symbol
    within: int  # what a limit order did after the bar's high or low: OPENED, ENLARGED
    triggered: int  # 1: a stop that could fill only in part goes on at the next open
    kind: int  # of the order: MARKET, LIMIT or STOP
    due: float  # within a bar: the price at which the order executes now; NaN: not now
    slip: float  # and what is lost to slippage and impact, a fraction
    level: float  # price of a limit or stop order
    age: int  # bars since the order was decided
    bars: int  # that the order is good for
    order_stop: float  # levels that the position gets when the order opens it
    order_take: float
    order_sigma: float
    order_prepaid: float  # fees of its next fills that its minimum has paid; NaN: no fill
    exit_prepaid: float  # the same of the stop or take-profit that is worked off
    entry: float  # average price, less dividends since
    dividends: float  # a unit, since entry: levels compare the price with them added
    sigma: float  # per bar, frozen at entry; NaN: no stops
    best: float  # most favourable price since entry, less dividends since
    trailed: int  # 1: the stop is the trailing one
    own_stop: float  # levels that came with the order; NaN: the profile's
    own_take: float
    signal: float  # smoothed score, or the weight last asked for
    unscored: int  # bars since the last score
    cooling: int  # bars for which the symbol stays blocked after a stop
    cooling_side: float  # sign of the signal that was stopped out


class Decision(Record):
    """What was decided on a symbol at a close, and what was held then."""

    bar: Int32  # row of the history
    symbol: Int32  # column
    signal: float  # smoothed score, or the weight last asked for
    aim: float  # weight that would be best if trading were free
    target: float  # weight that the order leads to
    weight: float  # weight held at the close
    order: float  # quantity
    kind: Int32  # MARKET, LIMIT or STOP
    cooling: Int32
    level: float  # price of a limit or stop order; NaN: none
    quantity: float  # held at the close
    price: float  # it is marked at
    notional: float  # of the order that was wanted before any was refused
    band: float  # distance from the aim that is not worth its cost; 0: not looked at
    reasons: int


class Trace(Record):
    """How a target came about, and what was held: kept by a run that records everything.

    All are float64, for kernels take it as columns.
    """

    tilt: float  # what the signal says beyond mean, β and σ, σ√h; 0: nothing
    active: float  # weight, at the tracking error
    capped: float  # after the cap per group
    benchmark: float  # weight held without a tilt
    invested: float  # both, within their caps; of a whole that is invested
    beta: float
    entry: float  # of the position, as are the next
    stop: float
    take: float
    trailed: float  # 1: the stop is the trailing one
    unscored: float
    dividends: float  # a unit, since entry: average cost is the entry with them added

    @classmethod
    def columns(cls, *shape: int) -> np.ndarray:
        """(*shape, S) float64 as kernels take it, all zero; a shape with a 0 keeps nothing."""
        return np.zeros((*shape, DIVIDENDS + 1))


# Its columns.
TILT, ACTIVE, CAPPED, BENCHMARK, INVESTED, BETA = range(6)
ENTRY, STOP_LEVEL, TAKE_LEVEL, TRAILED, UNSCORED, DIVIDENDS = range(6, 12)


class Fill(Record):
    """What happened to a symbol within a bar.

    Slot 0 is the order, slot 1 a stop or a settlement, slot 2 cash in lieu of a fraction.
    """

    bar: Int32
    symbol: Int32
    slot: Int32
    age: Int32  # bars since the order was decided
    quantity: float  # 0: nothing filled, and the reasons say why
    price: float  # slippage included
    fee: float
    slippage: float  # money lost to it and to impact
    reasons: int


class CashFlow(Record):
    """Cash that moved without an order."""

    bar: Int32
    symbol: Int32
    dividend: float
    borrow: float
    funding: float


class Booking(Record):
    """What a broker did, for `book_bar`."""

    symbol: Int32
    early: Int32  # 1: before the bar opened, so before the night's actions
    ours: Int32  # 1: it fills the pending order
    exits: Int32  # 1: a protective order, which closes the position
    quantity: float  # signed
    price: float
    fee: float


class Order(Record):
    """What somebody else decided, for `place_bar`."""

    bar: Int32
    symbol: Int32
    quantity: float  # signed; 0 cancels the one that rests
    kind: Int32
    bars: Int32
    level: float
    stop_loss: float  # price levels of a bracket; NaN: none
    take_profit: float


# Fields of a profile that the others are made from, before any kernel runs.
_UNREAD = ("name", "long_only", "kelly_fraction", "kelly_floor")


class Parameters(Profile, Costs, Record, without=_UNREAD):
    """Costs and limits as the kernels read them, made by `parameters_of`.

    Rates are of a bar, caps are weights, distances of stops and limit entries count in σ of a bar.
    """

    maker_fee: float
    alpha: float  # of the smoothing
    cost: float  # of a trade, fraction of its notional
    enough: float  # information ratio a bar that deserves the whole tracking error
    market_aversion: float  # to risk of the total exposure
    ageing: float  # part of a drawdown by which its peak sinks in a bar
    horizon: int  # bars
    managed: int  # 1: by a profile
    scored: int  # 1: by scores, 0: by weights
    shorts: int  # 1: allowed
    neutral: int  # 1: longs and shorts balance


_UNKNOWN = (
    *("last", "entry", "sigma", "stop", "take", "best", "own_stop", "own_take", "level"),
    *("order_stop", "order_take", "order_sigma", "due", "signal"),
    *("order_prepaid", "exit_prepaid"),
)

_MARKS = ("day_mark", "week_mark", "month_mark", "peak", "aged_peak", "rule_peak")


def new_account(capital: float) -> Array[Account]:
    """(1,) account that has never traded."""
    if not 0 < capital < float("inf"):
        raise ValueError(f"capital must be positive and finite, was {capital}")
    account = Account.zeros(1)
    for name in ("cash", "equity", *_MARKS):
        account[name] = capital
    for name in ("day", "week", "month"):
        account[name] = NO_PERIOD
    return account


def new_positions(n: int) -> Array[Position]:
    """(n,) positions, all empty."""
    positions = Position.zeros(n)
    for name in _UNKNOWN:
        positions[name] = np.nan
    return positions


def paid_in(flows: Array[CashFlow]) -> np.ndarray:
    """Cash of each flow, all kinds together; negative is paid out."""
    return np.asarray(sum(flows[kind] for kind in FLOWS))


def periods_of(timestamps: pd.DatetimeIndex) -> np.ndarray:
    """(T, 3) int64: day, ISO week and month of each bar, as numbers that only ever grow.

    The UTC date of a bar's opening is its session on exchanges whose session lies within one UTC
    date, as New York's does.
    """
    utc = timestamps.tz_convert("UTC")
    day = utc.as_unit("s").asi8 // 86_400
    week = (day + 3) // 7  # 1970-01-01 was a Thursday, weeks begin on Monday
    month = utc.year.to_numpy() * 12 + utc.month.to_numpy() - 1
    return np.column_stack([day, week, month]).astype(np.int64)


def month_starts(timestamps: pd.DatetimeIndex) -> np.ndarray:
    """(M,) positions of the first bar of all, and of the first of every month after it."""
    return np.flatnonzero(np.diff(periods_of(timestamps)[:, 2], prepend=-1))
