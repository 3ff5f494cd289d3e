"""Rule baselines: what anyone could have done without a model, as paths of target weights.

Each returns weights (T, N) for `simulate`: fractions of equity asked for at the close of a row,
NaN to hold. Monthly ones ask at the first row of the span, and at the first bar of every later
month. Rows outside the span are NaN. Letters: T rows of the panel, N symbols.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline.core.market.trailing import hold_over_gaps
from trading_pipeline.core.trading.engine.dtypes import month_starts

TOP_SHARE = 1 / 3  # of the eligible symbols, for momentum and reversal


class Span(NamedTuple):
    """The rows of a panel that are traded."""

    start: int
    stop: int
    bars_per_year: int


# Turns a panel and (T, N) bool, who may be bought, into weights; it looks at rows up to the one
# it asks at.
Baseline = Callable[[Panel, np.ndarray, Span], np.ndarray]


def _asked_at(panel: Panel, span: Span) -> list[int]:
    """Rows of the span at which monthly baselines ask."""
    starts = span.start + month_starts(panel.timestamps[span.start : span.stop])
    return [int(t) for t in starts]


def cash(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """Nothing, ever."""
    return _monthly(panel, span, lambda t: np.zeros(len(panel.symbols)))


def equal_weight(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """The same weight in every eligible symbol, restored monthly."""
    return _monthly(panel, span, lambda t: _shares(eligible[t]))


def inverse_volatility(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """Weights proportional to 1 / σ among the eligible symbols, restored monthly."""
    sigma = volatility(panel)
    inverse = np.where(eligible & (sigma > 0), 1 / np.where(sigma > 0, sigma, 1.0), 0.0)
    return _monthly(panel, span, lambda t: _shares(inverse[t]))


def momentum(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """Equal weight in the third that rose most from twelve months ago to one month ago.

    Source: Jegadeesh and Titman, Returns to Buying Winners and Selling Losers (1993), skipping
    the last month as is usual since Fama and French (1996).
    """
    rise = earned(panel, span.bars_per_year, span.bars_per_year // 12)
    return _monthly(panel, span, lambda t: _best(rise[t], eligible[t]))


def reversal(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """Equal weight in the third that fell most over the last month (Jegadeesh, 1990)."""
    rise = earned(panel, span.bars_per_year // 12, 0)
    return _monthly(panel, span, lambda t: _best(-rise[t], eligible[t]))


def trend(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """An equal share for every eligible symbol, held while its last twelve months were up.

    Source: Moskowitz, Ooi and Pedersen, Time Series Momentum (2012), long side only.
    """
    rising = earned(panel, span.bars_per_year, 0) > 0
    return _monthly(panel, span, lambda t: _shares(eligible[t]) * rising[t])


def buy_and_hold(panel: Panel, eligible: np.ndarray, span: Span) -> np.ndarray:
    """Equal weights at the first decision, then held; a later listing is bought when eligible.

    The newcomer gets an equal share, paid for by all others alike. Dividends are put back into
    what is held at the next first bar of a month.
    """
    price = np.nan_to_num(hold_over_gaps(panel.adjusted_close))
    weights = np.full(panel.close.shape, np.nan)
    units, paid = np.zeros(len(panel.symbols)), False  # units of adjusted price
    monthly = set(_asked_at(panel, span))
    for t in range(span.start, span.stop):
        new = eligible[t] & (units == 0)
        paid |= bool((panel.dividend[t] * units).any())
        if new.any():
            units = _make_room(units * price[t], new) / np.where(price[t] > 0, price[t], 1.0)
        if new.any() or (paid and t in monthly):
            weights[t], paid = units * price[t] / (units * price[t]).sum(), False
    return weights


# Reports name and compare these, and call them by their keys; a new one needs no other file.
RULE_BASELINES: dict[str, Baseline] = {
    "cash": cash,
    "buy_and_hold": buy_and_hold,
    "equal_weight": equal_weight,
    "inverse_volatility": inverse_volatility,
    "momentum": momentum,
    "reversal": reversal,
    "trend": trend,
}
BENCHMARK = "buy_and_hold"  # that reports lead with
# Equal weight once more, scaled to the profile's volatility target and guarded by no other rule.
# `equal_weight_managed` is at the same target, and under drawdown control, loss limits, the
# breaker and stops as well: what lies between the two is what those rules cost or save.
AT_TARGET_VOLATILITY = "equal_weight_at_target_volatility"
# What an account without a view holds where the market's entry names its weights; a rule baseline
# then, so that whoever named them is not taken for a skill.
NAMED_BENCHMARK = "market_benchmark"
# Under the volatility target and all risk rules of the strategy; cash is cash under any rule.
MANAGED = {name: f"{name}_managed" for name in RULE_BASELINES if name != "cash"}
BASELINE_NAMES = (*RULE_BASELINES, AT_TARGET_VOLATILITY, *MANAGED.values())


def _monthly(panel: Panel, span: Span, choose: Callable[[int], np.ndarray]) -> np.ndarray:
    """Weights (T, N) that `choose` gives for each monthly row, NaN between them."""
    weights = np.full(panel.close.shape, np.nan)
    for t in _asked_at(panel, span):
        weights[t] = choose(t)
    return weights


def _shares(amounts: np.ndarray) -> np.ndarray:
    """(N,) amounts >= 0 as shares of their sum; all zero if there are none."""
    total = amounts.sum()
    shares: np.ndarray = amounts / total if total > 0 else np.zeros(len(amounts))
    return shares


def _best(figure: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Equal shares (N,) for the top third by `figure`, at least one; NaN never is."""
    known = np.flatnonzero(eligible & ~np.isnan(figure))
    if not len(known):
        return np.zeros(len(figure))
    count = max(1, round(len(known) * TOP_SHARE))
    chosen = known[np.argsort(-figure[known], kind="stable")[:count]]
    return _shares(np.isin(np.arange(len(figure)), chosen).astype(float))


def earned(panel: Panel, since: int, until: int) -> np.ndarray:
    """(T, N) adjusted return from `since` rows ago to `until` rows ago; NaN without history."""
    price = hold_over_gaps(panel.adjusted_close)
    change = np.full(price.shape, np.nan)
    if since < len(price):
        change[since:] = price[since - until : len(price) - until] / price[:-since] - 1
    return change


def _make_room(values: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(N,) weights once the newcomers hold an equal share each and the others what is left."""
    share = new.sum() / (new.sum() + (values > 0).sum())
    held = _shares(values) * (1 - share)
    weights: np.ndarray = held + share * new / new.sum()
    return weights
