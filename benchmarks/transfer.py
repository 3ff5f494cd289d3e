"""What a book loses without skill, and how much of planted skill becomes money.

    python benchmarks/transfer.py [--quick] [--only NAME] [--shares PATH --coins PATH]

Everything goes through the product's own code, from scores to the last fill, on markets whose truth
is known (`benchmarks/markets.py`), under the moderate profile, at 10 bp of fees and 5 bp of slippage
a trade. A line is the mean over markets, its standard error, and what is asked.

no-skill   Persistent random scores on surrogates, which have nothing to find: Sharpe ratio less that
           of equal weight on the same bars. What having no skill costs.
rules      Scores of zero on surrogates, so that the rules alone trade: the same difference, and the
           worst drawdown as a share of equal weight's, as it is and with equal weight scaled to the
           same volatility. What the rules cost, and save.
skill      Planted skill, long only: information ratio of the book beyond β over the market, after
           costs, beside that of an optimum that trades daily, long and short, and pays nothing.
neutral    Planted skill, neutral mandate: β to the market, and the Sharpe ratio as a share of the
           same optimum's once that pays what the book paid.

A surrogate resamples a panel's dates in blocks of 63 bars. --shares and --coins take panels of your
own (Parquet, as `trading-pipeline panel` takes them); without them simulated ones are resampled,
whose volatility comes in clusters. Sharpe ratios do not change with scale, so a difference is one at
equal volatility.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from markets import HORIZON, Planted, persistent_scores, planted, surrogate, turbulent

from trading_pipeline.core.backtest.baselines import RULE_BASELINES, Span
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.backtest.run import Basis, evidence_of
from trading_pipeline.core.evaluation.metrics import annual_volatility, max_drawdown, sharpe
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.market import Costs, Market, usual_terms
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.steps.panel_file import read_panel_file

CAPITAL = 1_000_000.0
WARMUP = 252  # bars before the first score
BLOCK = 63  # bars of a surrogate
FEE, SLIPPAGE = 0.0010, 0.0005  # a trade
CHEAP = 0.0005  # the fee of a cheaper venue
ASKED = {0.03: 0.25, 0.06: 1.0, 0.10: 2.0}  # information ratio, by planted coefficient


class Universe(NamedTuple):
    """Where surrogates come from."""

    name: str
    calendar: str
    path: Path | None  # None: simulated
    symbols: int
    bars: int
    scale: float  # × the volatility of shares


class Line(NamedTuple):
    """One figure of the table: its value on each market, and what is asked of the mean."""

    question: str
    on: str
    values: np.ndarray
    asked: str = ""
    met: Callable[[float], bool] | None = None

    def __str__(self) -> str:
        mean, error = self.values.mean(), self.values.std(ddof=1) / np.sqrt(len(self.values))
        verdict = "" if self.met is None else "yes" if self.met(mean) else "NO"
        start = f"{self.question:<44} {self.on:<18}"
        return f"{start} {mean:+8.3f} ± {error:5.3f}  {self.asked:<14} {verdict}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is asked of the machine."""

    surrogates: int = 200
    seeds: int = 20  # planted markets of each strength
    bars: int = WARMUP + 6 * 252  # of a planted market
    symbols: int = 100
    shrink: int = 1  # simulated universes have this many times fewer bars


QUICK = Effort(surrogates=4, seeds=2, bars=WARMUP + 252, symbols=30, shrink=4)
Pool = Callable[[str, Callable[..., dict[str, float]], Iterable[object]], dict[str, np.ndarray]]


# Surrogates -------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def source_panel(universe: Universe) -> Panel:
    """The panel that surrogates of a universe are made of."""
    if universe.path is None:
        return turbulent(0, universe.symbols, universe.bars, universe.scale)
    file = read_panel_file(universe.path, False, universe.calendar, None)
    return file.panel(file.bars)


def market_of(panel: Panel, calendar: str = "XNYS", **changed: object) -> Market:
    """The market that a panel is traded as."""
    usual = {
        "source": "parquet",
        "start": date(2008, 1, 1),
        "costs": Costs(fee=FEE, slippage=SLIPPAGE),
        "horizon": usual_terms(calendar, "1d")[0],
    }
    return Market(
        name="transfer", symbols=panel.symbols, calendar=calendar, **(usual | changed)
    )


