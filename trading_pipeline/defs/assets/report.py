"""The backtest report: what the out-of-sample predictions would have earned, honestly."""

import dagster as dg

from trading_pipeline.core.model.config import LEARNED_BASELINES
from trading_pipeline.defs.assets import metadata
from trading_pipeline.defs.assets.rivals import rival_asset
from trading_pipeline.defs.resources import DUCKDB_POOL
from trading_pipeline.steps.home import Home
from trading_pipeline.steps.plan import Plan


class BacktestConfig(dg.Config):
    """What can be asked of a backtest."""

    capital: float = 100_000.0


def backtest_report(plan: Plan) -> dg.AssetsDefinition:
    """One report for a market: strategy, baselines, random portfolios, verdict."""
    market = plan.market

    @dg.asset(
        key=[market.name, "backtest_report"],
        deps=[
            dg.AssetDep([market.name, asset], partition_mapping=dg.AllPartitionMapping())
            for asset in ("predictions", *map(rival_asset, LEARNED_BASELINES))
        ],
        pool=DUCKDB_POOL,
        group_name=market.name,
        kinds={"html"},
        description="Out-of-sample predictions traded with costs and risk rules, beside baselines.",
    )
    def report_of_market(
        home: dg.ResourceParam[Home], config: BacktestConfig
    ) -> dg.MaterializeResult[None]:
        """Simulated anew from all stored predictions; the evaluation is journalled as a trial.

        Refused while a fold's predictions are not up to date or unchecked, whoever asks for it;
        where their check found look-ahead, the verdict says so.
        """
        from trading_pipeline.steps.evaluate import evaluate_market

        done = evaluate_market(home, plan, config.capital)
        return dg.MaterializeResult(metadata=metadata.of_report(market, done))

    return report_of_market
