"""Eligibility: which symbols may be traded at a date, by what was known at that date."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import counted
from trading_pipeline.core.market.trailing import recent, trailing_sum

GAP_WINDOW = 21  # rows of the gap rule
MIN_PRESENCE = 0.8  # share of those rows that need a bar, since listing
STALE_AFTER = 5  # bars in a row without volume
RAW_PRICE_FLOOR = 1.0  # quote currency; below it a tick is a large part of the price


class Condition(NamedTuple):
    """One rule of eligibility for one symbol at one bar."""

    rule: str
    met: bool
    figure: float  # what was measured
    limit: float
    text: str  # what the two are, and which way they have to lie


class EligibilityRule(NamedTuple):
    """One rule for all symbols at all bars."""

    met: np.ndarray  # (T, N) bool
    refusal: str  # of a symbol that breaks it, after 'it', and what to do
    name: str = ""
    # At a row and a symbol: what was measured, the limit, and what they are, as of `Condition`.
    measured: Callable[[int, int], tuple[float, float, str]] = lambda t, n: (np.nan, np.nan, "")


def eligible(panel: Panel, lookback: int, window: int = 1) -> np.ndarray:
    """Point-in-time eligibility: (T, N) bool, the same when later bars are cut off.

    A symbol is eligible at a bar if it has that bar and `lookback` bars up to and with it since
    its last discontinuity, is not quarantined (`Panel.quarantined`), its raw close is at least
    1.0 (in total-return units a level means nothing), it is not stale (one of its last 5 bars has
    volume) and not gappy (bars at 80 % of the panel's last 21 timestamps, or of those since its
    listing).

    Args:
        panel: raw prices are used, never adjusted ones: an old price must not depend on splits.
        lookback: bars of history that the features need, >= 1.
        window: bars that a prediction looks at; one of them in quarantine holds the symbol out.

    Raises:
        ValueError: `lookback` or `window` is below 1.
    """
    able = panel.traded
    for rule in rules_of(panel, lookback, window):
        able &= rule.met
    return able


def rules_of(panel: Panel, lookback: int, window: int = 1) -> Iterator[EligibilityRule]:
    """What `eligible` asks of a symbol that has a bar; arguments and errors as there."""
    if (least := min(lookback, window)) < 1:
        raise ValueError(f"lookback and window must be at least 1 bar, was {least}")
    yield _history(panel, lookback)
    yield _quarantine(panel, window)
    yield _stale(panel)
    yield _gappy(panel)
    yield _price_floor(panel)


def refusals(panel: Panel, rules: Iterable[EligibilityRule], rows: slice) -> str:
    """Which rule refuses how many of the bars of some rows, the harshest first; empty if none does.

    '4 of 4 symbols (20 of 20 bars): no volume in the last 5 bars; 1 of 4 symbols (3 of ...'
    """
    traded = panel.traded[rows]
    broken = [(traded & ~rule.met[rows], rule.refusal) for rule in rules]
    counts = [(int(bars.sum()), int(bars.any(axis=0).sum()), refusal) for bars, refusal in broken]
    if not traded.any():
        return f"none of {counted(len(panel.symbols), 'symbol')} has a bar there"
    everyone = counted(len(panel.symbols), "symbol")
    parts = [
        f"{symbols:,} of {everyone} ({bars:,} of {traded.sum():,} bars): {refusal}"
        for bars, symbols, refusal in sorted(counts, key=lambda count: -count[0])
        if bars
    ]
    return "; ".join(parts)


def eligibility_at(
    panel: Panel, row: int, n: int, lookback: int, window: int = 1
) -> tuple[Condition, ...]:
    """Every rule of `eligible` for one symbol at one bar; it is eligible if all are met.

    Args:
        row, n: of the panel. The others as in `eligible`.
        window: bars that a prediction looks at; one of them in quarantine holds the symbol out.

    Raises:
        ValueError: `lookback` or `window` is below 1.
    """
    there = bool(panel.traded[row, n])
    conditions = [Condition("bar", there, float(there), 1.0, "a bar of this date")]
    for rule in rules_of(panel, lookback, window):
        figure, limit, text = rule.measured(row, n)
        met = bool(rule.met[row, n])
        conditions.append(Condition(rule.name, met, float(figure), float(limit), text))
    return tuple(conditions)


def _history(panel: Panel, lookback: int) -> EligibilityRule:
    bars = bars_so_far(panel)
    text = "bars since listing or its last break; the features need so many"
    return EligibilityRule(
        bars >= lookback,
        f"fewer than {lookback} bars since listing or the last break (give more history)",
        "history",
        lambda t, n: (bars[t, n], lookback, text),
    )


def bars_so_far(panel: Panel) -> np.ndarray:
    """(T, N) int: the symbol's bars up to each row, counted anew from every discontinuity."""
    count = np.cumsum(panel.traded, axis=0)
    before = np.where(panel.discontinuities, count - panel.traded, 0)
    since: np.ndarray = count - np.maximum.accumulate(before, axis=0)
    return since


