"""Random portfolios: how well one does on these bars by luck alone."""

from dataclasses import replace

import numpy as np

from trading_pipeline.core.backtest.baselines import month_starts
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.trading.engine.loop import new_scratch
from trading_pipeline.core.trading.engine.many import run_portfolios
from trading_pipeline.core.trading.engine.parameters import parameters_of
from trading_pipeline.core.trading.inputs import Inputs, Prepared, known_grids, prepare
from trading_pipeline.core.trading.terms import Terms

_BLOCK = 50  # portfolios whose weights are in memory at once


def random_portfolios(
    panel: Panel,
    eligible: np.ndarray,
    terms: Terms,
    *,
    start: int,
    stop: int,
    seed: int,
    count: int = 1000,
    prepared: Prepared | None = None,
) -> np.ndarray:
    """Equity (count, stop - start) of fully invested long-only portfolios, with all costs.

    Every month each one draws new weights from Dirichlet(1) over the symbols eligible then:
    uniform over all long-only portfolios. The same seed gives the same ones.

    Args:
        eligible: (T, N) bool. start, stop: rows of the panel. terms: of which capital and costs
            play a part, for none may be short or is managed.
        prepared: `prepare` of the panel, if it is at hand.
    """
    rows = month_starts(panel, start, stop)
    drawn = np.full(stop - start, -1)  # which of the draws is asked for at a row; -1: none
    drawn[rows - start] = np.arange(len(rows))
    plain = replace(terms, horizon=1, mandate="long_only", shortable=False, profile=None)
    rules = parameters_of(plain, scored=False)
    shared = prepare(panel) if prepared is None else prepared
    known = known_grids(panel, shared, Inputs(eligible=eligible))
    opened, scratch = shared.opened(terms.capital), new_scratch(len(panel.symbols))
    equity = np.zeros((count, stop - start))
    generator = np.random.default_rng(seed)
    for first in range(0, count, _BLOCK):
        part = equity[first : first + _BLOCK]
        weights = _draw(generator, len(part), eligible[rows])
        run_portfolios(rules, *opened, known, weights, drawn, start, scratch, part)
    return equity


def _draw(generator: np.random.Generator, count: int, eligible: np.ndarray) -> np.ndarray:
    """(count, M, N) weights, each row Dirichlet(1) over `eligible` (M, N), zero if none is."""
    draws = generator.standard_exponential((count, *eligible.shape)) * eligible
    total = draws.sum(axis=2, keepdims=True)
    weights: np.ndarray = np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)
    return weights
