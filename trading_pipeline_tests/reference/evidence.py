"""The reference evidence: the shadow book's active returns, and the share k they allow.

The book of the predictions trades at each next open at the full tracking error, without stops,
limits or drawdown control, and is marked at each close. Its benchmark is the same book without
predictions; that of a neutral book is cash.
"""

from dataclasses import dataclass, field
from functools import partial
from math import isnan, nan, sqrt
from statistics import fmean

from trading_pipeline_tests.reference.decisions import Knowledge, smoothed
from trading_pipeline_tests.reference.regions import (
    aversion,
    drifting,
    fading,
    half_width,
    market_aversion,
    settle_long_only,
    settle_neutral,
    tilting,
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
    wanted: dict = field(default_factory=dict)

    def hear(self, scores):
        """Take in the scores of one close, by symbol."""
        for symbol, score in scores.items():
            self.unscored[symbol] = self.unscored.get(symbol, 0) + 1
            if not isnan(score):
                before = self.signals.get(symbol)
                self.signals[symbol] = smoothed(before, float(score), self.terms.horizon)
                self.unscored[symbol] = 0

    def plan_trade(self, close, able, closes):
        """Choose the weights to go to at the next open, of symbols with a bar now."""
        terms, costs = self.terms, self.terms.costs
        late = terms.horizon
        signals = {
            s: self.signals[s] for s in able if s in self.signals and self.unscored[s] < late
        }
        years = {"bars_per_year": terms.bars_per_year}
        shape = {"long_only": terms.long_only, "horizon": terms.horizon} | years
        leverage = 1.0 if terms.long_only else costs.leverage
        plan = plan_of_scores(signals, able, close, terms.profile, 1.0, leverage, **shape)
        gamma = aversion(plan, close, terms.horizon, terms.bars_per_year)
        drag = 0.3 / 0.2 if terms.long_only else market_aversion(terms.profile)
        theta, cost = fading(close.half_life, terms.horizon), costs.fee + costs.slippage
        held = {s: self.weights.get(s, 0.0) for s in able}

        def widths_of(weights):
            widths = {}
            for s, weight in weights.items():
                tilting_ = tilting(theta, plan.spread, 1.0, gamma, close.sigma[s])
                causes = [drifting(weight, drag, close.sigma[s]), tilting_]
                widths[s] = half_width(terms.profile.band, cost, *causes)
            return widths

        stuck = sum(weight for s, weight in self.weights.items() if s not in closes)
        terms_ = {"exposure": 1.0, "band": terms.profile.band, "cost": cost, "gamma": drag}
        settle = partial(settle_long_only, stuck=stuck) if terms.long_only else settle_neutral
        new = settle(plan, held, widths_of, **terms_)
        kept = {s: weight for s, weight in self.weights.items() if s not in closes}
        self.wanted = kept | new

    def live(self, night, day, closes):
        """The return of one bar: the old weights through the night, the new ones by day."""
        slept = sum(weight * night[s] for s, weight in self.weights.items())
        drifted = {s: w * (1 + night[s]) / (1 + slept) for s, w in self.weights.items()}
        went = {s: self.wanted.get(s, 0.0) for s in closes}
        new = {s: w for s, w in (drifted | went).items() if w}
        traded = sum(abs(new.get(s, 0.0) - drifted.get(s, 0.0)) for s in new | drifted)
        worked = sum(weight * day[s] for s, weight in new.items())
        self.weights = {s: w * (1 + day[s]) / (1 + worked) for s, w in new.items()}
        costs = self.terms.costs
        return (1 + slept) * (1 + worked) - 1 - (costs.fee + costs.slippage) * traded


def moves_of(panel, knowledge, t):
    """Of the night before bar t and of its day, by symbol: simple returns; 0 without a bar."""
    night, day = {}, {}
    for n, symbol in enumerate(panel.symbols):
        there = not isnan(panel.close[t, n])
        day[symbol] = float(panel.close[t, n] / panel.open[t, n]) - 1 if there else 0.0
        night[symbol] = (1 + knowledge.returns[symbol][t]) / (1 + day[symbol]) - 1
    return night, day


def active_returns(panel, inputs, terms):
    """By row, what the book earned in that bar beyond its benchmark; from the first score on."""
    knowledge = Knowledge(panel, inputs)
    book, plain = Shadow(terms), Shadow(terms)
    active, started = {}, False
    for t in range(len(panel.timestamps)):
        scores = knowledge.row("score", t)
        closes = {s for n, s in enumerate(panel.symbols) if not isnan(panel.close[t, n])}
        if started:
            night, day = moves_of(panel, knowledge, t)
            active[t] = book.live(night, day, closes)
            if terms.long_only:
                active[t] -= plain.live(night, day, closes)
        started = started or any(not isnan(score) for score in scores.values())
        if started:
            close, eligible = knowledge.close(t, terms.horizon), knowledge.row("eligible", t)
            able = [s for s in panel.symbols if eligible[s] and close.sigma[s] > 0]
            book.hear(scores)
            for each in (book, plain):
                each.plan_trade(close, [s for s in able if s in closes], closes)
    return active


def share_of(active, horizon, profile):
    """k, of the full tracking error, that these active returns allow."""
    mean = fmean(active)
    spread = sum((earned - mean) ** 2 for earned in active) / len(active)
    error = max(newey_west(active, horizon), sqrt(spread / len(active)))
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
        rows = [row for row in active if row <= t]
        days = {panel.timestamps[row].date() for row in rows}
        count = sum(bool(able) for able in eligible.row("eligible", t).values())
        enough = len(days) >= DAYS and count >= SYMBOLS
        earned = [active[row] for row in rows]
        out.append(share_of(earned, terms.horizon, terms.profile) if enough else nan)
    return out
