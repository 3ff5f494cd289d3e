"""Findings about values: prices and volumes that obey every rule and are wrong all the same.

Limits are against the symbol's own volatility, an absolute size and the market's move of the same
bar, all three; actions explain what they explain, because prices are adjusted. Chosen so that the
crashes of 2008 and 2020, the collapses of coins and first days of trading find nothing.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_pipeline.core.market.discontinuities import SIGMAS, Nights, nights
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import (
    MANY,
    Finding,
    Severity,
    counted,
    of_many,
    runs_of,
    times,
    when,
    written,
)
from trading_pipeline.core.market.trailing import Array, Mask, previous

Rows = NDArray[np.int_]

# A bar that triples or falls to a third. AIG lost 61 % on 2008-09-15; a coin's best day is +100 %.
JUMP, JUMP_SIGMAS = math.log(3), 15.0
# Out and back within two bars, three quarters of the way at least.
SPIKE, SPIKE_SIGMAS, UNDONE = math.log(1.3), 10.0, 0.25
# What companies split by, and how near to it the night's jump must be.
SPLITS, NEAR_SPLIT = np.log([2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50]), 0.03
# A high or low that nothing near it reaches. The flash crash of 2010 shows 40 %, at 35 σ.
PRINT = math.log(1.25)
FEW_SYMBOLS = 5  # below, the median symbol is not the market
ZERO_SHARE, ZERO_RUN = 0.05, 5  # of a symbol's bars; in a row, from which it is not tradable


class Outlier(NamedTuple):
    """What is said of the marked bars of one symbol."""

    figure: str
    text: str  # `{when}` stands for their stamps
    severity: Severity = "warning"


def find_jumps(panel: Panel) -> list[Finding]:
    """Jumps, spikes, splits that nobody announced, and prints far from everything."""
    close, traded = panel.adjusted_close, panel.traded
    night = nights(panel.timestamps, panel.adjusted_open, close, panel.adjusted_volume)
    change = own_returns(close)
    excess = change - _market(change)[:, None]
    # A symbol's first bars have no σ to measure by; around a discontinuity everything jumps.
    settled = (np.cumsum(traded, axis=0) > 5) & ~_around(panel.discontinuities)
    known = np.isfinite(change) & settled
    far = np.minimum(np.abs(change), np.abs(excess))
    spike = known & (far >= SPIKE) & (far >= SPIKE_SIGMAS * night.sigma) & _undone(change)
    split = known & _like_split(night) & ~spike
    jump = known & (far >= JUMP) & (far >= JUMP_SIGMAS * night.sigma) & ~spike & ~split
    return (
        _spikes(panel, change, spike)
        + _splits(panel, night, split)
        + _jumps(panel, change, night.sigma, jump)
        + _prints(panel, night.sigma, known)
    )


def own_returns(close: Array) -> Array:
    """(T, N) log returns from a symbol's last bar to this one; NaN where there is no pair."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Array = np.log(close / previous(close))
    return change


def _market(change: Array) -> Array:
    """(T,) the median symbol's return; 0 where fewer than five have one."""
    known = np.isfinite(change)
    counts = known.sum(axis=1)
    move = np.zeros(len(change))
    many = counts >= FEW_SYMBOLS
    move[many] = np.nanmedian(change[many], axis=1)
    return move


def _around(flags: Mask) -> Mask:
    """(T, N) bool: at a flag, or at the row before or after one."""
    near = flags.copy()
    near[1:] |= flags[:-1]
    near[:-1] |= flags[1:]
    return near


def _undone(change: Array) -> Mask:
    """(T, N) bool: the next row takes back three quarters of the move, and no more than that."""
    following = np.full(change.shape, np.nan)
    following[:-1] = change[1:]
    back: Mask = np.abs(change + following) <= UNDONE * np.abs(change)
    return back


def _like_split(night: Nights) -> Mask:
    """(T, N) bool: the night's jump is a split's, and far beyond σ."""
    size = np.abs(night.jump)
    nearest = SPLITS[np.abs(size[..., None] - SPLITS).argmin(axis=-1)]
    near = np.abs(size - nearest) <= NEAR_SPLIT
    found: Mask = near & (size >= JUMP_SIGMAS * night.sigma)
    return found


def _of_each(
    panel: Panel, mask: Mask, kind: str, limit: str, describe: Callable[[int, Rows], Outlier]
) -> list[Finding]:
    """One finding for each symbol that the mask (T, N) marks; `describe` sees its rows.

    Dates on which most of many symbols are marked are one finding: the fault is the feed's.
    """

    def finding(n: int, rows: Rows) -> Finding:
        seen, stamps = describe(n, rows), panel.timestamps[rows]
        return Finding(
            kind=kind,
            severity=seen.severity,
            symbol=panel.symbols[n],
            first=stamps[0],
            last=stamps[-1],
            rows=len(rows),
            figure=seen.figure,
            limit=limit,
            text=seen.text.format(when=when(stamps)),
        )

    marked = mask.sum(axis=1)
    common = (marked > MANY) & (marked * 2 > panel.traded.sum(axis=1))
    shared, own = mask & common[:, None], mask & ~common[:, None]
    found = [finding(int(n), np.flatnonzero(own[:, n])) for n in np.flatnonzero(own.any(axis=0))]
    if not common.any():
        return found
    who, n = np.flatnonzero(shared.any(axis=0)), int(shared.sum(axis=0).argmax())
    example = finding(n, np.flatnonzero(shared[:, n]))
    together = of_many(example, [panel.symbols[each] for each in who], int(shared.sum()))
    stamps = panel.timestamps[common]
    return [replace(together, first=stamps[0], last=stamps[-1]), *found]


