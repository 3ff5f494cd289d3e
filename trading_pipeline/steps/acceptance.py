"""Is the candidate for production to be accepted? The reasons against it, and the evidence."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from trading_pipeline.core.evaluation.acceptance import Band, Comparison, Said, compare
from trading_pipeline.core.learning.dataset import Dataset
from trading_pipeline.core.learning.inference import Prediction, Predictor
from trading_pipeline.core.learning.soundness import check_checkpoint
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import CheckpointError, HistoryTooShort
from trading_pipeline.steps.freshness import lacking
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import folds_of
from trading_pipeline.steps.plan import Plan

BAND = Band()
Evidence = dict[str, Any]  # plain JSON


def judge(
    home: Home, plan: Plan, data: Dataset, candidate: dict[str, Any], service: str, first: bool
) -> tuple[list[str], Evidence]:
    """Reasons against a candidate that loads, [] if it is accepted; and the evidence.

    It has to say numbers, and to agree with the model in service, the checkpoint `service`, without
    being significantly worse. One whose predecessor is of another recipe, damaged or lost is judged
    by the walk-forward, which has to have been through its recipe; a first model has nobody to
    agree with.

    Args:
        first: no model was ever in service.
    """
    if faults := not_numbers(recalled(Predictor(candidate), data), data):
        return faults, {}
    store, why = home.checkpoints(plan.market), "damaged"
    if not store.path(service).exists():
        if first:
            return [], {"predecessor": "none: the first model"}
        why = "lost"
    try:
        earlier = store.read(service)
        why = "not comparable"
        check_checkpoint(earlier, plan.recipe)
    except CheckpointError as error:
        lack = unsupported(home, plan, data.panel)
        return [lack] if lack else [], {"predecessor": f"{why}: {error}"}
    found = compared(data, candidate, earlier, plan.market.horizon)
    return BAND.refusals(found), {**found.to_dict(), "band": asdict(BAND)}


def not_numbers(said: list[Prediction], data: Dataset) -> list[str]:
    """A sentence where a model says something that is no number of an eligible symbol."""
    rows = range(len(data.panel.timestamps) - len(said), len(data.panel.timestamps))
    for row, prediction in zip(rows, said, strict=True):
        columns = prediction._asdict()
        apart = columns.pop("by_seed")
        columns |= {f"score of network {place}": score for place, score in enumerate(apart, 1)}
        for name, values in columns.items():
            broken = np.flatnonzero(data.eligible[row] & ~np.isfinite(values))
            if len(broken):
                symbol, stamp = data.panel.symbols[broken[0]], data.panel.timestamps[row]
                return [f"it says {values[broken[0]]} as {name} of {symbol} at {stamp:%Y-%m-%d}"]
    return []


def unsupported(home: Home, plan: Plan, panel: Panel) -> str | None:
    """Why the walk-forward says nothing about a plan's recipe; None where it does.

    Every fold but the newest, which may have begun today, has a model of this recipe, and
    predictions in which no look-ahead was found.
    """
    try:
        possible, lacks = list(folds_of(panel, plan.recipe)), lacking(home, plan, panel)
    except HistoryTooShort as error:
        return f"its recipe cannot have been through the walk-forward: {error}"
    lack = [key for key in possible[:-1] or possible if key in lacks and lacks[key].job == "train"]
    if not lack:
        return None
    return (
        "there is no model of its recipe in service that it could be held against, and its recipe "
        f"has not been through the walk-forward: {len(lack)} of {len(possible)} folds lack a model "
        f"of it. Run `trading-pipeline train --market {plan.market.name}`; the next night looks "
        "again"
    )


def compared(
    data: Dataset, candidate: dict[str, Any], earlier: dict[str, Any], horizon: int
) -> Comparison:
    """A model beside its predecessor, both of one recipe, on the newest dates of a dataset."""
    now, before = (said_by(model, data) for model in (candidate, earlier))
    return compare(now, before, horizon)


def said_by(checkpoint: dict[str, Any], data: Dataset) -> Said:
    """What a model says of the newest dates of a dataset, and its record."""
    score, heads = (
        np.stack([each.score for each in recalled(predictor, data)])
        for predictor in (Predictor(checkpoint), Predictor(checkpoint).unshrunk())
    )
    return Said(score, heads, record_of(checkpoint, data.panel.timestamps))


def recalled(predictor: Predictor, data: Dataset) -> list[Prediction]:
    """What a model says of the newest dates, which it may have learned from."""
    rows = len(data.panel.timestamps)
    predictor.restart(len(data.panel.symbols))
    return [predictor.recall(data, row) for row in range(rows - BAND.dates, rows)]


def record_of(checkpoint: dict[str, Any], clock: pd.DatetimeIndex) -> pd.Series:
    """The information coefficients of a model's validation, by date; empty if there are none."""
    record = checkpoint["metrics"]["validation_coefficients"]
    after = int(clock.searchsorted(pd.Timestamp(checkpoint["train_end"]), side="right"))
    return pd.Series(record, index=clock[after - len(record) : after], dtype=float)
