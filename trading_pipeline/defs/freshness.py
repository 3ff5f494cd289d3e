"""What is up to date, and what is missing? The one answer that commands, sensor and report share.

It compares fingerprints of what is stored now with those of what models and predictions were made
from; so it is the same whoever made them, in whatever order, and with whatever events on record.
"""

from typing import Any, Literal, NamedTuple

from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.defs.inputs import (
    Plan,
    checkpoint_of,
    folds_of_panel,
    predictions_fingerprint,
    recipe_of,
)
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import CheckpointError, StoreError

NO_LOOK_AHEAD = "predictions_do_not_look_ahead"  # the check that clears predictions


class Lack(NamedTuple):
    """Why a fold cannot be reported on, and the job that mends it."""

    job: Literal["train", "predict"]
    why: str


def lacking(home: Home, plan: Plan, panel: Panel) -> dict[str, Lack]:
    """The folds that lack something, by key and in order; all others are up to date and cleared.

    Cleared: the blocking check ran to its end on exactly the predictions that are stored, and
    passed. A check that crashed has cleared nothing.

    Raises:
        HistoryTooShort: the bars allow no fold yet.
    """
    lacks = {
        key: _lack_of(home, plan, panel, fold)
        for key, fold in folds_of_panel(panel, recipe_of(plan)).items()
    }
    return {key: lack for key, lack in lacks.items() if lack}


def stored_model(
    home: Home, plan: Plan, panel: Panel, fold: Fold, name: str
) -> dict[str, Any] | None:
    """The checkpoint of that name, if a training on these bars would make the same one."""
    try:
        return checkpoint_of(home, plan, panel, fold, name)
    except CheckpointError:
        return None


def _lack_of(home: Home, plan: Plan, panel: Panel, fold: Fold) -> Lack | None:
    key, name, store = fold.key, plan.market.name, home.predictions(plan.market)
    again = (
        f"run `trading-pipeline train --market {name}`, or materialize predictions for {key} in "
        "the web UI"
    )
    try:
        checkpoint_of(home, plan, panel, fold)
    except CheckpointError as error:
        return Lack("train", str(error))
    made_from = predictions_fingerprint(panel, fold, home.checkpoints(plan.market).verify(key))
    if store.fingerprint(key) != made_from:
        return Lack("predict", f"predictions of fold {key} are missing or out of date; {again}")
    try:
        store.read([key])
    except StoreError as error:  # its rows are damaged, though what it was made from can be read
        return Lack("predict", str(error))
    uncleared = f"predictions of {name}, fold {key}, are not cleared: check {NO_LOOK_AHEAD}"
    passed = store.passed(key)
    if passed is None:
        return Lack("predict", f"{uncleared} has not run to its end on them; {again}")
    if not passed:  # whatever looked ahead may be in the model, so that goes too
        return Lack("train", f"{uncleared} has failed on them and says what looks ahead; {again}")
    return None
