"""How often bad luck alone trips each limit: where the defaults of the risk profiles come from.

    python benchmarks/limits.py [--histories 200] [--years 50] [--seed 0] [--quick]

A sound book, of a Sharpe ratio of 0.5, is traded for thousands of years (`sound_book.py` says how),
and limits are looked for that it trips seldom: a daily loss limit once in three years, a weekly and
a monthly one once in two. Drawdown control scales the exposure by (limit - drawdown) / limit,
measured on the book that it controls from a peak that sinks towards the equity in a year, and may
bring it below half size in one year of five; the circuit breaker may trip in one year of five. The
other worlds show what the choice of the first one decides, and the index is the check on them all.

Standard errors are over independent histories. Units: losses and drawdowns are fractions of equity,
or multiples of the volatility target of one day, target / sqrt(252).
"""

import argparse
import math
from collections.abc import Iterable, Sequence

import numba
import numpy as np
from sound_book import (
    FAST,
    NAME,
    OFF,
    SHARPE,
    WORLDS,
    YEAR,
    Book,
    Limits,
    Traded,
    World,
    deviation,
    index_book,
    rolling,
    simulated,
    sound_book,
    trade,
)

from trading_pipeline.core.trading.profiles import PROFILES, Profile

TARGETS = {name: each.volatility_target for name, each in PROFILES.items()}  # a year
HORIZON = 21  # bars
A_YEAR = {"daily": 1 / 3, "weekly": 1 / 2, "monthly": 1 / 2}  # how often a limit may trip
SELDOM = 0.2  # share of years
COST = 0.0015  # of what is traded


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--years", type=int, default=50, help="of each history")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20 histories of 20 years")
    given = parser.parse_args()
    size = (20, 20) if given.quick else (given.histories, given.years)
    books = {world: sound_book(simulated(world, *size, given.seed), world) for world in WORLDS}
    print(f"{size[0]} histories of {size[1]} years, Sharpe ratio {SHARPE}; ± standard errors\n")
    main_book = books[WORLDS[0]]
    multiples = multiples_of(main_book, TARGETS["moderate"]).values()
    found = {name: limits_of(main_book, target, multiples) for name, target in TARGETS.items()}
    print("## The tightest limits that do, and how often the book trips them\n")
    print_limits(main_book, found)
    print("## Those that the profiles have\n")
    print_limits(main_book, {name: limits_in(PROFILES[name]) for name in TARGETS})
    print_multiples(books)
    print_elsewhere(books, found["moderate"])
    print_drawdowns(main_book)
    print_prices(main_book, found)
    print_stops(simulated(NAME, *size, given.seed + 1))


def limits_of(book: Book, target: float, multiples: Iterable[float]) -> Limits:
    """The tightest limits that a sound book trips as seldom as is asked, rounded up.

    The multiples of the loss limits hardly depend on the target, so all profiles share them.
    """
    losses = (rounded_up(m, 0.5) * target / math.sqrt(YEAR) for m in multiples)
    return Limits(
        *losses, rounded_up(drawdown_limit(book, target), 0.01), rounded_up(breaker_of(book), 0.5)
    )


def multiples_of(book: Book, target: float) -> dict[str, float]:
    """Losses by period that are exceeded as often as `A_YEAR` has it, in target / sqrt(252)."""
    earned = trade(book, target, Limits()).earned
    lengths = (1, *book.days[:2])
    years = earned.size / book.days[2]
    found = {}
    for (name, often), length in zip(A_YEAR.items(), lengths, strict=True):
        worst = np.sort(worst_losses(earned, length))[::-1]
        found[name] = float(worst[int(often * years)]) / (target / math.sqrt(YEAR))
    return found


def worst_losses(earned: np.ndarray, length: int) -> np.ndarray:
    """(M,) the largest loss since the start of each period of `length` days, at any close in it."""
    whole = earned.shape[1] // length * length
    periods = earned[:, :whole].reshape(-1, length)
    return np.asarray(1 - np.cumprod(1 + periods, axis=1).min(axis=1))


def drawdown_limit(book: Book, target: float, window: bool = False) -> float:
    """By bisection: the tightest one."""
    low, high = 0.005, 1.0
    while high - low > 0.0005:
        middle = (low + high) / 2
        share = below_half(book, trade(book, target, Limits(drawdown=middle), window).size).mean()
        low, high = (low, middle) if share <= SELDOM else (middle, high)
    return high


def by_year(values: np.ndarray, days: int) -> np.ndarray:
    """(H, D) to (H, Y, days)."""
    years = values.shape[1] // days
    return values[:, : years * days].reshape(len(values), years, days)


def below_half(book: Book, size: np.ndarray) -> np.ndarray:
    """(H,) share of years in which the size is ever below a half."""
    return np.asarray((by_year(size, book.days[2]).min(axis=2) < 0.5).mean(axis=1))


def breaker_of(book: Book) -> float:
    return float(np.quantile(by_year(book.turbulence, book.days[2]).max(axis=2), 1 - SELDOM))


