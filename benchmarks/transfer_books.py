"""Books whose transfer of skill is measured: traded by the product's own code, on one market each.

What is measured of a market is a row of named figures; `benchmarks/transfer.py` makes a table of
them. Letters: T bars of a panel, K of those from the first score on, N symbols.
"""

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markets import (
    HORIZON,
    LEVEL,
    Planted,
    persistent_scores,
    planted,
    turbulent,
)

from trading_pipeline.core.backtest.baselines import RULE_BASELINES, Span
from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.result import BacktestResult
from trading_pipeline.core.evaluation.metrics import (
    annual_volatility,
    max_drawdown,
    sharpe,
    turnover,
)
from trading_pipeline.core.learning.calibration import demeaned, fit_slope
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.market import Costs, Market, usual_terms
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.synthetic import surrogate
from trading_pipeline.core.trading.terms import Terms
from trading_pipeline.steps.panel_file import read_panel_file

CAPITAL = 1_000_000.0
WARMUP = 252  # bars before the first score
BLOCK = 63  # bars of a surrogate
VALIDATION = 190  # bars: 15 % of five years
YEAR = 252  # days, of planted markets
COSTS = Costs(fee=0.0010, slippage=0.0005)
CHEAP = Costs(fee=0.0005, slippage=0.0005)
NEUTRAL = {"mandate": "neutral", "shortable": True}

Figures = dict[str, float]


class Universe(NamedTuple):
    """Where surrogates come from."""

    name: str
    calendar: str
    path: Path | None  # None: simulated
    symbols: int
    bars: int
    scale: float  # × the volatility of shares


