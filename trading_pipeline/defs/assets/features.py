"""Features: adjusted bars into the feature store."""

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.inputs import read_panel, short
from trading_pipeline.defs.partitions import days
from trading_pipeline.defs.resources import DUCKDB_POOL, Home


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
        context: dg.AssetExecutionContext, home: Home
    ) -> dg.MaterializeResult[None]:
        """Computed from the whole history; a changed catalog rebuilds the table."""
        from trading_pipeline.core.features.catalog import NAMES, catalog_hash
        from trading_pipeline.core.learning.dataset import features_of

        span = context.partition_time_window
        table = features_of(read_panel(home, market), market.calendar)
        store = home.features(market)
        rebuild = store.catalog_hash() not in (None, catalog_hash())
        inside = (table["timestamp"] >= span.start) & (table["timestamp"] < span.end)
        rows = table if rebuild else table[inside]
        written = store.write(rows, catalog_hash())
        return dg.MaterializeResult(
            metadata={
                "rows": written.rows,
                "features": len(NAMES),
                "catalog_hash": short(catalog_hash()),
                "rebuilt": "the catalog has changed" if written.rebuilt else "no",
                "complete": float(rows[list(NAMES)].notna().mean().mean()) if len(rows) else 0.0,
            }
        )

    return features_of_days
