"""The reference tilt: from signals to what is held at an exposure of 1 (steps 3 to 6).

Plain Python, written from `docs/trading.md` and sharing no code with the engine. What is said of
symbols is a dictionary by symbol.
"""

from dataclasses import dataclass
from math import inf, isnan, sqrt
from statistics import fmean

SHORT, LONG = 63, 252  # bars
ENOUGH = 8  # symbols for a regression across them
NOTHING = 1e-9  # what rounding leaves of one


@dataclass
class Close:
    """What is known at one close, by symbol."""

    sigma: dict  # deviation a bar; 0 for none
    beta: dict
    group: dict  # None: of none
    benchmark: dict  # weights given; None: equal ones
    half_life: float  # of the scores, in bars
    returns: dict  # simple returns of all bars so far

    def deviation(self, weights, bars):
        """A bar's, of these weights over the last bars; of too few, as if all moved together."""
        past = min((len(self.returns[symbol]) for symbol in weights), default=0)
        if past < SHORT:
            return sum(abs(weight) * self.sigma[symbol] for symbol, weight in weights.items())
        window = range(past - min(bars, past), past)
        moves = [sum(w * self.returns[s][row] for s, w in weights.items()) for row in window]
        mean = fmean(moves)
        return sqrt(sum((move - mean) ** 2 for move in moves) / (len(moves) - 1))


@dataclass
class Plan:
    """What an account of exposure 1 holds, and what it takes to place it."""

    aims: dict  # u: before any limit
    invested: dict  # v
    caps: dict  # on v
    shares: dict  # q: how the symbols pay for each other
    ratio: float  # information ratio a bar that the unit tilt expects
    tracking: float  # tracking error a bar that the whole tilt would have
    spread: float  # root mean square of aσ


def residual(values, regressors):
    """The part of the values that no sum of the regressors explains."""
    basis = []
    for regressor in regressors:
        rest = project(project(regressor, basis), basis)
        size = sqrt(sum(r * r for r in rest))
        if size > NOTHING * sqrt(sum(r * r for r in regressor)):
            basis.append([r / size for r in rest])
    return project(project(values, basis), basis)


def project(values, basis):
    """The values less their parts along an orthonormal basis."""
    for direction in basis:
        along = sum(v * d for v, d in zip(values, direction, strict=True))
        values = [v - along * d for v, d in zip(values, direction, strict=True)]
    return list(values)


def unit_tilt(signals, close, *, long_only):
    """x and a = x/σ of the symbols that have a signal; both empty where there is none."""
    symbols = list(signals)
    if len(symbols) < 2:
        return {}, {}
    regressors = [[1.0] * len(symbols)]
    if len(symbols) >= ENOUGH:
        regressors.append([close.beta[s] / close.sigma[s] for s in symbols])
        if long_only:
            regressors.append([1 / close.sigma[s] for s in symbols])
    x = residual(list(signals.values()), regressors)
    if sqrt(sum(v * v for v in x)) <= NOTHING * sqrt(sum(v * v for v in signals.values())):
        return {}, {}  # all signals say the same
    x = dict(zip(symbols, x, strict=True))
    return x, {s: x[s] / close.sigma[s] for s in symbols}


def tracking_error(profile, close, tilt, leverage, *, long_only, bars_per_year):
    """A bar's, that the tilt is scaled to; a neutral account has its volatility target for it."""
    if long_only:
        return profile.tracking_error / sqrt(bars_per_year)
    target = profile.volatility_target / sqrt(bars_per_year)
    gross, moved = sum(abs(a) for a in tilt.values()), close.deviation(tilt, LONG)
    if moved <= NOTHING * gross or gross == 0:
        return target if target < inf else profile.gross_cap
    return min(target, moved * min(profile.gross_cap, leverage) / gross)


def cap_groups(tilt, group, cap, symbols):
    """Scale each group down to the cap's share of the whole tilt; `symbols` make the groups."""
    groups = {group[s] for s in symbols} - {None}
    count = len(groups) + sum(group[s] is None for s in symbols)
    most = max(cap, 1.5 / max(count, 1)) * sum(abs(a) for a in tilt.values())
    capped = dict(tilt)
    for name in groups:
        gross = sum(abs(a) for s, a in tilt.items() if group[s] == name)
        for s in tilt:
            if group[s] == name and gross > most:
                capped[s] = tilt[s] * most / gross
    return capped


