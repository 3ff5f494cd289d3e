"""What several assets read: a market's panel, its dataset, its folds, its recipe."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from trading_pipeline.core.learning.walkforward import Fold, folds
from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.defs.resources import Home
from trading_pipeline.errors import CheckpointError, HistoryTooShort, StoreError

if TYPE_CHECKING:  # these load torch, which the code location must not
    from trading_pipeline.core.learning.dataset import Dataset
    from trading_pipeline.core.learning.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """A market and how it is worked on."""

    market: Market
    preset: str = "small"
    nightly: bool = False  # schedule and sensor start by themselves
    processes: int = 1  # that share one training
    device: str = "cpu"  # to train on: cpu, cuda, cuda:1
    precision: str = "float32"  # of the encoders' matrix products, or bfloat16


def read_panel(home: Home, market: Market) -> Panel:
    """All stored bars of days on which the market is open on a grid, with corporate actions.

    Where the source could not tell those when it was last asked, the bars end where it last did:
    a later one may be of other shares than those before it.
    """
    store = home.bars(market)
    bars, stale = store.read(*span_of(market, datetime.now(UTC))), store.stale_actions()
    if bars.empty:
        raise StoreError(
            f"{store.folder} has no bars; run `trading-pipeline download --market {market.name}` "
            "or materialize raw_bars"
        )
    calendar = trading_calendar(market.calendar, market.timeframe)
    bars = on_open_days(bars, calendar, str(store.folder))
    if stale is not None:
        if stale.since is None:
            raise StoreError(f"splits and dividends of {market.name} {stale}")
        bars = _closed_by(bars, market, stale.since)
    return Panel.of(bars, store.read_actions(), market.symbols, doubts=store.doubts())


def _closed_by(bars: pd.DataFrame, market: Market, instant: pd.Timestamp) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    closes = trading_calendar(market.calendar, market.timeframe).closes_of(stamps)
    return bars[bars["timestamp"].isin(stamps[closes <= instant])].reset_index(drop=True)


def span_of(market: Market, now: datetime) -> tuple[datetime, datetime]:
    """[start, end) of a market's history in UTC; a market that goes on ends with tomorrow."""
    first = datetime.combine(market.start, time(), UTC)
    last = market.end or now.astimezone(UTC).date() + timedelta(days=1)
    return first, datetime.combine(last, time(), UTC)


def checks_passed(instance: dg.DagsterInstance, market: Market) -> bool:
    """Whether the newest evaluation of every blocking check of bars and features was a pass.

    An asset is recorded as materialized before its checks run, so that it exists says nothing.
    """
    keys = [
        dg.AssetCheckKey(dg.AssetKey([market.name, asset]), name)
        for asset, name in (
            ("raw_bars", "bars_obey_market_invariants"),
            ("raw_bars", "no_session_is_missing"),
            ("features", "features_do_not_look_ahead"),
        )
    ]
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return all(
        key in newest and newest[key].status == AssetCheckExecutionRecordStatus.SUCCEEDED
        for key in keys
    )


def recipe_of(plan: Plan) -> "Recipe":
    """The recipe of a plan, with as many inputs as the catalog has features."""
    from trading_pipeline.core.features.catalog import NAMES
    from trading_pipeline.core.learning.recipe import Recipe

    made = Recipe.preset(plan.market, plan.preset, len(NAMES))
    # A process takes whole blocks of a step, so there is one for each of them at least.
    blocks = max(made.training.blocks, plan.processes)
    training = replace(made.training, blocks=blocks, precision=plan.precision)
    return replace(made, training=training)


def read_dataset(home: Home, plan: Plan) -> "Dataset":
    """Bars and features, as training and prediction want them."""
    from trading_pipeline.core.features.catalog import catalog_hash
    from trading_pipeline.core.learning.dataset import Dataset

    panel = read_panel(home, plan.market)
    store = home.features(plan.market)
    grid = store.read_grid(panel.timestamps, panel.symbols, catalog_hash())
    return Dataset.of(panel, grid, recipe_of(plan).model.n_steps)


def folds_of(data: "Dataset", recipe: "Recipe") -> dict[str, Fold]:
    """The folds that the stored bars allow, by key."""
    return folds_of_panel(data.panel, recipe)


def folds_of_panel(panel: Panel, recipe: "Recipe") -> dict[str, Fold]:
    """The same, from the bars alone."""
    from trading_pipeline.core.learning.dataset import burn_in

    market, lookback = recipe.market, burn_in(recipe.model.n_steps)
    return folds(panel.timestamps, market.walk_forward, market.horizon, lookback)


def checkpoint_of(
    home: Home, plan: Plan, panel: Panel, fold: Fold, name: str | None = None
) -> dict[str, Any]:
    """The stored checkpoint of a fold, if it is of this recipe and of these bars.

    Args:
        name: of its file, where it is not the fold's key.

    Raises:
        CheckpointError: it is missing, damaged, or of other settings or bars.
    """
    from trading_pipeline.core.learning.checkpoint import model_fingerprint

    checkpoint = home.checkpoints(plan.market).read(name or fold.key)
    check_fold(checkpoint, plan)
    if checkpoint["fingerprint"] != model_fingerprint(panel, fold, recipe_of(plan)):
        raise CheckpointError(
            f"the checkpoint of fold {fold.key} was trained with other settings or on other bars; "
            f"run `trading-pipeline train --market {plan.market.name}` to train it again"
        )
    return checkpoint


def check_fold(checkpoint: dict[str, Any], plan: Plan) -> None:
    """Raise CheckpointError where a checkpoint does not fit the plan."""
    from trading_pipeline.core.learning.checkpoint import check_checkpoint

    check_checkpoint(checkpoint, recipe_of(plan))


def fold_of(data: "Dataset", recipe: "Recipe", key: str) -> Fold:
    """One fold by its key, or an error that says which there are."""
    known = folds_of(data, recipe)
    if key not in known:
        raise HistoryTooShort(
            f"fold {key} of {recipe.market.name} is not possible with the stored bars; "
            f"possible are {', '.join(known)}"
        )
    return known[key]


def predictions_fingerprint(panel: Panel, fold: Fold, digest: str) -> str:
    """Equal fingerprints mean equal predictions: checkpoint and all bars up to the fold's last."""
    from trading_pipeline.core.learning.recipe import fingerprint

    return fingerprint(digest, panel.data_hash(fold.test.last + 1))


def metadata_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to see of a checkpoint."""
    return {
        "train_start": checkpoint["train_start"],
        "train_end": checkpoint["train_end"],
        "last_target": checkpoint["last_target"],
        "validation_information": checkpoint["metrics"]["validation_information"],
        "fingerprint": short(checkpoint["fingerprint"]),
    }


def short(digest: str) -> str:
    """As much of a hash as fits on an asset's page; the files themselves carry all of it."""
    return digest[:16]
