"""What is up to date, and what is missing? The one answer that all who ask share.

Assets, commands, schedules and sensors ask here. Fingerprints of what is stored now are compared
with those of what features, models, predictions and the report were made from; so the answer is
the same whoever made them, in whatever order, and with whatever events on record.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from trading_pipeline.adapters.sources.source import BarSource, bars_and_aside
from trading_pipeline.adapters.store.bars import MONTH_FILES, BarStore
from trading_pipeline.core.learning.walkforward import Fold
from trading_pipeline.core.market.bars import content_hash
from trading_pipeline.core.market.calendar import trading_calendar
from trading_pipeline.core.market.exchanges import NEVER_CLOSES, WEEKDAYS, close_of_day, zone_of
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.core.market.quality.finding import written
from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.errors import CheckpointError, EvaluationError, StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.inputs import (
    checkpoint_of,
    folds_of,
    read_dataset,
    refuse_without_bars,
    span_of,
)
from trading_pipeline.steps.plan import Plan

if TYPE_CHECKING:  # it loads torch, which the code location must not
    from trading_pipeline.core.learning.dataset import Dataset

DAY = "%Y-%m-%d"
NO_LOOK_AHEAD = "predictions_do_not_look_ahead"  # the check that clears predictions
BASIS = "basis"  # the part that says which symbols, calendar and span the features are of
# What the columns of predictions mean: since 2 the volatility is one that validation stands by.
_PREDICTED = 2
Days = tuple[str, str]  # the first and the last one, YYYY-MM-DD


# Days


def missing_days(
    market: Market, known: Iterable[str], stored: set[str], now: datetime, first: str = ""
) -> Days | None:
    """First and last of the `known` sessions from `first` on that have closed by `now` and are not
    stored, if any."""
    last = last_closed_day(market, now)
    missing = [day for day in known if first <= day <= last and day not in stored]
    return (missing[0], missing[-1]) if missing else None


def days_to_download(
    home: Home,
    market: Market,
    source: BarSource,
    known: Sequence[str],
    stored: set[str],
    checked: bool,
    now: datetime,
) -> Days | None:
    """Those without features, or all where bars or features are not as they must be.

    All: the source says something else (a venue is not asked yet), features are of other bars or
    another catalog, or the newest checks of either did not pass: what a failed check let be stored
    is not 'up to date'.

    Args:
        known: the days that there are by `now`. stored: days whose features were made.
        checked: whether the newest blocking checks of bars and features passed.
    """
    same = source.live or _is_stored(source, home.bars(market), market, now)
    is_right = same and checked and features_are_current(home, market)
    return missing_days(market, known, stored if is_right else set(), now)


def _is_stored(source: BarSource, bars: BarStore, market: Market, now: datetime) -> bool:
    """Whether bars, rows set aside and corporate actions are those of the source."""
    span = span_of(market, now)
    theirs = *bars_and_aside(source, market, span), source.actions(list(market.symbols))  # type: ignore[arg-type]
    return content_hash(*theirs) == content_hash(
        bars.read(*span), bars.set_aside(), bars.read_actions()
    )


def sessions_among(market: Market, days: list[str]) -> bool:
    """Whether the market's calendar has a session on any of these days, which are in order."""
    if not days:
        return False
    first, last = (pd.Timestamp(day, tz="UTC") for day in (days[0], days[-1]))
    calendar = trading_calendar(market.calendar, "1d")
    known = calendar.sessions(first, last + pd.Timedelta(days=1)).strftime(DAY)
    return not set(days).isdisjoint(known)


def last_closed_day(market: Market, now: datetime) -> str:
    """The newest day whose bars are complete at `now`."""
    local = now.astimezone(ZoneInfo(zone_of(market.calendar)))
    rests = market.calendar not in (NEVER_CLOSES, WEEKDAYS)
    closed = rests and local.time() >= close_of_day(market.calendar)
    return f"{local if closed else local - timedelta(days=1):{DAY}}"


# Features


class Stale(NamedTuple):
    """The features to compute: from `since` (None: all) until `until` (None: the end)."""

    since: datetime | None
    until: datetime | None
    reason: str  # in words, why these days


def features_are_current(home: Home, market: Market) -> bool:
    """Whether the stored features are of the stored bars, catalog and settings.

    Raises:
        StoreError: a store cannot be used.
    """
    from trading_pipeline.core.features.catalog import catalog_hash

    made_of = home.features(market).made_of(catalog_hash())
    return made_of == features_fingerprints(home.bars(market), market)