def _spikes(panel: Panel, change: Array, mask: Mask) -> list[Finding]:
    def describe(n: int, rows: Rows) -> Outlier:
        worst = rows[np.abs(change[rows, n]).argmax()]
        return Outlier(
            f"{_move(change[worst, n])} and back",
            "a move that the next bar takes back: {when}. Compare with another source; a bad tick "
            "trips stops and indicators.",
        )

    limit = f"{math.exp(SPIKE) - 1:.0%}, {SPIKE_SIGMAS:.0f} σ"
    return _of_each(panel, mask, "spike", limit, describe)


def _splits(panel: Panel, night: Nights, mask: Mask) -> list[Finding]:
    def describe(n: int, rows: Rows) -> Outlier:
        worst = rows[np.abs(night.jump[rows, n]).argmax()]
        return Outlier(
            f"opens at {times(night.jump[worst, n])} the last close",
            "looks like a split that the corporate actions lack: {when}. Add it, or use adjusted "
            "prices. If they have it, the prices are adjusted already.",
        )

    limit = f"a whole-number ratio, {JUMP_SIGMAS:.0f} σ"
    return _of_each(panel, mask, "split", limit, describe)


def _jumps(panel: Panel, change: Array, sigma: Array, mask: Mask) -> list[Finding]:
    def describe(n: int, rows: Rows) -> Outlier:
        worst = rows[np.abs(change[rows, n]).argmax()]
        sigmas = abs(change[worst, n]) / sigma[worst, n]
        return Outlier(
            f"{_move(change[worst, n])} on {written(panel.timestamps[worst])}, {sigmas:.0f} σ",
            "no corporate action explains it: {when}. Compare with another source; if it is a "
            "split, add it to the corporate actions.",
        )

    return _of_each(panel, mask, "jump", f"threefold, {JUMP_SIGMAS:.0f} σ", describe)


def _move(change: float) -> str:
    return f"{math.expm1(change):+,.0%}"


def _prints(panel: Panel, sigma: Array, known: Mask) -> list[Finding]:
    """Highs and lows that neither the bar's open and close nor the last close come near."""
    close, open_, before = panel.adjusted_close, panel.adjusted_open, previous(panel.adjusted_close)
    top, bottom = (op(op(close, open_), before) for op in (np.fmax, np.fmin))
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below = np.log(panel.adjusted_high / top), np.log(bottom / panel.adjusted_low)
    size = np.fmax(above, below)
    mask = known & (size >= PRINT) & (size >= SIGMAS * sigma)

    def describe(n: int, rows: Rows) -> Outlier:
        worst = rows[size[rows, n].argmax()]
        away = above[worst, n] if above[worst, n] == size[worst, n] else -below[worst, n]
        return Outlier(
            f"{_move(away)} on {written(panel.timestamps[worst])}",
            "a high or low far from open, close and the close before: {when}. A flash crash or a "
            "bad print; stops fill there.",
            "info",
        )

    limit = f"{math.exp(PRINT) - 1:.0%}, {SIGMAS:.0f} σ"
    return _of_each(panel, mask, "print", limit, describe)


def find_repeats(panel: Panel) -> list[Finding]:
    """Bars that repeat the symbol's last one entirely, volume and all."""
    same = panel.traded & (panel.volume > 0)
    for values in (panel.open, panel.high, panel.low, panel.close, panel.volume):
        same &= values == previous(values)
    return _of_each(
        panel,
        same,
        "repeat",
        "none with volume",
        lambda n, rows: Outlier(
            f"{counted(len(rows), 'bar')} equal to the one before",
            "prices and volume are those of the bar before: {when}. The feed repeated itself; "
            "download these again.",
        ),
    )


def find_zero_volume(panel: Panel) -> list[Finding]:
    """Bars in which nothing traded: a warning where they are many, or many in a row."""

    def describe(n: int, rows: Rows) -> Outlier:
        own = panel.volume[panel.traded[:, n], n] == 0
        share, longest = float(own.mean()), max(b - a + 1 for a, b in runs_of(own))
        return Outlier(
            f"{counted(len(rows), 'bar')}, {share:.2%}, at most {longest} in a row",
            f"nothing traded: {{when}}. From the {ZERO_RUN}th in a row on the symbol is not "
            "eligible.",
            "warning" if share > ZERO_SHARE or longest >= ZERO_RUN else "info",
        )

    limit = f"{ZERO_SHARE:.0%}, {ZERO_RUN - 1} in a row"
    return _of_each(panel, panel.volume == 0, "zero volume", limit, describe)
