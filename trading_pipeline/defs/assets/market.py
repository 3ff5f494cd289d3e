"""Market data: from a source into the store. Raw bars stay raw; adjustment happens on read."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from trading_pipeline.adapters.clock import Clock
from trading_pipeline.adapters.store.bars import BarStore
from trading_pipeline.core.market.bars import content_hash
from trading_pipeline.core.market.market import Market
from trading_pipeline.core.progress import Progress
from trading_pipeline.defs.assets import metadata
from trading_pipeline.defs.partitions import days, fold_days, windows
from trading_pipeline.errors import SourceUnavailable
from trading_pipeline.steps.download import download_actions, download_bars
from trading_pipeline.steps.home import Home, Sources
from trading_pipeline.steps.venue_download import Downloaded

FETCHED = "every_symbol_was_fetched"
ACTIONS_FETCHED = "splits_and_dividends_were_fetched"
NOT_BEFORE_TAG = "trading_pipeline/not_before"  # of a run whose venue wants to be left alone


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
        kinds={"parquet", "table"},
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
        store, span = home.bars(market), context.partition_time_window
        watch = progress.start(f"{market.name}: bars", context.log.info)
        try:
            done = download_bars(
                home, sources, market, (span.start, span.end), watch, config.start, config.refetch
            )
        except SourceUnavailable as error:
            _leave_alone(context, home.clock, error.retry_after)
            raise
        _leave_alone(context, home.clock, done.retry_after)
        newest = context.partition_key_range.end
        window = days(market).time_window_for_partition_key(newest)
        context.add_asset_metadata(metadata.of_newest_day(store, window), partition_key=newest)
        for observation in revisions_observed(context.instance, market, store):
            context.log_event(observation)
        return dg.MaterializeResult(
            metadata=metadata.of_bars(market, store, done), check_results=[_fetched(done)]
        )

    return bars_of_days


def _leave_alone(context: dg.AssetExecutionContext, clock: Clock, seconds: float) -> None:
    """Tag the run with when its venue may be asked again, for whoever tries it again; the last of
    such wishes holds."""
    if seconds:
        until = (clock.now() + timedelta(seconds=seconds)).isoformat(timespec="seconds")
        run = context.instance.get_run_by_id(context.run_id)
        before = run.tags.get(NOT_BEFORE_TAG, "") if run else ""
        context.instance.add_run_tags(context.run_id, {NOT_BEFORE_TAG: max(until, before)})


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
        kinds={"parquet", "table"},
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
                    "newest_revisions": dg.MetadataValue.md(metadata.revisions_text(before)),
                },
            )


def _version_of(record: dg.EventLogRecord) -> str | None:
    observation = record.asset_observation
    return observation.tags.get(DATA_VERSION_TAG) if observation and observation.tags else None


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
        # After the bars: the in-process executor never ends a run in which a step is to be skipped,
        # as features are where these are not made, once others were given up, as checks of bars
        # are that did not come.
        deps=[dg.AssetDep([market.name, "raw_bars"], partition_mapping=dg.AllPartitionMapping())],
        output_required=False,  # features wait where it is not made
        group_name=market.name,
        kinds={"parquet", "table"},
        check_specs=[
            dg.AssetCheckSpec(ACTIONS_FETCHED, asset=key, description="Red: those known stay.")
        ],
        description="Splits (new shares per old) and cash dividends, by ex-date. Where a venue "
        "cannot tell them, those of before stay, and features of newer bars wait for it.",
    )
    def actions_of_symbols(
        context: dg.AssetExecutionContext,
        sources: dg.ResourceParam[Sources],
        home: dg.ResourceParam[Home],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """A source without them leaves the market in total-return units."""
        done = download_actions(home, sources, market)
        _leave_alone(context, home.clock, done.retry_after)
        fetched = dg.AssetCheckResult(
            passed=done.failed is None, check_name=ACTIONS_FETCHED, description=done.failed
        )
        if done.failed is None:
            yield dg.MaterializeResult(
                metadata=metadata.of_actions(home.bars(market), done), check_results=[fetched]
            )
        else:
            yield fetched

    return actions_of_symbols
