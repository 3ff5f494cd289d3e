"""What the checkpoint of a fold says about the fold's own bars: out of sample by construction."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pandas as pd

from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.progress import Advance
from trading_pipeline.steps.freshness import predicted_by, predictions_fingerprint
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import checkpoint_of, fold_of, read_dataset
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.train import Host, Trained, train_beside


def predict(
    home: Home, plan: Plan, key: str, watching: Callable[[str], Advance]
) -> tuple[pd.DataFrame, str]:
    """Predict every bar of a fold, the newest included, and store it: the rows, their fingerprint.

    Raises:
        HistoryTooShort: the stored bars allow no such fold.
        CheckpointError: it has no checkpoint, or one of other settings or bars.
    """
    data = read_dataset(home, plan)
    fold = fold_of(data, plan.recipe, key)
    return _predict(home, plan, data, fold, watching(f"{plan.market.name} fold {key}: predicting"))


def predict_rivals(
    home: Home, plan: Plan, key: str, models: Iterable[str], host: Host
) -> Iterator[tuple[str, Trained, pd.DataFrame]]:
    """Fit rivals of a fold's model and predict the fold with each, where that was not done yet.

    Yields:
        For each of `models`: its name, its checkpoint, and its predictions.
    """
    data = read_dataset(home, plan)
    fold = fold_of(data, plan.recipe, key)
    for model in models:
        trained = train_beside(home, plan, model, data, fold, key, host)
        place, like = home.beside(model), replace(plan, model=model)
        if predicted_by(home, plan, model, data.panel, fold):
            yield model, trained, place.predictions(plan.market).read([key])
        else:
            yield model, trained, _predict(place, like, data, fold, _unwatched)[0]


def _unwatched(done: int, total: int, note: str) -> None:
    """A rival predicts a year in half a second."""


def _predict(
    home: Home, plan: Plan, data: Dataset, fold: Fold, watch: Advance
) -> tuple[pd.DataFrame, str]:
    key, market = fold.key, plan.market
    predictor = Predictor(checkpoint_of(home, plan, data.panel, fold))
    rows = predict_rows(predictor, data, fold.test, key, lambda k, n: watch(k, n, "dates"))
    made_from = predictions_fingerprint(data.panel, fold, home.checkpoints(market).verify(key))
    home.predictions(market).write(key, rows, made_from)
    return rows, made_from