def benchmark_of(weights, symbols):
    """The weights over these symbols, made to sum to 1; equal ones where there are none."""
    known = {s: 0.0 if weights is None or isnan(weights[s]) else weights[s] for s in symbols}
    total = sum(known.values())
    return {s: known[s] / total if total > 0 else 1 / len(known) for s in known}


def invest(aims, shares, caps):
    """The aims less λ × shares, cut to [0, cap], with λ such that they sum to 1."""

    def cut(price):
        return {s: min(max(aims[s] - price * shares[s], 0.0), caps[s]) for s in aims}

    low = min((aims[s] - caps[s]) / shares[s] for s in aims)
    high = max(aims[s] / shares[s] for s in aims)
    while low < (middle := (low + high) / 2) < high:
        if sum(cut(middle).values()) > 1:
            low = middle
        else:
            high = middle
    return {s: aims[s] - high * shares[s] for s in aims}, cut(high)


def plan_of_scores(
    signals, able, close, profile, share, leverage=inf, *, long_only, horizon, bars_per_year
):
    """Steps 3 to 6.

    Args:
        signals: of the symbols that have one and may be held. able: who may be held.
        share: k, of the tracking error.
    """
    x, unit = unit_tilt(signals, close, long_only=long_only)
    tracking = tracking_error(
        profile, close, unit, leverage, long_only=long_only, bars_per_year=bars_per_year
    )
    moved = close.deviation(unit, LONG)
    tilt, ratio = dict.fromkeys(signals, 0.0), 0.0
    if unit and moved > NOTHING * sum(abs(a) for a in unit.values()):
        ratio = sum(v * v for v in x.values()) / (sqrt(horizon) * moved)
        size = share * min(1, ratio / least_ratio(bars_per_year)) * tracking / moved
        tilt = {s: size * a for s, a in unit.items()}
    spread = sqrt(fmean((a * close.sigma[s]) ** 2 for s, a in tilt.items())) if tilt else 0.0
    tilt = cap_groups(tilt, close.group, profile.group_cap, able)
    precision = {s: close.sigma[s] ** -2 for s in able}
    shares = {s: p / sum(precision.values()) for s, p in precision.items()}
    whole = {s: tilt.get(s, 0.0) for s in able}
    if not long_only:
        cap = max(profile.symbol_cap, 1.5 * profile.gross_cap / max(len(able), 1))
        caps = dict.fromkeys(able, cap)
        held = {s: min(max(a, -cap), cap) for s, a in whole.items()}
        return Plan(whole, held, caps, shares, ratio, tracking, spread)
    if not able:
        return Plan({}, {}, {}, {}, ratio, tracking, spread)
    base = benchmark_of(close.benchmark, able)
    caps = {s: max(profile.symbol_cap, 1.5 / len(able), base[s]) for s in able}
    aims, held = invest({s: base[s] + whole[s] for s in able}, shares, caps)
    return Plan(aims, held, caps, shares, ratio, tracking, spread)


def plan_of_weights(asked, able, close, profile, *, long_only, bars_per_year):
    """Weights as they were asked for, with no cap per symbol or group."""
    held = {s: asked.get(s, 0.0) for s in able}
    if long_only:
        held = {s: max(weight, 0.0) for s, weight in held.items()}
    precision = {s: close.sigma[s] ** -2 for s in able}
    shares = {s: p / sum(precision.values()) for s, p in precision.items()}
    tracking = tracking_error(
        profile, close, {}, inf, long_only=long_only, bars_per_year=bars_per_year
    )
    caps = {s: inf if weight else 0.0 for s, weight in held.items()}  # what none is asked of goes
    return Plan(held, held, caps, shares, 0.0, tracking, 0.0)


def least_ratio(bars_per_year):
    """The information ratio a bar, half a unit a year, below which the tilt is smaller."""
    return 0.5 / sqrt(bars_per_year)
