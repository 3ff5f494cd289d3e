"""What a book loses without skill, and how much of planted skill becomes money.

    python benchmarks/transfer.py [--quick] [--only NAME] [--shares PATH --coins PATH]

Everything goes through the product's own code, from scores to the last fill, on markets whose truth
is known (`benchmarks/markets.py`), under the moderate profile, at fees of 10 bp and slippage of 5
bp a trade. A line is a mean over markets, its standard error, and what is asked of the mean.

no-skill     Persistent random scores on surrogates, which have nothing to find: Sharpe ratio less
             that of equal weight on the same bars. What having no skill costs.
rules        Scores of zero on surrogates, so that the rules alone trade: the same difference, and
             the worst drawdown as a share of equal weight's, as it is and with equal weight scaled
             to the same volatility. What the rules cost, and save.
skill        Planted skill, long only: information ratio of the book beyond β over the market, after
             costs, beside that of an optimum that trades daily, long and short, and pays nothing.
neutral      Neutral mandate: β to the market; and, with planted skill, the Sharpe ratio beside that
             of the optimum less what the book paid.
calibration  Slope of what came about on the scores that were handed over.
rival        Planted skill: our book beside cvxportfolio's optimiser, Sharpe ratios and time.

A surrogate resamples a panel's dates in blocks of 63 bars. --shares and --coins take daily panels
of your own (Parquet); without them simulated ones are resampled, whose volatility comes in
clusters.
Sharpe ratios do not change with scale, so their difference is one at equal volatility.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from transfer_books import (
    VALIDATION,
    WARMUP,
    YEAR,
    Figures,
    Planting,
    Universe,
    calibration_figures,
    neutral_surrogate_figures,
    planted_figures,
    rules_figures,
    unskilled_figures,
)
from transfer_rival import MULTIPLIERS, installed, rival_figures

SKILL = {0.03: 0.25, 0.06: 1.0, 0.10: 2.0}  # information ratio asked, by planted coefficient


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is asked of the machine."""

    surrogates: int = 200
    seeds: int = 20  # planted markets of a kind
    rivals: int = 6  # of those, for the optimiser, which is slow
    bars: int = WARMUP + 6 * YEAR  # of a planted market
    symbols: int = 100
    shorter: int = 1  # × fewer bars of a simulated universe


QUICK = Effort(surrogates=3, seeds=2, rivals=2, bars=WARMUP + 2 * VALIDATION, symbols=20, shorter=5)


class Ask(NamedTuple):
    """What is asked of a mean."""

    text: str
    met: Callable[[float], bool]


class Line(NamedTuple):
    """One figure of the table: its value on each market, and what is asked of the mean."""

    question: str
    on: str
    values: np.ndarray
    ask: Ask | None = None

    def __str__(self) -> str:
        mean, error = self.values.mean(), self.values.std(ddof=1) / np.sqrt(len(self.values))
        start = f"{self.question:<44} {self.on:<19} {mean:+9.3f} ± {error:5.3f}"
        if self.ask is None:
            return start
        return f"{start}  {self.ask.text:<12} {'yes' if self.ask.met(mean) else 'NO'}"


def at_least(bound: float) -> Ask:
    return Ask(f">= {bound:.2f}", lambda mean: mean >= bound)


def at_most(bound: float) -> Ask:
    return Ask(f"<= {bound:.2f}", lambda mean: mean <= bound)


def between(low: float, high: float) -> Ask:
    return Ask(f"{low:g} to {high:g}", lambda mean: low <= mean <= high)


class Bench:
    """Measures markets on all cores, and says how far it is."""

    def __init__(self, given: argparse.Namespace, executor: ProcessPoolExecutor) -> None:
        self.effort = QUICK if given.quick else Effort()
        self.executor = executor
        self.universes = tuple(
            Universe(
                name if path else f"simulated {name}",
                calendar,
                path,
                symbols,
                bars // self.effort.shorter,
                scale,
            )
            for name, path, calendar, symbols, bars, scale in (
                ("shares", given.shares, "XNYS", 100, 2769, 1.0),
                ("coins", given.coins, "24/7", 15, 1963, 3.0),
            )
        )

    def planting(self, ic: float, **kind: bool) -> Planting:
        return Planting(ic, self.effort.symbols, self.effort.bars, **kind)

    def measure(self, figures: Callable[[int], Figures], count: int) -> dict[str, np.ndarray]:
        """The values (count,) of each figure, on markets of the seeds from 0 on."""
        found = []
        for one in self.executor.map(figures, range(count)):
            found.append(one)
            print(f"\r{len(found)} of {count} markets ", end="", file=sys.stderr, flush=True)
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr, flush=True)
        return {name: np.array([each[name] for each in found]) for name in found[0]}


def no_skill(bench: Bench) -> Iterator[Line]:
    for universe in bench.universes:
        got = bench.measure(partial(unskilled_figures, universe), bench.effort.surrogates)
        for costs in ("15 bp", "10 bp"):
            label = f"price of no skill, {costs} a trade"
            yield Line(label, universe.name, got[f"difference {costs}"], at_least(-0.05))
            yield Line("  turnover a year", universe.name, got[f"turnover {costs}"])


