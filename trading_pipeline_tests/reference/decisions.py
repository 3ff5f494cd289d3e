"""The reference decisions: scores or given weights become targets, and targets become orders."""

from math import copysign, exp, inf, isnan, sqrt
from statistics import stdev

import numpy as np

from trading_pipeline_tests.reference.account import known
from trading_pipeline_tests.reference.orders import place

WINDOW = 63


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


class Decisions:
    """Decides at each close what to hold, and sends the orders for it."""

    def __init__(self, panel, inputs, *, shorts, neutral):
        self.panel, self.inputs, self.shorts, self.neutral = panel, inputs, shorts, neutral
        self.bars_per_year = 0
        self.scored = inputs.get("score") is not None
        self.returns = returns_of(panel)
        self.market = []
        for t in range(len(panel.timestamps)):
            there = int((~np.isnan(panel.close[t])).sum())
            total = sum(series[t] for series in self.returns.values())
            self.market.append(total / max(there, 1))

    def inputs_at(self, name, t):
        """The grid of that name at one row, by symbol; None where there is none."""
        grid = self.inputs.get(name)
        if grid is None:
            return dict.fromkeys(self.panel.symbols)
        return {symbol: grid[t, n] for n, symbol in enumerate(self.panel.symbols)}

    def decide(self, account, limits, t, closes):
        """Orders at the close of row t; `closes` of the symbols that have a bar, by symbol."""
        self.bars_per_year = account.bars_per_year
        first = max(1, t + 1 - WINDOW)
        limits.watch_market(self.market[first : t + 1])
        limits.watch()
        account.bankrupt = limits.bankrupt
        equity = account.equity()
        held = {}
        for symbol, holding in account.holdings.items():
            value = holding.quantity * (holding.last or 0.0)
            held[symbol] = value / equity if holding.quantity and equity > 0 else 0.0
        if limits.profile:
            targets = self.managed(account, limits, t, first)
            count = sum(bool(able) for able in self.inputs_at("eligible", t).values())
        else:
            targets, count = self.given_weights(t), 0
        sigmas, eligible = self.inputs_at("volatility", t), self.inputs_at("eligible", t)
        for symbol, holding in account.holdings.items():
            holding.order = None
            target = 0.0 if limits.closing() else targets[symbol]
            if target is None:
                continue
            if limits.closing() and holding.quantity and symbol in closes:
                keys = {(account.row, symbol, rule) for rule in limits.closing()}
                account.outcome.vetoes |= keys
            if symbol not in closes:
                if target != held[symbol]:
                    account.outcome.vetoes.add((account.row, symbol, "no_bar"))
                continue
            if target == 0:
                quantity = 0.0 if holding.goes_on else -holding.quantity
            elif limits.profile and self.near(limits.profile, target, held[symbol], count):
                continue
            else:
                quantity = target * equity / closes[symbol] - holding.quantity
            if quantity == 0:
                continue
            refused_by = limits.refusing() | (set() if eligible[symbol] else {"ineligible"})
            if limits.profile and self.scored and holding.unscored > 0:
                refused_by |= {"no_score"}
            terms = {"sigma": known(sigmas[symbol])}
            entry = limits.profile.limit_entry if limits.profile else 0.0
            rises = holding.quantity * quantity >= 0
            if entry > 0 and rises and terms["sigma"] and terms["sigma"] > 0:
                better = exp(-copysign(1, quantity) * entry * terms["sigma"])
                terms |= {"kind": "limit", "level": closes[symbol] * better}
            place(account, symbol, quantity, price=closes[symbol], refused_by=refused_by, **terms)

    def given_weights(self, t):
        """Without a profile: the given weight, None to hold."""
        weights = self.inputs_at("weights", t)
        return {
            symbol: None if isnan(weight) else weight if self.shorts else max(weight, 0.0)
            for symbol, weight in weights.items()
        }

    def near(self, profile, target, held, count):
        """Too close to the target to be worth a trade."""
        floor = min(profile.band_floor, profile.band * profile.gross_cap / max(count, 1))
        return abs(target - held) <= max(profile.band * abs(target), floor)

    def managed(self, account, limits, t, first):
        """Targets under the profile; vetoes of raw targets are written down."""
        profile, targets = limits.profile, {}
        volatility, eligible = self.inputs_at("volatility", t), self.inputs_at("eligible", t)
        news = self.inputs_at("score" if self.scored else "weights", t)
        for symbol, holding in account.holdings.items():
            self.take_signal(profile, holding, news[symbol])
            sigma = known(volatility[symbol])
            target, veto = self.raw_target(account, holding, sigma, eligible[symbol])
            targets[symbol] = target
            if veto:
                account.outcome.vetoes.add((account.row, symbol, veto))
        wanted = [symbol for symbol, target in targets.items() if target]
        if self.neutral and self.scored and wanted:
            mean = sum(targets[symbol] for symbol in wanted) / len(wanted)
            for symbol in wanted:
                targets[symbol] -= mean
        self.to_volatility(profile, targets, volatility, first, t)
        count = sum(bool(able) for able in eligible.values())
        cap = max(profile.symbol_cap, 1.5 * profile.gross_cap / max(count, 1))
        targets = {s: max(min(target, cap), -cap) for s, target in targets.items()}
        self.cap_groups(profile, targets, eligible, t)
        kelly = self.inputs.get("kelly")
        evidence = float("nan") if kelly is None else kelly[t]
        if isnan(evidence):
            evidence = profile.starting_cap * profile.gross_cap
        gross = sum(abs(target) for target in targets.values())
        cap = min(profile.gross_cap, evidence, account.costs.leverage)
        if gross > cap:
            targets = {s: target * cap / gross for s, target in targets.items()}
        self.cap_net(profile, targets)
        size = 0.0 if limits.bankrupt else limits.size
        if size == 0:
            asked = {symbol for symbol, target in targets.items() if target}
            rules = limits.closing()
            account.outcome.vetoes |= {(account.row, s, rule) for s in asked for rule in rules}
        return {symbol: target * size for symbol, target in targets.items()}

    def take_signal(self, profile, holding, news):
        """Smooth a new score, take a new weight as it is; nothing new leaves the last."""
        if isnan(news):
            holding.unscored += 1
            return
        holding.unscored = 0
        if self.scored and holding.signal is not None:
            holding.signal += 2 / (profile.span + 1) * (news - holding.signal)
        else:
            holding.signal = float(news)

    def raw_target(self, account, holding, sigma, eligible):
        """What one symbol would have by itself, before any scale, and the rule against it."""
        blocked = holding.cooling > 0
        if blocked and (holding.signal or 0.0) * holding.cooling_side < 0:
            holding.cooling, blocked = 0, False
        if blocked:
            holding.cooling -= 1
        if not holding.signal:
            return 0.0, None
        if holding.signal < 0 and not self.shorts:
            return 0.0, None
        if self.scored and holding.unscored >= account.horizon:
            return 0.0, "no_score"
        if not eligible or (self.scored and not (sigma and sigma > 0)):
            return 0.0, "ineligible"
        if blocked:
            return 0.0, "cooling_off"
        return (holding.signal / sigma if self.scored else holding.signal), None

    def to_volatility(self, profile, targets, volatility, first, t):
        """Scale all targets so that the portfolio had that deviation over the last 63 bars."""
        gross = sum(abs(target) for target in targets.values())
        if gross == 0:
            return
        if profile.volatility_target == inf:
            if not self.scored:
                return
            factor = profile.gross_cap / gross
        else:
            per_bar = profile.volatility_target / sqrt(self.bars_per_year)
            moved = self.portfolio_volatility(targets, volatility, first, t)
            factor = per_bar / moved if moved > 1e-9 * gross else profile.gross_cap / gross
        for symbol in targets:
            targets[symbol] *= factor

    def portfolio_volatility(self, targets, volatility, first, t):
        """Deviation a bar of the targets; the sum of their own where the window is not full."""
        rows = range(first, t + 1)
        if len(rows) < WINDOW:  # as if all moved together
            sigmas = {symbol: known(sigma) or 0.0 for symbol, sigma in volatility.items()}
            return sum(abs(target) * sigmas[symbol] for symbol, target in targets.items())
        earned = [sum(w * self.returns[s][row] for s, w in targets.items()) for row in rows]
        return stdev(earned)

    def cap_groups(self, profile, targets, eligible, t):
        """Each group to its share of the gross cap, or to 1.5 times an equal one."""
        groups = self.inputs_at("groups", t)
        if profile.group_cap == inf:
            return
        of = {s: None if g is None or g < 0 else int(g) for s, g in groups.items()}
        members = {}
        for symbol, group in of.items():
            if group is not None:
                members.setdefault(group, []).append(symbol)
        count = sum(bool(eligible[s]) for s, group in of.items() if group is None)
        count += sum(any(eligible[s] for s in symbols) for symbols in members.values())
        cap = max(profile.group_cap, 1.5 / max(count, 1)) * profile.gross_cap
        for symbols in members.values():
            gross = sum(abs(targets[s]) for s in symbols)
            for symbol in symbols if gross > cap else ():
                targets[symbol] *= cap / gross

    def cap_net(self, profile, targets):
        """Scale down the heavier side until both differ by the net cap."""
        longs = sum(target for target in targets.values() if target > 0)
        shorts = -sum(target for target in targets.values() if target < 0)
        if longs - shorts > profile.net_cap:
            factor, side = (shorts + profile.net_cap) / longs, 1
        elif shorts - longs > profile.net_cap:
            factor, side = (longs + profile.net_cap) / shorts, -1
        else:
            return
        for symbol, target in targets.items():
            if target * side > 0:
                targets[symbol] *= factor