class Planting(NamedTuple):
    """A planted market, and who trades it."""

    ic: float
    symbols: int
    bars: int
    noisy: bool = False
    neutral: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A market, and scores that a book is made of there."""

    panel: Panel
    score: np.ndarray  # (T, N); those of the warm-up are not handed over
    calendar: str = "XNYS"

    def basis(self, score: np.ndarray | None = None, **changed: Any) -> tuple[Basis, Terms]:
        """What a book is decided on, and its terms; other scores, or terms, if they are given."""
        market = self.market(**changed)
        handed = np.array(self.score if score is None else score)
        handed[:WARMUP] = np.nan
        basis = Basis.of(self.panel, handed, eligible(self.panel, WARMUP), market)
        return basis, Terms.of(market, CAPITAL)

    def market(self, **changed: Any) -> Market:
        usual = {"costs": COSTS, "horizon": usual_terms(self.calendar, "1d")[0]}
        return Market(
            name="transfer",
            source="parquet",
            symbols=self.panel.symbols,
            start=date(2008, 1, 1),
            calendar=self.calendar,
            **(usual | changed),
        )

    def traded(self, score: np.ndarray | None = None, **changed: Any) -> BacktestResult:
        basis, terms = self.basis(score, **changed)
        return basis.trade(terms)

    def index(self) -> np.ndarray:
        """(K - 1,) daily returns of equal weight, without costs."""
        simple: np.ndarray = np.nanmean(simple_returns(self.panel), axis=1)
        return simple


# One surrogate ----------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def source_panel(universe: Universe) -> Panel:
    """The panel that surrogates of a universe are made of."""
    if universe.path is None:
        return turbulent(0, universe.symbols, universe.bars, universe.scale)
    file = read_panel_file(universe.path, False, universe.calendar, None)
    return file.panel(file.bars)


def surrogate_case(universe: Universe, seed: int) -> Case:
    """A market with nothing to find, and scores that know nothing."""
    panel = surrogate(source_panel(universe), seed, BLOCK)
    horizon = usual_terms(universe.calendar, "1d")[0]
    score = persistent_scores(seed, *panel.close.shape, horizon)
    return Case(panel=panel, score=score, calendar=universe.calendar)


def unskilled_figures(universe: Universe, seed: int) -> Figures:
    """What scores that know nothing cost beside equal weight, at two costs."""
    case, year = surrogate_case(universe, seed), _days(universe)
    found = {}
    for name, costs in (("15 bp", COSTS), ("10 bp", CHEAP)):
        basis, terms = case.basis(costs=costs)
        book, bare = basis.trade(terms), bare_book(basis, terms)
        found |= {
            f"difference {name}": sharpe(daily(book), year) - sharpe(daily(bare), year),
            f"turnover {name}": turnover(book.turnover, year),
        }
    return _floats(found)


def rules_figures(universe: Universe, seed: int) -> Figures:
    """What the rules alone cost and save beside equal weight."""
    case, year = surrogate_case(universe, seed), _days(universe)
    basis, terms = case.basis(np.zeros_like(case.score))
    bare, book = bare_book(basis, terms), basis.trade(terms)
    own, other = daily(book), daily(bare)
    return _floats(
        {
            "difference": sharpe(own, year) - sharpe(other, year),
            "turnover": turnover(book.turnover, year),
            "volatility": annual_volatility(own, year),
            "drawdown": max_drawdown(own) / max_drawdown(other),
            "drawdown at equal volatility": max_drawdown(own)
            / max_drawdown(other * own.std() / other.std()),
            "bare sharpe": sharpe(other, year),
            "bare turnover": turnover(bare.turnover, year),
            "bare volatility": annual_volatility(other, year),
        }
    )


def neutral_surrogate_figures(universe: Universe, seed: int) -> Figures:
    """How much of the market a neutral book of scores that know nothing carries."""
    case = surrogate_case(universe, seed)
    book = case.traded(case.score + LEVEL, **NEUTRAL)
    return _floats({"beta": beyond_beta(daily(book), case.index(), _days(universe))[2]})


def bare_book(basis: Basis, terms: Terms) -> BacktestResult:
    """Equal weight, restored monthly, with its costs and without rules."""
    return basis.trade(replace(terms, profile=None), score=None, weights=equal_weights(basis))


def equal_weights(basis: Basis) -> np.ndarray:
    span = Span(basis.start, basis.stop, YEAR)
    return RULE_BASELINES["equal_weight"](basis.panel, basis.eligible, span)


def _days(universe: Universe) -> int:
    return 365 if universe.calendar == "24/7" else YEAR


# One planted market -----------------------------------------------------------------------------


def planted_case(planting: Planting, seed: int) -> tuple[Case, Planted]:
    """A market with skill, calibrated scores, and the truth.

    Calibrated scores of a coefficient of 0 would be 0: there they believe to know what those of
    0.03 know.
    """
    truth = planted(
        planting.ic, seed, symbols=planting.symbols, bars=planting.bars, noisy=planting.noisy
    )
    score = truth.score
    if planting.ic == 0:
        score = persistent_scores(seed, *score.shape, HORIZON) + LEVEL
    return Case(panel=truth.panel, score=score), truth


def planted_figures(planting: Planting, seed: int) -> Figures:
    """What a book makes of planted skill, from the first score on."""
    case, truth = planted_case(planting, seed)
    book = case.traded(**(NEUTRAL if planting.neutral else {}))
    own, best = daily(book), optimum(truth)
    ratio, deviation, slope = beyond_beta(own, case.index(), YEAR)
    paid = costs_paid(book) / annual_volatility(own, YEAR)
    return _floats(
        {
            "ratio": ratio,
            "tracking error": deviation,
            "beta": slope,
            "turnover": turnover(book.turnover, YEAR),
            "optimal ratio": beyond_beta(best, case.index(), YEAR)[0],
            "sharpe": sharpe(own, YEAR),
            "optimal sharpe": sharpe(best, YEAR),
            "optimal sharpe less costs": sharpe(best, YEAR) - paid,
            "coefficient": coefficient(truth),
        }
    )


def optimum(truth: Planted) -> np.ndarray:
    """(K - 1,) returns of the best that is to be had of the signal, for nothing.

    Signal over σ, neutral to the market in σ and in β, held anew every day.
    """
    exposures = np.column_stack([np.ones_like(truth.beta), truth.beta / truth.sigma])
    basis, _ = np.linalg.qr(exposures)
    signal = truth.signal[WARMUP:-1]
    weights = (signal - signal @ basis @ basis.T) / truth.sigma
    earned: np.ndarray = (weights * simple_returns(truth.panel)).sum(axis=1)
    return earned


def costs_paid(book: BacktestResult) -> float:
    """What trading and borrowing cost a year, as a share of equity."""
    borrowed = np.abs(book.flows["borrow"].sum(axis=1) / book.equity).mean() * YEAR
    traded = turnover(book.turnover, YEAR) * (COSTS.fee + COSTS.slippage)
    return float(borrowed + traded)


def coefficient(truth: Planted) -> float:
    """Information coefficient that the signal really had, over the horizon."""
    known = truth.signal[:-HORIZON]
    return float(np.corrcoef(known.ravel(), outcome(truth).ravel())[0, 1])


def outcome(truth: Planted) -> np.ndarray:
    """(T - h, N) residual return of the next h bars, in σ√h."""
    path = np.cumsum(truth.residual / truth.sigma, axis=0)
    ahead: np.ndarray = (path[HORIZON:] - path[:-HORIZON]) / np.sqrt(HORIZON)
    return ahead


def calibration_figures(planting: Planting, seed: int) -> Figures:
    """Slope of what came about on calibrated scores, and their spread.

    What is calibrated are answers in no unit: the signal seen through noise, or noise alone where
    no skill is planted, on nine months of validation; the years after them are what came about.
    """
    case, truth = planted_case(planting, seed)
    target = np.full(truth.signal.shape, np.nan)
    target[:-HORIZON] = outcome(truth)
    fitted = slice(WARMUP, WARMUP + VALIDATION - HORIZON)
    answers = 7.0 * case.score / (planting.ic or 0.03)
    slope, _ = fit_slope(answers[fitted], target[fitted], HORIZON)
    later = slice(WARMUP + VALIDATION, -HORIZON)
    score, came = slope * demeaned(answers[later], np.isfinite(answers[later])), target[later]
    products, squares = (score * came).sum(), (score**2).sum()
    return _floats({"products": products, "squares": squares, "spread": score.std()})


# Any book ---------------------------------------------------------------------------------------


def daily(book: BacktestResult) -> np.ndarray:
    """(K - 1,) returns between closes."""
    returns: np.ndarray = book.equity[1:] / book.equity[:-1] - 1
    return returns


def simple_returns(panel: Panel) -> np.ndarray:
    """(K - 1, N) between closes, of the days that a book has."""
    close = panel.close[WARMUP:]
    returns: np.ndarray = close[1:] / close[:-1] - 1
    return returns


def beyond_beta(own: np.ndarray, index: np.ndarray, year: int) -> tuple[float, float, float]:
    """Information ratio, tracking error (both a year) and β of daily returns on an index's."""
    slope = np.cov(own, index)[0, 1] / index.var(ddof=1)
    alone = own - slope * index
    return float(sharpe(alone, year)), float(annual_volatility(alone, year)), float(slope)


def _floats(found: dict[str, Any]) -> Figures:
    return {name: float(value) for name, value in found.items()}
