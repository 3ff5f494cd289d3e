"""Cvxportfolio's single-period optimiser, on the scores, risk and costs that our book has.

It is GPL, so it is in no list of dependencies: `make transfer` installs it beside the environment,
for this script only, which runs without it and says what is missing.

Its own backtester wants to download things, so its optimiser is asked close by close and our
`simulate` trades the weights that it asks for. The risk is β × market and the rest, from our σ and
β; the forecast of a day is a horizon's over its bars. One day's return never pays for a trade that
is held for weeks, so the cost is multiplied by a small number, of which the best is taken in
hindsight; the risk aversion is such that it comes to our tracking error in the first year.
"""

import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from transfer_books import (
    COSTS,
    WARMUP,
    YEAR,
    Case,
    Figures,
    Planting,
    beyond_beta,
    daily,
    planted_case,
    simple_returns,
)

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.evaluation.metrics import sharpe, turnover
from trading_pipeline.core.market.beta import equal_weight_returns, market_beta
from trading_pipeline.core.trading.terms import Terms

sys.path.append(str(Path(sys.prefix) / "rivals"))

MULTIPLIERS = (0.05, 0.1, 0.2)  # × the cost of a trade
ROUNDS = 3  # of finding the risk aversion
COST = COSTS.fee + COSTS.slippage


class Asked(NamedTuple):
    """What the optimiser asked for, from the first score on."""

    weights: np.ndarray  # (K - 1, N), NaN: leave the symbol alone
    tracking_error: float  # a year
    seconds: float  # of CPU, a decision


def installed() -> bool:
    return find_spec("cvxportfolio") is not None


def rival_figures(planting: Planting, seed: int) -> Figures:
    """Our book beside the optimiser's, at each of the multiples of the cost."""
    case, _ = planted_case(planting, seed)
    basis, terms = case.basis()
    basis.trade(terms)  # kernels are compiled by now
    began = time.process_time()
    book = basis.trade(terms)
    ours = (time.process_time() - began) / (basis.stop - basis.start)
    error = beyond_beta(daily(book), case.index(), YEAR)[1]
    found = {"sharpe": float(sharpe(daily(book), YEAR)), "tracking error": error, "seconds": ours}
    problem = Problem.of(case, basis)
    for multiplier in MULTIPLIERS:
        asked = problem.solved(multiplier, problem.aversion(multiplier, error))
        other = traded(basis, terms, asked)
        found |= {
            f"sharpe {multiplier}": float(sharpe(daily(other), YEAR)),
            f"tracking error {multiplier}": beyond_beta(daily(other), case.index(), YEAR)[1],
            f"turnover {multiplier}": float(turnover(other.turnover, YEAR)),
            f"seconds {multiplier}": asked.seconds,
        }
    return found


def traded(basis: Basis, terms: Terms, asked: Asked) -> Any:
    """The account that trades what was asked for, by our own simulation."""
    weights = np.full(basis.panel.close.shape, np.nan)
    weights[basis.start : basis.stop - 1] = asked.weights
    return basis.trade(replace(terms, profile=None), score=None, weights=weights)


class Problem(NamedTuple):
    """What the optimiser is told: frames by date and symbol."""

    forecast: pd.DataFrame  # expected return of a day
    loading: pd.DataFrame  # β × σ of the market
    own: pd.DataFrame  # variance beyond that
    returns: np.ndarray  # (K - 1, N) that came about, by which holdings drift

    @classmethod
    def of(cls, case: Case, basis: Basis) -> "Problem":
        panel, rows = case.panel, slice(WARMUP, -1)
        dates, names = panel.timestamps[rows], list(panel.symbols)
        sigma = basis.prepared.volatility
        market = pd.Series(equal_weight_returns(panel)).rolling(63).std().to_numpy()
        loading = market_beta(panel) * market[:, None]
        own = np.maximum(sigma**2 - loading**2, 0.1 * sigma**2)
        horizon = case.market().horizon
        centred = case.score - case.score.mean(axis=1, keepdims=True)
        forecast = centred * sigma / np.sqrt(horizon)
        factor = pd.MultiIndex.from_product([dates, ["market"]])
        return cls(
            pd.DataFrame(forecast[rows], dates, names),
            pd.DataFrame(loading[rows], factor, names),
            pd.DataFrame(own[rows], dates, names),
            simple_returns(panel),
        )

    def aversion(self, multiplier: float, tracking_error: float) -> float:
        """Risk aversion with which the first year comes to the tracking error."""
        found = 20.0
        for _ in range(ROUNDS):
            measured = self.solved(multiplier, found, YEAR).tracking_error
            found *= (measured / tracking_error) ** 1.5
        return found

    def solved(self, multiplier: float, aversion: float, decisions: int | None = None) -> Asked:
        """Ask at each close, and let the holdings drift until the next."""
        policy = self._policy(multiplier, aversion)
        dates, names = self.forecast.index, self.forecast.columns
        with_cash = pd.Index([*names, "cash"])
        held = np.full(len(names), 1 / len(names))
        asked, active, seconds = [], [], 0.0
        policy.initialize_estimator_recursive(universe=with_cash, trading_calendar=dates)
        for day, earned in zip(dates[:decisions], self.returns, strict=False):
            began = time.process_time()
            wanted = policy.values_in_time_recursive(
                t=day,
                current_weights=pd.Series(np.append(held, 0.0), with_cash),
                current_portfolio_value=1e6,
                past_returns=None,
                past_volumes=None,
                current_prices=None,
            )
            seconds += time.process_time() - began
            new = np.maximum(wanted.to_numpy()[:-1], 0.0)
            asked.append(np.where(np.abs(new - held) < 1e-5, np.nan, new))  # rounding of a solver
            active.append((new - 1 / len(names)) @ earned)
            held = new * (1 + earned)
            held /= held.sum()
        error = float(np.std(active) * np.sqrt(YEAR))
        return Asked(np.array(asked), error, seconds / len(asked))

    def _policy(self, multiplier: float, aversion: float) -> Any:
        import cvxportfolio as cvx

        names = self.forecast.columns
        equal = pd.Series([*np.full(len(names), 1 / len(names)), 0.0], [*names, "cash"])
        return cvx.SinglePeriodOptimization(
            cvx.ReturnsForecast(self.forecast)
            - aversion * cvx.FactorModelCovariance(F=self.loading, d=self.own)
            - multiplier * cvx.TransactionCost(a=COST),
            [cvx.LongOnly(), cvx.NoCash()],
            include_cash_return=False,
            benchmark=equal,
        )
