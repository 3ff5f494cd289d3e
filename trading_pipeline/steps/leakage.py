"""Looking for look-ahead in all that is stored of a market, stage by stage."""

from collections.abc import Callable

from trading_pipeline.core.leakage.bars import examine_bars, examine_stored_features
from trading_pipeline.core.leakage.experiment import Examined, merged
from trading_pipeline.core.leakage.fold import examine_model
from trading_pipeline.core.leakage.training import examine_training
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import CheckpointError, FeatureError, HistoryTooShort, StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import (
    checkpoint_of,
    fold_of,
    folds_of,
    read_dataset,
    read_panel,
)
from trading_pipeline.steps.plan import Plan

MODEL = "scaled inputs, predictions, orders"  # the stages that need one
Watching = Callable[[str], Advance]  # from the name of a piece of work


def examine_market(
    home: Home, plan: Plan, cuts: int, watching: Watching
) -> tuple[list[Examined], dict[str, str]]:
    """What every stage of a stored market came to, and by stage what was skipped and why.

    Raises:
        StoreError: no bars are stored.
    """
    panel, calendar = read_panel(home, plan.market), plan.market.calendar
    examined = examine_bars(panel, calendar, count=cuts, watch=watching("bars to features"))
    try:
        examined.append(examine_stored_features(panel, calendar, home.features(plan.market).read))
        data = read_dataset(home, plan)
    except FeatureError as error:
        trained, skipped = examine_trainings(panel, plan, watching)
        return examined + trained, {"features, stored": str(error), MODEL: str(error)} | skipped
    folds, skipped = _possible(panel, plan)
    watch = watching("bars to orders, fold by fold")
    for place, fold in enumerate(folds, start=1):
        found, why = _examine_fold(home, plan, data, fold, cuts)
        examined += found
        if why:
            skipped[f"{MODEL} of {fold.key}"] = why
        watch(place, len(folds), fold.key)
    return examined, skipped


def examine_features(home: Home, market: Market) -> list[Examined]:
    """Features of raw bars that are cut, scrambled and shortened, and the stored ones."""
    panel = read_panel(home, market)
    stored = examine_stored_features(panel, market.calendar, home.features(market).read)
    return [*examine_bars(panel, market.calendar), stored]


def examine_predictions(home: Home, plan: Plan, key: str | None) -> list[Examined]:
    """Of a fold, or of all that are predicted if None; whether it is clean is kept beside each."""
    store, recipe, data = home.predictions(plan.market), plan.recipe, read_dataset(home, plan)
    examined: list[Examined] = []
    possible, stored = folds_of(data.panel, recipe), store.folds()
    mine = [fold_of(data, recipe, key)] if key else [possible[k] for k in stored if k in possible]
    for fold in mine:
        store.forget_check(fold.key)  # a check that crashes clears nothing
        checkpoint, digest = checkpoint_of(home, plan, data.panel, fold), store.digest(fold.key)
        found = examine_model(data, fold, recipe, checkpoint, store.read([fold.key]))
        store.note_check(fold.key, digest, passed(found))
        examined += found
    return merged(examined)


def passed(examined: list[Examined]) -> bool:
    """Whether values were compared, and none leaked."""
    return any(each.values for each in examined) and not any(each.leaks for each in examined)


def examine_trainings(
    panel: Panel, plan: Plan, watching: Watching
) -> tuple[list[Examined], dict[str, str]]:
    """What the training of every possible fold would be given; and why there is none, if so."""
    examined: list[Examined] = []
    folds, skipped = _possible(panel, plan)
    watch = watching("training, fold by fold")
    for place, fold in enumerate(folds, start=1):
        examined += examine_training(panel, fold, plan.recipe)
        watch(place, len(folds), fold.key)
    return examined, skipped


def _possible(panel: Panel, plan: Plan) -> tuple[list[Fold], dict[str, str]]:
    try:
        return list(folds_of(panel, plan.recipe).values()), {}
    except HistoryTooShort as error:
        return [], {"training": str(error), MODEL: str(error)}


def _examine_fold(
    home: Home, plan: Plan, data: Dataset, fold: Fold, cuts: int
) -> tuple[list[Examined], str | None]:
    """All of a fold, or its training alone and why there is no more."""
    try:
        checkpoint = checkpoint_of(home, plan, data.panel, fold)
        stored = home.predictions(plan.market).read([fold.key])
    except (CheckpointError, StoreError) as error:
        return examine_training(data.panel, fold, plan.recipe), str(error)
    return examine_model(data, fold, plan.recipe, checkpoint, stored, cuts), None
