"""A panel of 30 symbols and 1,500 days, all the way from bars to a verdict, by the code of the
assets and without Dagster.

The first three years go into the features' memory and the first training; a network of the preset
`tiny` then predicts each of three years, trained on what was before it. Letters: T bars, N symbols,
D days out of sample.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trading_pipeline.core.backtest.basis import Basis, grids_of
from trading_pipeline.core.evaluation.performance import AccountView, daily_returns, day_closes
from trading_pipeline.core.evaluation.summary import EvaluationInputs, evaluate
from trading_pipeline.core.evaluation.trials import Trials
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.adhoc import COSTS
from trading_pipeline.core.learning.calibration import demeaned
from trading_pipeline.core.learning.checkpoint import train_fold
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import folds
from trading_pipeline.core.market.eligibility import eligible
from trading_pipeline.core.market.market import Market, WalkForward
from trading_pipeline.core.market.panel import Panel, volatility
from trading_pipeline.core.market.synthetic import HALF_LIFE, SyntheticMarket
from trading_pipeline.core.trading.terms import Terms

CLOCK = pd.bdate_range("2010-01-04", periods=1500, tz="UTC").as_unit("us")
SYMBOLS = tuple(f"S{n:02}" for n in range(30))
SPANS = WalkForward(first_train=36, test=12, window=60)
HORIZON, STEPS = 21, 60  # bars of a target, of a window
FOLDS = folds(CLOCK, SPANS, HORIZON, burn_in(STEPS))
FIRST = min(fold.test.first for fold in FOLDS.values())  # row that is decided on
CAPITAL = 100_000.0
MANDATES = ("long_only", "neutral")
LEVEL = 0.04  # the market's expected return in σ√h, a part of every score

Returns = dict[str, np.ndarray]  # by account, (D,); the strategy's under "strategy"


class Scores(NamedTuple):
    """What is traded; NaN where nothing was predicted."""

    score: np.ndarray  # (T, N) in units of σ√h
    half_life: np.ndarray  # (T,) bars
    volatility: np.ndarray  # (T, N) of a bar, as forecast


def market_of(mandate: str) -> Market:
    """What `walk-forward` makes of a daily panel of shares, with the spans of above."""
    return Market(
        name="synthetic",
        source="parquet",
        symbols=SYMBOLS,
        start=CLOCK[0].date(),
        mandate=mandate,
        shortable=mandate == "neutral",
        horizon=HORIZON,
        costs=COSTS,
        walk_forward=SPANS,
    )


def scores_of(panel: Panel, quick: bool = False) -> Scores:
    """What three networks say of three years that they have not seen.

    The preset's looks at validation, by which nothing is chosen, are left out. A quick one runs the
    same code on the first of the years, and learns nothing.
    """
    recipe = recipe_of(quick)
    data = Dataset.of(panel, features_of(panel, recipe.market.calendar), STEPS)
    tables = []
    for fold in list(FOLDS.values())[: 1 if quick else None]:
        predictor = Predictor(train_fold(data, fold, recipe))
        tables.append(predict_rows(predictor, data, fold.test, fold.key))
    table = pd.concat(tables, ignore_index=True)
    return Scores(*grids_of(panel, table))


def recipe_of(quick: bool) -> Recipe:
    """Of the networks. The mandate is no part of what they learn."""
    recipe = Recipe.preset(market_of("long_only"), "tiny", len(NAMES))
    unlooked = replace(recipe.training, evaluate_every=recipe.training.steps)
    if not quick:
        return replace(recipe, training=unlooked)
    few = replace(unlooked, steps=2, warmup=1)
    return replace(recipe, model=replace(recipe.model, terms=0), training=few)


def oracle_scores(truth: SyntheticMarket) -> Scores:
    """What somebody would say of the same dates who sees the planted signal itself."""
    score = truth.score(volatility(truth.panel), HORIZON)
    score = demeaned(score, np.isfinite(score)) + LEVEL
    score[:FIRST] = np.nan
    return Scores(score, np.full(len(score), HALF_LIFE), np.full(score.shape, np.nan))


def traded(panel: Panel, scores: Scores, mandate: str) -> Returns:
    """Scores traded with costs and risk rules, and every rule baseline beside them."""
    market, able = market_of(mandate), eligible(panel, burn_in(STEPS), window=STEPS)
    basis = Basis.of(panel, scores.score, able, market, scores.half_life, scores.volatility)
    terms = Terms.of(market, CAPITAL)
    accounts = {"strategy": basis.trade(terms), **basis.trade_baselines(terms)}
    closes = day_closes(panel.timestamps[basis.start : basis.stop])
    return {name: daily_returns(account.equity, closes) for name, account in accounts.items()}


def judged(returns: Returns, mandate: str) -> dict[str, str]:
    """The first two verdicts on daily returns alone, each 'proven' or 'not proven'."""
    market, days = market_of(mandate), len(returns["strategy"])
    views = {name: _view(each) for name, each in returns.items()}
    summary = evaluate(
        EvaluationInputs(
            market=market,
            timestamps=CLOCK[FIRST : FIRST + days + 1],
            strategy=views.pop("strategy"),
            baselines=views,
            random_equity=np.empty((0, days + 1)),
            ic=None,
            trials=Trials(count=1),
            capital=CAPITAL,
        )
    )
    verdict: Any = summary["verdict"]
    return {name: verdict[name] for name in ("edge", "adds")}


def _view(returns: np.ndarray) -> AccountView:
    """An account of which nothing is known but what it earned, (D,)."""
    nothing = np.zeros(len(returns) + 1)
    equity = CAPITAL * np.cumprod(np.append(1.0, 1 + returns))
    return AccountView(equity=equity, trades=None, turnover=nothing, exposure=nothing)