def surrogate_figures(universe: Universe, seed: int) -> dict[str, float]:
    """All that is asked of one surrogate."""
    panel = surrogate(source_panel(universe), seed, BLOCK)
    market = market_of(panel, universe.calendar)
    score = persistent_scores(seed, *panel.close.shape, market.horizon)
    score[:WARMUP] = np.nan
    random = Basis.of(panel, score, eligible(panel, WARMUP), market)
    figures = {}
    for name, fee in (("", FEE), (" cheap", CHEAP)):
        costs = replace(market, costs=Costs(fee=fee, slippage=SLIPPAGE))
        terms, year = Terms.of(costs, CAPITAL), market.days_per_year
        bare = bare_book(random, terms)
        rules = unskilled_book(random, costs)
        guessed = with_score(random, score, costs).trade(terms)
        before = sharpe(daily(bare), year)
        figures |= {
            f"guessed{name}": sharpe(daily(guessed), year) - before,
            f"rules{name}": sharpe(daily(rules), year) - before,
            f"turnover of guesses{name}": yearly_turnover(guessed, year),
            f"turnover of rules{name}": yearly_turnover(rules, year),
            f"turnover of bare{name}": yearly_turnover(bare, year),
            f"sharpe of bare{name}": before,
            f"volatility{name}": annual_volatility(daily(rules), year),
        } | {f"{key}{name}": value for key, value in drawdowns(rules, bare).items()}
    return {name: float(value) for name, value in figures.items()}


def bare_book(basis: Basis, terms: Terms) -> BacktestResult:
    """Equal weight, restored monthly, with its costs and without rules."""
    return basis.trade(replace(terms, profile=None), score=None, weights=equal_weights(basis))


def equal_weights(basis: Basis) -> np.ndarray:
    span = Span(basis.start, basis.stop, 252)
    return RULE_BASELINES["equal_weight"](basis.panel, basis.eligible, span)


def unskilled_book(basis: Basis, market: Market) -> BacktestResult:
    """Scores of zero under the profile; where nothing is held then, equal weight is asked for."""
    nothing = np.where(np.isfinite(basis.score), 0.0, np.nan)
    zero, terms = with_score(basis, nothing, market), Terms.of(market, CAPITAL)
    held = zero.trade(terms)
    if held.gross.any():
        return held
    return zero.trade(terms, score=None, weights=equal_weights(basis))


def with_score(basis: Basis, score: np.ndarray, market: Market) -> Basis:
    """The basis of other scores, or of other terms of the market."""
    sigma = basis.prepared.volatility
    evidence = evidence_of(basis.panel, score, sigma, basis.eligible, market)
    return replace(basis, score=score, evidence=evidence)


def drawdowns(rules: BacktestResult, bare: BacktestResult) -> dict[str, float]:
    """Worst drawdown under the rules, as a share of the bare one's."""
    own, other = daily(rules), daily(bare)
    fall = max_drawdown(own)
    return {
        "drawdown": fall / max_drawdown(other),
        "drawdown at equal volatility": fall / max_drawdown(other * own.std() / other.std()),
    }


def ask_of_surrogates(pool: Pool, universe: Universe, effort: Effort, only: str) -> list[Line]:
    jobs = range(effort.surrogates)
    got = pool(universe.name, partial(surrogate_figures, universe), jobs)
    on = universe.name
    lines = []
    at_least, fifth = (lambda mean: mean >= -0.05), (lambda mean: mean <= 0.8)
    for name, costs in (("", "15 bp"), (" cheap", "10 bp")):
        if only in ("", "no-skill"):
            label = f"price of no skill, {costs}: Sharpe difference"
            lines.append(Line(label, on, got[f"guessed{name}"], ">= -0.05", at_least))
            lines.append(Line("  turnover a year", on, got[f"turnover of guesses{name}"]))
        if only in ("", "rules"):
            label = f"price of the rules, {costs}: Sharpe difference"
            lines.append(Line(label, on, got[f"rules{name}"], ">= -0.05", at_least))
            fall = got[f"drawdown{name}"]
            lines.append(Line("  worst drawdown / equal weight's", on, fall, "<= 0.80", fifth))
            scaled = got[f"drawdown at equal volatility{name}"]
            lines.append(Line("  the same at equal volatility", on, scaled))
            lines.append(Line("  turnover a year", on, got[f"turnover of rules{name}"]))
            lines.append(Line("  volatility a year", on, got[f"volatility{name}"]))
        lines.append(Line("  equal weight: Sharpe ratio", on, got[f"sharpe of bare{name}"]))
        lines.append(Line("  equal weight: turnover a year", on, got[f"turnover of bare{name}"]))
    return lines