def features_fingerprints(bars: BarStore, market: Market) -> dict[str, str]:
    """By month: the state of its file, its corporate actions and doubts; and the basis of all.

    A month's file is replaced only when a bar in it changes, so its size and time of change tell;
    a copied folder has other times, and costs one rebuild.
    """
    days = f"open days of {market.calendar}"
    basis = [list(market.symbols), days, str(market.start), str(market.end)]
    prints = {BASIS: hashlib.sha256(json.dumps(basis).encode()).hexdigest()}
    actions = bars.read_actions()
    if actions is None:
        prints[BASIS] += " adjusted"
    for name, table in {"actions": actions, "set aside": bars.doubts()}.items():
        if table is None or table.empty:
            continue
        digests = pd.util.hash_pandas_object(table, index=False)
        for month, total in digests.groupby(table["timestamp"].dt.strftime("%Y-%m")).sum().items():
            prints[f"{month} {name}"] = str(total)
    for path in bars.folder.glob(MONTH_FILES):
        state = path.stat()
        prints[path.stem] = f"{state.st_size} {state.st_mtime_ns}"
    return prints


def stale_features(
    before: dict[str, str], now: dict[str, str], days: tuple[datetime, datetime]
) -> Stale:
    """The `days` asked for [start, end), and all others whose bars have changed.

    Args:
        before: `features_fingerprints` that the stored features were made of; now: of the bars.
    """
    if not before:
        return Stale(None, None, "all of them: none were of this catalog")
    if before.get(BASIS) != now[BASIS]:
        return Stale(None, None, "all of them: the market's settings have changed")
    changed = sorted(part for part in {*before, *now} if before.get(part) != now.get(part))
    if not changed:
        return Stale(*days, "those asked for: no bar has changed")
    month = pd.Timestamp(changed[0][:7], tz="UTC").to_pydatetime()
    since = min(month, days[0])
    return Stale(since, None, f"from {since:%Y-%m-%d} on: {changed[0]} has changed")


# Models and predictions


class Lack(NamedTuple):
    """Why a fold cannot be relied on, and the job that mends it."""

    job: Literal["train", "predict"]
    why: str
    leaks: bool = False  # its predictions are up to date, and their check found look-ahead


