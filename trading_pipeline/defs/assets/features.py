"""Features: adjusted bars into the feature store."""

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs import columns
from trading_pipeline.defs.assets import metadata
from trading_pipeline.defs.partitions import days
from trading_pipeline.defs.resources import DUCKDB_POOL
from trading_pipeline.steps.home import Home


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
        kinds={"duckdb", "table"},
        metadata={columns.TABLE: f"features.market.{market.name}"},
        description="Causal, scale-free features of adjusted bars, one row per symbol and bar.",
    )
    def features_of_days(
        context: dg.AssetExecutionContext, home: dg.ResourceParam[Home]
    ) -> dg.MaterializeResult[None]:
        """Of the days, and of all later ones if any bar before has changed since they were made."""
        from trading_pipeline.steps.features import update_features

        span = context.partition_time_window
        done = update_features(home, market, (span.start, span.end), home.clock.now())
        context.add_asset_metadata(
            {
                columns.SCHEMA: columns.features_schema(),
                columns.LINEAGE: columns.features_lineage(market),
            },
            partition_key=context.partition_key_range.end,
        )
        return dg.MaterializeResult(metadata=metadata.of_features(home.features(market), done))

    return features_of_days
