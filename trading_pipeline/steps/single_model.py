"""One model of a panel: trained once on its bars, and tested once on later ones.

A walk-forward asks how a recipe does, year after year, with a model of the years before. This asks
how one model does that is there already; what it has learned from is refused as a test.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from trading_pipeline.adapters.code_version import code_version
from trading_pipeline.adapters.machine import packages
from trading_pipeline.adapters.store.checkpoints import CheckpointStore
from trading_pipeline.core.evaluation.heads import Comparison
from trading_pipeline.core.evaluation.summary import SINGLE_MODEL
from trading_pipeline.core.evaluation.verdict import spelled
from trading_pipeline.core.features.catalog import catalog_hash
from trading_pipeline.core.leakage.fold import (
    examine_fold,
    examine_model,
    examine_stored_predictions,
)
from trading_pipeline.core.learning.checkpoint import targets_of
from trading_pipeline.core.learning.dataset import Dataset, burn_in, features_of
from trading_pipeline.core.learning.inference import Predictor, predict_rows
from trading_pipeline.core.learning.recipe import Recipe, fingerprint
from trading_pipeline.core.learning.soundness import check_checkpoint
from trading_pipeline.core.learning.targets import Targets
from trading_pipeline.core.learning.walkforward import Fold, Rows, whole_fold
from trading_pipeline.core.market.bars import content_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.progress import Advance
from trading_pipeline.errors import (
    CheckpointError,
    EvaluationError,
    HistoryTooShort,
    LookAheadError,
)
from trading_pipeline.steps.evaluate import (
    Candidate,
    Evaluated,
    evaluate_candidate,
    heads_of,
    history_of,
    outcomes_of,
)
from trading_pipeline.steps.freshness import refuse_nothing_eligible, stored_model
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.lineage import CHECKPOINT_ORIGINS, spanned
from trading_pipeline.steps.panel_file import PanelBars
from trading_pipeline.steps.plan import Plan
from trading_pipeline.steps.train import Host, Trained, train_fold

NAME = "best_model"  # of the file, unless another one is asked for
_ASIDE = "single"  # folder below the market's models, for what is unfinished and for candidates


def train_once(
    home: Home, plan: Plan, bars: PanelBars, until: date | None, path: Path, host: Host
) -> Trained:
    """Train one model on all bars up to a day, that day included, and write it to a file.

    The same on the same bars is not trained again; a training that was killed goes on.

    Args:
        plan: of the bars' market. until: None: to their end. path: of the file, `NAME.pt`.

    Raises:
        HistoryTooShort: there are too few bars.
    """
    panel, recipe = bars.panel if until is None else _until(bars.panel, until), plan.recipe
    data = _dataset(panel, plan.market, recipe.model.n_steps)
    fold = _whole(panel.timestamps, recipe)
    aside = home.beside(_ASIDE)
    kept = stored_model(aside, plan, panel, fold, NAME)
    if kept is None:
        made = train_fold(aside, plan, data, fold, NAME, host, "model of all bars")
    else:
        made = Trained(kept, aside.checkpoints(plan.market).verify(NAME), is_new=False)
    place = CheckpointStore(path.parent)
    if not place.is_whole(path.stem, made.digest):
        place.copy(path.stem, aside.checkpoints(plan.market).path(NAME))
    return made


class Asked(NamedTuple):
    """What a model is to be tested on."""

    path: Path  # of the model
    start: date | None  # of the first bar to decide on; None: the first that it has not seen
    data_path: str  # of the bars, as options say it: for the commands that an error names


def backtest_once(
    home: Home, bars: PanelBars, asked: Asked, folder: Path, capital: float, watch: Advance
) -> Evaluated:
    """Trade what a model says of the bars that it has not seen, journal the trial, and report.

    Costs, profile and limits are the bars' market's; sizes, horizon and scaling the model's.

    Args:
        home: whose ledger counts the trial. folder: of the report. watch: of the dates predicted.

    Raises:
        LookAheadError: it has learned from bars that it is to be tested on; says from when on it
            can be tested, and what to run.
        CheckpointError: the file is no sound checkpoint, or not one of such a panel.
        EvaluationError: nothing is left to test on, or too few days.
    """
    checkpoint, digest = _read(asked.path)
    recipe = _recipe_of(checkpoint, bars.market, asked.path)
    market, n_steps = recipe.market, recipe.model.n_steps
    rows = _rows_to_test(bars.panel.timestamps, checkpoint, asked)
    data = _dataset(bars.panel, market, n_steps)
    rows = Rows(max(rows.first, burn_in(n_steps)), rows.last)
    if not len(rows):
        raise EvaluationError(
            f"{asked.data_path}: {len(data.panel.timestamps)} bars are too few: features and their "
            f"window take the first {burn_in(n_steps)}"
        )
    refuse_nothing_eligible(data, slice(rows.first, rows.last + 1), market.name, n_steps)
    fold, same = _fold_of(data, checkpoint, recipe, rows)
    predictions = predict_rows(
        Predictor(checkpoint), data, rows, fold.key, lambda k, n: watch(k, n, "dates")
    )
    targets = targets_of(data, recipe)
    leaks = _leaks(data, fold, recipe, checkpoint, predictions, same)
    candidate = Candidate(
        market=market,
        panel=data.panel,
        eligible=data.eligible,
        predictions=predictions,
        targets=targets,
        name=f"{asked.path.stem} ({recipe.learner}), {market.profile}",
        hashes=_hashes(data, recipe, checkpoint, digest, predictions),
        aside=bars.aside,
        origin=SINGLE_MODEL,
        notes=_notes(checkpoint, asked, same),
        known={
            "leaks": leaks,
            "model": recipe.learner,
            "choices": _choices(checkpoint, fold.key),
            "starts": {fold.key: checkpoint["start"]} if checkpoint["start"] else {},
            "heads": _heads(data, predictions, targets, fold, market) if same else [],
        },
    )
    return evaluate_candidate(home, candidate, folder, capital)


def _dataset(panel: Panel, market: Market, n_steps: int) -> Dataset:
    return Dataset.of(panel, features_of(panel, market.calendar), n_steps)


def _until(panel: Panel, day: date) -> Panel:
    """The bars that open on a day or before."""
    clock = panel.timestamps
    rows = int(clock.searchsorted(pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)))
    if not rows:
        raise HistoryTooShort(f"no bar opens until {day}: the first is of {clock[0]:%Y-%m-%d}")
    return panel.until(rows)


def _whole(clock: pd.DatetimeIndex, recipe: Recipe) -> Fold:
    first = burn_in(recipe.model.n_steps)
    return whole_fold(clock, recipe.market.horizon, first, recipe.training.min_dates)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """A checkpoint and the SHA-256 of its file."""
    if path.suffix != ".pt":
        raise CheckpointError(f"{path} is no checkpoint: give the .pt file that `train` wrote")
    store = CheckpointStore(path.parent)
    digest = store.verify(path.stem)
    return store.read(path.stem), digest


def _recipe_of(checkpoint: dict[str, Any], market: Market, path: Path) -> Recipe:
    """The model's recipe with the costs and limits of a market that it fits.

    Raises:
        CheckpointError: it is of other symbols, another calendar or timeframe, or another catalog.
    """
    try:
        recipe = Recipe.from_dict(checkpoint["recipe"])
    except (LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds a recipe that cannot be read ({error})") from error
    theirs, symbols = recipe.market, tuple(checkpoint["symbols"])
    same = sorted(symbols) == sorted(market.symbols)
    terms_of_bars = replace(
        theirs,
        symbols=symbols if same else market.symbols,
        timeframe=market.timeframe,
        calendar=market.calendar,
    )
    try:
        check_checkpoint(checkpoint, replace(recipe, market=terms_of_bars))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return replace(recipe, market=replace(market, horizon=theirs.horizon))


def _rows_to_test(clock: pd.DatetimeIndex, checkpoint: dict[str, Any], asked: Asked) -> Rows:
    """The rows that are decided on: from the start asked for, none of which the model has seen."""
    seen = pd.Timestamp(checkpoint["last_target"])
    unseen = int(clock.searchsorted(seen, side="right"))
    first = unseen
    if asked.start is not None:
        first = int(clock.searchsorted(pd.Timestamp(asked.start, tz="UTC")))
    if first < unseen or unseen == len(clock):
        raise LookAheadError(_what_to_do(clock, seen, unseen, asked))
    if first == len(clock):
        raise EvaluationError(
            f"{asked.data_path} has no bar from {asked.start} on: its last is of "
            f"{clock[-1]:%Y-%m-%d}"
        )
    return Rows(first, len(clock) - 1)


def _what_to_do(clock: pd.DatetimeIndex, seen: pd.Timestamp, unseen: int, asked: Asked) -> str:
    """Why a test is refused, from when on there can be one, and the commands that make one."""
    there_is = (
        f"The first bar of {asked.data_path} that it has not seen is of {clock[unseen]:%Y-%m-%d}: "
        f"test it with --start {clock[unseen]:%Y-%m-%d}."
        if unseen < len(clock)
        else f"{asked.data_path} has no bar that it has not seen: its last is of "
        f"{clock[-1]:%Y-%m-%d}."
    )
    start = asked.start or (clock[-1] - pd.DateOffset(years=1)).date()
    until = pd.Timestamp(start) - pd.Timedelta(days=1)
    return (
        f"{asked.path} has learned from bars up to {seen:%Y-%m-%d}, the last that a target of it "
        f"touched; to test it on those or on earlier ones would show what it remembers. {there_is} "
        f"To test from {start} on, train on what came before: `trading-pipeline train --data-path "
        f"{asked.data_path} --until {until:%Y-%m-%d}`. `trading-pipeline walk-forward --data-path "
        f"{asked.data_path}` tests every year with a model of the years before it"
    )


def _fold_of(
    data: Dataset, checkpoint: dict[str, Any], recipe: Recipe, rows: Rows
) -> tuple[Fold, bool]:
    """The fold that is tested, and whether the bars before it are those that were learned from;
    where they are not, nothing of it but the rows to test means anything."""
    clock = data.panel.timestamps
    key = f"{clock[rows.first]:%Y-%m-%d}"
    learned = int(clock.searchsorted(pd.Timestamp(checkpoint["last_target"]), side="right"))
    same = bool(learned and data.panel.data_hash(learned) == checkpoint["data_hash"])
    if not same:
        return Fold(key, Rows(0, -1), Rows(0, -1), rows), False
    return replace(_whole(clock[:learned], recipe), key=key, test=rows), True


def _leaks(
    data: Dataset,
    fold: Fold,
    recipe: Recipe,
    checkpoint: dict[str, Any],
    predictions: pd.DataFrame,
    same: bool,
) -> list[str]:
    """What looks ahead, a sentence for each; of its training only where its bars are there."""
    if same:
        examined = examine_model(data, fold, recipe, checkpoint, predictions)
    else:
        stored = examine_stored_predictions(data, fold, checkpoint, predictions)
        examined = [*examine_fold(data.panel, fold, recipe, checkpoint), stored]
    return [str(leak) for each in examined for leak in each.leaks]


def _heads(
    data: Dataset, predictions: pd.DataFrame, targets: Targets, fold: Fold, market: Market
) -> list[Comparison]:
    windows = history_of(data, targets, {fold.key: fold}, market.horizon).folds
    return heads_of(data.panel, predictions, outcomes_of(data, targets), windows, market)


def _choices(checkpoint: dict[str, Any], key: str) -> dict[str, str]:
    choice = checkpoint.get("choice")
    return {key: f"{spelled(choice['name'])}: {choice['reason']}"} if choice else {}


def _notes(checkpoint: dict[str, Any], asked: Asked, same: bool) -> list[str]:
    trained = checkpoint["train_start"][:10], checkpoint["last_target"][:10]
    notes = [
        f"one model, {asked.path.name}, that learned from {trained[0]} to {trained[1]} and is "
        "never trained again: nothing is said of how its recipe does in other years"
    ]
    if not same:
        notes.append(
            f"the bars before {trained[1]} are not those that {asked.path.name} learned from, so "
            "what its training was given could not be checked"
        )
    return notes


def _hashes(
    data: Dataset,
    recipe: Recipe,
    checkpoint: dict[str, Any],
    digest: str,
    predictions: pd.DataFrame,
) -> dict[str, Any]:
    """What the numbers trace to; another model, or another first day, is another trial."""
    stamps = data.panel.timestamps
    first = str(predictions["timestamp"].iloc[0])
    return {
        "data_hash": data.panel.data_hash(len(stamps)),
        "data": spanned(stamps),
        "packages": packages(),
        "code_version": code_version(),
        "catalog_hash": catalog_hash(),
        "config_hash": fingerprint(
            recipe.config_hash(catalog_hash()), checkpoint["fingerprint"], first
        ),
        "predictions_hash": content_hash(predictions),
        "checkpoint": {
            "sha256": digest,
            **{name: checkpoint.get(name) for name in CHECKPOINT_ORIGINS},
        },
    }
