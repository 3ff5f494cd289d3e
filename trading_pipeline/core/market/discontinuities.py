"""Discontinuities: bars whose predecessors belong to something else; history restarts there.

The ticker changed its company, or the feed its unit. Decided by what was known at each bar: all
are masks (T, N), and cutting off later bars changes no earlier value.

Letters: T rows of the market's clock, N symbols. A 'night' is the time between two bars of a
symbol, whatever the timeframe.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading_pipeline.core.market.trailing import (
    VOLATILITY_WINDOW,
    Array,
    Mask,
    days_of,
    hold_over_gaps,
    previous,
    shifted,
    trailing_extreme,
    trailing_mean,
    trailing_sum,
)

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
SIGMA_FLOOR = 0.01
FEW_RETURNS, SIGMA_OF_THE_NEW = 21, 0.10  # a share's first weeks say little about its σ
# No exchange of ours has been closed for longer than a week since 1914.
LONG_GAP, OTHER_COMPANY = 7.0, 365.0  # days
# A shift of volume is believed when five bars agree, against all of the 63 before them, while the
# price goes on as usual. The widest that real panels show is 10 (and with a price move, 30).
VOLUME_SHIFT, VOLUME_BARS, VOLUME_HISTORY = 15.0, 5, 63


class Nights(NamedTuple):
    """What happened since a symbol's last bar, (T, N); NaN (or False) where there is no pair."""

    jump: Array  # log(open / last close), adjusted
    sigma: Array  # σ of a bar as known at the last close, at least 1 %
    elapsed: Array  # days since the last bar's stamp
    volume: Array  # this bar's volume, in means of the 21 before


def nights(
    stamps: pd.DatetimeIndex,
    open_: Array,
    close: Array,
    volume: Array,
    earlier: Array | None = None,
) -> Nights:
    """What happened since the bar before, at each row.

    Args:
        stamps: (T,). open_, close, volume: adjusted, (T, N), NaN where a symbol has no bar.
        earlier: (2, N) close of each symbol's last bar before these rows, and its day; None, or
            NaN: it has none.
    """
    known = np.full((2, close.shape[1]), np.nan) if earlier is None else earlier
    before = previous(np.vstack([known[:1], close]))[1:]
    day = np.where(np.isnan(close), np.nan, days_of(stamps)[:, None])
    usual = shifted(trailing_mean(volume, FEW_RETURNS), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Nights(
            jump=np.log(open_ / before),
            sigma=usual_move(np.log(close / before)),
            elapsed=day - previous(np.vstack([known[1:], day]))[1:],
            volume=volume / usual,
        )


def usual_move(returns: Array) -> Array:
    """σ of a bar before each row, (T, N): root mean square of the last 63 rows' log returns.

    Returns of orders of magnitude are left out: an error must not excuse the next one.
    """
    ordinary = np.where(np.abs(returns) < ORDERS, returns, np.nan)
    count = trailing_sum(np.isfinite(ordinary), VOLATILITY_WINDOW)
    total = trailing_sum(np.where(np.isfinite(ordinary), ordinary, 0.0) ** 2, VOLATILITY_WINDOW)
    sigma = np.sqrt(np.maximum(total, 0.0) / np.maximum(count, 1))
    floor = np.where(count < FEW_RETURNS, SIGMA_OF_THE_NEW, SIGMA_FLOOR)
    return shifted(np.maximum(sigma, floor), 1)


def find_discontinuities(
    stamps: pd.DatetimeIndex,
    open_: Array,
    close: Array,
    volume: Array,
    earlier: Array | None = None,
) -> Mask:
    """(T, N) bool: the symbol's history restarts at this bar; arguments as of `nights`.

    True where a bar opens at least eight times as high as the last close, or as low, and 20 σ
    away, and a move can be ruled out: it is upwards, to a fiftieth, by a power of ten on ordinary
    volume, or over more than a week without a bar. Also after a year without a bar at any price,
    and where volume has shifted its unit. A bad tick that reverts makes two.
    """
    night = nights(stamps, open_, close, volume, earlier)
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
    lowest, highest = (trailing_extreme(money, VOLUME_BARS, op) for op in (np.fmin, np.fmax))
    history = [trailing_extreme(money, VOLUME_HISTORY, op) for op in (np.fmin, np.fmax)]
    floor, ceiling = (shifted(each, VOLUME_BARS) for each in history)
    enough = trailing_sum(np.isfinite(money), VOLUME_HISTORY)
    listed = shifted(enough, VOLUME_BARS) >= FEW_RETURNS
    full = trailing_sum(np.isfinite(money), VOLUME_BARS) == VOLUME_BARS
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.abs(np.log(close / shifted(hold_over_gaps(close), VOLUME_BARS)))
    calm = moved <= 3 * sigma * math.sqrt(VOLUME_BARS)
    other = (lowest >= VOLUME_SHIFT * ceiling) & (ceiling > 0)
    other |= (highest * VOLUME_SHIFT <= floor) & (highest > 0)
    found: Mask = other & calm & listed & full
    return found


def segment_starts(traded: Mask, discontinuities: Mask) -> NDArray[np.int64]:
    """(T, N): row at which the history that a bar belongs to begins; -1 before the first bar."""
    first = traded & (np.cumsum(traded, axis=0) == 1)
    rows = np.arange(len(traded))[:, None]
    starts: NDArray[np.int64] = np.maximum.accumulate(
        np.where(first | discontinuities, rows, -1), axis=0
    )
    return starts


def crosses(discontinuities: Mask, rows: int) -> Mask:
    """(T, N) bool: there is a discontinuity in one of the next `rows` rows."""
    ahead = np.vstack(
        [discontinuities, np.zeros((rows, discontinuities.shape[1]), dtype=bool)]
    ).cumsum(axis=0)
    crossed: Mask = ahead[rows:] > ahead[: len(discontinuities)]
    return crossed


def near_power_of_ten(jump: Array) -> Mask:
    """(T, N) bool: the jump is by 10, 100, 1,000 ..., either way, give or take a night's move."""
    tens = np.round(jump / math.log(10))
    near: Mask = (tens != 0) & (np.abs(jump - tens * math.log(10)) <= NEAR_TEN)
    return near
