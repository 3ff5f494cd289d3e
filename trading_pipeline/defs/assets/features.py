"""Features: adjusted bars into the feature store."""

from datetime import UTC, datetime

import dagster as dg

from trading_pipeline.adapters.feature_update import update_features
from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.inputs import short, span_of
from trading_pipeline.defs.partitions import days
from trading_pipeline.defs.resources import DUCKDB_POOL, Home
from trading_pipeline.errors import StoreError


def features(market: Market) -> dg.AssetsDefinition:
    """The catalog's features of some days, in DuckDB."""

    @dg.asset(
        key=[market.name, "features"],
        deps=[
            dg.AssetDep([market.name, "raw_bars"], partition_mapping=dg.IdentityPartitionMapping()),
            [market.name, "corporate_actions"],
        ],
        partitions_def=days(market),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=DUCKDB_POOL,
        group_name=market.name,
        kinds={"duckdb"},
        description="Causal, scale-free features of adjusted bars, one row per symbol and bar.",
    )
    def features_of_days(
        context: dg.AssetExecutionContext, home: dg.ResourceParam[Home]
    ) -> dg.MaterializeResult[None]:
        """Of the days, and of all later ones if any bar before has changed since they were made."""
        from trading_pipeline.core.features.catalog import NAMES, catalog_hash
        from trading_pipeline.core.features.coverage import coverage_markdown

        span, history = context.partition_time_window, span_of(market, datetime.now(UTC))
        stores = home.bars(market), home.features(market)
        if (stale := stores[0].stale_actions()) is not None:
            raise StoreError(f"splits and dividends of {market.name} {stale}")
        done = update_features(*stores, market, history, (span.start, span.end))
        complete = done.features[list(NAMES)].notna().to_numpy().mean() if len(done.features) else 0
        return dg.MaterializeResult(
            metadata={
                "rows": len(done.features),
                "features": len(NAMES),
                "catalog_hash": short(catalog_hash()),
                "computed": done.reason,
                "rebuilt": "the catalog has changed" if done.rebuilt else "no",
                "coverage": dg.MetadataValue.md(coverage_markdown(done.features)),
                "complete": float(complete),
            }
        )

    return features_of_days
