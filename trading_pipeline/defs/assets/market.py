"""Market data: from a source into the store. Raw bars stay raw; adjustment happens on read."""

from datetime import UTC, datetime

import dagster as dg

from trading_pipeline.core.market.bars import check_bars
from trading_pipeline.core.market.calendar import check_weekdays
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.partitions import days
from trading_pipeline.defs.resources import Home, Sources


def raw_bars(market: Market) -> dg.AssetsDefinition:
    """Bars as the source gave them: one partition a day, all symbols in it."""

    @dg.asset(
        key=[market.name, "raw_bars"],
        partitions_def=days(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=market.name,
        kinds={"parquet"},
        description="Closed bars as the source gave them, one Parquet file a month.",
    )
    def bars_of_days(
        context: dg.AssetExecutionContext, sources: dg.ResourceParam[Sources], home: Home
    ) -> dg.MaterializeResult[None]:
        """Fetching a day again replaces it."""
        span = context.partition_time_window
        source = sources.open(market)
        bars = check_bars(source.bars(list(market.symbols), span.start, span.end), market.source)
        check_weekdays(bars, market.calendar, market.source)
        store = home.bars(market)
        store.merge(bars, datetime.now(UTC), (span.start, span.end))
        return dg.MaterializeResult(
            metadata={
                "rows": len(bars),
                "symbols": ", ".join(market.symbols[:20]),
                "first": str(bars["timestamp"].min()) if len(bars) else "none",
                "last": str(bars["timestamp"].max()) if len(bars) else "none",
                "folder": dg.MetadataValue.path(str(store.folder)),
            }
        )

    return bars_of_days


def corporate_actions(market: Market) -> dg.AssetsDefinition:
    """Splits and dividends, from which adjusted prices are computed on read."""

    @dg.asset(
        key=[market.name, "corporate_actions"],
        group_name=market.name,
        kinds={"parquet"},
        description="Splits (new shares per old) and cash dividends, by ex-date.",
    )
    def actions_of_symbols(
        sources: dg.ResourceParam[Sources], home: Home
    ) -> dg.MaterializeResult[None]:
        """A source without them leaves the market in total-return units."""
        actions = sources.open(market).actions(list(market.symbols))
        home.bars(market).write_actions(actions)
        if actions is None:
            note = "none known: prices are taken as total-return units and pay no dividends"
            return dg.MaterializeResult(metadata={"rows": 0, "note": note})
        counts = actions.groupby(["symbol", "kind"]).size().reset_index(name="events")
        return dg.MaterializeResult(
            metadata={
                "rows": len(actions),
                "events": dg.MetadataValue.md(counts.to_markdown(index=False)),
            }
        )

    return actions_of_symbols
