"""The reference of trading: no-trade regions, and what the symbols pay each other (8 to 10)."""

from math import copysign, exp, inf, isnan, log, sqrt

from trading_pipeline_tests.reference.tilt import least_ratio

NARROWER = 0.75  # than the first term for small costs
NOTHING = 1e-9  # a weight below is none
REACHED = 0.7  # of the region's half-width, where a trade from beyond it ends


def fading(half_life, horizon):
    """θ: how fast scores fade, a bar."""
    return log(2) / (horizon if isnan(half_life) else half_life)


def aversion(plan, close, horizon, bars_per_year):
    """γ: the aversion to risk that makes the plan's tilt the best one."""
    lasting = fading(close.half_life, horizon) * horizon
    early = lasting / (1 - exp(-lasting))
    return early * max(plan.ratio, least_ratio(bars_per_year)) / plan.tracking


def market_aversion(profile):
    """γₘ: the aversion to risk that makes the volatility target the best exposure."""
    return 0.3 / (0.2 if profile.volatility_target == inf else profile.volatility_target)


def half_width(band, cost, *movements):
    """D: how far a weight may be from its aim, of (movement a bar, aversion, σ) of each cause."""
    total = sum(moved**2 / (gamma * sigma**2) for moved, gamma, sigma in movements)
    return band * (1.5 * cost * total) ** (1 / 3)


def tilting(theta, spread, exposure, gamma, sigma):
    """How an aim moves that deviates by `spread` / σ, fades, and is multiplied by the exposure."""
    if exposure == 0:
        return 0.0, gamma, sigma
    return NARROWER**1.5 * exposure * sqrt(2 * theta) * spread / sigma, gamma / exposure, sigma


def drifting(weight, aversion_, sigma):
    """How what is held moves by itself."""
    return weight * sigma, aversion_, sigma


def place(weight, aim, width):
    """Where a weight goes: nowhere within the width, and else to 0.7 of it from the aim."""
    if abs(weight - aim) <= width:
        return weight
    return aim + copysign(REACHED * width, weight - aim)


def balance(weights, aims, widths, shares, caps, total):
    """Place each weight around its aim less λ × its share, cut to [0, cap], so that all sum up.

    λ is found by bisection; at the λ where symbols jump they stop on the way.
    """

    def placed(price):
        spots = {s: place(weights[s], aims[s] - price * shares[s], widths[s]) for s in weights}
        return {s: min(max(spot, 0.0), caps[s]) for s, spot in spots.items()}

    far = {s: max(total, weights[s]) + widths[s] for s in weights}
    low = min((aims[s] - far[s]) / shares[s] for s in weights) - 1
    high = max((aims[s] + widths[s]) / shares[s] for s in weights) + 1
    while low < (middle := (low + high) / 2) < high:
        if sum(placed(middle).values()) >= total:
            low = middle
        else:
            high = middle
    most, least = placed(low), placed(high)
    jump = sum(most.values()) - sum(least.values())
    way = (sum(most.values()) - total) / jump if jump > 0 else 0.0
    way = min(max(way, 0.0), 1.0)  # the caps may leave no room for the total
    ends = {s: most[s] - way * (most[s] - least[s]) for s in weights}
    return {s: 0.0 if end < NOTHING and end != weights[s] else end for s, end in ends.items()}


def settle_long_only(plan, held, widths_of, *, exposure, stuck, band, cost, gamma):
    """The weights of a long-only account: how much is invested first, and then in what.

    Args:
        held: of the symbols that may be held and traded. stuck: sum of those that cannot trade.
        widths_of: from weights to half-widths, by symbol.
    """
    whole, before = sum(plan.invested.values()), sum(held.values())
    if whole == 0 or not held:
        return dict.fromkeys(held, 0.0)
    total = max(exposure * whole - stuck, 0.0)
    if abs(total - before) <= band * (1.5 * cost * before**2 / gamma) ** (1 / 3):
        total = before
    if total == 0:
        return dict.fromkeys(held, 0.0)
    weights = held if total == before or before == 0 else scaled(held, total / before)
    aims, caps = scaled(plan.aims, total / whole), scaled(plan.caps, total / whole)
    return balance(weights, aims, widths_of(weights), plan.shares, caps, total)


def settle_neutral(plan, held, widths_of, *, exposure, band, cost, gamma, most_gross=inf):
    """The weights of a neutral account: it shrinks as a whole, and never grows so."""
    most = exposure * sum(abs(v) for v in plan.invested.values())
    gross = sum(abs(weight) for weight in held.values())
    if gross - most > band * (1.5 * cost * gross**2 / gamma) ** (1 / 3):
        held = scaled(held, most / gross)
    if exposure == 0 or most == 0:
        return dict.fromkeys(held, 0.0)
    widths = widths_of(held)
    placed = {s: place(held[s], exposure * plan.invested[s], widths[s]) for s in held}
    gross = sum(abs(weight) for weight in placed.values())
    return scaled(placed, most_gross / gross) if gross > most_gross else placed


def scaled(weights, factor):
    """Each weight times the factor."""
    return {symbol: weight * factor for symbol, weight in weights.items()}
