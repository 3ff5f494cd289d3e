"""The reference decisions: scores or given weights become targets, and targets become orders."""

from functools import partial
from math import copysign, exp, inf, isnan

import numpy as np

from trading_pipeline_tests.reference.account import known
from trading_pipeline_tests.reference.orders import place
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
from trading_pipeline_tests.reference.tilt import (
    SHORT,
    Close,
    plan_of_scores,
    plan_of_weights,
)

ROUNDING = 1e-12  # of equity: no order for less


def returns_of(panel):
    """By symbol, the simple adjusted returns; 0 without a bar or a past, and at a break."""
    returns = {}
    for n, symbol in enumerate(panel.symbols):
        series, before = [], None
        for t in range(len(panel.timestamps)):
            price = float(panel.close[t, n] * panel.factor[t, n])
            there = not isnan(price)
            fresh = before is None or not there or panel.discontinuities[t, n]
            series.append(0.0 if fresh else price / before - 1)
            before = price if there else before
        returns[symbol] = series
    return returns


class Knowledge:
    """The inputs of a run by name, and the returns of its panel, one close at a time."""

    def __init__(self, panel, inputs):
        self.panel, self.inputs = panel, inputs
        self.scored = inputs.get("score") is not None
        self.returns = returns_of(panel)

    def row(self, name, t):
        """The grid of that name at one row, by symbol; None where there is none."""
        grid = self.inputs.get(name)
        if grid is None:
            return dict.fromkeys(self.panel.symbols)
        return {symbol: grid[t, n] for n, symbol in enumerate(self.panel.symbols)}

    def number(self, name, t):
        """The number of that name at one row; NaN where there is none."""
        series = self.inputs.get(name)
        return float("nan") if series is None else float(series[t])

    def close(self, t, horizon):
        """All that sizing may know at the close of row t."""
        half_life, weights = self.number("half_life", t), self.row("weights", t)
        unnamed = not self.scored or all(known(weight) is None for weight in weights.values())
        return Close(
            sigma={s: known(sigma) or 0.0 for s, sigma in self.row("volatility", t).items()},
            beta={s: 1.0 if known(b) is None else b for s, b in self.row("beta", t).items()},
            group={
                s: None if g is None or g < 0 else int(g) for s, g in self.row("groups", t).items()
            },
            benchmark=None if unnamed else weights,
            half_life=horizon if isnan(half_life) else half_life,
            returns={symbol: series[1 : t + 1] for symbol, series in self.returns.items()},
        )


def smoothed(signal, score, horizon):
    """The signal after one more score: smoothed over a fifth of the horizon."""
    return score if signal is None else signal + min(1, 2 / (horizon / 5 + 1)) * (score - signal)


