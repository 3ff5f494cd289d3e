"""What several steps read: a market's panel, its dataset, its folds, their checkpoints."""

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.files import one_writer
from trading_pipeline.core.learning.walkforward import Fold, folds
from trading_pipeline.core.market.calendar import on_open_days, trading_calendar
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.panel import Panel
from trading_pipeline.errors import CheckpointError, HistoryTooShort, StoreError
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan

if TYPE_CHECKING:  # these load torch, which the code location must not
    from trading_pipeline.core.learning.dataset import Dataset
    from trading_pipeline.core.learning.recipe import Recipe


def read_panel(home: Home, market: Market) -> Panel:
    """All stored bars of days on which the market is open on a grid, with corporate actions.

    Where the source could not tell those when it was last asked, the bars end where it last did:
    a later one may be of other shares than those before it.
    """
    store = home.bars(market)
    bars, stale = store.read(*span_of(market, home.clock.now())), store.stale_actions()
    if bars.empty:
        raise no_bars(store, market)
    calendar = trading_calendar(market.calendar, market.timeframe)
    bars = on_open_days(bars, calendar, str(store.folder))
    if stale is not None:
        if stale.since is None:
            raise StoreError(f"splits and dividends of {market.name} {stale}")
        bars = _closed_by(bars, market, stale.since)
    return Panel.of(bars, store.read_actions(), market.symbols, doubts=store.doubts())


def no_bars(store: BarStore, market: Market) -> StoreError:
    """The error of a store that is empty, with what to do about it."""
    return StoreError(
        f"{store.folder} has no bars; run `trading-pipeline download --market {market.name}`"
    )


def _closed_by(bars: pd.DataFrame, market: Market, instant: pd.Timestamp) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(bars["timestamp"].unique())
    closes = trading_calendar(market.calendar, market.timeframe).closes_of(stamps)
    return bars[bars["timestamp"].isin(stamps[closes <= instant])].reset_index(drop=True)


def span_of(market: Market, now: datetime) -> tuple[datetime, datetime]:
    """[start, end) of a market's history in UTC; a market that goes on ends with tomorrow."""
    first = datetime.combine(market.start, time(), UTC)
    last = market.end or now.astimezone(UTC).date() + timedelta(days=1)
    return first, datetime.combine(last, time(), UTC)


def read_dataset(home: Home, plan: Plan) -> "Dataset":
    """Bars and features, as training and prediction want them.

    The feature store is each machine's own. Where bars are shared, one that has none of them yet
    computes them here, which takes less time than to send them.
    """
    from trading_pipeline.core.features.catalog import catalog_hash
    from trading_pipeline.core.learning.dataset import Dataset

    panel = read_panel(home, plan.market)
    if home.shared is not None:
        _bring_features(home, plan.market)
    store = home.features(plan.market)
    grid = store.read_grid(panel.timestamps, panel.symbols, catalog_hash())
    return Dataset.of(panel, grid, plan.recipe.model.n_steps)


def _bring_features(home: Home, market: Market) -> None:
    """Those of the bars that are stored now; by one process of a machine at a time."""
    from trading_pipeline.steps.features import update_features
    from trading_pipeline.steps.freshness import features_are_current

    with one_writer(home.path / ".shared" / "features" / market.name):
        if not features_are_current(home, market):
            now = home.clock.now()
            update_features(home, market, span_of(market, now), now)


def refuse_without_bars(home: Home, market: Market) -> None:
    """Raise StoreError where nothing is stored: before work is begun that could only fail."""
    if not home.bars(market).files():
        raise no_bars(home.bars(market), market)


def folds_of(panel: Panel, recipe: "Recipe") -> dict[str, Fold]:
    """The folds that the stored bars allow, by key.

    Raises:
        HistoryTooShort: they allow none yet.
    """
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
    from trading_pipeline.core.learning.soundness import check_checkpoint

    checkpoint, recipe = home.checkpoints(plan.market).read(name or fold.key), plan.recipe
    check_checkpoint(checkpoint, recipe)
    if checkpoint["fingerprint"] != model_fingerprint(panel, fold, recipe):
        raise CheckpointError(
            f"the checkpoint of fold {fold.key} was trained with other settings or on other bars; "
            f"run `trading-pipeline train --market {plan.market.name}` to train it again"
        )
    return checkpoint


def fold_of(data: "Dataset", recipe: "Recipe", key: str) -> Fold:
    """One fold by its key, or an error that says which there are."""
    known = folds_of(data.panel, recipe)
    if key not in known:
        raise HistoryTooShort(
            f"fold {key} of {recipe.market.name} is not possible with the stored bars; "
            f"possible are {', '.join(known)}"
        )
    return known[key]