def breaks(book: Book, multiple: float) -> np.ndarray:
    """(H,) share of years in which the breaker ever trips."""
    highest = by_year(book.turbulence, book.days[2]).max(axis=2)
    return np.asarray((highest >= multiple).mean(axis=1))


def rounded_up(value: float, step: float) -> float:
    return round(math.ceil(value / step - 1e-9) * step, 6)


def trips(book: Book, traded: Traded) -> np.ndarray:
    """(H, 3) days, weeks and months a year with a breach."""
    return traded.tripped / (book.market.shape[1] / book.days[2])


def limits_in(profile: Profile) -> Limits:
    return Limits(
        *(profile.daily_loss, profile.weekly_loss, profile.monthly_loss),
        *(profile.drawdown_limit, profile.breaker),
    )


def print_limits(book: Book, found: dict[str, Limits]) -> None:
    """Times a year, or shares of years."""
    rows = []
    for (name, limits), target in zip(found.items(), TARGETS.values(), strict=True):
        # One limit alone: what another has sold can lose no more.
        rates = trips(book, trade(book, target, Limits(*limits[:3])))
        losses = [f"{limit:.2%}: {mean_of(rates[:, p])}" for p, limit in enumerate(limits[:3])]
        size = trade(book, target, Limits(drawdown=limits.drawdown)).size
        rows.append(
            [
                f"{name}, {target:.0%}",
                *losses,
                f"{limits.drawdown:.0%}: {mean_of(below_half(book, size))}",
                mean_of((size < 0.5).mean(axis=1)),
                f"{limits.breaker:.1f} ×: {mean_of(breaks(book, limits.breaker))}",
            ]
        )
    heads = ["profile, target", "day", "week", "month", "drawdown: years ever below half"]
    print_table([*heads, "days below half", "breaker: years"], rows)


def print_multiples(books: dict[World, Book]) -> None:
    rows = []
    for world, book in books.items():
        found = multiples_of(book, TARGETS["moderate"])
        realised = trade(book, TARGETS["moderate"], Limits()).earned.std() * math.sqrt(book.days[2])
        drawdown = drawdown_limit(book, TARGETS["moderate"])
        row = [f"{m:.2f}" for m in found.values()]
        rows.append(
            [world.name, *row, f"{drawdown:.1%}", f"{breaker_of(book):.2f}", f"{realised:.1%}"]
        )
    print("## What each world would ask for: losses in target / √252, target 12 %\n")
    heads = ["world", "day", "week", "month", "drawdown limit", "breaker", "realised volatility"]
    print_table(heads, rows)


def print_elsewhere(books: dict[World, Book], limits: Limits) -> None:
    target = TARGETS["moderate"]
    named = [(world.name, book) for world, book in books.items()]
    rows = []
    for name, book in [*named, ("S&P 500, 1999-2018", index_book())]:
        rates = trips(book, trade(book, target, Limits(*limits[:3])))
        size = trade(book, target, Limits(drawdown=limits.drawdown)).size
        kinds = (*rates.T, below_half(book, size), (size < 0.5).mean(axis=1))
        kinds = (*kinds, breaks(book, limits.breaker))
        rows.append([name, *(mean_of(kind) for kind in kinds)])
    print("## Moderate's limits in other worlds: times a year, or share of years\n")
    heads = ["world", "day", "week", "month", "ever below half", "days below half", "breaker"]
    print_table(heads, rows)


def print_drawdowns(book: Book) -> None:
    """Other limits than the one found, and the other peak."""
    target = TARGETS["moderate"]
    plain = trade(book, target, Limits())
    found = rounded_up(drawdown_limit(book, target), 0.01)
    windowed = rounded_up(drawdown_limit(book, target, window=True), 0.01)
    asked = [(limit, False) for limit in sorted({0.15, 0.2, 0.25, 0.3, 0.35, 0.4, found})]
    rows = []
    for limit, window in [*asked, (windowed, True)]:
        ruled = trade(book, target, Limits(drawdown=limit), window)
        rows.append(
            [
                f"{limit:.0%}" + ", highest of 252 bars" * window,
                mean_of(below_half(book, ruled.size)),
                mean_of((ruled.size < 0.5).mean(axis=1)),
                mean_of(ruled.size.mean(axis=1)),
                mean_of(sharpe(book, ruled) - sharpe(book, plain), "+.3f"),
                f"{1 - deepest(book, ruled).mean() / deepest(book, plain).mean():.1%}",
            ]
        )
    print("## Drawdown control at other limits, target 12 %\n")
    heads = ["limit", "years ever below half", "days below half", "mean size", "Sharpe"]
    print_table([*heads, "worst fall in ten years smaller by"], rows)


