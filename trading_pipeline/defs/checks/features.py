"""Do the features look ahead?"""

import dagster as dg

from trading_pipeline.core.market.market import Market
from trading_pipeline.defs.checks.leakage import verdict_of
from trading_pipeline.defs.resources import DUCKDB_POOL
from trading_pipeline.steps.home import Home


def features_do_not_look_ahead(market: Market) -> dg.AssetChecksDefinition:
    """Cutting off the future changes no feature before the cut, and the store holds the same."""

    @dg.asset_check(
        asset=[market.name, "features"],
        name="features_do_not_look_ahead",
        blocking=True,
        pool=DUCKDB_POOL,
    )
    def no_look_ahead(home: dg.ResourceParam[Home]) -> dg.AssetCheckResult:
        """Cuts, scrambles and shortens real raw bars, and computes features and universe again.

        On at most 24 symbols and two stretches of three lookbacks (the newest one, and one drawn
        by a fixed seed); stored features of up to 60,000 bars are all compared, of more the
        newest 21 dates and 21 others.
        """
        from trading_pipeline.steps.leakage import examine_features

        return verdict_of(examine_features(home, market))

    return no_look_ahead
