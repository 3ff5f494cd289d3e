"""The reference evidence: the shadow book's active returns, and the share k they allow.

The book of the predictions trades at each next open at the full tracking error, without stops,
limits or drawdown control. Its benchmark is the same book without predictions; that of a neutral
book is cash.
"""

from dataclasses import dataclass, field
from math import isnan, nan, sqrt
from statistics import fmean

from trading_pipeline_tests.reference.decisions import Knowledge, smoothed
from trading_pipeline_tests.reference.regions import (
    aversion,
    balance,
    fading,
    half_width,
    moves,
    place,
    scaled,
)
from trading_pipeline_tests.reference.tilt import plan_of_scores

DAYS, SYMBOLS = 250, 20  # of evidence, and eligible ones


@dataclass
class Shadow:
    """One fully invested book that follows its signals, or none."""

    terms: object  # costs, profile, horizon, bars_per_year, long_only
    weights: dict = field(default_factory=dict)
    signals: dict = field(default_factory=dict)
    unscored: dict = field(default_factory=dict)
    tilted: bool = False

    def hear(self, scores):
        """Take in the scores of one close, by symbol."""
        for symbol, score in scores.items():
            self.unscored[symbol] = self.unscored.get(symbol, 0) + 1
            if not isnan(score):
                before = self.signals.get(symbol)
                self.signals[symbol] = smoothed(before, float(score), self.terms.horizon)
                self.unscored[symbol] = 0

    def trade(self, close, able):
        """Go to the new weights; the cost of it as a fraction of equity."""
        terms, costs = self.terms, self.terms.costs
        late = terms.horizon
        signals = {
            s: self.signals[s] for s in able if s in self.signals and self.unscored[s] < late
        }
        years = {"bars_per_year": terms.bars_per_year}
        shape = {"long_only": terms.long_only, "horizon": terms.horizon} | years
        plan = plan_of_scores(signals, able, close, terms.profile, 1.0, **shape)
        gamma = aversion(plan, close, terms.horizon, terms.bars_per_year)
        theta, cost = fading(close.half_life, terms.horizon), costs.fee + costs.slippage
        held = {s: self.weights.get(s, 0.0) for s in able}
        total = sum(held.values())
        if terms.long_only and total > 0:
            held = scaled(held, 1 / total)
        widths = {}
        for s, weight in held.items():
            moved = moves(theta, plan.spread, weight, close.sigma[s])
            widths[s] = half_width(terms.profile.band, cost, gamma, close.sigma[s], moved)
        if not terms.long_only:
            new = {s: place(held[s], plan.invested[s], widths[s]) for s in able}
        elif able:
            new = balance(held, plan.aims, widths, plan.shares, plan.caps, 1.0)
        else:
            new = {}
        changed = {s: new.get(s, 0.0) - self.weights.get(s, 0.0) for s in new | self.weights}
        self.weights, self.tilted = new, plan.ratio > 0
        return cost * sum(abs(change) for change in changed.values())

    def earn(self, returns, cost):
        """The return of one period after the cost of entering it; the weights drift with it."""
        earned = sum(weight * returns[s] for s, weight in self.weights.items())
        self.weights = {s: w * (1 + returns[s]) / (1 + earned) for s, w in self.weights.items()}
        return earned - cost


def price_to_trade_at(panel):
    """(T, N) nested lists of adjusted opens; the last close where there is none, or None."""
    prices, last = [], {}
    for t in range(len(panel.timestamps)):
        row = {}
        for n, symbol in enumerate(panel.symbols):
            factor = panel.factor[t, n]
            row[symbol] = last.get(symbol)
            if not isnan(panel.close[t, n]):
                row[symbol] = float(panel.open[t, n] * factor)
                last[symbol] = float(panel.close[t, n] * factor)
        prices.append(row)
    return prices


def active_returns(panel, inputs, terms):
    """By row of the decision, what the book earned beyond its benchmark from the next open on.

    Returns:
        From one open to the next, of the rows from the first tilt on, by row.
    """
    knowledge, prices = Knowledge(panel, inputs), price_to_trade_at(panel)
    book, plain = Shadow(terms), Shadow(terms)
    active = {}
    for t in range(len(panel.timestamps) - 2):
        close, eligible = knowledge.close(t, terms.horizon), knowledge.row("eligible", t)
        able = [s for s in panel.symbols if eligible[s] and close.sigma[s] > 0]
        book.hear(knowledge.row("score", t))
        returns = {}
        for n, symbol in enumerate(panel.symbols):
            start, end = prices[t + 1][symbol], prices[t + 2][symbol]
            broken = start is None or panel.discontinuities[t + 2, n]
            returns[symbol] = 0.0 if broken else end / start - 1
        earned = book.earn(returns, book.trade(close, able))
        if terms.long_only:
            earned -= plain.earn(returns, plain.trade(close, able))
        if active or book.tilted:
            active[t] = earned
    return active


def share_of(active, horizon, profile):
    """k, of the full tracking error, that these active returns allow."""
    mean = fmean(active)
    spread = sum((earned - mean) ** 2 for earned in active) / (len(active) - 1)
    error = newey_west(active, horizon)
    sure = 1.0 if error == 0 else (mean / error) ** 2 / (1 + (mean / error) ** 2)
    kelly = profile.kelly_fraction * mean * sure / spread if spread > 0 else 0.0
    return min(max(kelly, profile.kelly_floor), 1.0)


def newey_west(series, lags):
    """The standard error of the mean of a series whose members are correlated over some lags."""
    count, mean = len(series), fmean(series)
    rest = [number - mean for number in series]
    total = sum(r * r for r in rest)
    for lag in range(1, min(lags, count - 1) + 1):
        together = sum(a * b for a, b in zip(rest[lag:], rest[:-lag], strict=True))
        total += 2 * (1 - lag / (lags + 1)) * together
    return sqrt(max(total, 0.0)) / count


def shares(panel, inputs, terms):
    """(T,) k at each close, from what was earned until then; NaN for too little evidence."""
    active = active_returns(panel, inputs, terms)
    eligible, out = Knowledge(panel, inputs), []
    for t in range(len(panel.timestamps)):
        rows = [row for row in active if row + 2 <= t]
        days = {panel.timestamps[row].date() for row in rows}
        count = sum(bool(able) for able in eligible.row("eligible", t).values())
        enough = len(days) >= DAYS and count >= SYMBOLS
        earned = [active[row] for row in rows]
        out.append(share_of(earned, terms.horizon, terms.profile) if enough else nan)
    return out
