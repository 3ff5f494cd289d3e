"""Breaks and gaps: which bars are not to be trusted, decided by what was known at each of them.

A *break* is a bar whose predecessors belong to something else: the ticker changed its company, or
the feed its unit. History restarts there. A *gap quarantine* is on while a symbol's own bars are
missing too often, and a *doubt* for a year after each row that was set aside of a symbol with too
many of them (`set_aside.py`). All are masks (T, N), and cutting off later bars changes no earlier
value.

Letters: T rows of the market's clock, N symbols. A 'night' is the time between two bars of a
symbol, whatever the timeframe.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# An opening at eight times the last close, or at an eighth of it, that no corporate action
# explains. Liquid things do fall by more within a bar (LUNA to 1/200 in a day), and open near by.
ORDERS = math.log(8)
# The most that a night has taken off a liquid instrument is some 95 % (XIV in 2018, Lehman in
# 2008): at a fiftieth it is another thing that is quoted.
BEYOND_RUIN = math.log(50)
# Between those two a fall is ruin, unless it is by ten, give or take what a night adds, and on
# ordinary volume: ruin trades many times what is usual.
NEAR_TEN = 0.25
RECORD_VOLUME = 5.0  # times the mean of the last 21 bars
# A jump is measured against the symbol's own σ; ruin comes to what is volatile already.
SIGMAS = 20.0
SIGMA_BARS, SIGMA_FLOOR = 63, 0.01
FEW_RETURNS, SIGMA_OF_THE_NEW = 21, 0.10  # a share's first weeks say little about its σ
# No exchange of ours has been closed for longer than a week since 1914.
LONG_GAP, OTHER_COMPANY = 7.0, 365.0  # days
# A shift of volume is believed when five bars agree, against all of the 63 before them, while the
# price goes on as usual. The widest that real panels show is 10 (and with a price move, 30).
VOLUME_SHIFT, VOLUME_BARS, VOLUME_HISTORY = 15.0, 5, 63
# Own bars missing in the last year: more than 1 %, and at least three of them.
GAP_SHARE, GAP_LEAST, GAP_SPAN = 0.01, 3, 365.0  # days
ACTIVE_ROWS = 21  # a symbol with no bar in them has ended, or is halted
# For whoever reads a part of a history: what is older changes neither breaks nor quarantine. Days
# of the gap quarantine, and before them rows of all that looks back, one after the other.
LOOKS_BACK_DAYS = max(GAP_SPAN, OTHER_COMPANY)
LOOKS_BACK_ROWS = max(SIGMA_BARS, VOLUME_HISTORY) + VOLUME_BARS + max(FEW_RETURNS, ACTIVE_ROWS) + 1


class Nights(NamedTuple):
    """What happened since a symbol's last bar, (T, N); NaN (or False) where there is no pair."""

    jump: Array  # log(open / last close), adjusted
    sigma: Array  # σ of a bar as known at the last close, at least 1 %
    elapsed: Array  # days since the last bar's stamp
    volume: Array  # this bar's volume, in means of the 21 before