# Planted markets --------------------------------------------------------------------------------


class Planting(NamedTuple):
    """A planted market that is asked for, and who trades it."""

    ic: float
    effort: Effort
    noisy: bool = False
    neutral: bool = False


def planted_figures(planting: Planting, seed: int) -> dict[str, float]:
    """All that is asked of one planted market, over the bars after the warm-up."""
    effort = planting.effort
    truth = planted(
        planting.ic, seed, symbols=effort.symbols, bars=effort.bars, noisy=planting.noisy
    )
    score = truth.score
    if planting.ic == 0:  # calibrated scores would be zero: these believe that they know something
        score = persistent_scores(seed, *score.shape, HORIZON)
    score = np.where(np.arange(len(score))[:, None] < WARMUP, np.nan, score)
    mandate = {"mandate": "neutral", "shortable": True} if planting.neutral else {}
    market = market_of(truth.panel, **mandate)
    basis = Basis.of(truth.panel, score, eligible(truth.panel, WARMUP), market)
    book = basis.trade(Terms.of(market, CAPITAL))
    own, index, best = daily(book), common_returns(truth), optimum(truth)
    ratio, deviation, slope = beyond_beta(own, index)
    paid = costs_paid(book) / annual_volatility(own, 252)
    return {
        "ratio": ratio,
        "tracking error": deviation,
        "beta": slope,
        "turnover": yearly_turnover(book, 252),
        "optimum": beyond_beta(best, index)[0],
        "sharpe": float(sharpe(own, 252)),
        "optimum's sharpe": float(sharpe(best, 252)),
        "optimum less our costs": float(sharpe(best, 252) - paid),
        "coefficient": coefficient(truth),
    }


def common_returns(truth: Planted) -> np.ndarray:
    """(K,) daily returns of equal weight, without costs, on the days that a book has."""
    return simple_returns(truth).mean(axis=1)


def simple_returns(truth: Planted) -> np.ndarray:
    """(K, N) of the days after the first decision."""
    close = truth.panel.close[WARMUP:]
    returns: np.ndarray = close[1:] / close[:-1] - 1
    return returns


def optimum(truth: Planted) -> np.ndarray:
    """(K,) returns of the best that is to be had of the signal, for nothing.

    Signal over σ, neutral to the market in σ and in β, held anew every day.
    """
    exposures = np.column_stack([np.ones_like(truth.beta), truth.beta / truth.sigma])
    basis, _ = np.linalg.qr(exposures)
    signal = truth.signal[WARMUP:-1]
    weights = (signal - signal @ basis @ basis.T) / truth.sigma
    earned: np.ndarray = (weights * simple_returns(truth)).sum(axis=1)
    return earned


def beyond_beta(own: np.ndarray, index: np.ndarray) -> tuple[float, float, float]:
    """Information ratio, tracking error (both a year) and β of daily returns on an index's."""
    slope = np.cov(own, index)[0, 1] / index.var(ddof=1)
    alone = own - slope * index
    deviation = float(annual_volatility(alone, 252))
    return float(alone.mean() * 252 / deviation), deviation, float(slope)


def costs_paid(book: BacktestResult) -> float:
    """What trading and borrowing cost a year, as a share of equity."""
    borrowed = -book.flows["borrow"].sum(axis=1) / book.equity
    return yearly_turnover(book, 252) * (FEE + SLIPPAGE) + float(np.abs(borrowed).mean()) * 252


def coefficient(truth: Planted) -> float:
    """Information coefficient that the signal really had, over the horizon."""
    path = np.cumsum(truth.residual / truth.sigma, axis=0)
    ahead = path[HORIZON:] - path[:-HORIZON]
    return float(np.corrcoef(truth.signal[:-HORIZON].ravel(), ahead.ravel())[0, 1])


