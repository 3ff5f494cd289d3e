"""Looking for look-ahead in all that is stored of a market, stage by stage."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.defs.inputs import (
    Plan,
    checkpoint_of,
    folds_of_panel,
    read_dataset,
    read_panel,
    recipe_of,
)
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import CheckpointError, FeatureError, HistoryTooShort, StoreError

if TYPE_CHECKING:
    from trading_pipeline.core.leakage.experiment import Examined
    from trading_pipeline.core.learning.dataset import Dataset

MODEL = "scaled inputs, predictions, orders"  # the stages that need one
Watching = Callable[[str], Advance]  # from the name of a piece of work


def examine_market(
    home: Home, plan: Plan, cuts: int, watching: Watching
) -> "tuple[list[Examined], dict[str, str]]":
    """What every stage of a stored market came to, and by stage what was skipped and why.

    Raises:
        StoreError: no bars are stored.
    """
    from trading_pipeline.core.leakage.bars import examine_bars, examine_stored_features

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


def examine_trainings(
    panel: Panel, plan: Plan, watching: Watching
) -> "tuple[list[Examined], dict[str, str]]":
    """What the training of every possible fold would be given; and why there is none, if so."""
    from trading_pipeline.core.leakage.training import examine_training

    examined: list[Examined] = []
    folds, skipped = _possible(panel, plan)
    watch = watching("training, fold by fold")
    for place, fold in enumerate(folds, start=1):
        examined += examine_training(panel, fold, recipe_of(plan))
        watch(place, len(folds), fold.key)
    return examined, skipped


def _possible(panel: Panel, plan: Plan) -> tuple[list[Fold], dict[str, str]]:
    try:
        return list(folds_of_panel(panel, recipe_of(plan)).values()), {}
    except HistoryTooShort as error:
        return [], {"training": str(error), MODEL: str(error)}


def _examine_fold(
    home: Home, plan: Plan, data: "Dataset", fold: Fold, cuts: int
) -> "tuple[list[Examined], str | None]":
    """All of a fold, or its training alone and why there is no more."""
    from trading_pipeline.core.leakage.fold import examine_model
    from trading_pipeline.core.leakage.training import examine_training

    try:
        checkpoint = checkpoint_of(home, plan, data.panel, fold)
        stored = home.predictions(plan.market).read([fold.key])
    except (CheckpointError, StoreError) as error:
        return examine_training(data.panel, fold, recipe_of(plan)), str(error)
    return examine_model(data, fold, recipe_of(plan), checkpoint, stored, cuts), None