def nights(stamps: pd.DatetimeIndex, open_: Array, close: Array, volume: Array) -> Nights:
    """Args: stamps (T,), adjusted prices and volumes (T, N), NaN where a symbol has no bar."""
    before = _shifted(hold_over_gaps(close), 1)
    day = np.where(np.isnan(close), np.nan, _days(stamps)[:, None])
    usual = _shifted(_trailing_mean(volume, FEW_RETURNS), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Nights(
            jump=np.log(open_ / before),
            sigma=usual_move(np.log(close / before)),
            elapsed=day - _shifted(hold_over_gaps(day), 1),
            volume=volume / usual,
        )


def usual_move(returns: Array) -> Array:
    """σ of a bar before each row, (T, N): root mean square of the last 63 rows' log returns.

    Returns of orders of magnitude are left out: an error must not excuse the next one.
    """
    ordinary = np.where(np.abs(returns) < ORDERS, returns, np.nan)
    count = _trailing_sum(np.isfinite(ordinary).astype(float), SIGMA_BARS)
    total = _trailing_sum(np.where(np.isfinite(ordinary), ordinary, 0.0) ** 2, SIGMA_BARS)
    sigma = np.sqrt(np.maximum(total, 0.0) / np.maximum(count, 1))
    floor = np.where(count < FEW_RETURNS, SIGMA_OF_THE_NEW, SIGMA_FLOOR)
    return _shifted(np.maximum(sigma, floor), 1)


def find_breaks(stamps: pd.DatetimeIndex, open_: Array, close: Array, volume: Array) -> Mask:
    """(T, N) bool: the symbol's history restarts at this bar; arguments as of `nights`.

    True where a bar opens at least eight times as high as the last close, or as low, and 20 σ
    away, and a move can be ruled out: it is upwards, to a fiftieth, by a power of ten on ordinary
    volume, or over more than a week without a bar. Also after a year without a bar at any price,
    and where volume has shifted its unit. A bad tick that reverts makes two breaks.
    """
    night = nights(stamps, open_, close, volume)
    size = np.abs(night.jump)
    far = (size >= ORDERS) & (size >= SIGMAS * night.sigma)
    tenth = (np.abs(night.jump + math.log(10)) <= NEAR_TEN) & ~(night.volume >= RECORD_VOLUME)
    other = (night.jump > 0) | (size >= BEYOND_RUIN) | tenth | (night.elapsed > LONG_GAP)
    found: Mask = (far & other) | (night.elapsed > OTHER_COMPANY)
    return found | volume_shifts(close, volume, night.sigma)


def volume_shifts(close: Array, volume: Array, sigma: Array) -> Mask:
    """(T, N) bool: the fifth bar at which money traded is 15 times all before, or a fifteenth.

    Money is close × volume, so that a coin that loses its value is not mistaken for one. A real
    rush of five bars moves the price; a change from lots to shares does not.
    """
    money = close * volume
    lowest, highest = (_trailing(money, VOLUME_BARS, op) for op in (np.fmin, np.fmax))
    history = [_trailing(money, VOLUME_HISTORY, op) for op in (np.fmin, np.fmax)]
    floor, ceiling = (_shifted(each, VOLUME_BARS) for each in history)
    enough = _trailing_sum(np.isfinite(money).astype(float), VOLUME_HISTORY)
    listed = _shifted(enough, VOLUME_BARS) >= FEW_RETURNS
    full = _trailing_sum(np.isfinite(money).astype(float), VOLUME_BARS) == VOLUME_BARS
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.abs(np.log(close / _shifted(hold_over_gaps(close), VOLUME_BARS)))
    calm = moved <= 3 * sigma * math.sqrt(VOLUME_BARS)
    shifted = (lowest >= VOLUME_SHIFT * ceiling) & (ceiling > 0)
    shifted |= (highest * VOLUME_SHIFT <= floor) & (highest > 0)
    found: Mask = shifted & calm & listed & full
    return found


def gap_quarantine(stamps: pd.DatetimeIndex, traded: Mask, breaks: Mask) -> Mask:
    """(T, N) bool: bars in a year of which more than 1 % (and at least 3) rows are missing.

    Only a symbol's own gaps count: rows that more than half of the active symbols lack are an
    outage of the venue. Counted since the symbol's first bar, or since its last break.

    Args:
        stamps: (T,), rows at which any symbol has a bar. traded, breaks: (T, N).
    """
    if not len(stamps):
        return traded
    start = segment_starts(traded, breaks)
    active = _shifted(_trailing_sum(traded.astype(float), ACTIVE_ROWS), 1) > 0
    here = (traded & active).sum(axis=1) * 2 >= active.sum(axis=1)
    due = here[:, None] & (start >= 0)
    clock = _days(stamps)
    since = np.maximum(np.searchsorted(clock, clock - GAP_SPAN, side="right")[:, None], start)
    missing, rows = (_count_since(flags, since) for flags in (due & ~traded, due))
    found: Mask = traded & (missing >= GAP_LEAST) & (missing > GAP_SHARE * rows)
    return found


def in_doubt(stamps: pd.DatetimeIndex, symbols: Sequence[str], rows: pd.DataFrame) -> Mask:
    """(T, N) bool: at, or less than a year after, a row of the symbol that was set aside.

    Args:
        stamps: (T,). rows: columns timestamp, symbol, in order; see `rows_in_doubt`.
    """
    doubt = np.zeros((len(stamps), len(symbols)), dtype=bool)
    clock = _days(stamps)
    for symbol, own in rows.groupby("symbol"):
        if symbol in symbols:
            days = np.append(-np.inf, _days(pd.DatetimeIndex(own["timestamp"])))
            last = days[np.searchsorted(days, clock, side="right") - 1]
            doubt[:, symbols.index(symbol)] = clock - last < GAP_SPAN
    return doubt


def segment_starts(traded: Mask, breaks: Mask) -> NDArray[np.int64]:
    """(T, N): row at which the history that a bar belongs to begins; -1 before the first bar."""
    first = traded & (np.cumsum(traded, axis=0) == 1)
    rows = np.arange(len(traded))[:, None]
    starts: NDArray[np.int64] = np.maximum.accumulate(np.where(first | breaks, rows, -1), axis=0)
    return starts


def crosses(breaks: Mask, rows: int) -> Mask:
    """(T, N) bool: there is a break in one of the next `rows` rows."""
    ahead = np.vstack([breaks, np.zeros((rows, breaks.shape[1]), dtype=bool)]).cumsum(axis=0)
    crossed: Mask = ahead[rows:] > ahead[: len(breaks)]
    return crossed


def _days(stamps: pd.DatetimeIndex) -> Array:
    """(T,) days since 1970, with fractions."""
    days: Array = stamps.as_unit("us").asi8 / 86_400e6
    return days


def recent(flags: Mask, rows: int) -> Mask:
    """(T, N) bool: true at one of the last `rows` rows, the present one included."""
    lately: Mask = _trailing_sum(flags.astype(float), rows) > 0
    return lately


def hold_over_gaps(values: Array, breaks: Mask | None = None) -> Array:
    """(T, N) with every NaN replaced by the last number above it, if there is one since a break."""
    filled = ~np.isnan(values) if breaks is None else ~np.isnan(values) | breaks
    last = np.maximum.accumulate(np.where(filled, np.arange(len(values))[:, None], 0), axis=0)
    return np.take_along_axis(values, last, axis=0) if len(values) else values


def near_power_of_ten(jump: Array) -> Mask:
    """(T, N) bool: the jump is by 10, 100, 1,000 ..., either way, give or take a night's move."""
    tens = np.round(jump / math.log(10))
    near: Mask = (tens != 0) & (np.abs(jump - tens * math.log(10)) <= NEAR_TEN)
    return near


def _count_since(flags: Mask, since: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T, N): how many of rows since[t] .. t are true; `since` (T, N), -1 is the first row."""
    total = np.vstack([np.zeros((1, flags.shape[1]), dtype=np.int64), np.cumsum(flags, axis=0)])
    counted: NDArray[np.int64] = total[1:] - np.take_along_axis(total, np.maximum(since, 0), axis=0)
    return counted


def _shifted(values: Array, rows: int) -> Array:
    """(T, N) moved down; NaN in the first rows."""
    moved = np.full(values.shape, np.nan)
    moved[rows:] = values[: max(0, len(values) - rows)]
    return moved


def _trailing_sum(values: Array, rows: int) -> Array:
    """(T, N): sum of the last `rows` rows, fewer at the start."""
    total = np.cumsum(values, axis=0)
    total[rows:] -= total[:-rows].copy()
    return total


def _trailing_mean(values: Array, rows: int) -> Array:
    """(T, N): mean of the numbers among the last `rows` rows; NaN where there are none."""
    known = np.isfinite(values)
    total = _trailing_sum(np.where(known, values, 0.0), rows)
    count = _trailing_sum(known.astype(float), rows)
    mean: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def _trailing(values: Array, rows: int, of: Callable[[Array, Array], Array]) -> Array:
    """(T, N): minimum or maximum (`np.fmin`, `np.fmax`) of the last `rows` rows, NaN left out."""
    result, covered = values, 1
    while covered < rows:
        step = min(covered, rows - covered)
        result, covered = of(result, _shifted(result, step)), covered + step
    return result
