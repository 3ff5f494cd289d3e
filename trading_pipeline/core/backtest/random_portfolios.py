"""Random portfolios: how well one does on these bars by luck alone.

Each follows random scores through the strategy's own sizing, limits and costs. The scores persist,
for a book that is redrawn every month pays a turnover that nobody has, and beside it whoever trades
little looks skilled.
"""

from dataclasses import replace

import numpy as np

from trading_pipeline.core.backtest.basis import Basis
from trading_pipeline.core.backtest.paths import Paths, live_through
from trading_pipeline.core.market.synthetic import autoregression
from trading_pipeline.core.trading.engine.parameters import ENOUGH, parameters_of
from trading_pipeline.core.trading.inputs import known_grids
from trading_pipeline.core.trading.terms import Terms

RANDOM_PORTFOLIOS = 1000
_WORK = 250_000_000  # symbols × bars of all of them together: about a minute
_FEWEST = 100  # enough for a percentile
_ROUNDING = 1e-6  # of the scores: a spread below it is none


def portfolios_for(basis: Basis) -> int:
    """How many random portfolios a history is worth: 1,000, or what about a minute allows."""
    cells = (basis.stop - basis.start) * len(basis.panel.symbols)
    return min(RANDOM_PORTFOLIOS, max(_FEWEST, _WORK // cells))


def random_portfolios(basis: Basis, terms: Terms, *, seed: int, count: int) -> Paths:
    """Accounts (count, K) that trade `random_scores` as the strategy trades its own.

    The share of the tilt is the one that the strategy's evidence allowed, so that all of them take
    as much risk as it did. The same seed gives the same ones, and each does not depend on how many
    there are.

    Args:
        basis: of the strategy. terms: its terms.
    """
    own = replace(basis.inputs, half_life=None)  # that of `random_scores`: the horizon
    known = known_grids(basis.panel, basis.prepared, own)
    rules = parameters_of(terms, scored=True)
    paths = Paths.opened([terms] * count, basis.stop - basis.start)
    mean, spread = spread_of(basis, terms)

    said = np.isfinite(basis.score[basis.start : basis.stop])
    score = np.full(basis.score.shape, np.nan)
    for r in range(count):
        generator = np.random.default_rng([seed, r])
        drawn = random_scores(generator, mean, spread, terms.horizon, said.shape[1])
        score[basis.start : basis.stop] = np.where(said, drawn, np.nan)
        luck = known._replace(score=score)
        live_through(basis, rules, luck, known.kelly[None], paths, slice(r, r + 1))
    return paths


def spread_of(basis: Basis, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """(K, 1) mean of the scores across the symbols of each date, and their standard deviation.

    Scores that prefer no symbol at any date, as those of fewer than eight symbols, have no spread
    that could be drawn at random. Theirs is the one that deserves the whole tracking error: the
    most that the limits let anyone deviate from the benchmark.
    """
    score = basis.score[basis.start : basis.stop]
    said = np.isfinite(score)
    count = said.sum(axis=1, keepdims=True)
    mean = np.where(said, score, 0.0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    squares = (np.where(said, score - mean, 0.0) ** 2).sum(axis=1, keepdims=True)
    spread = np.sqrt(squares / np.maximum(count - 1, 1))
    if spread.max() <= _ROUNDING * np.abs(mean).max():
        year = terms.bars_per_year / terms.horizon  # information ratio: spread × √symbols × √year
        spread = ENOUGH / np.sqrt(np.maximum(count, 1) * year)
    return mean, spread


def random_scores(
    generator: np.random.Generator,
    mean: np.ndarray,
    spread: np.ndarray,
    horizon: int,
    symbols: int,
) -> np.ndarray:
    """(K, N) scores of that mean and spread (K, 1) that persist: AR(1), half-life `horizon` bars.

    Symbols are independent of one another.
    """
    drawn: np.ndarray = mean + spread * autoregression(generator, len(spread), symbols, horizon)
    return drawn
