"""Features: adjusted bars into the feature store."""

import dagster as dg
import pandas as pd

from trading_pipeline.adapters.store.features import FeatureStore
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
        from trading_pipeline.core.features.coverage import coverage_markdown
        from trading_pipeline.core.learning.dataset import features_of

        span = context.partition_time_window
        table = features_of(read_panel(home, market), market.calendar)
        store = home.features(market)
        inside = (table["timestamp"] >= span.start) & (table["timestamp"] < span.end)
        # A revised bar or a late split changes the features of other days too.
        rows = table[inside] if _holds(store, table, ~inside) else table
        written = store.write(rows, catalog_hash())
        return dg.MaterializeResult(
            metadata={
                "rows": written.rows,
                "features": len(NAMES),
                "catalog_hash": short(catalog_hash()),
                "bars_hash": home.bars(market).data_hash(),
                "rebuilt": "the catalog has changed" if written.rebuilt else "no",
                "coverage": dg.MetadataValue.md(coverage_markdown(table)),
                "complete": float(rows[list(NAMES)].notna().mean().mean()) if len(rows) else 0.0,
            }
        )

    return features_of_days


def _holds(store: FeatureStore, table: pd.DataFrame, elsewhere: "pd.Series[bool]") -> bool:
    """Whether the store has just the rows of the table that are elsewhere, bit for bit."""
    from trading_pipeline.core.features.catalog import catalog_hash
    from trading_pipeline.core.features.stored import changed_rows

    if store.catalog_hash() != catalog_hash():
        return False
    stored = store.read()
    known = pd.MultiIndex.from_frame(table.loc[elsewhere, ["timestamp", "symbol"]])
    within = pd.MultiIndex.from_frame(table.loc[~elsewhere, ["timestamp", "symbol"]])
    others = stored[~pd.MultiIndex.from_frame(stored[["timestamp", "symbol"]]).isin(within)]
    return len(others) == len(known) and changed_rows(table, others).empty
