"""How often the verdicts are wrong, and how often they find a skill that is there.

Six years of daily returns with fat tails and volatility that comes in spells: a market of Sharpe
ratio 0.8, every rule baseline, bare and managed, of which many correlate 0.99, and a book that is

    neutral S        of a true Sharpe ratio S, uncorrelated with the market
    sluggish         the same of 0, its returns autocorrelated by 0.15
    tilted S         a mix of the baselines, and an active part of information ratio S, 4 % a year
    copy             the market, a noise of 0.02 % a year, and 5 bp a year of costs saved
    best of N, R     the best of N neutral ones without skill whose returns correlate by R

Printed for each: how often a verdict says 'proven', with a 95 % interval (Wilson): the edge, 'adds
to the baselines', and either of them.

    python benchmarks/verdict_power.py [--histories 400] [--years 6]
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from trading_pipeline.core.backtest.baselines import BASELINE_NAMES, RULE_BASELINES
from trading_pipeline.core.evaluation.confidence import (
    Sampled,
    block_length,
    interval,
    resampled_dates,
    widening,
)
from trading_pipeline.core.evaluation.metrics import Floats, sharpe
from trading_pipeline.core.evaluation.verdict import PROVEN, VerdictInputs, reach_verdict

YEAR, HORIZON, WARMUP = 252, 21, 300
REPLICATIONS = 400
VOLATILITY = 0.16  # of the market, a year
WINDOW = 63  # days by which the managed baselines know the volatility
TARGET = 0.10  # volatility a year that they aim at


class Book(NamedTuple):
    """A book and the trials that it was chosen from."""

    returns: Floats  # (D,)
    trials: Floats  # (D, N), it among them


def shocks(rng: np.random.Generator, days: int) -> Floats:
    """(D,) of unit variance with fat tails."""
    return np.asarray(rng.standard_t(5, days) / np.sqrt(5 / 3))


def spells(rng: np.random.Generator, days: int) -> tuple[Floats, Floats]:
    """A market's shocks (D,), and their volatility, near 1: GARCH(1, 1)."""
    shock, variance = shocks(rng, days), np.ones(days)
    for t in range(1, days):
        variance[t] = 0.03 + (0.09 * shock[t - 1] ** 2 + 0.88) * variance[t - 1]
    return np.sqrt(variance) * shock, np.sqrt(variance)


def baselines_of(rng: np.random.Generator, market: Floats, volatility: Floats) -> dict[str, Floats]:
    """Every rule baseline of a market (D,): its share of it, its own noise, bare and managed."""

    def near(share: Floats | float, deviation: float) -> Floats:
        own = deviation / np.sqrt(YEAR) * volatility * rng.standard_normal(len(market))
        return share * market + own

    rising = np.convolve(market, np.ones(200))[: len(market)] > 0
    bare = dict.fromkeys(RULE_BASELINES, 0.0 * market) | {
        "buy_and_hold": market,
        "equal_weight": near(0.98, 0.01),
        "inverse_volatility": near(0.8, 0.02),
        "momentum": near(1.0, 0.05),
        "reversal": near(1.05, 0.06),
        "trend": near(np.append(0.0, rising[:-1]), 0.005),
    }
    books = bare | {f"{name}_managed": managed(each) for name, each in bare.items()}
    books["equal_weight_at_target_volatility"] = managed(near(0.98, 0.01))
    missing = set(BASELINE_NAMES) - set(books)
    if missing:
        sys.exit(f"no returns were made up for {missing}; add them to baselines_of")
    return {name: each[WARMUP:] for name, each in books.items()}


def managed(returns: Floats) -> Floats:
    """Returns (D,) under a volatility target, by what is known the day before."""
    variance = np.convolve(returns**2, np.ones(WINDOW) / WINDOW)[: len(returns)]
    exposure = np.minimum(1.0, TARGET / np.sqrt(YEAR * variance + 1e-12))
    return returns * np.append(1.0, exposure[:-1])


