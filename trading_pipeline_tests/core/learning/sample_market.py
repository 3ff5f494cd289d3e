"""The sample market, cut short, with a training budget of a few steps."""

from dataclasses import replace
from datetime import date
from functools import cache

from trading_pipeline.adapters.sources.sample import SampleSource
from trading_pipeline.core.features.catalog import NAMES
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.recipe import Recipe
from trading_pipeline.core.learning.walkforward import Fold, Rows, folds
from trading_pipeline.core.market.market import Costs, Market
from trading_pipeline.core.market.panel import Panel

MARKET = Market(
    name="sample",
    source="sample",
    symbols=("AAPL", "IBM", "MSFT", "GOOG"),
    start=date(2000, 3, 1),
    end=date(2008, 1, 1),
    costs=Costs(fee=0.0005, slippage=0.0005, lot=1),
)
KEY = "2006-01-01"


@cache
def panel() -> Panel:
    """Bars of 2000-2007."""
    source = SampleSource()
    bars = source.bars(MARKET.symbols, *source.span(MARKET.symbols))
    inside = bars[bars["timestamp"] < "2008-01-01"].reset_index(drop=True)
    return Panel.of(inside, source.actions(list(MARKET.symbols)), MARKET.symbols)


@cache
def dataset() -> Dataset:
    return dataset_of(panel())


def dataset_of(bars: Panel) -> Dataset:
    return Dataset.of(bars, features_of(bars, MARKET.calendar), recipe().model.n_steps)


def recipe(steps: int = 6, **changes) -> Recipe:
    """The tiny preset with only a few steps."""
    made = Recipe.preset(MARKET, "tiny", len(NAMES))
    budget = {"steps": steps, "warmup": 2, "evaluate_every": 3, **changes}
    return replace(made, training=replace(made.training, **budget))


def fold(data: Dataset | None = None) -> Fold:
    """The fold of 2006."""
    clock = (data or dataset()).panel.timestamps
    return folds(clock, MARKET.walk_forward, MARKET.horizon, burn_in(60))[KEY]


def short_fold(data: Dataset | None = None) -> Fold:
    """That fold with the last forty dates of its validation: a look at it is most of a step."""
    whole = fold(data)
    return replace(whole, validation=Rows(whole.validation.last - 39, whole.validation.last))