def print_prices(book: Book, found: dict[str, Limits]) -> None:
    rows = []
    for (name, limits), target in zip(found.items(), TARGETS.values(), strict=True):
        plain = trade(book, target, Limits())
        alone = {
            "loss limits": Limits(*limits[:3]),
            "drawdown control": Limits(drawdown=limits.drawdown),
            "breaker": Limits(breaker=limits.breaker),
            "all of them": limits,
        }
        for rule, under in alone.items():
            ruled = trade(book, target, under)
            gained, traded = (
                sharpe(book, ruled) - sharpe(book, plain),
                ruled.turnover - plain.turnover,
            )
            differences = (
                gained,
                gained - COST * traded / target,
                yearly(book, ruled) - yearly(book, plain),
                deepest(book, plain),
                deepest(book, ruled),
                traded,
            )
            signs = ("+.3f", "+.3f", "+.2%", ".1%", ".1%", "+.2f")
            cells = (mean_of(d, form) for d, form in zip(differences, signs, strict=True))
            rows.append([f"{name}, {rule}", *cells])
    print("## What each costs the sound book: with the rule less without\n")
    heads = ["profile, rule", "Sharpe", "after 15 bp a trade", "return a year"]
    print_table([*heads, "worst fall in ten years, without", "with", "turnover a year"], rows)


def sharpe(book: Book, traded: Traded) -> np.ndarray:
    """(H,) a year."""
    earned = traded.earned
    return np.asarray(earned.mean(axis=1) / earned.std(axis=1) * math.sqrt(book.days[2]))


def yearly(book: Book, traded: Traded) -> np.ndarray:
    """(H,) compound growth a year."""
    return np.asarray(np.expm1(np.log1p(traded.earned).mean(axis=1) * book.days[2]))


def deepest(book: Book, traded: Traded) -> np.ndarray:
    """(H,) worst drawdown from the highest equity ever, the mean over spans of ten years."""
    spans = by_year(traded.earned, 10 * book.days[2])
    equity = np.cumprod(1 + spans, axis=2)
    highest = np.maximum.accumulate(np.maximum(equity, 1), axis=2)
    return np.asarray((1 - equity / highest).max(axis=2).mean(axis=1))


def print_stops(returns: np.ndarray) -> None:
    """Closes only: what happens within a day is not simulated."""
    sigma = 0.30 / math.sqrt(YEAR)
    drift = SHARPE * sigma / math.sqrt(YEAR)
    steps = sigma * returns + drift - sigma**2 / 2
    known = rolling(sigma * returns, FAST, deviation)
    rows = []
    for distance in (2.5, 3.0, 3.5, 4.0, 5.0, 6.0):
        cells = (mean_of(reached(steps, known, distance, held)) for held in (HORIZON, YEAR))
        loss = -math.expm1(-distance * sigma * math.sqrt(HORIZON))
        cost = stopped_sharpe(steps, known, distance) - stopped_sharpe(steps, known, OFF)
        rows.append([f"{distance:g} σ√h", f"{loss:.0%}", *cells, mean_of(cost, "+.3f")])
    print("## A stop-loss on one name of 30 % volatility a year, h = 21, by closes\n")
    heads = ["distance", "loss at the usual σ", "reached in 21 bars", "in 252 bars"]
    print_table([*heads, "Sharpe of the name, with less without"], rows)


def reached(steps: np.ndarray, known: np.ndarray, distance: float, held: int) -> np.ndarray:
    """(H,) share of entries, one every `held` bars, that are stopped while held."""
    starts = np.arange(FAST, steps.shape[1] - held, held)
    path = np.cumsum(steps, axis=1)
    stopped = np.zeros((len(steps), len(starts)))
    for place, start in enumerate(starts):  # bought at the close of `start`
        lowest = path[:, start + 1 : start + held + 1].min(axis=1) - path[:, start]
        stopped[:, place] = lowest <= -distance * known[:, start] * math.sqrt(HORIZON)
    return np.asarray(stopped.mean(axis=1))


@numba.njit(cache=True)
def _stopped(steps: np.ndarray, known: np.ndarray, distance: float, earned: np.ndarray) -> None:
    """Held always, but for h bars after a stop, which fills at the close that reached it."""
    for h in range(len(steps)):
        level, log, waiting = -math.inf, 0.0, 1
        for t in range(FAST, steps.shape[1]):
            if waiting > 0:
                waiting -= 1
                if waiting == 0:
                    log, level = 0.0, -distance * known[h, t] * math.sqrt(HORIZON)
                continue
            earned[h, t] = math.expm1(steps[h, t])
            log += steps[h, t]
            if log <= level:
                waiting = HORIZON


def stopped_sharpe(steps: np.ndarray, known: np.ndarray, distance: float) -> np.ndarray:
    """(H,) a year, of the name under a stop at `distance` × σ√h from entry."""
    earned = np.zeros(steps.shape)
    _stopped(steps, known, distance, earned)
    return np.asarray(earned.mean(axis=1) / earned.std(axis=1) * math.sqrt(YEAR))


def mean_of(values: np.ndarray, form: str = ".3f") -> str:
    """A mean over histories (H,) with its standard error; one history has none."""
    text = f"{values.mean():{form}}"
    if len(values) == 1:
        return text
    error = values.std(ddof=1) / math.sqrt(len(values))
    return f"{text} ± {error:{form.lstrip('+')}}"


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for row in (heads, ["---", *["---:"] * (len(heads) - 1)], *rows):
        print("| " + " | ".join(row) + " |")
    print()


if __name__ == "__main__":
    main()