def ask_of_skill(pool: Pool, effort: Effort) -> list[Line]:
    lines = []
    kinds = [Planting(ic, effort) for ic in (0.0, *ASKED)] + [Planting(0.06, effort, noisy=True)]
    for kind in kinds:
        on = f"planted {kind.ic:.2f}" + (" noisy" if kind.noisy else "")
        got = pool(on, partial(planted_figures, kind), range(effort.seeds))
        asked = None if kind.noisy else ASKED.get(kind.ic)
        met = None if asked is None else partial(_at_least, asked)
        text = "" if asked is None else f">= {asked:.2f}"
        lines += [
            Line("skill: information ratio beyond β", on, got["ratio"], text, met),
            Line("  optimum, daily and free", on, got["optimum"]),
            Line("  turnover a year", on, got["turnover"]),
            Line("  tracking error a year", on, got["tracking error"]),
            Line("  β to equal weight", on, got["beta"]),
            Line("  information coefficient that came about", on, got["coefficient"]),
        ]
    return lines


def ask_of_neutral(pool: Pool, effort: Effort) -> list[Line]:
    kind, on = Planting(0.06, effort, neutral=True), "planted 0.06"
    got = pool("neutral", partial(planted_figures, kind), range(effort.seeds))
    beyond = got["sharpe"] - 0.8 * got["optimum less our costs"]
    return [
        Line("neutral: β to the market", on, got["beta"], "within 0.05", lambda b: abs(b) <= 0.05),
        Line("neutral: net Sharpe ratio", on, got["sharpe"]),
        Line("  optimum, daily and free", on, got["optimum's sharpe"]),
        Line("  optimum less our costs", on, got["optimum less our costs"]),
        Line("  net Sharpe less 0.8 × that", on, beyond, ">= 0", partial(_at_least, 0.0)),
        Line("  turnover a year", on, got["turnover"]),
        Line("  tracking error a year", on, got["tracking error"]),
    ]


def _at_least(asked: float, mean: float) -> bool:
    return mean >= asked


# Figures of a book ------------------------------------------------------------------------------


def daily(book: BacktestResult) -> np.ndarray:
    """(K - 1,) returns between closes."""
    returns: np.ndarray = book.equity[1:] / book.equity[:-1] - 1
    return returns


def yearly_turnover(book: BacktestResult, days: int) -> float:
    return float(book.turnover.mean() * days)


# The table --------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="see that it runs; half a minute")
    parser.add_argument("--only", default="", choices=QUESTIONS, help="one question")
    parser.add_argument("--shares", type=Path, help="daily bars of shares, split-adjusted")
    parser.add_argument("--coins", type=Path, help="daily bars of coins")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="all cores")
    given = parser.parse_args()
    effort = QUICK if given.quick else Effort()
    with ProcessPoolExecutor(given.processes) as executor:
        pool = partial(collect, executor)
        for line in answers(pool, given, effort):
            print(line, flush=True)


QUESTIONS = ("no-skill", "rules", "skill", "neutral")


def answers(pool: Pool, given: argparse.Namespace, effort: Effort) -> Iterable[Line]:
    """The lines of the table, as they are known."""
    if given.only in ("", "no-skill", "rules"):
        for universe in universes(given, effort):
            yield from ask_of_surrogates(pool, universe, effort, given.only)
    if given.only in ("", "skill"):
        yield from ask_of_skill(pool, effort)
    if given.only in ("", "neutral"):
        yield from ask_of_neutral(pool, effort)


def universes(given: argparse.Namespace, effort: Effort) -> tuple[Universe, Universe]:
    bars = [count // effort.shrink for count in (2769, 1963)]
    return (
        Universe(_named(given.shares, "shares"), "XNYS", given.shares, 100, bars[0], 1.0),
        Universe(_named(given.coins, "coins"), "24/7", given.coins, 15, bars[1], 3.0),
    )


def _named(path: Path | None, name: str) -> str:
    return name if path else f"simulated {name}"


def collect(
    executor: ProcessPoolExecutor,
    label: str,
    measure: Callable[..., dict[str, float]],
    jobs: Iterable[object],
) -> dict[str, np.ndarray]:
    """Each figure's values (n,), of all jobs; progress goes to the error stream."""
    jobs, found = list(jobs), []
    for result in executor.map(measure, jobs):
        found.append(result)
        print(f"\r{label}: {len(found)} of {len(jobs)} ", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return {name: np.array([each[name] for each in found]) for name in found[0]}


if __name__ == "__main__":
    main()