def books_of(
    rng: np.random.Generator, rules: dict[str, Floats], volatility: Floats
) -> Iterator[tuple[str, Book]]:
    """The books of one history, by what they are."""
    days = len(volatility)

    def earning(ratio: float, deviation: float) -> Floats:
        return deviation / np.sqrt(YEAR) * (volatility * shocks(rng, days) + ratio / np.sqrt(YEAR))

    def alone(returns: Floats) -> Book:
        return Book(returns, returns[:, None])

    for ratio in (0.0, 0.6, 1.2, 2.0):
        yield f"neutral {ratio}", alone(earning(ratio, 0.10))
    shock = earning(0.0, 0.10)
    yield "sluggish", alone(shock + 0.15 * np.append(0.0, shock[:-1]))
    mix = sum(w * each for w, each in zip(rng.dirichlet(np.ones(len(rules))), rules.values(),
                                          strict=True))  # fmt: skip
    for ratio in (0.0, 1.0):
        yield f"tilted {ratio}", alone(mix + earning(ratio, 0.04))
    yield "copy", alone(rules["buy_and_hold"] + earning(0.0, 0.0002) + 0.0005 / YEAR)
    for count, alike in ((96, 0.0), (96, 0.985), (96, 0.97), (96, 0.95), (10, 0.7)):
        common = earning(0.0, 0.10)[:, None]
        own = np.stack([earning(0.0, 0.10) for _ in range(count)], axis=1)
        tried = np.sqrt(alike) * common + np.sqrt(1 - alike) * own
        best = tried[:, np.argmax(tried.mean(axis=0) / tried.std(axis=0))]
        yield f"best of {count}, {alike}", Book(best, tried)


def proven(book: Book, rules: dict[str, Floats], sampled: dict[str, Sampled], dates: Floats,
           factor: float) -> tuple[bool, bool]:  # fmt: skip
    """Whether the edge is, and what the book adds."""
    own = Sampled.of(sharpe, book.returns, book.returns[dates], YEAR).or_zero()
    verdict = reach_verdict(
        VerdictInputs(
            differences={name: interval(own.minus(each), factor) for name, each in sampled.items()},
            returns=rules,
            strategy=book.returns,
            trials=book.trials.shape[1],
            trial_returns=book.trials,
            leaks=(),
        ),
        YEAR,
    )
    return verdict.edge.answer == PROVEN, verdict.adds.answer == PROVEN


def counted(histories: int, years: float, seed: int = 0) -> dict[str, Counter[str]]:
    """How often each verdict is proven, by book."""
    found: dict[str, Counter[str]] = {}
    days = round(years * YEAR)
    for history in range(histories):
        rng = np.random.default_rng([seed, history])
        shock, volatility = spells(rng, days + WARMUP)
        market = VOLATILITY / np.sqrt(YEAR) * (shock + 0.8 / np.sqrt(YEAR))
        rules = baselines_of(rng, market, volatility)
        block = block_length(np.stack(list(rules.values()), axis=1), HORIZON)
        dates = resampled_dates(days, block, REPLICATIONS, history)
        sampled = {
            name: Sampled.of(sharpe, each, each[dates], YEAR).or_zero()
            for name, each in rules.items()
        }
        for name, book in books_of(rng, rules, volatility[WARMUP:]):
            edge, adds = proven(book, rules, sampled, dates, widening(days, block))
            found.setdefault(name, Counter()).update(
                edge=int(edge), adds=int(adds), either=int(edge or adds)
            )
    return found


def wilson(hits: int, of: int) -> str:
    """A share in per cent with its 95 % interval. Source: Wilson, JASA 22 (1927)."""
    low, high = binomtest(hits, of).proportion_ci(method="wilson")
    return f"{100 * hits / of:5.1f} % [{100 * low:4.1f}, {100 * high:5.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--histories", type=int, default=400)
    parser.add_argument("--years", type=float, default=6)
    given = parser.parse_args()
    print(f"{given.histories} histories of {given.years:g} years: how often 'proven'\n")
    print(f"{'':<20}" + "".join(f"{name:>24}" for name in ("the edge", "adds", "either")))
    for name, hits in counted(given.histories, given.years).items():
        cells = (wilson(hits[key], given.histories) for key in ("edge", "adds", "either"))
        print(f"{name:<20}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