def rules(bench: Bench) -> Iterator[Line]:
    for universe in bench.universes:
        got = bench.measure(partial(rules_figures, universe), bench.effort.surrogates)
        for label, name, ask in (
            ("price of the rules", "difference", at_least(-0.05)),
            ("  worst drawdown / equal weight's", "drawdown", at_most(0.8)),
            ("  the same at equal volatility", "drawdown at equal volatility", None),
            ("  turnover a year", "turnover", None),
            ("  volatility a year", "volatility", None),
            ("  equal weight: Sharpe ratio", "bare sharpe", None),
            ("  equal weight: turnover a year", "bare turnover", None),
            ("  equal weight: volatility a year", "bare volatility", None),
        ):
            yield Line(label, universe.name, got[name], ask)


def skill(bench: Bench) -> Iterator[Line]:
    kinds = [bench.planting(ic) for ic in (0.0, *SKILL)] + [bench.planting(0.06, noisy=True)]
    for kind in kinds:
        on = f"planted {kind.ic:.2f}" + (" noisy" if kind.noisy else "")
        got = bench.measure(partial(planted_figures, kind), bench.effort.seeds)
        asked = kind.ic in SKILL and not kind.noisy
        for label, name, ask in (
            (
                "information ratio beyond β",
                "ratio",
                at_least(SKILL[kind.ic]) if asked else None,
            ),
            ("  optimum, daily and free", "optimal ratio", None),
            ("  turnover a year", "turnover", None),
            ("  tracking error a year", "tracking error", None),
            ("  β to the market", "beta", None),
            ("  information coefficient that came about", "coefficient", None),
        ):
            yield Line(label, on, got[name], ask)


def neutral(bench: Bench) -> Iterator[Line]:
    within = between(-0.05, 0.05)
    for universe in bench.universes:
        measure = partial(neutral_surrogate_figures, universe)
        got = bench.measure(measure, bench.effort.seeds)
        yield Line("neutral, no skill: β to the market", universe.name, got["beta"], within)
    kind, on = bench.planting(0.06, neutral=True), "planted 0.06"
    got = bench.measure(partial(planted_figures, kind), bench.effort.seeds)
    yield Line("neutral: β to the market", on, got["beta"], within)
    yield Line("neutral: net Sharpe ratio", on, got["sharpe"])
    yield Line("  optimum, daily and free", on, got["optimal sharpe"])
    yield Line("  optimum less our costs", on, got["optimal sharpe less costs"])
    beyond = got["sharpe"] - 0.8 * got["optimal sharpe less costs"]
    yield Line("  net Sharpe ratio less 0.8 × that", on, beyond, at_least(0.0))
    yield Line("  turnover a year", on, got["turnover"])
    yield Line("  tracking error a year", on, got["tracking error"])


def calibration(bench: Bench) -> Iterator[Line]:
    """One regression over all markets: in one whose slope came out near 0 there is none."""
    for ic in SKILL:
        plan, on = bench.planting(ic, noisy=True), f"planted {ic:.2f} noisy"
        got = bench.measure(partial(calibration_figures, plan), bench.effort.seeds)
        yield Line("slope of truth on calibrated score", on, ratio(got), between(0.7, 1.3))
        yield Line("  markets whose scores were kept", on, (got["squares"] > 0).astype(float))
        yield Line("  spread of the scores", on, got["spread"])
    got = bench.measure(partial(calibration_figures, bench.planting(0.0)), bench.effort.seeds)
    yield Line("spread of calibrated noise", "planted 0.00", got["spread"], between(0.0, 0.02))


def ratio(got: dict[str, np.ndarray]) -> np.ndarray:
    """A value for each market whose mean is the pooled slope, and whose spread its uncertainty."""
    products, squares = got["products"], got["squares"]
    slope = products.sum() / max(squares.sum(), 1e-12)
    values: np.ndarray = slope + (products - slope * squares) / max(squares.mean(), 1e-12)
    return values


def rival(bench: Bench) -> Iterator[Line]:
    if not installed():
        print("our book beside cvxportfolio: it is not installed; `make transfer` does that")
        return
    measure, on = partial(rival_figures, bench.planting(0.06)), "planted 0.06"
    got = bench.measure(measure, bench.effort.rivals)
    best = max(MULTIPLIERS, key=lambda each: float(got[f"sharpe {each}"].mean()))
    difference = got["sharpe"] - got[f"sharpe {best}"]
    yield Line("Sharpe ratio less cvxportfolio's", on, difference, at_least(-0.05))
    speed = got[f"seconds {best}"] / got["seconds"]
    yield Line("  its CPU time a decision / ours", on, speed, at_least(100))
    yield Line("  our tracking error a year", on, got["tracking error"])
    for each in MULTIPLIERS:
        label = f"  its Sharpe ratio at {each:g} × the costs"
        yield Line(label, on, got[f"sharpe {each}"])
        yield Line("    tracking error a year", on, got[f"tracking error {each}"])
        yield Line("    turnover a year", on, got[f"turnover {each}"])


QUESTIONS: dict[str, Callable[[Bench], Iterable[Line]]] = {
    "no-skill": no_skill,
    "rules": rules,
    "skill": skill,
    "neutral": neutral,
    "calibration": calibration,
    "rival": rival,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see that it runs; half a minute")
    parser.add_argument("--only", choices=QUESTIONS, help="one question")
    parser.add_argument("--shares", type=Path, metavar="PATH", help="daily bars of shares")
    parser.add_argument("--coins", type=Path, metavar="PATH", help="daily bars of coins")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="default: all cores")
    given = parser.parse_args()
    with ProcessPoolExecutor(given.processes) as executor:
        bench = Bench(given, executor)
        for name in [given.only] if given.only else QUESTIONS:
            for line in QUESTIONS[name](bench):
                print(line, flush=True)


if __name__ == "__main__":
    main()