def lacking(home: Home, plan: Plan, panel: Panel) -> dict[str, Lack]:
    """The folds that lack something, by key and in order; all others are up to date and cleared.

    Cleared: the blocking check ran to its end on exactly the predictions that are stored, and
    passed. A check that crashed has cleared nothing.

    Raises:
        HistoryTooShort: the bars allow no fold yet.
    """
    lacks = {
        key: _lack_of(home, plan, panel, fold) for key, fold in folds_of(panel, plan.recipe).items()
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


def predictions_fingerprint(panel: Panel, fold: Fold, digest: str) -> str:
    """Equal fingerprints mean equal predictions: checkpoint and all bars up to the fold's last."""
    from trading_pipeline.core.learning.recipe import fingerprint

    return fingerprint(_PREDICTED, digest, panel.data_hash(fold.test.last + 1))


def predicted_by(home: Home, plan: Plan, model: str, panel: Panel, fold: Fold) -> bool:
    """Whether a rival of the plan's model has predicted a fold, and from what is stored now."""
    return _unpredicted(home.beside(model), replace(plan, model=model), panel, fold) is None


def rivals_with(home: Home, plan: Plan, panel: Panel, folds: Iterable[str]) -> list[str]:
    """The learned baselines, other than the plan's own model, that have predicted these folds."""
    possible = folds_of(panel, plan.recipe)
    return [
        model
        for model in LEARNED_BASELINES
        if model != plan.model
        and all(predicted_by(home, plan, model, panel, possible[key]) for key in folds)
    ]


def stale_rivals(home: Home, plan: Plan, current: Collection[str]) -> list[str]:
    """The learned baselines with predictions that are not among the `current` ones."""
    others = (model for model in LEARNED_BASELINES if model not in (plan.model, *current))
    return [model for model in others if home.beside(model).predictions(plan.market).folds()]


def without_rivals(home: Home, plan: Plan, panel: Panel) -> list[str]:
    """Folds, by key, that not all rivals of the plan have predicted.

    Raises:
        HistoryTooShort: the bars allow no fold yet.
    """
    return [
        key
        for key, fold in folds_of(panel, plan.recipe).items()
        if not all(predicted_by(home, plan, model, panel, fold) for model in plan.rivals)
    ]


def _again(plan: Plan, key: str) -> str:
    return (
        f"run `trading-pipeline train --market {plan.market.name}`, or materialize predictions "
        f"for {key} in the web UI"
    )


def _unpredicted(home: Home, plan: Plan, panel: Panel, fold: Fold) -> Lack | None:
    key, store = fold.key, home.predictions(plan.market)
    try:
        checkpoint_of(home, plan, panel, fold)
    except CheckpointError as error:
        return Lack("train", str(error))
    made_from = predictions_fingerprint(panel, fold, home.checkpoints(plan.market).verify(key))
    if store.fingerprint(key) != made_from:
        why = f"predictions of fold {key} are missing or out of date; {_again(plan, key)}"
        return Lack("predict", why)
    try:
        store.read([key])
    except StoreError as error:  # its rows are damaged, though what it was made from can be read
        return Lack("predict", str(error))
    return None


def _lack_of(home: Home, plan: Plan, panel: Panel, fold: Fold) -> Lack | None:
    if lack := _unpredicted(home, plan, panel, fold):
        return lack
    key, name, store = fold.key, plan.market.name, home.predictions(plan.market)
    again = _again(plan, key)
    uncleared = f"predictions of {name}, fold {key}, are not cleared: check {NO_LOOK_AHEAD}"
    passed = store.passed(key)
    if passed is None:
        return Lack("predict", f"{uncleared} has not run to its end on them; {again}")
    if not passed:  # whatever looked ahead may be in the model, so that goes too
        why = f"{uncleared} has failed on them and says what looks ahead; {again}"
        return Lack("train", why, leaks=True)
    return None


# The report


def predicted(home: Home, plan: Plan, leaking: bool = False) -> tuple["Dataset", list[str]]:
    """The dataset, and its folds up to the newest that is predicted, all of them cleared.

    Args:
        leaking: accept folds whose check found look-ahead, for the report to say so.

    Raises:
        StoreError: there are none, or one is not up to date and cleared; names it.
        EvaluationError: no bar of them is eligible.
    """
    data, recipe, store = read_dataset(home, plan), plan.recipe, home.predictions(plan.market)
    # Folds that are not predicted yet may be missing at the end; a hole would be a silent lie.
    possible, newest = folds_of(data.panel, recipe), max(store.folds(), default="")
    folds = [key for key in possible if key <= newest]
    lacks = lacking(home, plan, data.panel)
    for key in folds:
        if key in lacks and not (leaking and lacks[key].leaks):
            raise StoreError(lacks[key].why)
    if not folds:
        raise _nothing_predicted(home, plan.market)
    rows = slice(possible[folds[0]].test.first, possible[folds[-1]].test.last + 1)
    refuse_nothing_eligible(data, rows, plan.market.name, recipe.model.n_steps)
    return data, folds


def refuse_without_predictions(home: Home, market: Market) -> None:
    """Raise StoreError where there are no bars, or no predictions of them: before a run is begun
    that could only fail."""
    refuse_without_bars(home, market)
    if not home.predictions(market).folds():
        raise _nothing_predicted(home, market)


def _nothing_predicted(home: Home, market: Market) -> StoreError:
    return StoreError(
        f"{home.predictions(market).folder} has no predictions; run `trading-pipeline train "
        f"--market {market.name}` or materialize model_checkpoint and predictions"
    )


def refuse_nothing_eligible(data: "Dataset", rows: slice, name: str, n_steps: int) -> None:
    """Raise EvaluationError where nobody may be traded in these rows; names the rules."""
    if not data.eligible[rows].any():
        stamps = data.panel.timestamps[rows]
        raise EvaluationError(
            f"{name}: no bar from {written(stamps[0])} to {written(stamps[-1])} is eligible, so "
            f"that nothing was predicted: {data.refusals(rows, n_steps)}"
        )


def leaks_of(home: Home, plan: Plan, folds: Iterable[str]) -> list[str]:
    """What the leakage check found in the stored predictions of folds: a sentence for each."""
    store = home.predictions(plan.market)
    return [
        f"the predictions of fold {key} have failed {NO_LOOK_AHEAD}, which says what looks ahead"
        for key in folds
        if store.passed(key) is False
    ]
