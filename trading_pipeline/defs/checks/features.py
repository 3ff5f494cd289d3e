"""Do the features look ahead?"""

from functools import partial

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.inputs import read_panel
from trading_pipeline.defs.resources import DUCKDB_POOL, Home

_CUTS = 3  # dates at which the future is cut off


def features_do_not_look_ahead(market: Market) -> dg.AssetChecksDefinition:
    """Cutting off the future changes no feature before the cut, and the store holds the same."""

    @dg.asset_check(
        asset=[market.name, "features"],
        name="features_do_not_look_ahead",
        blocking=True,
        pool=DUCKDB_POOL,
    )
    def no_look_ahead(home: Home) -> dg.AssetCheckResult:
        """Cuts, scrambles and shortens the real bars, and computes the features again."""
        from trading_pipeline.core.features.catalog import CATALOG, compute_features
        from trading_pipeline.core.features.leakage import find_leaks
        from trading_pipeline.core.features.stored import changed_rows
        from trading_pipeline.core.learning.dataset import features_of

        panel = read_panel(home, market)
        bars, lookbacks = panel.adjusted_bars(), {each.name: each.lookback for each in CATALOG}
        compute = partial(compute_features, calendar=market.calendar)
        leaks = find_leaks(compute, bars, lookbacks, cuts=_CUTS)
        changed = changed_rows(features_of(panel, market.calendar), home.features(market).read())
        complaints = [str(each) for each in leaks[:5]] + [
            f"stored {row.feature} of {row.symbol} at {row.timestamp} is not what the bars give"
            for row in changed.head(5).itertuples()
        ]
        return dg.AssetCheckResult(
            passed=not complaints,
            description="; ".join(complaints) or None,
            metadata={
                "features": len(CATALOG),
                "leaks": len(leaks),
                "changed": len(changed),
                "cuts": _CUTS,
            },
        )

    return no_look_ahead