def _quarantine(panel: Panel, window: int) -> EligibilityRule:
    held = panel.quarantined
    text = f"bars in quarantine, for too many missing or set aside, of the last {window}; at most"
    return EligibilityRule(
        ~recent(held, window),
        "in quarantine, for too many bars missing or set aside (`trading-pipeline quality` says "
        "which)",
        "quarantine",
        lambda t, n: (held[max(0, t + 1 - window) : t + 1, n].sum(), 0.0, text),
    )


def _stale(panel: Panel) -> EligibilityRule:
    busy = _busy_bars(panel)
    full = np.cumsum(panel.traded, axis=0) >= STALE_AFTER
    lively = (busy > 0) | ~full | ~panel.traded
    text = f"bars with volume among its last {STALE_AFTER}"
    return EligibilityRule(
        lively,
        f"no volume in the last {STALE_AFTER} bars (correct the column volume)",
        "stale",
        lambda t, n: (busy[t, n], not lively[t, n] or busy[t, n] > 0, text),
    )


def _busy_bars(panel: Panel) -> np.ndarray:
    """(T, N) int: how many of the symbol's last `STALE_AFTER` bars up to a row have volume."""
    busy = np.zeros(panel.close.shape, dtype=int)
    for n in range(len(panel.symbols)):
        traded = panel.traded[:, n]
        own = trailing_sum(panel.volume[traded, n] > 0, STALE_AFTER)
        busy[:, n] = np.append(0, own)[np.cumsum(traded)]  # held where it has no bar
    return busy


def _gappy(panel: Panel) -> EligibilityRule:
    """Bars at the last `GAP_WINDOW` timestamps, or at those since listing."""
    listed = np.logical_or.accumulate(panel.traded, axis=0)
    present, expected = (trailing_sum(flags, GAP_WINDOW) for flags in (panel.traded, listed))
    return EligibilityRule(
        present >= MIN_PRESENCE * expected,
        f"bars at fewer than {MIN_PRESENCE:.0%} of the last {GAP_WINDOW} dates (fill the gaps)",
        "gappy",
        lambda t, n: (
            present[t, n],
            MIN_PRESENCE * expected[t, n],
            f"bars at the last {expected[t, n]} dates; {MIN_PRESENCE:.0%} have to be there",
        ),
    )


def _price_floor(panel: Panel) -> EligibilityRule:
    floor = price_floor(panel)
    close = np.where(panel.traded, panel.close, 0.0)
    return EligibilityRule(
        close >= floor,
        f"below the floor of price ({floor:g})",
        "price_floor",
        lambda t, n: (close[t, n], floor, "raw close, quote currency"),
    )


def price_floor(panel: Panel) -> float:
    """The lowest raw close that may be traded."""
    return 0.0 if panel.total_return_units else RAW_PRICE_FLOOR
