"""Market data: from a source into the store. Raw bars stay raw; adjustment happens on read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from trading_pipeline.adapters.download import Downloaded, download
from trading_pipeline.adapters.download_actions import (
    actions_of,
    first_changed_action,
    notices_of,
)
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.adapters.store.history import SET_ASIDE
from trading_pipeline.core.market.bars import content_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.market.revisions import newest_changes
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.inputs import span_of
from trading_pipeline.defs.partitions import days, fold_days, windows
from trading_pipeline.defs.resources import Home, Sources
from trading_pipeline.errors import BarsError, SourceError

FETCHED = "every_symbol_was_fetched"
ACTIONS_FETCHED = "splits_and_dividends_were_fetched"
_SHOWN = 20  # symbols and revisions on an asset's page


class DownloadConfig(dg.Config):
    """How a venue is asked; sources on this machine are always read whole."""

    refetch: bool = False  # everything again: what differs becomes a revision
    start: str = ""  # first day to look at, YYYY-MM-DD; empty: the market's own


def raw_bars(market: Market) -> dg.AssetsDefinition:
    """Bars as the source gave them: one partition a day, all symbols in it."""
    key = dg.AssetKey([market.name, "raw_bars"])

    @dg.asset(
        key=key,
        partitions_def=days(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=market.name,
        kinds={"parquet"},
        check_specs=[
            dg.AssetCheckSpec(FETCHED, asset=key, description="Red: the others were, and go on.")
        ],
        description="Closed bars as the source gave them, one Parquet file a month. A venue is "
        "asked for what is missing anywhere before the end of the range, and for what it may "
        "still correct; with `refetch` for everything.",
    )
    def bars_of_days(
        context: dg.AssetExecutionContext,
        config: DownloadConfig,
        sources: dg.ResourceParam[Sources],
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster wants it bare beside a check
        """Fetching a day again replaces it; what it was is among the revisions."""
        source, store = sources.open(market), home.bars(market)
        begins, ends = context.partition_time_window
        if source.live:
            begins = span_of(_since(market, config), ends)[0]
        watch = progress.start(f"{market.name}: bars", context.log.info)
        done = download(source, store, market, (begins, ends), _now, watch, refetch=config.refetch)
        # What is long is told of the newest day alone: a first download has thousands of them.
        table = {
            "newest_revisions": dg.MetadataValue.md(revisions_text(store.revisions())),
            "rows_set_aside": dg.MetadataValue.md(aside_text(store.set_aside())),
        }
        context.add_asset_metadata(table, partition_key=context.partition_key_range.end)
        for observation in revisions_observed(context.instance, market, store):
            context.log_event(observation)
        return dg.MaterializeResult(
            metadata=_metadata(market, store, done), check_results=[_fetched(done)]
        )

    return bars_of_days


def revised_bars(market: Market) -> dg.AssetSpec:
    """What was revised, by the windows of the folds: what makes models and predictions stale.

    Dagster compares data versions across an edge only where a partition has fewer than a hundred
    upstream ones, and a fold has thousands of days; it has one window of these.
    """
    return dg.AssetSpec(
        [market.name, "revised_bars"],
        deps=[dg.AssetDep([market.name, "raw_bars"], partition_mapping=fold_days())],
        partitions_def=windows(market),
        group_name=market.name,
        kinds={"parquet"},
        description="Bars that the source corrected, up to the end of each window: old values and "
        "new ones. Models and predictions of later folds are stale when this changes.",
    )


def revisions_observed(
    instance: dg.DagsterInstance, market: Market, store: BarStore
) -> Iterator[dg.AssetObservation]:
    """An observation for each window before whose end a bar was revised since the last one."""
    key, revisions = dg.AssetKey([market.name, "revised_bars"]), store.revisions()
    spans = windows(market)
    for window in spans.get_partition_keys():
        end = spans.time_window_for_partition_key(window).end
        before = revisions[revisions["timestamp"] < end]
        version = content_hash(before) if len(before) else "none"
        known = instance.get_latest_data_version_record(key, True, window)
        if known is None or version != _version_of(known):
            yield dg.AssetObservation(
                key,
                partition=window,
                tags={DATA_VERSION_TAG: version},
                metadata={
                    "revisions": len(before),
                    "newest_revisions": dg.MetadataValue.md(revisions_text(before)),
                },
            )


def _version_of(record: dg.EventLogRecord) -> str | None:
    observation = record.asset_observation
    return observation.tags.get(DATA_VERSION_TAG) if observation and observation.tags else None


def _since(market: Market, config: DownloadConfig) -> Market:
    """The market from the first day that is asked for; its own start is the earliest."""
    start = date.fromisoformat(config.start) if config.start else market.start
    return replace(market, start=max(start, market.start))


def _now() -> datetime:
    return datetime.now(UTC)


def _metadata(market: Market, store: BarStore, done: Downloaded) -> dict[str, Any]:
    """What a person wants to see of a download."""
    stamps, first_changed = store.keys()["timestamp"], done.first_changed
    return {
        "rows": len(stamps),
        "symbols": ", ".join(market.symbols[:_SHOWN]),
        "first": str(stamps.min()) if len(stamps) else "none",
        "last": str(stamps.max()) if len(stamps) else "none",
        "came": done.rows,
        "added": done.added,
        "changed": done.changed,
        "removed": done.removed,
        "first_changed": str(first_changed) if first_changed is not None else "none",
        "requests": done.requests,
        "failed": done.failures or "none",
        "set_aside": len(store.set_aside()),
        "revisions": len(store.revisions()),
        "folder": dg.MetadataValue.path(str(store.folder)),
    }


def revisions_text(revisions: pd.DataFrame) -> str:
    """A Markdown table of the newest changes."""
    changes = newest_changes(revisions, _SHOWN)
    if changes.empty:
        return "none: no stored bar was ever changed"
    for column in ("bar", "stored", "revised"):
        changes[column] = changes[column].dt.strftime("%Y-%m-%d %H:%M").fillna("unknown")
    return str(changes.to_markdown(index=False, floatfmt=".10g"))


def aside_text(aside: pd.DataFrame) -> str:
    """A Markdown table of rows that came and are no bars."""
    if aside.empty:
        return "none: every row that came is a bar"
    shown = aside[:_SHOWN].assign(timestamp=aside["timestamp"].dt.strftime("%Y-%m-%d %H:%M"))
    more = len(aside) - len(shown)
    rest = f"\n\nand {more:,} more: `{SET_ASIDE}` in the folder" if more > 0 else ""
    return str(shown.to_markdown(index=False, floatfmt=".10g")) + rest


def _fetched(done: Downloaded) -> dg.AssetCheckResult:
    """Loud, and not blocking: a symbol that failed must not stop the others from trading."""
    reasons = "; ".join(f"{symbol}: {why}" for symbol, why in done.failures.items())
    return dg.AssetCheckResult(
        passed=not done.failures,
        check_name=FETCHED,
        description=reasons or None,
        metadata={"failed": len(done.failures)},
    )


def corporate_actions(market: Market) -> dg.AssetsDefinition:
    """Splits and dividends, from which adjusted prices are computed on read."""
    key = dg.AssetKey([market.name, "corporate_actions"])

    @dg.asset(
        key=key,
        output_required=False,  # features wait where it is not made
        group_name=market.name,
        kinds={"parquet"},
        check_specs=[
            dg.AssetCheckSpec(ACTIONS_FETCHED, asset=key, description="Red: those known stay.")
        ],
        description="Splits (new shares per old) and cash dividends, by ex-date. Where a venue "
        "cannot tell them, those of before stay, and features of newer bars wait for it.",
    )
    def actions_of_symbols(
        sources: dg.ResourceParam[Sources], home: dg.ResourceParam[Home]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """A source without them leaves the market in total-return units."""
        store, source = home.bars(market), sources.open(market)
        fetched = dg.AssetCheckResult(passed=True, check_name=ACTIONS_FETCHED)
        try:
            actions, unknown = actions_of(source, store, market)
            notices = notices_of(source, market, unknown)
        except (SourceError, BarsError) as error:
            if not source.live:
                raise
            stale = store.keep_actions(str(error))
            yield fetched._replace(passed=False, description=f"splits and dividends {stale}")
            return
        changed = first_changed_action(store.read_actions(), actions)
        store.write_actions(actions)
        news: dict[str, Any] = {"first_changed": "none" if changed is None else str(changed)}
        if actions is None:
            note = "none known: prices are taken as total-return units and pay no dividends"
            metadata = news | {"rows": 0, "note": note}
            yield dg.MaterializeResult(metadata=metadata, check_results=[fetched])
            return
        counts = actions.groupby(["symbol", "kind"]).size().reset_index(name="events")
        yield dg.MaterializeResult(
            metadata=news
            | {
                "rows": len(actions),
                "events": dg.MetadataValue.md(counts.to_markdown(index=False)),
                "unknown_to_the_source": ", ".join(unknown) or "none",
                "notices": len(notices),
                "newest_notices": dg.MetadataValue.md(notices_text(notices)),
            },
            check_results=[fetched],
        )

    return actions_of_symbols


def notices_text(notices: pd.DataFrame) -> str:
    """A Markdown table of what prices are not adjusted for, the newest first."""
    if notices.empty:
        return "none: splits and cash dividends are all that happened"
    newest = notices.sort_values("timestamp", ascending=False)[:_SHOWN]
    days = newest["timestamp"].dt.strftime("%Y-%m-%d")
    return str(newest.assign(timestamp=days).to_markdown(index=False, floatfmt=".10g"))
