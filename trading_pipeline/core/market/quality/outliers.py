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
    finding,
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
SPLIT_SIZES, NEAR_SPLIT = np.log([2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50]), 0.03
# A high or low that nothing near it reaches. The flash crash of 2010 shows 40 %, at 35 σ.
PRINT = math.log(1.25)
FEW_SYMBOLS = 5  # below, the median symbol is not the market
ZERO_SHARE, ZERO_RUN = 0.05, 5  # of a symbol's bars; in a row, from which it is not tradable


class Rule(NamedTuple):
    """One kind of outlier, and what is said of it."""

    kind: str
    limit: str
    text: str  # `{when}` stands for the stamps of the bars
    severity: Severity = "warning"


SPIKES = Rule(
    "spike",
    f"{math.exp(SPIKE) - 1:.0%}, {SPIKE_SIGMAS:.0f} σ",
    "a move that the next bar takes back: {when}. Compare with another source; a bad tick trips "
    "stops and indicators.",
)
SPLITS = Rule(
    "split",
    f"a whole-number ratio, {JUMP_SIGMAS:.0f} σ",
    "looks like a split that the corporate actions lack: {when}. Add it, or use adjusted prices. "
    "If they have it, the prices are adjusted already.",
)
JUMPS = Rule(
    "jump",
    f"threefold, {JUMP_SIGMAS:.0f} σ",
    "no corporate action explains it: {when}. Compare with another source; if it is a split, add "
    "it to the corporate actions.",
)
PRINTS = Rule(
    "print",
    f"{math.exp(PRINT) - 1:.0%}, {SIGMAS:.0f} σ",
    "a high or low far from open, close and the close before: {when}. A flash crash or a bad "
    "print; stops fill there.",
    "info",
)
REPEATS = Rule(
    "repeat",
    "none with volume",
    "prices and volume are those of the bar before: {when}. The feed repeated itself; download "
    "these again.",
)
ZERO_VOLUME = Rule(
    "zero volume",
    f"{ZERO_SHARE:.0%}, {ZERO_RUN - 1} in a row",
    f"nothing traded: {{when}}. From the {ZERO_RUN}th in a row on the symbol is not eligible.",
    "info",
)


def find_jumps(panel: Panel) -> list[Finding]:
    """Jumps, spikes, splits that nobody announced, and prints far from everything."""
    close, traded = panel.adjusted_close, panel.traded
    night = nights(panel.timestamps, panel.adjusted_open, close, panel.adjusted_volume)
    change, sigma = own_returns(close), night.sigma
    excess = change - _market(change)[:, None]
    # A symbol's first bars have no σ to measure by; around a discontinuity everything jumps.
    settled = (np.cumsum(traded, axis=0) > 5) & ~_around(panel.discontinuities)
    known = np.isfinite(change) & settled
    size = np.minimum(np.abs(change), np.abs(excess))
    spiked = known & (size >= SPIKE) & (size >= SPIKE_SIGMAS * sigma) & _undone(change)
    split = known & _like_split(night) & ~spiked
    jumped = known & (size >= JUMP) & (size >= JUMP_SIGMAS * sigma) & ~spiked & ~split
    away = _away(panel)
    printed = known & (np.abs(away) >= PRINT) & (np.abs(away) >= SIGMAS * sigma)

    def on_day(move: float, t: int) -> str:
        return f"{_percent(move)} on {written(panel.timestamps[t])}"

    def opening(t: int, n: int) -> str:
        return f"opens at {times(night.jump[t, n])} the last close"

    def jump(t: int, n: int) -> str:
        return f"{on_day(change[t, n], t)}, {abs(change[t, n]) / sigma[t, n]:.0f} σ"

    return [
        *_largest(panel, SPIKES, spiked, change, lambda t, n: f"{_percent(change[t, n])} and back"),
        *_largest(panel, SPLITS, split, night.jump, opening),
        *_largest(panel, JUMPS, jumped, change, jump),
        *_largest(panel, PRINTS, printed, away, lambda t, n: on_day(away[t, n], t)),
    ]


