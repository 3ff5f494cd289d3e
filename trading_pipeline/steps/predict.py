"""What the checkpoint of a fold says about the fold's own bars: out of sample by construction."""

from collections.abc import Callable

import pandas as pd

from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.progress import Advance
from trading_pipeline.steps.freshness import predictions_fingerprint
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import checkpoint_of, fold_of, read_dataset
from trading_pipeline.steps.plan import Plan


def predict(
    home: Home, plan: Plan, key: str, watching: Callable[[str], Advance]
) -> tuple[pd.DataFrame, str]:
    """Predict every bar of a fold, the newest included, and store it: the rows, their fingerprint.

    Raises:
        HistoryTooShort: the stored bars allow no such fold.
        CheckpointError: it has no checkpoint, or one of other settings or bars.
    """
    data, market = read_dataset(home, plan), plan.market
    fold = fold_of(data, plan.recipe, key)
    predictor = Predictor(checkpoint_of(home, plan, data.panel, fold))
    watch = watching(f"{market.name} fold {key}: predicting")
    rows = predict_rows(predictor, data, fold.test, key, lambda k, n: watch(k, n, "dates"))
    made_from = predictions_fingerprint(data.panel, fold, home.checkpoints(market).verify(key))
    home.predictions(market).write(key, rows, made_from)
    return rows, made_from