class Decisions:
    """Decides at each close what to hold, and sends the orders for it."""

    def __init__(self, panel, inputs, *, shorts):
        self.panel, self.shorts = panel, shorts
        self.knowledge = Knowledge(panel, inputs)
        self.scored = self.knowledge.scored
        self.market = []
        for t in range(len(panel.timestamps)):
            there = int((~np.isnan(panel.close[t])).sum())
            total = sum(series[t] for series in self.knowledge.returns.values())
            self.market.append(total / max(there, 1))

    def decide(self, account, limits, t, closes):
        """Orders at the close of row t; `closes` of the symbols that have a bar, by symbol."""
        limits.watch_market(self.market[max(1, t + 1 - SHORT) : t + 1])
        limits.watch()
        account.bankrupt = limits.bankrupt
        equity = account.equity()
        held = {}
        for symbol, holding in account.holdings.items():
            value = holding.quantity * (holding.last or 0.0)
            held[symbol] = value / equity if holding.quantity and equity > 0 else 0.0
        if limits.profile:
            targets = self.managed(account, limits, t, held, closes)
        else:
            targets = self.given_weights(t)
        for symbol, holding in account.holdings.items():
            holding.order = None
            target = 0.0 if limits.closing() else targets[symbol]
            if target is None:
                continue
            if symbol not in closes:
                if target != held[symbol]:
                    account.outcome.vetoes.add((account.row, symbol, "no_bar"))
                continue
            if limits.closing() and holding.quantity:
                keys = {(account.row, symbol, rule) for rule in limits.closing()}
                account.outcome.vetoes |= keys
            if target == 0:
                quantity = 0.0 if holding.goes_on else -holding.quantity
            elif limits.profile and abs(target - held[symbol]) <= ROUNDING:
                continue
            else:
                quantity = target * equity / closes[symbol] - holding.quantity
            if quantity:
                self.send(account, limits, t, symbol, quantity, closes[symbol])

    def send(self, account, limits, t, symbol, quantity, price):
        """The order, as far as no rule refuses it."""
        holding = account.holdings[symbol]
        able = self.knowledge.row("eligible", t)[symbol]
        refused_by = limits.refusing() | (set() if able else {"ineligible"})
        if limits.profile and self.scored and self.shorts and holding.unscored > 0:
            refused_by |= {"no_score"}
        terms = {"sigma": known(self.knowledge.row("volatility", t)[symbol])}
        entry = limits.profile.limit_entry if limits.profile else 0.0
        rises = holding.quantity * quantity >= 0
        if entry > 0 and rises and terms["sigma"] and terms["sigma"] > 0:
            better = exp(-copysign(1, quantity) * entry * terms["sigma"])
            terms |= {"kind": "limit", "level": price * better}
        place(account, symbol, quantity, price=price, refused_by=refused_by, **terms)

    def given_weights(self, t):
        """Without a profile: the given weight, None to hold."""
        weights = self.knowledge.row("weights", t)
        return {
            symbol: None if isnan(weight) else weight if self.shorts else max(weight, 0.0)
            for symbol, weight in weights.items()
        }

    def managed(self, account, limits, t, held, closes):
        """Targets under the profile, None to leave a symbol; what is refused is written down."""
        profile, horizon, years = limits.profile, account.horizon, account.bars_per_year
        close = self.knowledge.close(t, horizon)
        signals, able = self.take_news(account, t, close, closes)
        terms = {"long_only": not self.shorts, "bars_per_year": years}
        if self.scored:
            share = self.knowledge.number("kelly", t)
            share = profile.starting_cap if isnan(share) else share
            plan = plan_of_scores(
                signals,
                able,
                close,
                profile,
                share,
                account.costs.leverage,
                horizon=horizon,
                **terms,
            )
        else:
            plan = plan_of_weights(signals, able, close, profile, **terms)
        exposure = self.exposure(plan, close, profile, account.costs.leverage, years)
        exposure *= limits.share()
        if limits.closing():
            asked = {symbol for symbol, weight in plan.invested.items() if weight}
            rules = limits.closing()
            account.outcome.vetoes |= {(account.row, s, rule) for s in asked for rule in rules}
        movable = {s: held[s] for s in able if s in closes}
        stuck = sum(weight for s, weight in held.items() if s not in closes)
        cost, gamma = (
            account.costs.fee + account.costs.slippage,
            aversion(plan, close, horizon, years),
        )
        theta, drag = fading(close.half_life, horizon), market_aversion(profile)

        def widths_of(weights):
            sigma, widths = close.sigma, {}
            for s, weight in weights.items():
                tilting_ = tilting(theta, plan.spread, exposure, gamma, sigma[s])
                causes = [drifting(weight, drag, sigma[s]), tilting_]
                widths[s] = half_width(profile.band, cost, *causes)
            return widths

        terms = {"exposure": exposure, "band": profile.band, "cost": cost, "gamma": drag}
        most = min(profile.gross_cap, account.costs.leverage)
        settle = partial(settle_long_only, stuck=stuck)
        if self.shorts:
            settle = partial(settle_neutral, most_gross=most)
        placed = settle(plan, movable, widths_of, **terms)
        left = {s: None if s in able or s not in closes else 0.0 for s in account.holdings}
        return left | placed

    def take_news(self, account, t, close, closes):
        """Signals in force of those who may be held, and those; refusals are written down."""
        news = self.knowledge.row("score" if self.scored else "weights", t)
        eligible, signals, able = self.knowledge.row("eligible", t), {}, []
        for symbol, holding in account.holdings.items():
            if isnan(news[symbol]):
                holding.unscored += 1
            else:
                holding.unscored = 0
                new = float(news[symbol])
                holding.signal = (
                    smoothed(holding.signal, new, account.horizon) if self.scored else new
                )
            veto = self.veto(holding, eligible[symbol] and close.sigma[symbol] > 0)
            late = self.scored and holding.unscored >= account.horizon
            if veto is None:
                able.append(symbol)
                if holding.signal is not None and not late:
                    signals[symbol] = holding.signal
                elif holding.signal is not None and self.shorts:
                    veto = "no_score"
            asked = holding.signal if not self.scored else holding.signal is not None
            told = asked or (holding.quantity and veto in ("ineligible", "cooling_off"))
            if veto and told and symbol in closes:
                account.outcome.vetoes.add((account.row, symbol, veto))
        return signals, able

    def veto(self, holding, sound):
        """Why a symbol may not be held, if so; a stop blocks it until its signal turns."""
        blocked = holding.cooling > 0
        if blocked and (holding.signal or 0.0) * holding.cooling_side < 0:
            holding.cooling, blocked = 0, False
        if blocked:
            holding.cooling -= 1
        return None if sound and not blocked else "cooling_off" if sound else "ineligible"

    def exposure(self, plan, close, profile, leverage, bars_per_year):
        """E before the drawdown control: the volatility target's, or the limit if that is less."""
        gross = sum(abs(weight) for weight in plan.invested.values())
        net = abs(sum(plan.invested.values()))
        if gross == 0:
            return 0.0
        limit = min(profile.gross_cap, leverage) / gross
        if net > 0:
            limit = min(limit, profile.net_cap / net)
        if self.scored and self.shorts:
            return min(limit, 1.0)
        if profile.volatility_target == inf:
            return limit if self.scored else min(limit, 1.0)
        target = profile.volatility_target / bars_per_year**0.5
        lately = close.deviation(plan.invested, SHORT)
        return min(limit, target / lately if lately > 0 else inf)