def _percent(move: float) -> str:
    """A log return as '+12%'."""
    return f"{math.expm1(move):+,.0%}"


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
    nearest = SPLIT_SIZES[np.abs(size[..., None] - SPLIT_SIZES).argmin(axis=-1)]
    near = np.abs(size - nearest) <= NEAR_SPLIT
    found: Mask = near & (size >= JUMP_SIGMAS * night.sigma)
    return found


def _away(panel: Panel) -> Array:
    """(T, N) how far the high (> 0) or low (< 0) is from open, close and last close; log ratio."""
    close, open_, before = panel.adjusted_close, panel.adjusted_open, previous(panel.adjusted_close)
    top, bottom = (op(op(close, open_), before) for op in (np.fmax, np.fmin))
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below = np.log(panel.adjusted_high / top), np.log(bottom / panel.adjusted_low)
    away: Array = np.where(above == np.fmax(above, below), above, -below)
    return away


def _largest(
    panel: Panel, rule: Rule, mask: Mask, size: Array, figure: Callable[[int, int], str]
) -> list[Finding]:
    """`_of_each`, with the figure of a symbol's bar of largest `size` (T, N), either way."""

    def describe(n: int, rows: Rows) -> tuple[str, Severity]:
        return figure(int(rows[np.abs(size[rows, n]).argmax()]), n), rule.severity

    return _of_each(panel, rule, mask, describe)


def _of_each(
    panel: Panel, rule: Rule, mask: Mask, describe: Callable[[int, Rows], tuple[str, Severity]]
) -> list[Finding]:
    """One finding for each symbol that the mask (T, N) marks; `describe` sees its rows.

    Dates on which most of many symbols are marked are one finding: the fault is the feed's.
    """

    def of_symbol(n: int, mask: Mask) -> Finding:
        rows = np.flatnonzero(mask[:, n])
        stamps, (figure, severity) = panel.timestamps[rows], describe(n, rows)
        text, said = rule.text.format(when=when(stamps)), {"figure": figure, "limit": rule.limit}
        return finding(rule.kind, severity, text, stamps, symbol=panel.symbols[n], **said)

    marked = mask.sum(axis=1)
    common = (marked > MANY) & (marked * 2 > panel.traded.sum(axis=1))
    shared, own = mask & common[:, None], mask & ~common[:, None]
    found = [of_symbol(int(n), own) for n in np.flatnonzero(own.any(axis=0))]
    if not common.any():
        return found
    example = of_symbol(int(shared.sum(axis=0).argmax()), shared)
    who = [panel.symbols[n] for n in np.flatnonzero(shared.any(axis=0))]
    together, stamps = of_many(example, who, int(shared.sum())), panel.timestamps[common]
    return [replace(together, first=stamps[0], last=stamps[-1]), *found]


def find_repeats(panel: Panel) -> list[Finding]:
    """Bars that repeat the symbol's last one entirely, volume and all."""
    same = panel.traded & (panel.volume > 0)
    for values in (panel.open, panel.high, panel.low, panel.close, panel.volume):
        same &= values == previous(values)

    def describe(n: int, rows: Rows) -> tuple[str, Severity]:
        return f"{counted(len(rows), 'bar')} equal to the one before", REPEATS.severity

    return _of_each(panel, REPEATS, same, describe)


def find_zero_volume(panel: Panel) -> list[Finding]:
    """Bars in which nothing traded: a warning where they are many, or many in a row."""

    def describe(n: int, rows: Rows) -> tuple[str, Severity]:
        own = panel.volume[panel.traded[:, n], n] == 0
        share, longest = float(own.mean()), max(b - a + 1 for a, b in runs_of(own))
        figure = f"{counted(len(rows), 'bar')}, {share:.2%}, at most {longest} in a row"
        many = share > ZERO_SHARE or longest >= ZERO_RUN
        return figure, "warning" if many else ZERO_VOLUME.severity

    return _of_each(panel, ZERO_VOLUME, panel.volume == 0, describe)
